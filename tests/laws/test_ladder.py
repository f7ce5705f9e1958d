"""The ladder: which tests each phase mends, recorded evidence, resuming, and where it stops."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.policy.loader import SHIPPED
from fraudworld.store import decisions, roles
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from support.calling import CallResult

Call = Callable[..., CallResult]
RED = {"T1", "T2", "T4", "T5", "T6", "T7", "T8"}
TURNS_GREEN = {
    "P1": {"T1", "T2"}, "P2": {"T4", "T5"}, "P3": {"T7"}, "P4": {"T6", "T8"},
}  # fmt: skip
CLIMBED = ("P0", "P1", "P2", "P3", "P4")


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs root with P0–P4 of a demo world, climbed by the program."""
    from fraudworld.remediation import climb, publish_ladder
    from fraudworld.request import RunRequest

    root = tmp_path_factory.mktemp("ladder")
    publish_ladder(root, climb(RunRequest(runs_root=root), (42,), CLIMBED))
    return root


def decision(root: Path, phase: str) -> decisions.Decision:
    recorded = decisions.read_decision(root, phase)
    assert recorded is not None
    return recorded


def failing(root: Path, phase: str) -> set[str]:
    board = json.loads(RunPlace(root / decision(root, phase).run_ids[0]).gateboard.read_text())
    return {t["test_id"].split("_")[0] for t in board["tests"] if t["status"] == "FAIL"}


def test_the_baseline_fails_as_published_and_each_phase_mends_its_tests(climbed: Path) -> None:
    red = RED
    assert failing(climbed, "P0") == red
    for phase, mended in TURNS_GREEN.items():
        red = red - mended
        assert failing(climbed, phase) == red, phase
    words = [decision(climbed, p).decision for p in CLIMBED]
    assert words == ["HOLD_REMEDIATE", "UNLOCK_P2", "UNLOCK_P3", "UNLOCK_P4", "UNLOCK_P5"]


def test_a_decision_has_the_fields_of_the_contract(climbed: Path) -> None:
    for phase in CLIMBED:
        document = json.loads(decisions.place(climbed, phase).read_text("utf-8"))
        assert {
            "phase", "decision", "seeds", "run_ids", "digests", "done_when", "vetoes", "blockers",
        } <= set(document)  # fmt: skip
        assert document["seeds"] == [42]
        assert all(f["holds"] and f["evidence"] for f in document["done_when"])
        files = [climbed / name for name in document["digests"]]
        assert decisions.digests_of(climbed, files) == document["digests"]
    assert set(decision(climbed, "P0").basis["tests"]) == {f"T{n}" for n in range(1, 11)}


def test_earlier_states_are_reused(climbed: Path) -> None:
    for phase, reused in (("P1", 1), ("P2", 3), ("P3", 4), ("P4", 4)):
        run = RunPlace(climbed / decision(climbed, phase).run_ids[0])
        stated = json.loads(run.state_inputs.read_text("utf-8"))["reused"]
        assert len(stated["states"]) == reused
    roots = [decision(climbed, p).run_ids[0] for p in CLIMBED]
    assert len(set(roots)) == len(roots)


def test_the_baseline_and_the_last_phase_hold_roles(climbed: Path) -> None:
    ledger = roles.read_ledger(climbed)
    held = {
        p: ledger.role(read_receipt(RunPlace(climbed / decision(climbed, p).run_ids[0])))
        for p in CLIMBED
    }
    assert held == {"P0": "baseline", "P1": "none", "P2": "none", "P3": "none", "P4": "candidate"}


def test_a_second_climb_reuses_every_recorded_phase(climbed: Path, fraudworld: Call) -> None:
    before = {p: decisions.place(climbed, p).stat().st_mtime_ns for p in CLIMBED}
    result = fraudworld("ladder", "--phases", "P0..P4", "--runs-root", climbed)
    assert result.status == 0
    assert result.err.count("as recorded") == len(CLIMBED)
    assert {p: decisions.place(climbed, p).stat().st_mtime_ns for p in CLIMBED} == before
    assert "HOLD_REMEDIATE" in result.out
    assert "UNLOCK_P5" in result.out
    assert (climbed / decisions.FOLDER / "ladder.md").read_text("utf-8").count("\n| P") == 10


def test_a_phase_without_its_predecessors_is_refused(tmp_path: Path, fraudworld: Call) -> None:
    result = fraudworld("ladder", "--phases", "P2", "--runs-root", tmp_path)
    assert result.status == 3
    assert "6A.LADDER.PHASE_MISSING" in result.err
    assert "--phases P0..P2" in result.err
    assert not (tmp_path / decisions.FOLDER).exists()


def test_too_few_seeds_are_refused_before_any_run(tmp_path: Path, fraudworld: Call) -> None:
    result = fraudworld("ladder", "--seeds", "42,7", "--runs-root", tmp_path / "r")
    assert (result.status, (tmp_path / "r").exists()) == (3, False)
    assert "6A.CERTIFY.SEEDS_MISSING" in result.err


@pytest.fixture
def copy(climbed: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    shutil.copytree(climbed, root, copy_function=shutil.copy2)
    return root


def test_a_decision_whose_evidence_changed_is_refused(copy: Path, fraudworld: Call) -> None:
    board = RunPlace(copy / decision(copy, "P1").run_ids[0]).gateboard
    board.write_text(board.read_text("utf-8").replace("FAIL", "PASS"), "utf-8")
    result = fraudworld("ladder", "--phases", "P2..P4", "--runs-root", copy)
    assert result.status == 3
    assert "6A.LADDER.PHASE_MISSING" in result.err


def test_a_pruned_run_keeps_its_decision(copy: Path, fraudworld: Call) -> None:
    assert fraudworld("runs", "prune", "--yes", "--runs-root", copy).status == 0
    gone = [p for p in CLIMBED if not (copy / decision(copy, p).run_ids[0]).exists()]
    assert gone == ["P1", "P2", "P3"]
    result = fraudworld("ladder", "--phases", "P4", "--runs-root", copy)
    assert (result.status, result.err.count("as recorded")) == (0, len(CLIMBED))


def test_a_damaged_decision_is_refused(copy: Path, fraudworld: Call) -> None:
    decisions.place(copy, "P1").write_text('{"phase": "P1"}')
    result = fraudworld("ladder", "--phases", "P0..P1", "--runs-root", copy)
    assert result.status == 2
    assert "6A.LADDER.DECISION_INVALID" in result.err


def test_a_control_without_effect_stops_the_ladder(
    copy: Path, tmp_path: Path, fraudworld: Call
) -> None:
    """P1 with a delta that changes only its reason: T1 and T2 stay red, and the ladder stops."""
    pack = tmp_path / "pack"
    shutil.copytree(SHIPPED, pack)
    idle = "name: delta_a_kmax\nwhy: Says so and does nothing.\nposture: baseline_replay\n"
    (pack / "overlays/delta_a_kmax.yaml").write_text(idle)
    result = fraudworld("ladder", "--policy", pack, "--runs-root", copy, "--json", "--quiet")
    assert result.status == 1
    last = json.loads(result.out)[-1]
    assert (last["phase"], last["decision"]) == ("P1", "HOLD_P1")
    assert "not met: T1, T2 pass B" in last["blockers"]
    assert any(b.startswith("T1 max_overflow is") and "work for S2" in b for b in last["blockers"])
    ledger = roles.read_ledger(copy)
    assert ledger.role(read_receipt(RunPlace(copy / last["run_ids"][0]))) != "candidate"


def test_each_control_moves_only_its_own_tests(copy: Path, fraudworld: Call) -> None:
    result = fraudworld("ladder", "--ablation", "--runs-root", copy, "--json", "--quiet")
    assert result.status == 0
    rows = {row["control"]: row for row in json.loads(result.out)}
    assert "instrument_means" in rows["p6_1_floors"]["mended"]
    assert "country_heterogeneity" in rows["p6_2_country"]["mended"]
    assert "or_ip" in rows["delta_c_propagation"]["mended"]
    moved = {
        row["control"]: {name.partition(" ")[0] for name in row["moved"]} for row in rows.values()
    }
    assert moved["published_baseline"] == set()
    assert {"T1", "T2"} <= moved["delta_a_kmax"]
    assert moved["delta_a_kmax"] & {"T3", "T4", "T5"} == set()
    assert {"T4", "T5"} <= moved["delta_b_ip"]
    assert moved["delta_b_ip"] & {"T1", "T2"} == set()
    assert moved["delta_c_propagation"] == {"T7"}
    assert moved["delta_d_mapping"] == {"T6", "T8"}
    assert moved["delta_e_validation"] == set()
    assert moved["p6_3_bplus"] == set(), "an aim without propagation moves nothing"
    assert {"household_composition", "market_heterogeneity", "wallet_devices"} <= set(
        rows["p6_4_joints"]["mended"]
    )
