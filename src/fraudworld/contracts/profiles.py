"""Tables of layer 6P: profiles beside a published world. All of them are observable.

Days are UTC days, dated at the first day of the horizon where nothing else is said. Amounts are in
the minor unit of their currency (ISO 4217). Coordinates are degrees of WGS 84, five digits.
"""

from __future__ import annotations

from fraudworld.contracts.table import Table, code, date, flag, integer, moment, real, text, word
from fraudworld.contracts.world import COUNTRY

PROFILES_VERSION = "6P.1"

TERMINAL_KINDS = ("ATM", "KIOSK", "POS_TERMINAL")
EVENTS = (
    "ACCOUNT_CLOSED",
    "ACCOUNT_OPENED",
    "ADDRESS_CHANGED",
    "CARD_ISSUED",
    "CUSTOMER_JOINED",
    "DEVICE_ENROLLED",
    "DEVICE_RETIRED",
    "EMAIL_CHANGED",
    "PHONE_CHANGED",
    "SIM_SWAPPED",
)
CHANGES = ("ADDRESS_CHANGED", "EMAIL_CHANGED", "PHONE_CHANGED", "SIM_SWAPPED")
"""Events that change contact data, which a party may have several of."""

ENTITY_TYPES = ("ACCOUNT", "DEVICE", "INSTRUMENT", "PARTY")
OCCUPATIONS = (
    "ARMED_FORCES",
    "CLERICAL_SUPPORT_WORKERS",
    "CRAFT_WORKERS",
    "ELEMENTARY_OCCUPATIONS",
    "MACHINE_OPERATORS",
    "MANAGERS",
    "PROFESSIONALS",
    "SERVICE_AND_SALES_WORKERS",
    "SKILLED_AGRICULTURAL_WORKERS",
    "TECHNICIANS",
)
"""Major groups of ISCO-08, by name."""

INDUSTRIES = tuple("ABCDEFGHIJKLMNOPQRSTU")
"""Sections of ISIC revision 4."""

CODES: dict[str, tuple[str, ...]] = {
    "account_status": ("ACTIVE", "CLOSED", "DORMANT"),
    "entity_event": EVENTS,
    "event_entity": ENTITY_TYPES,
    "industry": INDUSTRIES,
    "kyc_risk": ("HIGH", "LOW", "MEDIUM"),
    "occupation": OCCUPATIONS,
    "pool_entity": ("DEVICE", "IP"),
    "terminal_kind": TERMINAL_KINDS,
}
"""Closed lists of 6P, sorted: a position is the code in memory and in digests."""

_PLACE = integer("place_id", "the place")
_LAT, _LON = real("lat", "latitude"), real("lon", "longitude")
_ZONE = word("tzid", "time zone of the tz database", "tzid")

PLACE = Table(
    name="p0_place_6P",
    state="P0",
    meaning="Towns of the countries of the world, by country, then by population, largest first.",
    columns=(
        integer("place_id", "dense from 1"),
        COUNTRY,
        word("name", "name of the place", "place_name"),
        _LAT,
        _LON,
        integer("population", "inhabitants"),
        _ZONE,
    ),
    key=("place_id",),
    sort=("place_id",),
)
MERCHANT = Table(
    name="p0_merchant_6P",
    state="P0",
    meaning="Merchants of the upstream.",
    columns=(
        integer("merchant_id", "dense from 1"),
        word("name", "trading name, unique", "merchant_name"),
        code("merchant_class", "class of the merchant", "merchant_class"),
        word("mcc", "merchant category code, ISO 18245", "mcc"),
        code("home_country_iso", "country of its head office", "country"),
        flag("is_virtual", "whether it also trades without outlets"),
        integer("outlets", "its outlets in all countries"),
    ),
    key=("merchant_id",),
    sort=("merchant_id",),
)
OUTLET = Table(
    name="p0_outlet_6P",
    state="P0",
    meaning="Outlets of merchants, and the nearest place of their country.",
    columns=(
        integer("merchant_id", "the merchant"),
        integer("site_id", "the outlet, dense from 1 over all merchants"),
        COUNTRY,
        _PLACE,
        _LAT,
        _LON,
        _ZONE,
    ),
    key=("merchant_id", "site_id"),
    sort=("site_id",),
)
TERMINAL = Table(
    name="p0_terminal_6P",
    state="P0",
    meaning="Terminals of outlets in order of outlet, then cash machines in order of place.",
    columns=(
        integer("terminal_id", "dense from 1"),
        integer("device_id", "the terminal among the devices of the world", nullable=True),
        code("kind", "POS_TERMINAL, KIOSK or ATM", "terminal_kind"),
        integer("merchant_id", "merchant of the outlet; null for cash machines", nullable=True),
        integer("site_id", "the outlet; null for cash machines", nullable=True),
        integer("bank_id", "bank of a cash machine; null at outlets", nullable=True),
        _PLACE,
    ),
    key=("terminal_id",),
    sort=("terminal_id",),
)
PARTY_PROFILE = Table(
    name="p1_party_profile_6P",
    state="P1",
    meaning="Who every party is, and since when it is a customer.",
    columns=(
        integer("party_id", "the party"),
        date("born_on", "birth of a person; null for others", nullable=True),
        date("founded_on", "foundation of a firm or body; null for persons", nullable=True),
        date("customer_since", "first day as a customer; may lie inside the horizon"),
        integer("home_place_id", "place of the home, or of the seat"),
        real("home_lat", "latitude of the home"),
        real("home_lon", "longitude of the home"),
        code("occupation", "ISCO-08 major group; null without work", "occupation", nullable=True),
        integer("employer_party_id", "employer, if it is a party of the world", nullable=True),
        code(
            "industry",
            "ISIC section of a firm or body; null for persons",
            "industry",
            nullable=True,
        ),
        integer("monthly_income_minor", "income of a month, in minor units"),
        code("currency", "ISO 4217 currency of its country", "currency"),
        code("kyc_risk", "risk class the bank gave at onboarding", "kyc_risk"),
        word("language", "language it speaks with the bank, ISO 639 as CLDR writes it", "language"),
    ),
    key=("party_id",),
    sort=("party_id",),
)
PARTY_IDENTITY = Table(
    name="p1_party_identity_6P",
    state="P1",
    meaning="Names, contact data and tax ids of every party. None of them is anybody's.",
    columns=(
        integer("party_id", "the party"),
        word("given_name", "given name of a person; null for others", "given_name", nullable=True),
        word("family_name", "family name of a person", "family_name", nullable=True),
        text("legal_name", "name of a firm or body; null for persons", nullable=True),
        text("email", "address below `.example` or `.test`; `+2` tells apart who shares it"),
        text("phone_e164", "a number that is possible and not valid, E.164"),
        text("street_address", "street and house number, shared by a home"),
        text("postal_code", "postal code; null where the country has none", nullable=True),
        text("tax_id", "of a form that is not issued; null where none is known", nullable=True),
    ),
    key=("party_id",),
    sort=("party_id",),
)
ACCOUNT_PROFILE = Table(
    name="p2_account_profile_6P",
    state="P2",
    meaning="Dates, status, bank and limits of every account.",
    columns=(
        integer("account_id", "the account"),
        date("opened_on", "day of opening; may lie inside the horizon"),
        date("closed_on", "day of closing, before the horizon; null while open", nullable=True),
        code("status", "at the start of the horizon: ACTIVE, DORMANT or CLOSED", "account_status"),
        integer("bank_id", "the bank; banks are numbered country by country"),
        text("iban", "with a bank code no registry lists; null without IBAN", nullable=True),
        integer("overdraft_limit_minor", "overdraft granted, 0 for none"),
        integer("credit_limit_minor", "credit limit of a revolving account, 0 for none"),
        integer("joint_party_id", "second holder, of the same home", nullable=True),
    ),
    key=("account_id",),
    sort=("account_id",),
)
INSTRUMENT_PROFILE = Table(
    name="p3_instrument_profile_6P",
    state="P3",
    meaning="Dates of every card, bank handle and wallet token.",
    columns=(
        integer("instrument_id", "the instrument"),
        date("issued_on", "day of issue of the present card, handle or token"),
        date("expires_on", "last day of validity of a card; null for others", nullable=True),
        text("pan", "number of a card, in a range that no scheme issues", nullable=True),
        text("token", "token of a wallet, in the same range", nullable=True),
    ),
    key=("instrument_id",),
    sort=("instrument_id",),
)
DEVICE_PROFILE = Table(
    name="p4_device_profile_6P",
    state="P4",
    meaning="Life and make of every device.",
    columns=(
        integer("device_id", "the device"),
        date("first_seen_on", "day the bank saw it first, never before its owner was a customer"),
        date("retired_on", "day it was given up, before the horizon", nullable=True),
        code("model_class", "price class of the model", "model_class"),
        word("os_version", "operating system and its main version", "os_version"),
        word("language", "language of the device", "language"),
        _ZONE,
    ),
    key=("device_id",),
    sort=("device_id",),
)
IP_PROFILE = Table(
    name="p4_ip_profile_6P",
    state="P4",
    meaning="Network and town of every endpoint.",
    columns=(
        integer("ip_id", "the endpoint"),
        text("address", "in 240.0.0.0/4 or 2001:db8::/32"),
        integer("asn", "autonomous system, a number for private use (RFC 6996)"),
        _LAT,
        _LON,
        flag("is_cgnat", "whether its operator puts many customers behind it"),
    ),
    key=("ip_id",),
    sort=("ip_id",),
)
UNLINKED_POOL = Table(
    name="p4_unlinked_pool_6P",
    state="P4",
    meaning="Devices and endpoints that no party of the world has used yet.",
    columns=(
        integer("pool_id", "dense from 1; of a range of its own"),
        code("entity", "DEVICE or IP", "pool_entity"),
        word("type", "type of the device or endpoint", "pool_type"),
        COUNTRY,
        code(
            "model_class",
            "price class of a device; null for endpoints",
            "model_class",
            nullable=True,
        ),
        text("address", "address of an endpoint; null for devices", nullable=True),
        integer("asn", "autonomous system of an endpoint; null for devices", nullable=True),
    ),
    key=("pool_id",),
    sort=("pool_id",),
)
ENTITY_EVENT = Table(
    name="p5_entity_event_6P",
    state="P5",
    meaning="What happened to parties, accounts, cards and devices before the horizon.",
    columns=(
        integer("event_id", "dense from 1"),
        moment("ts_utc", "moment of the event"),
        integer("party_id", "the party it happened to"),
        code("entity_type", "PARTY, ACCOUNT, INSTRUMENT or DEVICE", "event_entity"),
        integer("entity_id", "id of that entity"),
        code("event", "the event", "entity_event"),
    ),
    key=("event_id",),
    sort=("event_id",),
)

PROFILE_TABLES: tuple[Table, ...] = (
    PLACE,
    MERCHANT,
    OUTLET,
    TERMINAL,
    PARTY_PROFILE,
    PARTY_IDENTITY,
    ACCOUNT_PROFILE,
    INSTRUMENT_PROFILE,
    DEVICE_PROFILE,
    IP_PROFILE,
    UNLINKED_POOL,
    ENTITY_EVENT,
)
"""Tables that 6P publishes."""

IDENTITIES = (PARTY_IDENTITY,)
"""Tables that `--without-identities` leaves out."""


def asked_for(*, identities: bool) -> tuple[Table, ...]:
    """The tables of a request."""
    return tuple(t for t in PROFILE_TABLES if identities or t not in IDENTITIES)


PROFILES_BY_NAME = {table.name: table for table in PROFILE_TABLES}
