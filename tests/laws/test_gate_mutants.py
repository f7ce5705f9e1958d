"""Worlds broken on purpose: each must fail the gate it breaks, and the clean one none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.errors import InputError
from fraudworld.gates import judge


@pytest.fixture
def world(demo_world, tmp_path) -> Path:
    return Path(shutil.copytree(demo_world, tmp_path / "run"))


def edit(run: Path, table: str, query: str) -> None:
    """Rewrite a dataset as a query over itself, called `t`; keys stay what the query says."""
    parts = sorted((run / "data/layer3/6A" / table).rglob("part-*.parquet"))
    t = pa.concat_tables(pq.read_table(p, partitioning=None) for p in parts)
    connection = duckdb.connect()
    connection.register("t", t)
    for other in ("s1_party_base_6A", "s4_ip_base_6A", "s4_device_base_6A"):
        files = str(run / "data/layer3/6A" / other / "**" / "*.parquet")
        connection.execute(
            f"CREATE VIEW {other} AS SELECT * FROM read_parquet('{files}', hive_partitioning=false)"
        )
    changed = connection.sql(query).to_arrow_table()
    for part in parts[1:]:
        part.unlink()
    pq.write_table(changed, parts[0])


def failing(run: Path) -> tuple[set[str], set[str]]:
    board = judge(run)
    tests = {r.test_id.split("_")[0] for r in board.tests if not r.pass_Bplus}
    return tests, {g.guard_id for g in board.guards if not g.holds}


def test_the_clean_world_passes_everything(demo_world):
    assert failing(demo_world) == (set(), set())


Mutant = tuple[str, str, str, Callable[[set[str], set[str]], bool]]
MUTANTS: dict[str, Mutant] = {
    "one account over its cap": (
        "s2_account_base_6A",
        "SELECT * REPLACE (CASE WHEN account_type = 'RETAIL_CURRENT_BASIC' AND account_id <="
        " (SELECT max(account_id) FROM (SELECT account_id FROM t WHERE account_type ="
        " 'RETAIL_CURRENT_BASIC' ORDER BY account_id LIMIT 3)) THEN (SELECT min(owner_party_id)"
        " FROM t WHERE account_type = 'RETAIL_CURRENT_BASIC') ELSE owner_party_id END"
        " AS owner_party_id) FROM t",
        "T1",
        lambda tests, guards: "T1" in tests,
    ),
    "one holding over its cap": (
        "s2_party_product_holdings_6A",
        "SELECT * REPLACE (CASE WHEN owner_party_id = 1 THEN 99 ELSE account_count END"
        " AS account_count) FROM t",
        "T2",
        lambda tests, guards: "T2" in tests,
    ),
    "one IP type shifted in one region": (
        "s4_ip_links_6A",
        "SELECT t.* FROM t JOIN s4_ip_base_6A i USING (ip_id)"
        " WHERE NOT (i.ip_type = 'MOBILE' AND i.region_id = 'REGION_AMER'"
        " AND hash(device_id) % 2 = 0)",
        "T3",
        lambda tests, guards: "T3" in tests,
    ),
    "most links gone": (
        "s4_ip_links_6A",
        "SELECT * FROM t WHERE device_id % 4 = 0",
        "T4",
        lambda tests, guards: "T4" in tests,
    ),
    "one endpoint everybody meets on": (
        "s4_ip_links_6A",
        "SELECT * REPLACE (CASE WHEN device_id <= 700 THEN 1 ELSE ip_id END AS ip_id) FROM t",
        "T5",
        lambda tests, guards: "T5" in tests,
    ),
    "one unmapped role": (
        "s5_device_fraud_roles_6A",
        "SELECT * REPLACE (CASE WHEN device_id = 1 THEN 'UNMAPPED' ELSE canonical_role_family END"
        " AS canonical_role_family) FROM t",
        "T6",
        lambda tests, guards: "T6" in tests,
    ),
    "account roles permuted over owners": (
        "s5_account_fraud_roles_6A",
        "SELECT a.account_id, b.* EXCLUDE (account_id, n) FROM"
        " (SELECT account_id, row_number() OVER (ORDER BY account_id) AS n FROM t) a JOIN"
        " (SELECT *, row_number() OVER (ORDER BY hash(account_id)) AS n FROM t) b USING (n)"
        " ORDER BY account_id",
        "T7",
        lambda tests, guards: "T7" in tests,
    ),
    "all fraud removed from parties": (
        "s5_party_fraud_roles_6A",
        "SELECT * REPLACE ('CLEAN' AS raw_role, 'CLEAN' AS canonical_role_family) FROM t",
        "T7, role_rate_ratio",
        lambda tests, guards: "T7" in tests and "role_rate_ratio" in guards,
    ),
    "a fifth of parties are mules": (
        "s5_party_fraud_roles_6A",
        "SELECT * REPLACE (CASE WHEN party_id % 5 = 0 THEN 'MULE' ELSE raw_role END AS raw_role,"
        " CASE WHEN party_id % 5 = 0 THEN 'MULE' ELSE canonical_role_family END"
        " AS canonical_role_family) FROM t",
        "T8",
        lambda tests, guards: "T8" in tests,
    ),
    "one region's mules doubled": (
        "s5_party_fraud_roles_6A",
        "SELECT t.* EXCLUDE (region_id) REPLACE (CASE WHEN region_id = 'REGION_EMEA'"
        " AND hash(party_id) % 90 = 0"
        " THEN 'MULE' ELSE raw_role END AS raw_role, CASE WHEN region_id = 'REGION_EMEA' AND"
        " hash(party_id) % 90 = 0 THEN 'MULE' ELSE canonical_role_family END"
        " AS canonical_role_family) FROM (SELECT t.*, region_id FROM t JOIN s1_party_base_6A"
        " USING (party_id)) t",
        "role_rate_ratio",
        lambda tests, guards: "role_rate_ratio" in guards,
    ),
    "risk read off the segment": (
        "s5_party_fraud_roles_6A",
        "SELECT t.* EXCLUDE (s) REPLACE (CASE WHEN s = 'RETAIL_AFFLUENT' THEN 'MULE' ELSE 'CLEAN'"
        " END AS raw_role, CASE WHEN s = 'RETAIL_AFFLUENT' THEN 'MULE' ELSE 'CLEAN' END AS"
        " canonical_role_family) FROM (SELECT t.*, segment_id AS s FROM t JOIN s1_party_base_6A"
        " USING (party_id)) t",
        "leakage_party",
        lambda tests, guards: "leakage_party" in guards,
    ),
    "an instrument lost": (
        "s3_instrument_base_6A",
        "SELECT * FROM t WHERE instrument_id <> 1",
        "conservation",
        lambda tests, guards: "conservation" in guards,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(world, name):
    table, query, _, caught = MUTANTS[name]
    edit(world, table, query)
    tests, guards = failing(world)
    assert caught(tests, guards), (tests, guards)


@pytest.mark.parametrize(
    ("table", "query", "says"),
    [
        ("s4_ip_links_6A", "SELECT * FROM t WHERE false", "no rows"),
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (nullif(party_id, 1) AS party_id) FROM t",
            "holds nulls",
        ),
        (
            "s5_ip_fraud_roles_6A",
            "SELECT * REPLACE ('ODD' AS raw_role) FROM t",
            "taxonomy does not know",
        ),
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (repeat('0', 64) AS parameter_hash) FROM t",
            "do not belong together",
        ),
    ],
)
def test_a_run_that_cannot_be_judged_is_a_clear_error(world, table, query, says):
    edit(world, table, query)
    with pytest.raises(InputError, match=says):
        judge(world)


def test_a_missing_dataset_is_named(world):
    shutil.rmtree(world / "data/layer3/6A/s4_ip_base_6A")
    with pytest.raises(InputError, match="s4_ip_base_6A is missing"):
        judge(world)


def test_a_policy_that_is_not_the_runs_is_refused(world):
    path = world / "data/layer3/6A/resolved_policy_6A.json"
    path.write_text(
        path.read_text().replace('"target_odds_ratio": 2.8', '"target_odds_ratio": 2.7')
    )
    with pytest.raises(InputError, match="PRIOR_PACK_DIGEST_MISMATCH"):
        judge(world)
