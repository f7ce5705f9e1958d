"""Tables of S1 to S3: parties, accounts, instruments."""

from __future__ import annotations

from fraudworld.contracts.table import Table, code, integer

COUNTRY = code("country_iso", "ISO 3166-1 alpha-2 country", "country")
REGION = code("region_id", "region of the country (UN M49, grouped)", "region")
PARTY_TYPE = code("party_type", "RETAIL, BUSINESS or OTHER", "party_type")
SEGMENT = code("segment_id", "behavioural segment within the party type", "segment")
ACCOUNT_TYPE = code("account_type", "product", "account_type")
INSTRUMENT_TYPE = code("instrument_type", "card, bank handle or wallet token", "instrument_type")
SCHEME = code("scheme", "card network, bank rail or wallet", "scheme")

PARTY_BASE = Table(
    name="s1_party_base_6A",
    state="S1",
    meaning="The closed population: one row per party with type, segment, country and home.",
    columns=(
        integer("party_id", "dense from 1; contiguous inside a country"),
        PARTY_TYPE,
        SEGMENT,
        REGION,
        COUNTRY,
        integer("household_id", "home shared by retail parties; null for others", nullable=True),
        integer(
            "business_group_id", "firm shared by business parties; null for others", nullable=True
        ),
    ),
    key=("party_id",),
    sort=("party_id",),
)
PARTY_SUMMARY = Table(
    name="s1_party_summary_6A",
    state="S1",
    meaning="Parties counted by country, type and segment.",
    columns=(COUNTRY, REGION, PARTY_TYPE, SEGMENT, integer("party_count", "parties")),
    key=("country_iso", "segment_id", "party_type"),
    sort=("country_iso", "segment_id", "party_type"),
    identity=False,
)
ACCOUNT_BASE = Table(
    name="s2_account_base_6A",
    state="S2",
    meaning="One row per account, in order of owner, then product.",
    columns=(
        integer("account_id", "dense from 1"),
        integer("owner_party_id", "the owner"),
        ACCOUNT_TYPE,
        PARTY_TYPE,
        SEGMENT,
        REGION,
        COUNTRY,
        code("currency", "ISO 4217 currency of the owner's country", "currency"),
    ),
    key=("account_id",),
    sort=("account_id",),
)
HOLDINGS = Table(
    name="s2_party_product_holdings_6A",
    state="S2",
    meaning="How many accounts of each product a party holds; no rows of zero.",
    columns=(
        integer("owner_party_id", "the owner"),
        ACCOUNT_TYPE,
        integer("account_count", "accounts held, 1 to the cap of the product"),
    ),
    key=("owner_party_id", "account_type"),
    sort=("owner_party_id", "account_type"),
    identity=False,
)
ACCOUNT_SUMMARY = Table(
    name="s2_account_summary_6A",
    state="S2",
    meaning="Accounts counted by country and product.",
    columns=(COUNTRY, REGION, PARTY_TYPE, ACCOUNT_TYPE, integer("account_count", "accounts")),
    key=("country_iso", "account_type"),
    sort=("country_iso", "account_type"),
    identity=False,
)
INSTRUMENT_BASE = Table(
    name="s3_instrument_base_6A",
    state="S3",
    meaning="One row per card, bank handle or wallet token, in order of account.",
    columns=(
        integer("instrument_id", "dense from 1"),
        integer("account_id", "the account it pays from"),
        integer("owner_party_id", "owner of that account"),
        INSTRUMENT_TYPE,
        SCHEME,
    ),
    key=("instrument_id",),
    sort=("instrument_id",),
)
INSTRUMENT_LINKS = Table(
    name="s3_account_instrument_links_6A",
    state="S3",
    meaning="Links of accounts to instruments: one row per instrument.",
    columns=(
        integer("account_id", "the account"),
        integer("instrument_id", "the instrument"),
        INSTRUMENT_TYPE,
        SCHEME,
    ),
    key=("account_id", "instrument_id"),
    sort=("account_id", "instrument_id"),
    identity=False,
)
