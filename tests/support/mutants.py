"""Broken worlds: SQL edits of a demo world, and the metrics and guards that must fail.

A query reads the edited table as `t` and every other dataset by its name. Edits are as small as
their gate can detect on the demo world of seed 42.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.contracts import TABLES

LAYER = "data/layer3/6A"


@dataclass(frozen=True)
class Mutant:
    """A broken world: queries by table, the metrics it must fail, and others that fail too."""

    name: str
    edits: dict[str, str]
    caught: tuple[str, ...]
    also: tuple[str, ...] = ()


def parts(run: Path, table: str) -> list[Path]:
    return sorted((run / LAYER / table).rglob("part-*.parquet"))


def edit(run: Path, table: str, query: str) -> None:
    """Rewrites a dataset by a query over itself (`t`) and over the other datasets by name."""
    own = parts(run, table)
    connection = duckdb.connect()
    for other in TABLES:
        files = str(run / LAYER / other.name / "**" / "*.parquet")
        connection.execute(
            f"CREATE VIEW {other.name} AS FROM read_parquet('{files}', hive_partitioning=false)"
        )
    t = pa.concat_tables(pq.read_table(p, partitioning=None) for p in own)
    connection.register("t", t)
    changed = connection.sql(query).to_arrow_table()
    for part in own:
        part.unlink()
    pq.write_table(changed, own[0])


def roles(entity: str, raw: str, family: str, condition: str, join: str = "") -> str:
    """Query that gives a role to all rows that meet `condition`; `b` is the joined table."""
    key = f"{entity}_id"
    joined = f"JOIN {join} b USING ({key})" if join else ""
    return (
        f"SELECT t.* REPLACE (CASE WHEN {condition} THEN '{raw}' ELSE raw_role END AS raw_role,"
        f" CASE WHEN {condition} THEN '{family}' ELSE canonical_role_family END"
        f" AS canonical_role_family) FROM t {joined} ORDER BY {key}"
    )


def permuted(entity: str, within: str = "1", join: str = "") -> str:
    """Query that permutes the roles of an entity inside groups."""
    key = f"{entity}_id"
    source = f"(SELECT t.*, {within} AS g FROM t {join})"
    rank = "row_number() OVER (PARTITION BY g ORDER BY"
    return (
        f"SELECT a.{key}, b.* EXCLUDE ({key}, g, n) FROM"
        f" (SELECT {key}, g, {rank} {key}) AS n FROM {source}) a"
        f" JOIN (SELECT *, {rank} hash({key})) AS n FROM {source}) b USING (g, n) ORDER BY {key}"
    )


def exchanged(pairs: int) -> str:
    """Query that exchanges the roles of high-risk accounts of clean owners and of clean accounts of
    risky owners, as many of each.
    """
    side = (
        "CASE WHEN raw_role = 'HIGH_RISK_ACCOUNT' AND NOT risky THEN 1"
        " WHEN raw_role = 'CLEAN_ACCOUNT' AND risky THEN 2 END"
    )
    role = (
        f"CASE WHEN n <= {pairs} AND side = 1 THEN 'CLEAN_ACCOUNT'"
        f" WHEN n <= {pairs} AND side = 2 THEN 'HIGH_RISK_ACCOUNT' ELSE raw_role END"
    )
    return (
        "SELECT * EXCLUDE (owner, risky, side, n)"
        f" REPLACE ({role} AS raw_role, {role} AS canonical_role_family)"
        " FROM (SELECT *, row_number() OVER (PARTITION BY side ORDER BY hash(account_id)) AS n"
        f" FROM (SELECT *, {side} AS side FROM t JOIN {OWNER_RISKY} USING (account_id)))"
        " ORDER BY account_id"
    )


DEGREE = "(SELECT ip_id, count(device_id) AS k FROM s4_ip_links_6A GROUP BY ip_id)"
OWNER_RISKY = (
    "(SELECT account_id, owner_party_id AS owner, r.canonical_role_family <> 'CLEAN' AS risky"
    " FROM s2_account_base_6A JOIN s5_party_fraud_roles_6A r ON r.party_id = owner_party_id)"
)
OWNER_ROLE = (
    "(SELECT account_id, raw_role AS owner_role FROM s2_account_base_6A"
    " JOIN s5_party_fraud_roles_6A ON party_id = owner_party_id)"
)


def brought_home(*kinds: str) -> str:
    """Query that gives the links abroad of IP types to devices of the IP's country.

    Of every country the links abroad of its own devices come home, as many as visitors had.
    """
    types = ", ".join(f"'{kind}'" for kind in kinds)
    number = "row_number() OVER (PARTITION BY ip_type,"
    return (
        "WITH abroad AS (SELECT ip_id, device_id, ip_type, country_iso, home_country_iso FROM t"
        " JOIN s4_ip_base_6A USING (ip_id) JOIN s4_device_base_6A USING (device_id)"
        f" WHERE country_iso <> home_country_iso AND ip_type IN ({types})),"
        f" visitors AS (SELECT *, {number} country_iso ORDER BY ip_id, device_id) AS n"
        " FROM abroad),"
        f" own AS (SELECT device_id AS home_device, ip_type, home_country_iso AS country_iso,"
        f" {number} home_country_iso ORDER BY hash(device_id), ip_id) AS n FROM abroad)"
        " SELECT t.* REPLACE (coalesce(home_device, t.device_id) AS device_id) FROM t LEFT JOIN"
        " (visitors JOIN own USING (ip_type, country_iso, n)) USING (ip_id, device_id)"
        " ORDER BY ip_id"
    )


FRAUD_FREE = (
    ("party", "CLEAN", "CLEAN"),
    ("account", "CLEAN_ACCOUNT", "CLEAN_ACCOUNT"),
    ("merchant", "NORMAL", "NORMAL"),
    ("device", "NORMAL_DEVICE", "CLEAN_DEVICE"),
    ("ip", "NORMAL_IP", "CLEAN_IP"),
)
MOVED = "(SELECT *, hash(party_id + 1) % 4 = 0 AS moved FROM t)"
NUMBERED = "SELECT *, row_number() OVER (PARTITION BY country_iso, party_type, moved ORDER BY"

MUTANTS = (
    Mutant(
        "one account over its cap",
        {
            "s2_account_base_6A": "SELECT * REPLACE (CASE WHEN account_id IN (SELECT account_id"
            " FROM t WHERE account_type = 'RETAIL_CURRENT_BASIC' ORDER BY account_id LIMIT 3)"
            " THEN (SELECT min(owner_party_id) FROM t WHERE account_type = 'RETAIL_CURRENT_BASIC')"
            " ELSE owner_party_id END AS owner_party_id) FROM t"
        },
        ("max_overflow",),
    ),
    Mutant(
        "one holding over its cap",
        {
            "s2_party_product_holdings_6A": "SELECT * REPLACE (CASE WHEN owner_party_id = (SELECT"
            " min(owner_party_id) FROM t WHERE account_type = 'RETAIL_CURRENT_BASIC') AND"
            " account_type = 'RETAIL_CURRENT_BASIC' THEN 3 ELSE account_count END"
            " AS account_count) FROM t"
        },
        ("worst_max_over_kmax",),
    ),
    Mutant(
        "eleven in a thousand holdings over their cap",
        {
            "s2_party_product_holdings_6A": "SELECT * REPLACE (CASE WHEN hash(owner_party_id)"
            " % 1000 < 11 AND account_type = 'RETAIL_CURRENT_BASIC' THEN 3 ELSE account_count END"
            " AS account_count) FROM t"
        },
        ("worst_p99_over_kmax", "worst_max_over_kmax"),
    ),
    Mutant(
        "one IP type short by nine points of links in one region",
        {
            "s4_ip_links_6A": "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id) WHERE NOT"
            " (i.ip_type = 'MOBILE' AND i.region_id = 'REGION_AMER' AND hash(device_id) % 100 < 41)"
        },
        ("max_abs_error_pp_links",),
        also=("conservation",),
    ),
    Mutant(
        "one IP type short by nine points of endpoints in one region",
        {
            "s4_ip_base_6A": "SELECT t.* REPLACE (CASE WHEN ip_type = 'RESIDENTIAL' AND region_id"
            " = 'REGION_AMER' AND k = 1 AND hash(ip_id) % 100 < 50 THEN 'EDUCATION' ELSE ip_type"
            f" END AS ip_type) FROM t JOIN {DEGREE} USING (ip_id) ORDER BY ip_id"
        },
        ("max_abs_error_pp_ips",),
        also=("role_rate_ratio",),
    ),
    Mutant(
        "two thirds of devices unlinked",
        {"s4_ip_links_6A": "SELECT * FROM t WHERE device_id % 100 < 35"},
        ("linked_device_fraction",),
        also=("conservation", "max_abs_error_pp_ips"),
    ),
    Mutant(
        "one endpoint with too many devices",
        {
            "s4_ip_links_6A": "SELECT * REPLACE (CASE WHEN device_id <= 80 THEN 1 ELSE ip_id END"
            " AS ip_id) FROM t"
        },
        ("max_devices_per_ip",),
    ),
    Mutant(
        "two in a hundred endpoints shared by a hundred devices",
        {
            "s4_ip_links_6A": "SELECT * REPLACE (CASE WHEN device_id % 4 = 0 THEN 1 +"
            " hash(device_id) % 2100 ELSE ip_id END AS ip_id) FROM t"
        },
        ("p99_devices_per_ip",),
        also=(
            "foreign_edges_at_home", "foreign_edges_travel", "max_abs_error_pp_links",
            "max_devices_per_ip",
        ),
    ),
    Mutant(
        "one unmapped role",
        {
            "s5_device_fraud_roles_6A": "SELECT * REPLACE (CASE WHEN device_id = 1 THEN"
            " 'UNMAPPED' ELSE canonical_role_family END AS canonical_role_family) FROM t"
        },
        ("mapped_role_fraction", "unmapped_role_count"),
    ),
    Mutant(
        "account roles permuted over owners",
        {"s5_account_fraud_roles_6A": permuted("account")},
        ("or_account",),
        also=("role_coherence_mule_accounts",),
    ),
    Mutant(
        "device roles permuted over owners",
        {"s5_device_fraud_roles_6A": permuted("device")},
        ("or_device",),
        also=("or_ip", "role_coherence_shared_devices"),
    ),
    Mutant(
        "links of one type thinned everywhere",
        {
            "s4_ip_links_6A": "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id) WHERE"
            " i.ip_type <> 'MOBILE' OR device_id IS NULL OR hash(device_id) % 100 < 20"
        },
        ("jsd_ip_type", "jsd_ip_type_worst_region"),
        also=("conservation", "max_abs_error_pp_links"),
    ),
    Mutant(
        "links of one type thinned in one region",
        {
            "s4_ip_links_6A": "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id) WHERE"
            " i.ip_type <> 'MOBILE' OR i.region_id <> 'REGION_AFRICA' OR device_id IS NULL"
            " OR hash(device_id) % 100 < 20"
        },
        ("jsd_ip_type_worst_region",),
        also=("conservation", "max_abs_error_pp_links"),
    ),
    Mutant(
        "one party in seven is a mule",
        {"s5_party_fraud_roles_6A": roles("party", "MULE", "MULE", "party_id % 7 = 0")},
        ("jsd_role_party", "jsd_role_party_worst_region"),
        also=(
            "network_transmission_device", "network_transmission_endpoint", "or_device",
            "role_rate_ratio",
        ),
    ),
    Mutant(
        "one party in seven is a mule in one region",
        {
            "s5_party_fraud_roles_6A": roles(
                "party", "MULE", "MULE", "t.party_id % 7 = 0 AND b.region_id = 'REGION_AFRICA'",
                "s1_party_base_6A",
            )
        },
        ("jsd_role_party_worst_region",),
        also=("role_rate_ratio",),
    ),
    Mutant(
        "one account in eight is a mule account",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "account_id % 8 = 0"
            )
        },
        ("jsd_role_account", "jsd_role_account_worst_region"),
        also=("or_account", "role_coherence_mule_accounts", "role_rate_ratio"),
    ),
    Mutant(
        "one account in eight is a mule account in one region",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT",
                "t.account_id % 8 = 0 AND b.region_id = 'REGION_AFRICA'", "s2_account_base_6A",
            )
        },
        ("jsd_role_account_worst_region",),
        also=("role_coherence_mule_accounts", "role_rate_ratio"),
    ),
    Mutant(
        "one device in five is a bot",
        {
            "s5_device_fraud_roles_6A": roles(
                "device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE", "device_id % 5 = 0"
            )
        },
        ("jsd_role_device", "jsd_role_device_worst_region"),
        also=("or_device", "or_ip", "role_coherence_shared_devices", "role_rate_ratio"),
    ),
    Mutant(
        "one device in seven is a bot in one region",
        {
            "s5_device_fraud_roles_6A": roles(
                "device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE",
                "t.device_id % 7 = 0 AND b.home_region_id = 'REGION_AFRICA'", "s4_device_base_6A",
            )
        },
        ("jsd_role_device_worst_region",),
    ),
    Mutant(
        "one endpoint in five is high risk",
        {
            "s5_ip_fraud_roles_6A": roles("ip", "HIGH_RISK_IP", "HIGH_RISK_IP", "ip_id % 5 = 0")
        },
        ("jsd_role_ip", "jsd_role_ip_worst_region"),
        also=("or_ip", "role_rate_ratio"),
    ),
    Mutant(
        "one endpoint in five is high risk in one region",
        {
            "s5_ip_fraud_roles_6A": roles(
                "ip", "HIGH_RISK_IP", "HIGH_RISK_IP",
                "t.ip_id % 5 = 0 AND b.region_id = 'REGION_AFRICA'", "s4_ip_base_6A",
            )
        },
        ("jsd_role_ip_worst_region",),
        also=("role_rate_ratio",),
    ),
    Mutant(
        "one merchant in seven colludes",
        {
            "s5_merchant_fraud_roles_6A": roles(
                "merchant", "COLLUSIVE", "COLLUSIVE", "merchant_id % 7 = 0"
            )
        },
        ("jsd_role_merchant", "jsd_role_merchant_worst_region"),
    ),
    Mutant(
        "all fraud removed",
        {f"s5_{e}_fraud_roles_6A": roles(e, *role, "true") for e, *role in FRAUD_FREE},
        ("role_rate_ratio", "or_account", "or_device"),
        also=(
            "enrichment", "jsd_role_ip", "jsd_role_ip_worst_region", "leakage_account",
            "leakage_device", "leakage_ip", "leakage_party", "network_transmission_device",
            "network_transmission_endpoint", "or_ip", "role_coherence_mule_accounts",
            "role_coherence_shared_devices",
            "separability_odds_ratio", "separability_single_feature",
        ),
    ),
    Mutant(
        "one region's mules doubled",
        {
            "s5_party_fraud_roles_6A": roles(
                "party", "MULE", "MULE",
                "hash(t.party_id) % 40 = 0 AND b.region_id = 'REGION_EMEA'", "s1_party_base_6A",
            )
        },
        ("role_rate_ratio",),
    ),
    Mutant(
        "four hundred risky accounts exchanged with clean ones of risky owners",
        {"s5_account_fraud_roles_6A": exchanged(400)},
        ("separability_odds_ratio",),
    ),
    Mutant(
        "an account is risky whenever its owner is",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.risky", OWNER_RISKY
            )
        },
        ("separability_single_feature", "separability_odds_ratio"),
        also=("role_coherence_non_clean", "role_rate_ratio"),
    ),
    Mutant(
        "endpoint roles permuted inside their group",
        {
            "s5_ip_fraud_roles_6A": permuted(
                "ip", "ip_type || asn_class", "JOIN s4_ip_base_6A USING (ip_id)"
            )
        },
        ("or_ip",),
    ),
    Mutant(
        "every device linked",
        {
            "s4_ip_links_6A": "SELECT * FROM t UNION ALL BY NAME SELECT 1 + hash(device_id) %"
            " (SELECT max(ip_id) FROM s4_ip_base_6A) AS ip_id, device_id, 'RECENT_LOGIN_IP' AS"
            " link_role, seed, manifest_fingerprint, parameter_hash FROM s4_device_base_6A"
            " WHERE device_id NOT IN (SELECT device_id FROM t WHERE device_id IS NOT NULL)"
        },
        ("coverage_not_forced",),
        also=("conservation", "foreign_edges_at_home"),
    ),
    Mutant(
        "no endpoint shared by more than fifty",
        {
            "s4_ip_links_6A": "SELECT * EXCLUDE (n) FROM (SELECT *, row_number() OVER (PARTITION"
            " BY ip_id ORDER BY device_id) AS n FROM t) WHERE n <= 50"
        },
        ("tail_is_a_tail",),
        also=("conservation",),
    ),
    Mutant(
        "a tenth of current accounts relabelled",
        {
            "s2_account_base_6A": "SELECT * REPLACE (CASE WHEN account_type ="
            " 'RETAIL_CURRENT_BASIC' AND owner_party_id % 10 = 0 THEN 'RETAIL_SAVINGS_INSTANT'"
            " ELSE account_type END AS account_type) FROM t"
        },
        ("product_coverage",),
        also=("conservation", "instrument_means", "market_heterogeneity", "max_overflow"),
    ),
    Mutant(
        "one kind of instrument relabelled on one account in a hundred",
        {
            "s3_instrument_base_6A": "SELECT * REPLACE (CASE WHEN instrument_type = (SELECT"
            " min(instrument_type) FROM t) AND account_id % 100 = 0 THEN (SELECT"
            " max(instrument_type) FROM t) ELSE instrument_type END AS instrument_type) FROM t"
        },
        ("instrument_means",),
        also=("conservation",),
    ),
    Mutant(
        "segments permuted over the countries of a region",
        {
            "s1_party_base_6A": "SELECT a.* EXCLUDE (n) REPLACE (b.segment_id AS segment_id) FROM"
            " (SELECT *, row_number() OVER (PARTITION BY region_id, party_type ORDER BY party_id)"
            " AS n FROM t) a JOIN (SELECT region_id, party_type, segment_id, row_number() OVER"
            " (PARTITION BY region_id, party_type ORDER BY hash(party_id)) AS n FROM t) b"
            " USING (region_id, party_type, n) ORDER BY party_id"
        },
        ("country_heterogeneity",),
        also=("household_composition", "market_heterogeneity"),
    ),
    Mutant(
        "most of the busiest endpoints made clean",
        {
            "s5_ip_fraud_roles_6A": roles(
                "ip", "NORMAL_IP", "CLEAN_IP",
                "b.k > 40 AND raw_role = 'HIGH_RISK_IP' AND hash(ip_id) % 100 < 90", DEGREE,
            )
        },
        ("enrichment",),
    ),
    Mutant(
        "one instrument removed",
        {"s3_instrument_base_6A": "SELECT * FROM t WHERE instrument_id <> 1"},
        ("conservation",),
    ),
    Mutant(
        "risk determined by the segment",
        {
            "s5_party_fraud_roles_6A": roles(
                "party", "MULE", "MULE", "b.segment_id = 'RETAIL_AFFLUENT'", "s1_party_base_6A"
            )
        },
        ("leakage_party",),
        also=("role_rate_ratio",),
    ),
    Mutant(
        "risk determined by the currency",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.currency IN ('EUR', 'USD')",
                "s2_account_base_6A",
            )
        },
        ("leakage_account",),
        also=(
            "jsd_role_account", "jsd_role_account_worst_region", "or_account",
            "role_coherence_mule_accounts", "role_coherence_non_clean", "role_rate_ratio",
        ),
    ),
    Mutant(
        "risk determined by the browser",
        {
            "s5_device_fraud_roles_6A": roles(
                "device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE",
                "b.ua_family = (SELECT max(ua_family) FROM s4_device_base_6A)",
                "s4_device_base_6A",
            )
        },
        ("leakage_device",),
    ),
    Mutant(
        "risk determined by the IP version",
        {
            "s5_ip_fraud_roles_6A": roles(
                "ip", "HIGH_RISK_IP", "HIGH_RISK_IP", "b.ip_version = 'IPV6'", "s4_ip_base_6A"
            )
        },
        ("leakage_ip",),
        also=("jsd_role_ip", "jsd_role_ip_worst_region", "or_ip", "role_rate_ratio"),
    ),
    Mutant(
        "a sixth of the iPhones of one country on Android",
        {
            "s4_device_base_6A": "SELECT * REPLACE (CASE WHEN home_country_iso = 'US' AND"
            " os_family = 'IOS' AND device_type = 'MOBILE_PHONE' AND hash(device_id) % 6 = 0"
            " THEN 'ANDROID' ELSE os_family END AS os_family) FROM t"
        },
        ("market_heterogeneity",),
    ),
    Mutant(
        "accounts of one country dealt to another",
        {
            "s2_account_base_6A": "SELECT * REPLACE (CASE WHEN country_iso = 'JP' AND"
            " hash(account_id) % 12 = 0 THEN 'IN' ELSE country_iso END AS country_iso) FROM t"
        },
        ("market_heterogeneity",),
    ),
    Mutant(
        "mobile systems permuted inside countries",
        {
            "s4_device_base_6A": "SELECT a.* EXCLUDE (n) REPLACE (b.os_family AS os_family) FROM"
            " (SELECT *, row_number() OVER (PARTITION BY home_country_iso, device_type ORDER BY"
            " device_id) AS n FROM t) a JOIN (SELECT home_country_iso, device_type, os_family,"
            " row_number() OVER (PARTITION BY home_country_iso, device_type ORDER BY"
            " hash(device_id)) AS n FROM t) b USING (home_country_iso, device_type, n)"
            " ORDER BY device_id"
        },
        ("wallet_devices",),
        also=("market_heterogeneity",),
    ),
    Mutant(
        "one debit card of American Express",
        {
            "s3_instrument_base_6A": "SELECT * REPLACE (CASE WHEN instrument_id = (SELECT"
            " min(instrument_id) FROM t WHERE instrument_type = 'RETAIL_DEBIT_CARD_PHYSICAL')"
            " THEN 'AMEX' ELSE scheme END AS scheme) FROM t"
        },
        ("wallet_devices",),
    ),
    Mutant(
        "owners of devices permuted inside countries and segments",
        {
            "s4_device_base_6A": "WITH p AS (SELECT party_id, row_number() OVER (PARTITION BY"
            " country_iso, segment_id ORDER BY party_id) AS n, row_number() OVER (PARTITION BY"
            " country_iso, segment_id ORDER BY hash(party_id)) AS m, country_iso, segment_id FROM"
            " s1_party_base_6A), q AS (SELECT a.party_id AS was, b.party_id AS is_now FROM p a JOIN"
            " p b ON a.country_iso = b.country_iso AND a.segment_id = b.segment_id AND a.n = b.m)"
            " SELECT t.* REPLACE (is_now AS primary_party_id) FROM t LEFT JOIN q ON"
            " was = primary_party_id ORDER BY device_id"
        },
        ("engagement_factor",),
        also=("network_transmission_endpoint", "or_device", "wallet_devices"),
    ),
    Mutant(
        "homes of one party in four shuffled inside its country",
        {
            "s1_party_base_6A": "SELECT a.* EXCLUDE (n, moved) REPLACE (b.household_id AS"
            f" household_id) FROM ({NUMBERED} party_id) AS n FROM {MOVED}) a JOIN"
            f" ({NUMBERED} if(moved, hash(party_id), 0), party_id) AS n FROM {MOVED}) b"
            " USING (country_iso, party_type, moved, n) ORDER BY party_id"
        },
        ("household_composition",),
    ),
    Mutant(
        "a quarter of mule accounts given to other owners",
        {
            "s5_account_fraud_roles_6A": permuted(
                "account", "CASE WHEN (raw_role = 'MULE_ACCOUNT' AND hash(account_id) % 4 = 0) OR"
                " hash(account_id) % 400 = 1 THEN 0 ELSE account_id END",
            )
        },
        ("role_coherence_mule_accounts",),
    ),
    Mutant(
        "co-users of one in ten shared suspicious devices removed",
        {
            "s4_device_links_6A": "SELECT * FROM t WHERE NOT (link_role = 'SECONDARY_USER' AND"
            " hash(device_id) % 10 = 0 AND device_id IN (SELECT device_id FROM"
            " s5_device_fraud_roles_6A WHERE raw_role = 'SHARED_SUSPICIOUS_DEVICE'))"
        },
        ("role_coherence_shared_devices",),
    ),
    Mutant(
        "two in five accounts of organisers are risky",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "HIGH_RISK_ACCOUNT", "HIGH_RISK_ACCOUNT",
                "b.owner_role = 'ORGANISER' AND hash(account_id) % 5 < 2", OWNER_ROLE,
            )
        },
        ("role_coherence_non_clean",),
    ),
    Mutant(
        "risky co-users of risky owners removed",
        {
            "s4_device_links_6A": "WITH r AS (SELECT party_id FROM s5_party_fraud_roles_6A WHERE"
            " raw_role <> 'CLEAN') SELECT * FROM t WHERE NOT (link_role = 'SECONDARY_USER' AND"
            " party_id IN (FROM r) AND device_id IN (SELECT device_id FROM s4_device_base_6A WHERE"
            " primary_party_id IN (FROM r)))"
        },
        ("network_transmission_device",),
    ),
    Mutant(
        "devices on lines of more than five exchanged inside countries",
        {
            "s4_ip_links_6A": "WITH lines AS (SELECT ip_id, country_iso FROM t JOIN"
            " s4_ip_base_6A USING (ip_id) WHERE ip_type = 'RESIDENTIAL' GROUP BY ALL"
            " HAVING count(device_id) > 5), a AS (SELECT t.ip_id, device_id, row_number() OVER"
            " (PARTITION BY country_iso ORDER BY t.ip_id, device_id) AS n, row_number() OVER"
            " (PARTITION BY country_iso ORDER BY hash(device_id)) AS m, country_iso FROM t JOIN"
            " lines USING (ip_id) WHERE device_id IS NOT NULL), q AS (SELECT x.ip_id, x.device_id,"
            " y.device_id AS other FROM a x JOIN a y ON x.country_iso = y.country_iso AND x.n ="
            " y.m) SELECT t.* REPLACE (coalesce(other, t.device_id) AS device_id) FROM t LEFT JOIN"
            " q USING (ip_id, device_id) ORDER BY ip_id, device_id"
        },
        ("network_transmission_endpoint",),
    ),
    Mutant(
        "links to proxies and hosts at home",
        {"s4_ip_links_6A": brought_home("DATACENTRE", "VPN_PROXY")},
        ("foreign_edges_proxies",),
    ),
    Mutant(
        "links to hotels and operators at home",
        {"s4_ip_links_6A": brought_home("HOTEL_TRAVEL", "MOBILE")},
        ("foreign_edges_travel",),
    ),
    Mutant(
        "one home line used from another country",
        {
            "s4_ip_links_6A": "SELECT * REPLACE (CASE WHEN ip_id = (SELECT min(ip_id) FROM"
            " s4_ip_base_6A WHERE ip_type = 'RESIDENTIAL') THEN (SELECT max(device_id) FROM"
            " s4_device_base_6A WHERE primary_party_id IS NOT NULL) ELSE device_id END"
            " AS device_id) FROM t"
        },
        ("foreign_edges_at_home",),
    ),
)  # fmt: skip
