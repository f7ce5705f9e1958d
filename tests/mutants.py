"""Worlds broken on purpose: one edited table each, and what must catch it.

`query` is SQL over the table itself, called `t`, and over every other dataset by its name.
`caught` names metrics and guards that must miss B+; others may, since one lie is often seen
from several sides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One broken world."""

    name: str
    table: str
    query: str
    caught: tuple[str, ...]


def roles(entity: str, raw: str, family: str, where: str, join: str = "") -> str:
    """Give a role to the rows of a role table that meet a condition; `b` is the joined table."""
    key = f"{entity}_id"
    joined = f"JOIN {join} b USING ({key})" if join else ""
    return (
        f"SELECT t.* REPLACE (CASE WHEN {where} THEN '{raw}' ELSE raw_role END AS raw_role,"
        f" CASE WHEN {where} THEN '{family}' ELSE canonical_role_family END"
        f" AS canonical_role_family) FROM t {joined} ORDER BY {key}"
    )


def permuted(entity: str, within: str = "1", join: str = "") -> str:
    """Deal the roles of an entity out anew, at random inside groups."""
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
    "(SELECT {key}, r.canonical_role_family <> 'CLEAN' AS risky FROM {base}"
    " JOIN s5_party_fraud_roles_6A r ON r.party_id = {owner})"
)

MUTANTS = (
    Mutant(
        "one account over its cap",
        "s2_account_base_6A",
        "SELECT * REPLACE (CASE WHEN account_id IN (SELECT account_id FROM t WHERE account_type"
        " = 'RETAIL_CURRENT_BASIC' ORDER BY account_id LIMIT 3) THEN (SELECT min(owner_party_id)"
        " FROM t WHERE account_type = 'RETAIL_CURRENT_BASIC') ELSE owner_party_id END"
        " AS owner_party_id) FROM t",
        ("max_overflow",),
    ),
    Mutant(
        "one holding over its cap",
        "s2_party_product_holdings_6A",
        "SELECT * REPLACE (CASE WHEN owner_party_id = 1 THEN 99 ELSE account_count END"
        " AS account_count) FROM t",
        ("worst_max_over_kmax",),
    ),
    Mutant(
        "two in a hundred holdings over their cap",
        "s2_party_product_holdings_6A",
        "SELECT * REPLACE (CASE WHEN owner_party_id % 50 = 0 THEN 99 ELSE account_count END"
        " AS account_count) FROM t",
        ("worst_p99_over_kmax", "worst_max_over_kmax"),
    ),
    Mutant(
        "one IP type shifted by nine points in one region",
        "s4_ip_links_6A",
        "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id) WHERE NOT (i.ip_type = 'MOBILE'"
        " AND i.region_id = 'REGION_AMER' AND hash(device_id) % 100 < 45)",
        ("max_abs_error_pp_links", "conservation"),
    ),
    Mutant(
        "one region's small endpoints declared another type",
        "s4_ip_base_6A",
        "SELECT t.* REPLACE (CASE WHEN ip_type = 'RESIDENTIAL' AND region_id = 'REGION_AMER'"
        f" AND k = 1 THEN 'EDUCATION' ELSE ip_type END AS ip_type) FROM t JOIN {DEGREE}"
        " USING (ip_id) ORDER BY ip_id",
        ("max_abs_error_pp_ips",),
    ),
    Mutant(
        "most links gone",
        "s4_ip_links_6A",
        "SELECT * FROM t WHERE device_id % 4 = 0",
        ("linked_device_fraction",),
    ),
    Mutant(
        "one endpoint too many meet on",
        "s4_ip_links_6A",
        "SELECT * REPLACE (CASE WHEN device_id <= 700 THEN 1 ELSE ip_id END AS ip_id) FROM t",
        ("max_devices_per_ip",),
    ),
    Mutant(
        "two in a hundred endpoints shared by a hundred devices",
        "s4_ip_links_6A",
        "SELECT * REPLACE (CASE WHEN device_id % 4 = 0 THEN 1 + hash(device_id) % 2100"
        " ELSE ip_id END AS ip_id) FROM t",
        ("p99_devices_per_ip",),
    ),
    Mutant(
        "one unmapped role",
        "s5_device_fraud_roles_6A",
        "SELECT * REPLACE (CASE WHEN device_id = 1 THEN 'UNMAPPED' ELSE canonical_role_family END"
        " AS canonical_role_family) FROM t",
        ("mapped_role_fraction", "unmapped_role_count"),
    ),
    Mutant(
        "account roles permuted over owners",
        "s5_account_fraud_roles_6A",
        permuted("account"),
        ("or_account",),
    ),
    Mutant(
        "device roles permuted over owners",
        "s5_device_fraud_roles_6A",
        permuted("device"),
        ("or_device",),
    ),
    Mutant(
        "links of one type thinned everywhere",
        "s4_ip_links_6A",
        "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id)"
        " WHERE i.ip_type <> 'MOBILE' OR device_id IS NULL",
        ("jsd_ip_type", "jsd_ip_type_worst_region"),
    ),
    Mutant(
        "links of one type gone in one region",
        "s4_ip_links_6A",
        "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id) WHERE i.ip_type <> 'MOBILE'"
        " OR i.region_id <> 'REGION_AFRICA' OR device_id IS NULL",
        ("jsd_ip_type_worst_region",),
    ),
    Mutant(
        "a fifth of parties are mules",
        "s5_party_fraud_roles_6A",
        roles("party", "MULE", "MULE", "party_id % 5 = 0"),
        ("jsd_role_party", "jsd_role_party_worst_region"),
    ),
    Mutant(
        "a fifth of one region's parties are mules",
        "s5_party_fraud_roles_6A",
        roles(
            "party", "MULE", "MULE", "t.party_id % 5 = 0 AND b.region_id = 'REGION_AFRICA'",
            "s1_party_base_6A",
        ),
        ("jsd_role_party_worst_region", "role_rate_ratio"),
    ),
    Mutant(
        "a fifth of accounts are mules'",
        "s5_account_fraud_roles_6A",
        roles("account", "MULE_ACCOUNT", "MULE_ACCOUNT", "account_id % 5 = 0"),
        ("jsd_role_account", "jsd_role_account_worst_region"),
    ),
    Mutant(
        "a fifth of devices are bots",
        "s5_device_fraud_roles_6A",
        roles("device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE", "device_id % 5 = 0"),
        ("jsd_role_device", "jsd_role_device_worst_region"),
    ),
    Mutant(
        "two fifths of endpoints are high risk",
        "s5_ip_fraud_roles_6A",
        roles("ip", "HIGH_RISK_IP", "HIGH_RISK_IP", "ip_id % 5 < 2"),
        ("jsd_role_ip", "jsd_role_ip_worst_region"),
    ),
    Mutant(
        "a quarter of merchants collude",
        "s5_merchant_fraud_roles_6A",
        roles("merchant", "COLLUSIVE", "COLLUSIVE", "merchant_id % 4 = 0"),
        ("jsd_role_merchant", "jsd_role_merchant_worst_region"),
    ),
    Mutant(
        "all fraud removed from parties",
        "s5_party_fraud_roles_6A",
        roles("party", "CLEAN", "CLEAN", "true"),
        ("or_account", "or_device", "role_rate_ratio"),
    ),
    Mutant(
        "one region's mules doubled",
        "s5_party_fraud_roles_6A",
        roles(
            "party", "MULE", "MULE", "hash(t.party_id) % 90 = 0 AND b.region_id = 'REGION_EMEA'",
            "s1_party_base_6A",
        ),
        ("role_rate_ratio",),
    ),
    Mutant(
        "an account is risky whenever its owner is",
        "s5_account_fraud_roles_6A",
        roles(
            "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.risky",
            OWNER_RISKY.format(key="account_id", base="s2_account_base_6A", owner="owner_party_id"),
        ),
        ("separability_odds_ratio", "separability_single_feature"),
    ),
    Mutant(
        "endpoint roles permuted inside their group",
        "s5_ip_fraud_roles_6A",
        permuted("ip", "ip_type || asn_class", "JOIN s4_ip_base_6A USING (ip_id)"),
        ("or_ip",),
    ),
    Mutant(
        "every device linked",
        "s4_ip_links_6A",
        "SELECT * FROM t UNION ALL BY NAME SELECT 1 AS ip_id, device_id, 'RECENT_LOGIN_IP'"
        " AS link_role, seed, manifest_fingerprint, parameter_hash FROM s4_device_base_6A"
        " WHERE device_id NOT IN (SELECT device_id FROM t WHERE device_id IS NOT NULL)",
        ("coverage_not_forced", "conservation"),
    ),
    Mutant(
        "no endpoint shared by more than twenty",
        "s4_ip_links_6A",
        "SELECT * EXCLUDE (n) FROM (SELECT *, row_number() OVER (PARTITION BY ip_id ORDER BY"
        " device_id) AS n FROM t) WHERE n <= 20",
        ("tail_is_a_tail",),
    ),
    Mutant(
        "a fifth of current accounts relabelled",
        "s2_account_base_6A",
        "SELECT * REPLACE (CASE WHEN account_type = 'RETAIL_CURRENT_BASIC' AND owner_party_id"
        " % 5 = 0 THEN 'RETAIL_SAVINGS_INSTANT' ELSE account_type END AS account_type) FROM t",
        ("product_coverage", "conservation"),
    ),
    Mutant(
        "one kind of instrument relabelled on one account in twenty",
        "s3_instrument_base_6A",
        "SELECT * REPLACE (CASE WHEN instrument_type = (SELECT min(instrument_type) FROM t) AND"
        " account_id % 20 = 0 THEN (SELECT max(instrument_type) FROM t) ELSE instrument_type END"
        " AS instrument_type) FROM t",
        ("instrument_means", "conservation"),
    ),
    Mutant(
        "every country has its region's mix",
        "s1_party_summary_6A",
        "SELECT * REPLACE (greatest(1, (sum(party_count) OVER (PARTITION BY country_iso) *"
        " sum(party_count) OVER (PARTITION BY region_id, segment_id) /"
        " sum(party_count) OVER (PARTITION BY region_id))::BIGINT) AS party_count) FROM t",
        ("country_heterogeneity",),
    ),
    Mutant(
        "the busiest endpoints washed",
        "s5_ip_fraud_roles_6A",
        roles("ip", "NORMAL_IP", "CLEAN_IP", "b.k > 40 AND raw_role = 'HIGH_RISK_IP'", DEGREE),
        ("enrichment",),
    ),
    Mutant(
        "an instrument lost",
        "s3_instrument_base_6A",
        "SELECT * FROM t WHERE instrument_id <> 1",
        ("conservation",),
    ),
    Mutant(
        "risk read off the segment",
        "s5_party_fraud_roles_6A",
        roles(
            "party", "MULE", "MULE", "b.segment_id = 'RETAIL_AFFLUENT'", "s1_party_base_6A"
        ),
        ("leakage_party",),
    ),
    Mutant(
        "risk read off the currency",
        "s5_account_fraud_roles_6A",
        roles(
            "account", "MULE_ACCOUNT", "MULE_ACCOUNT", "b.currency = 'EUR'", "s2_account_base_6A"
        ),
        ("leakage_account",),
    ),
    Mutant(
        "risk read off the browser",
        "s5_device_fraud_roles_6A",
        roles(
            "device", "BOT_LIKE_DEVICE", "HIGH_RISK_DEVICE",
            "b.ua_family = (SELECT max(ua_family) FROM s4_device_base_6A)", "s4_device_base_6A",
        ),
        ("leakage_device",),
    ),
    Mutant(
        "risk read off the IP version",
        "s5_ip_fraud_roles_6A",
        roles("ip", "HIGH_RISK_IP", "HIGH_RISK_IP", "b.ip_version = 'IPV6'", "s4_ip_base_6A"),
        ("leakage_ip",),
    ),
)  # fmt: skip
