"""Each broken world fails exactly the metrics and guards it names; the clean one fails none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fraudworld.errors import InputError
from fraudworld.gates import Gateboard, judge
from fraudworld.gates.schema import violations
from support.mutants import LAYER, MUTANTS, Mutant, edit, parts

DOCS = Path(__file__).parents[2] / "docs/gates.md"


@pytest.fixture
def world(demo_world, tmp_path) -> Path:
    """A copy of the demo world of hard links: an edit must replace a file, not write to it."""
    return Path(shutil.copytree(demo_world, tmp_path / "run", copy_function=os.link))


def failing(board: Gateboard) -> set[str]:
    """Metrics that miss B+ and guards that do not hold."""
    return {r.metric_name for r in board.tests if not r.pass_Bplus} | {
        g.guard_id for g in board.guards if not g.holds
    }


def table_row(mutant: Mutant) -> str:
    """A mutant as a row of the table in `docs/gates.md`."""
    edited = ", ".join(f"`{table}`" for table in mutant.edits)
    if len(mutant.edits) > 2:
        edited = f"{len(mutant.edits)} tables"
    return f"| {mutant.name} | {edited} | {', '.join(mutant.caught)} | {', '.join(mutant.also)} |"


def test_the_clean_world_passes_everything(demo_world):
    assert failing(judge(demo_world)) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_mutant_fails_exactly_the_metrics_it_names(world, mutant: Mutant):
    for table, query in mutant.edits.items():
        edit(world, table, query)
    board = judge(world)
    assert failing(board) == {*mutant.caught, *mutant.also}
    assert violations("realism_gate_6A", board.as_dict()) == []


def test_every_metric_and_guard_has_a_mutant(demo_world):
    board = judge(demo_world)
    all_of_them = {r.metric_name for r in board.tests} | {g.guard_id for g in board.guards}
    assert all_of_them - {name for m in MUTANTS for name in m.caught} == set()


def test_the_page_of_gates_lists_every_mutant():
    text = DOCS.read_text("utf-8")
    assert [row for row in map(table_row, MUTANTS) if row not in text] == []


@pytest.mark.parametrize(
    ("table", "query", "message"),
    [
        ("s4_ip_links_6A", "SELECT * FROM t WHERE false", "has no rows"),
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (nullif(party_id, 1) AS party_id) FROM t",
            "holds nulls in party_id",
        ),
        ("s2_account_base_6A", "SELECT * EXCLUDE (currency) FROM t", "lacks currency"),
        (
            "s2_account_base_6A",
            "SELECT * REPLACE (1 AS currency) FROM t",
            "holds int32 in currency, which is a code",
        ),
        (
            "s2_account_base_6A",
            "SELECT * REPLACE (currency AS owner_party_id) FROM t",
            "holds string in owner_party_id",
        ),
        (
            "s4_network_summary_6A",
            "SELECT * REPLACE ('NaN'::DOUBLE AS value) FROM t",
            "NaN or an infinity in value",
        ),
        (
            "s5_ip_fraud_roles_6A",
            "SELECT * REPLACE ('ODD' AS raw_role) FROM t",
            "raw_role holds ODD, which the taxonomy does not know",
        ),
        (
            "s1_party_base_6A",
            "SELECT * REPLACE (repeat('0', 64) AS parameter_hash) FROM t",
            "do not belong together",
        ),
        (
            "s3_instrument_base_6A",
            "SELECT * REPLACE (account_id + 100000000 AS account_id) FROM t",
            "names account 1000.*, which does not exist",
        ),
        (
            "s5_party_fraud_roles_6A",
            "SELECT * FROM t WHERE party_id <> 5",
            "has other party_ids than s1_party_base_6A",
        ),
    ],
)
def test_a_run_that_cannot_be_judged_is_refused(world, table, query, message):
    edit(world, table, query)
    with pytest.raises(InputError, match=message):
        judge(world)


def test_a_missing_dataset_is_named(world):
    shutil.rmtree(world / LAYER / "s4_ip_base_6A")
    with pytest.raises(InputError, match="s4_ip_base_6A is missing"):
        judge(world)


def test_a_part_that_is_not_parquet_is_named(world):
    part = parts(world, "s4_ip_base_6A")[0]
    part.unlink()
    part.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match="s4_ip_base_6A has a part that is not Parquet"):
        judge(world)


def replace_policy(run: Path, text: str) -> None:
    path = run / LAYER / "resolved_policy_6A.json"
    path.unlink()
    path.write_text(text)


def test_a_policy_of_another_run_is_refused(world):
    text = (world / LAYER / "resolved_policy_6A.json").read_text()
    replace_policy(world, text.replace('"target_odds_ratio": 2.8', '"target_odds_ratio": 2.7'))
    with pytest.raises(InputError, match="PRIOR_PACK_DIGEST_MISMATCH"):
        judge(world)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parameter_hash": "x", "pack": {}}'])
def test_a_malformed_policy_is_refused(world, text):
    replace_policy(world, text)
    with pytest.raises(InputError, match="PRIOR_PACK_SCHEMA_INVALID"):
        judge(world)


def test_a_run_without_policy_or_plans_is_refused(world):
    (world / LAYER / "validation/integer_plans_6A.json").unlink()
    with pytest.raises(InputError, match="EVIDENCE_MISSING"):
        judge(world)
    (world / LAYER / "resolved_policy_6A.json").unlink()
    with pytest.raises(InputError, match="PRIOR_PACK_MISSING"):
        judge(world)
