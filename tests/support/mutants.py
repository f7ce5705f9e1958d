"""Broken worlds: SQL edits of a demo world, and the metrics and guards that must fail.

A query reads the edited table as `t` and every other dataset by its name. Edits are as small as
their gate can detect on the demo world of seed 42.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A broken world: queries by table, the metrics it must fail, and others that fail too."""

    name: str
    edits: dict[str, str]
    caught: tuple[str, ...]
    also: tuple[str, ...] = ()


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


DEGREE = "(SELECT ip_id, count(device_id) AS k FROM s4_ip_links_6A GROUP BY ip_id)"
OWNER_RISKY = (
    "(SELECT account_id, owner_party_id AS owner, r.canonical_role_family <> 'CLEAN' AS risky"
    " FROM s2_account_base_6A JOIN s5_party_fraud_roles_6A r ON r.party_id = owner_party_id)"
)
FRAUD_FREE = (
    ("party", "CLEAN", "CLEAN"),
    ("account", "CLEAN_ACCOUNT", "CLEAN_ACCOUNT"),
    ("merchant", "NORMAL", "NORMAL"),
    ("device", "NORMAL_DEVICE", "CLEAN_DEVICE"),
    ("ip", "NORMAL_IP", "CLEAN_IP"),
)

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
            " = 'REGION_AMER' AND k = 1 AND hash(ip_id) % 100 < 38 THEN 'EDUCATION' ELSE ip_type"
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
        also=("max_abs_error_pp_links",),
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
    ),
    Mutant(
        "device roles permuted over owners",
        {"s5_device_fraud_roles_6A": permuted("device")},
        ("or_device",),
        also=("or_ip",),
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
        also=("or_account", "or_device", "role_rate_ratio"),
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
        also=("or_account", "role_rate_ratio"),
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
        also=("or_account", "role_rate_ratio"),
    ),
    Mutant(
        "one device in seven is a bot",
        {
            "s5_device_fraud_roles_6A": roles(
                "device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE", "device_id % 7 = 0"
            )
        },
        ("jsd_role_device", "jsd_role_device_worst_region"),
        also=("or_device", "or_ip"),
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
        also=("enrichment", "or_ip", "role_rate_ratio"),
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
            "leakage_device", "leakage_ip", "leakage_party", "or_ip", "separability_odds_ratio",
            "separability_single_feature",
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
        "every account of one risky owner in forty is risky",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.risky AND b.owner % 40 = 0",
                OWNER_RISKY,
            )
        },
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
        also=("role_rate_ratio",),
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
        also=("conservation",),
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
        also=("conservation", "instrument_means", "max_overflow"),
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
    ),
    Mutant(
        "most of the busiest endpoints made clean",
        {
            "s5_ip_fraud_roles_6A": roles(
                "ip", "NORMAL_IP", "CLEAN_IP",
                "b.k > 40 AND raw_role = 'HIGH_RISK_IP' AND hash(ip_id) % 100 < 85", DEGREE,
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
        also=("or_account", "or_device", "role_rate_ratio"),
    ),
    Mutant(
        "risk determined by the currency",
        {
            "s5_account_fraud_roles_6A": roles(
                "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.currency = 'EUR'",
                "s2_account_base_6A",
            )
        },
        ("leakage_account",),
        also=("jsd_role_account", "jsd_role_account_worst_region", "or_account", "role_rate_ratio"),
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
        also=("or_device",),
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
)  # fmt: skip
