"""`fraudworld gates` on a run that cannot be judged: the fault is named, status 2, nothing passes.

Readable but broken worlds are in `laws/test_gate_mutants.py`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts import TABLES
from support.calling import CallResult

Call = Callable[..., CallResult]
LAYER = "data/layer3/6A"
POLICY = f"{LAYER}/resolved_policy_6A.json"
PLANS = f"{LAYER}/validation/integer_plans_6A.json"


@pytest.fixture
def run(demo_world: Path, tmp_path: Path) -> Path:
    """A copy of the demo run of hard links: a change must replace a file, not write to it."""
    return Path(shutil.copytree(demo_world, tmp_path / "run", copy_function=os.link))


def check_refused(fraudworld: Call, run: Path, *messages: str) -> None:
    """The command names the fault on stderr, prints nothing else, and changes no file."""
    before = sorted(p for p in run.rglob("*"))
    result = fraudworld("gates", run)
    assert result.status == 2, result.err
    assert "6A." in result.err
    assert "Traceback" not in result.err
    words = " ".join(result.err.split())
    assert [s for s in messages if s not in words] == []
    assert result.out == ""
    assert sorted(p for p in run.rglob("*")) == before


def part(run: Path, table: str) -> Path:
    return min((run / LAYER / table).rglob("part-*.parquet"))


def replace(path: Path, content: bytes | str) -> None:
    path.unlink()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def edit(run: Path, table: str, query: str) -> None:
    """Rewrites the first part of a dataset by a query over itself (`t`)."""
    path = part(run, table)
    t = pq.read_table(path, partitioning=None)
    changed = duckdb.from_arrow(t).query("t", query).to_arrow_table()
    path.unlink()
    pq.write_table(changed, path)


@pytest.mark.parametrize("table", [t.name for t in TABLES])
def test_a_missing_dataset_is_named(fraudworld: Call, run: Path, table: str) -> None:
    shutil.rmtree(run / LAYER / table)
    check_refused(fraudworld, run, f"{table} is missing")


def empty(run: Path, table: str) -> None:
    for path in (run / LAYER / table).rglob("part-*.parquet"):
        schema = pq.read_schema(path)
        path.unlink()
        pq.write_table(schema.empty_table(), path)


@pytest.mark.parametrize("table", [t.name for t in TABLES if not t.may_be_empty])
def test_an_empty_dataset_is_named(fraudworld: Call, run: Path, table: str) -> None:
    empty(run, table)
    check_refused(fraudworld, run, f"{table} has no rows")


@pytest.mark.parametrize("table", [t.name for t in TABLES if t.may_be_empty])
def test_a_dataset_that_may_be_empty_is_judged(fraudworld: Call, run: Path, table: str) -> None:
    """Worlds without circles are judged by the guards of network_transmission, which need none."""
    empty(run, table)
    assert fraudworld("gates", run).status == 0


@pytest.mark.parametrize("table", [t.name for t in TABLES])
def test_a_truncated_part_is_named(fraudworld: Call, run: Path, table: str) -> None:
    path = part(run, table)
    replace(path, path.read_bytes()[:-100])
    check_refused(fraudworld, run, f"{table} has a part that is not Parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"id,name\n1,a\n", b"\x00" * 4_096])
def test_a_part_that_is_not_parquet_is_named(fraudworld: Call, run: Path, content: bytes) -> None:
    replace(part(run, "s2_account_base_6A"), content)
    check_refused(fraudworld, run, "s2_account_base_6A has a part that is not Parquet")


def test_a_part_that_is_a_folder_or_a_dangling_link_is_named(fraudworld: Call, run: Path) -> None:
    path = part(run, "s4_ip_base_6A")
    path.unlink()
    path.mkdir()
    check_refused(fraudworld, run, "s4_ip_base_6A")
    path.rmdir()
    path.symlink_to(run / "nowhere")
    check_refused(fraudworld, run, "s4_ip_base_6A")


@pytest.mark.parametrize(
    ("table", "query", "message"),
    [
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (nullif(party_id, 7) AS party_id) FROM t",
            "s1_party_base_6A holds nulls in party_id",
        ),
        (
            "s5_device_fraud_roles_6A",
            "SELECT * REPLACE (nullif(raw_role, 'NORMAL_DEVICE') AS raw_role) FROM t",
            "s5_device_fraud_roles_6A holds nulls in raw_role",
        ),
        (
            "s4_network_summary_6A",
            "SELECT * REPLACE ('NaN'::DOUBLE AS value) FROM t",
            "s4_network_summary_6A holds NaN or an infinity in value",
        ),
        (
            "s2_account_base_6A",
            "SELECT * REPLACE ('NaN'::DOUBLE AS owner_party_id) FROM t",
            "s2_account_base_6A holds double in owner_party_id",
        ),
        ("s3_instrument_base_6A", "SELECT * EXCLUDE (instrument_type) FROM t", "lacks instrument"),
        (
            "s4_device_base_6A",
            "SELECT * REPLACE ('TOASTER' AS device_type) FROM t",
            "s4_device_base_6A: device_type holds TOASTER",
        ),
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (7 AS seed) FROM t",
            "the run's tables do not belong together",
        ),
    ],
)
def test_an_invalid_column_is_named(
    fraudworld: Call, run: Path, table: str, query: str, message: str
) -> None:
    edit(run, table, query)
    check_refused(fraudworld, run, message)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"pack": NaN}', "\x00", "\ufffe"])
def test_a_malformed_policy_is_named(fraudworld: Call, run: Path, text: str) -> None:
    replace(run / POLICY, text)
    check_refused(fraudworld, run, "resolved_policy_6A.json")


def test_a_changed_policy_is_refused(fraudworld: Call, run: Path) -> None:
    """A threshold is relaxed after the run was sealed."""
    document = json.loads((run / POLICY).read_text())
    document["pack"]["validation_policy"]["gates"]["T7_odds_ratio"]["Bplus"] = 1.0
    replace(run / POLICY, json.dumps(document))
    check_refused(fraudworld, run, "PRIOR_PACK_DIGEST_MISMATCH")


def test_a_missing_policy_is_named(fraudworld: Call, run: Path) -> None:
    (run / POLICY).unlink()
    check_refused(fraudworld, run, "PRIOR_PACK_MISSING")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"s1_parties": {"world": NaN}}',
        '{"s1_parties": "all"}',
        "\x00",
    ],
)
def test_malformed_plans_are_named(fraudworld: Call, run: Path, text: str) -> None:
    replace(run / PLANS, text)
    check_refused(fraudworld, run, "EVIDENCE_MISSING", "integer_plans_6A")


def test_missing_plans_are_named(fraudworld: Call, run: Path) -> None:
    (run / PLANS).unlink()
    check_refused(fraudworld, run, "EVIDENCE_MISSING", "integer_plans_6A")


@pytest.mark.parametrize(
    ("table", "query"),
    [
        ("s4_device_base_6A", "SELECT * REPLACE (NULL::BIGINT AS primary_party_id) FROM t"),
        ("s5_merchant_fraud_roles_6A", "SELECT * FROM t LIMIT 1"),
    ],
)
def test_a_world_with_insufficient_evidence_is_judged_and_fails(
    fraudworld: Call, run: Path, table: str, query: str
) -> None:
    """Without owned devices, or with one merchant, evidence is insufficient, not missing."""
    for path in sorted((run / LAYER / table).rglob("part-*.parquet"))[1:]:
        path.unlink()
    edit(run, table, query)
    result = fraudworld("gates", run, "--json")
    assert result.status == 1, result.err
    board = json.loads(result.out, parse_constant=pytest.fail)
    assert board["grade"] == "<C"
    assert "INSUFFICIENT_EVIDENCE" in {r["status"] for r in board["tests"]}
