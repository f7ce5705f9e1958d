"""Every structural invariant of a world as one SQL query that counts its violations.

Each query returns a single number that must be zero. They read published Parquet only and
scan whole tables: no samples. `INVARIANTS` is the list; add to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fraudworld.contracts import TABLES, Kind, Table, iso
from fraudworld.contracts.network import METRICS
from fraudworld.policy.borders import CROSSING
from fraudworld.store.published import PublishedWorld


@dataclass(frozen=True)
class Invariant:
    """A named law and the query that counts its violations."""

    name: str
    query: str


@dataclass(frozen=True)
class Outcome:
    """Violations of one invariant in a world."""

    name: str
    violations: int

    @property
    def holds(self) -> bool:
        return self.violations == 0


def check(world: PublishedWorld) -> tuple[Outcome, ...]:
    """All invariants on one world, in order."""
    return _outcomes(world, invariants(world))


def check_structure(world: PublishedWorld) -> tuple[Outcome, ...]:
    """Invariants that hold under any policy, also in a world published without its flag."""
    return _outcomes(world, structure())


def _outcomes(world: PublishedWorld, laws: tuple[Invariant, ...]) -> tuple[Outcome, ...]:
    return tuple(Outcome(i.name, int(world.value(i.query))) for i in laws)


def structure() -> tuple[Invariant, ...]:
    """Invariants from the declarations of tables: keys, codes, nulls, references."""
    return (*_keys_unique(), *_codes_known(), *_no_nulls(), *_ORPHANS, *_COUNTS)


def invariants(world: PublishedWorld) -> tuple[Invariant, ...]:
    """All invariants of a world: its structure, then the laws of the domain."""
    return (
        *structure(),
        *_CAPS,
        *_INSTRUMENTS,
        *_DEVICES,
        *_ADDRESSES,
        *_roles(world),
        *_tiers(world),
    )


def _view(table: Table) -> str:
    return table.name.removesuffix("_6A")


def _keys_unique() -> Iterator[Invariant]:
    dense = {"party_id", "account_id", "instrument_id", "device_id", "ip_id"}
    for table in TABLES:
        if table.key == table.sort and table.key[0] in dense and len(table.key) == 1:
            k = table.key[0]
            # Dense and sorted ids are unique exactly when count, min, max and distinct agree.
            yield Invariant(
                f"{table.name}: {k} dense from 1 and unique",
                f"SELECT (count(*) - count(DISTINCT {k})) + (min({k}) <> 1)::INT"
                f" + (max({k}) <> count(*))::INT FROM {_view(table)}",
            )
        else:
            columns = ", ".join(table.key)
            yield Invariant(
                f"{table.name}: key ({columns}) unique",
                f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {_view(table)}"
                f" GROUP BY {columns} HAVING count(*) > 1)",
            )


def _codes_known() -> Iterator[Invariant]:
    for table in TABLES:
        for column in table.columns:
            if column.kind is Kind.CODE:
                yield Invariant(
                    f"{table.name}: every {column.name} is in its list",
                    f"SELECT count(*) FROM (SELECT DISTINCT {column.name} AS c FROM {_view(table)})"
                    f" WHERE c NOT IN ({_listed(column.codes)})",
                )


def _listed(codes: str | None) -> str:
    """The closed list of a code column, as SQL: of the policy, ISO, or the contract."""
    if codes not in ("country", "currency", None):
        return f"SELECT code FROM codes WHERE list = '{codes}'"
    listed = (
        METRICS if codes is None else iso.countries() if codes == "country" else iso.currencies()
    )
    return ", ".join(f"'{code}'" for code in sorted(listed))


def _no_nulls() -> Iterator[Invariant]:
    for table in TABLES:
        tests = " OR ".join(f"{c.name} IS NULL" for c in table.all_columns if not c.nullable)
        yield Invariant(
            f"{table.name}: no null where none is allowed",
            f"SELECT count(*) FROM {_view(table)} WHERE {tests}",
        )


def _orphan(child: str, column: str, parent: str, key: str) -> Invariant:
    return Invariant(
        f"{child}.{column} exists in {parent}",
        f"SELECT count(*) FROM (SELECT DISTINCT {column} AS k FROM {child} WHERE {column} IS NOT"
        f" NULL)"
        f" ANTI JOIN {parent} ON k = {parent}.{key}",
    )


_ORPHANS = (
    _orphan("s2_account_base", "owner_party_id", "s1_party_base", "party_id"),
    _orphan("s2_party_product_holdings", "owner_party_id", "s1_party_base", "party_id"),
    _orphan("s3_instrument_base", "account_id", "s2_account_base", "account_id"),
    _orphan("s3_account_instrument_links", "instrument_id", "s3_instrument_base", "instrument_id"),
    _orphan("s4_device_base", "primary_party_id", "s1_party_base", "party_id"),
    _orphan("s4_circle_members", "party_id", "s1_party_base", "party_id"),
    _orphan("s4_device_links", "device_id", "s4_device_base", "device_id"),
    _orphan("s4_device_links", "party_id", "s1_party_base", "party_id"),
    _orphan("s4_device_links", "account_id", "s2_account_base", "account_id"),
    _orphan("s4_device_links", "instrument_id", "s3_instrument_base", "instrument_id"),
    _orphan("s4_device_links", "merchant_id", "s5_merchant_fraud_roles", "merchant_id"),
    _orphan("s4_ip_links", "ip_id", "s4_ip_base", "ip_id"),
    _orphan("s4_ip_links", "device_id", "s4_device_base", "device_id"),
    _orphan("s4_ip_links", "merchant_id", "s5_merchant_fraud_roles", "merchant_id"),
    *(
        Invariant(
            f"every {entity} has exactly one role row",
            f"SELECT count(*) FROM {base} b FULL JOIN s5_{entity}_fraud_roles r"
            f" ON b.{entity}_id = r.{entity}_id WHERE b.{entity}_id IS NULL OR r.{entity}_id IS"
            f" NULL",
        )
        for entity, base in (
            ("party", "s1_party_base"),
            ("account", "s2_account_base"),
            ("device", "s4_device_base"),
            ("ip", "s4_ip_base"),
        )
    ),
)

_COUNTS = (
    Invariant(
        "holdings equal accounts grouped by owner and product",
        "SELECT count(*) FROM (SELECT owner_party_id, account_type, count(*) AS n FROM"
        " s2_account_base"
        " GROUP BY ALL) a FULL JOIN s2_party_product_holdings h USING (owner_party_id,"
        " account_type)"
        " WHERE a.n IS DISTINCT FROM h.account_count",
    ),
    Invariant(
        "party summary equals its group-by",
        "SELECT count(*) FROM (SELECT country_iso, region_id, party_type, segment_id, count(*) AS n"
        " FROM s1_party_base GROUP BY ALL) a FULL JOIN s1_party_summary s"
        " USING (country_iso, region_id, party_type, segment_id)"
        " WHERE a.n IS DISTINCT FROM s.party_count",
    ),
    Invariant(
        "account summary equals its group-by",
        "SELECT count(*) FROM (SELECT country_iso, region_id, party_type, account_type, count(*)"
        " AS n"
        " FROM s2_account_base GROUP BY ALL) a FULL JOIN s2_account_summary s"
        " USING (country_iso, region_id, party_type, account_type)"
        " WHERE a.n IS DISTINCT FROM s.account_count",
    ),
    Invariant(
        "account attributes are the owner's",
        "SELECT count(*) FROM s2_account_base a JOIN s1_party_base p ON a.owner_party_id ="
        " p.party_id"
        " WHERE (a.party_type, a.segment_id, a.region_id, a.country_iso)"
        " IS DISTINCT FROM (p.party_type, p.segment_id, p.region_id, p.country_iso)",
    ),
    Invariant(
        "instrument links mirror the instrument base",
        "SELECT count(*) FROM s3_instrument_base b FULL JOIN s3_account_instrument_links l"
        " USING (instrument_id) WHERE (b.account_id, b.instrument_type, b.scheme)"
        " IS DISTINCT FROM (l.account_id, l.instrument_type, l.scheme)",
    ),
    Invariant(
        "an instrument's owner is its account's owner",
        "SELECT count(*) FROM s3_instrument_base i JOIN s2_account_base a USING (account_id)"
        " WHERE i.owner_party_id <> a.owner_party_id",
    ),
)

_CAPS = (
    Invariant(
        "no holding above K_max",
        "SELECT count(*) FROM s2_party_product_holdings h LEFT JOIN kmax USING (account_type)"
        " WHERE cap IS NULL OR account_count > cap OR account_count < 1",
    ),
    Invariant(
        "accounts are of products of the owner's party type",
        "SELECT count(*) FROM s2_account_base a LEFT JOIN account_taxonomy t USING (account_type)"
        " WHERE a.party_type IS DISTINCT FROM t.party_type",
    ),
)

_INSTRUMENTS = (
    Invariant(
        "instruments are legal for their account and within their cap",
        "SELECT count(*) FROM (SELECT account_id, a.account_type, instrument_type, count(*) AS n"
        " FROM s3_instrument_base JOIN s2_account_base a USING (account_id) GROUP BY ALL) i"
        " LEFT JOIN instrument_law l USING (account_type, instrument_type)"
        " WHERE l.cap IS NULL OR NOT l.legal OR n > l.cap",
    ),
    Invariant(
        "every account with a floor holds a floor instrument",
        "SELECT count(*) FROM s2_account_base a WHERE a.account_type IN"
        " (SELECT account_type FROM instrument_law WHERE is_floor) AND a.account_id NOT IN"
        " (SELECT i.account_id FROM s3_instrument_base i JOIN s2_account_base b USING (account_id)"
        "  JOIN instrument_law l ON l.account_type = b.account_type"
        "  AND l.instrument_type = i.instrument_type WHERE l.is_floor)",
    ),
    Invariant(
        "wallet tokens sit on accounts with a card",
        "SELECT count(*) FROM (SELECT DISTINCT account_id FROM s3_instrument_base i WHERE"
        " instrument_type IN"
        " (SELECT instrument_type FROM instrument_law WHERE needs_card)) ANTI JOIN"
        " (SELECT DISTINCT account_id FROM s3_instrument_base WHERE instrument_type IN"
        "  (SELECT instrument_type FROM instrument_law WHERE family = 'CARD')) USING (account_id)",
    ),
    Invariant(
        "DISCOVER and ACH only in AMER",
        "SELECT count(*) FROM s3_instrument_base i JOIN s2_account_base a USING (account_id)"
        " WHERE scheme IN ('DISCOVER', 'ACH') AND region_id <> 'REGION_AMER'",
    ),
)

_DEVICES = (
    Invariant(
        "every party device has exactly one PRIMARY_OWNER, who is its primary party",
        "SELECT count(*) FROM (SELECT device_id, count(*) AS n, any_value(party_id) AS p FROM"
        " s4_device_links"
        " WHERE link_role = 'PRIMARY_OWNER' GROUP BY device_id) l FULL JOIN"
        " (SELECT * FROM s4_device_base WHERE primary_party_id IS NOT NULL) d USING (device_id)"
        " WHERE n IS DISTINCT FROM 1 OR p IS DISTINCT FROM primary_party_id",
    ),
    Invariant(
        "every terminal has exactly one MERCHANT_TERMINAL link, to its merchant",
        "SELECT count(*) FROM (SELECT device_id, count(*) AS n, any_value(merchant_id) AS m FROM"
        " s4_device_links"
        " WHERE link_role = 'MERCHANT_TERMINAL' GROUP BY device_id) l FULL JOIN"
        " (SELECT * FROM s4_device_base WHERE primary_merchant_id IS NOT NULL) d USING (device_id)"
        " WHERE n IS DISTINCT FROM 1 OR m IS DISTINCT FROM primary_merchant_id",
    ),
    Invariant(
        "a device has a party or a merchant, never both or neither",
        "SELECT count(*) FROM s4_device_base"
        " WHERE (primary_party_id IS NULL) = (primary_merchant_id IS NULL)",
    ),
    Invariant(
        "co-users are of the owner's home, firm or circle",
        "SELECT count(*) FROM s4_device_links l JOIN s4_device_base d USING (device_id)"
        " JOIN s1_party_base o ON o.party_id = d.primary_party_id"
        " JOIN s1_party_base u ON u.party_id = l.party_id WHERE link_role = 'SECONDARY_USER'"
        " AND (o.party_id = u.party_id OR NOT coalesce(o.household_id = u.household_id"
        " OR o.business_group_id = u.business_group_id, false)) AND NOT EXISTS (SELECT 1 FROM"
        " s4_circle_members a JOIN s4_circle_members b USING (circle_id)"
        " WHERE a.party_id = o.party_id AND b.party_id = u.party_id)",
    ),
    Invariant(
        "circles are numbered 1, 2, …",
        "SELECT count(DISTINCT circle_id) - coalesce(max(circle_id), 0) FROM s4_circle_members",
    ),
    Invariant(
        "members of a circle are retail parties of one country and of several homes",
        "SELECT count(*) FROM (SELECT circle_id FROM s4_circle_members"
        " JOIN s1_party_base USING (party_id) GROUP BY circle_id"
        " HAVING bool_or(party_type <> 'RETAIL') OR count(DISTINCT country_iso) > 1"
        " OR count(DISTINCT household_id) < 2)",
    ),
    Invariant(
        "accounts a device reaches belong to its users",
        "SELECT count(*) FROM (SELECT l.device_id, a.owner_party_id FROM s4_device_links l"
        " JOIN s2_account_base a USING (account_id) WHERE link_role ="
        " 'ASSOCIATED_ACCOUNT_ACCESS') x"
        " ANTI JOIN (SELECT device_id, party_id FROM s4_device_links WHERE party_id IS NOT NULL) u"
        " ON x.device_id = u.device_id AND x.owner_party_id = u.party_id",
    ),
    Invariant(
        "instruments a device reaches sit on accounts it reaches",
        "SELECT count(*) FROM (SELECT l.device_id, i.account_id FROM s4_device_links l"
        " JOIN s3_instrument_base i USING (instrument_id)"
        " WHERE link_role = 'ASSOCIATED_INSTRUMENT_ACCESS') x"
        " ANTI JOIN (SELECT device_id, account_id FROM s4_device_links WHERE account_id IS NOT"
        " NULL) u"
        " ON x.device_id = u.device_id AND x.account_id = u.account_id",
    ),
)

_ABROAD = (
    "JOIN s4_device_base d USING (device_id) JOIN s4_ip_base i USING (ip_id)"
    " WHERE d.home_country_iso <> i.country_iso"
)
_ADDRESSES = (
    Invariant(
        "every linked device has exactly one TYPICAL_DEVICE_IP",
        "SELECT count(*) FROM (SELECT device_id, count(*) FILTER (link_role ="
        " 'TYPICAL_DEVICE_IP') AS n"
        " FROM s4_ip_links WHERE device_id IS NOT NULL GROUP BY device_id) WHERE n <> 1",
    ),
    Invariant(
        "no IP–device pair twice",
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM s4_ip_links"
        " WHERE device_id IS NOT NULL GROUP BY ip_id, device_id HAVING count(*) > 1)",
    ),
    Invariant(
        "an IP link has a device or a merchant, by its role",
        "SELECT count(*) FROM s4_ip_links WHERE (link_role = 'MERCHANT_ENDPOINT') <> (merchant_id"
        " IS NOT NULL)"
        " OR (device_id IS NULL) = (merchant_id IS NULL)",
    ),
    Invariant(
        "devices are seen abroad only on types of endpoints that cross borders",
        f"SELECT count(*) FROM s4_ip_links l {_ABROAD}"
        f" AND i.ip_type NOT IN ({', '.join(repr(t) for t in CROSSING)})",
    ),
    Invariant(
        "the typical endpoint of a device is in its country",
        f"SELECT count(*) FROM s4_ip_links l {_ABROAD} AND l.link_role = 'TYPICAL_DEVICE_IP'",
    ),
    Invariant(
        "every IP is linked",
        "SELECT count(*) FROM s4_ip_base ANTI JOIN s4_ip_links USING (ip_id)",
    ),
)


def _roles(world: PublishedWorld) -> Iterator[Invariant]:
    for entity in world.pack.fraud_role_taxonomy.entities:
        yield Invariant(
            f"{entity}: every raw role maps to the stated family",
            f"SELECT count(*) FROM s5_{entity}_fraud_roles r LEFT JOIN role_map m"
            f" ON m.entity = '{entity}' AND m.raw_role = r.raw_role"
            f" WHERE m.family IS DISTINCT FROM r.canonical_role_family",
        )


def _tiers(world: PublishedWorld) -> Iterator[Invariant]:
    """Tier counts are the shares, by largest remainder: within one of share · n per group."""
    taxonomy = world.pack.fraud_role_taxonomy
    shares = " ".join(
        f"WHEN '{tier}' THEN {share}"
        for tier, share in zip(taxonomy.risk_tiers, taxonomy.tier_shares, strict=True)
    )
    group_of = {
        "party": "SELECT party_id AS id, party_type AS g FROM s1_party_base",
        "account": "SELECT account_id AS id, role_group AS g FROM s2_account_base"
        " JOIN account_taxonomy USING (account_type)",
        "device": "SELECT device_id AS id, device_group AS g FROM s4_device_base",
        "ip": "SELECT ip_id AS id, role_group AS g FROM s4_ip_base"
        " JOIN ip_group USING (ip_type, asn_class)",
    }
    for entity, groups in group_of.items():
        yield Invariant(
            f"{entity}: tier shares exact by rank in every group",
            f"SELECT count(*) FROM (SELECT g, risk_tier, count(*) AS n,"
            f" sum(count(*)) OVER (PARTITION BY g) AS total"
            f" FROM s5_{entity}_fraud_roles r JOIN ({groups}) e ON e.id = r.{entity}_id"
            f" GROUP BY g, risk_tier) WHERE abs(n - total * (CASE risk_tier {shares} END)) >= 1",
        )
