"""Roles of runs, frozen baseline sets (postures), reopening, and promotion."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.store import promotion
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Sealed
from fraudworld.store.promotion import promote, vetoes
from fraudworld.store.prune import plan_of, prune
from fraudworld.store.roles import freeze, pin, read_ledger, reopen
from fraudworld.store.seal import renew_reports
from support.store_of_runs import AT_ONCE, NOW, make_run

FROZEN = "6A.STORE.POSTURE_FROZEN"


def test_a_role_has_one_holder_and_its_history(tmp_path: Path) -> None:
    first, second = make_run(tmp_path, 1), make_run(tmp_path, 2)
    assert pin(first, "last_good") == ()
    assert pin(second, "last_good") == (first.name,)
    ledger = read_ledger(tmp_path)
    assert ledger.roles == {first.name: "none", second.name: "last_good"}
    assert [(h["run_id"], h["was"], h["role"]) for h in ledger.history] == [
        (first.name, "none", "last_good"),
        (first.name, "last_good", "none"),
        (second.name, "none", "last_good"),
    ]


def test_concurrent_pins_are_all_recorded(tmp_path: Path) -> None:
    roots = [make_run(tmp_path, n) for n in range(1, 17)]
    threads = [threading.Thread(target=pin, args=(r, f"witness:{n}")) for n, r in enumerate(roots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_ledger(tmp_path).roles) == 16


def _transactions(root: Path) -> None:
    from fraudworld.layers.transactions.request import StreamRequest
    from fraudworld.layers.transactions.stream import stream

    stream(StreamRequest(run=root, days=1))


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "its role": lambda root, other: pin(root, "candidate"),
    "its role, away": lambda root, other: pin(root, "none"),
    "its role taken over": lambda root, other: pin(other, "last_good"),
    "its reports": lambda root, other: renew_reports(
        RunPlace(root), {RunPlace(root).report: b"new"}
    ),
    "a stream inside it": lambda root, other: _transactions(root),
    "the posture's runs": lambda root, other: freeze("P5", [root, other]),
    "another posture": lambda root, other: freeze("P6_3", [root]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_frozen_run_is_refused(tmp_path: Path, change: str) -> None:
    root, other = make_run(tmp_path, 1, "last_good"), make_run(tmp_path, 2)
    freeze("P5", [root])
    ledger = (tmp_path / "store_6A.json").read_bytes()
    files = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(RefusedError) as refused:
        CHANGES[change](root, other)
    assert refused.value.code == FROZEN
    assert (tmp_path / "store_6A.json").read_bytes() == ledger
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "a stream inside it"])
def test_a_reopened_run_may_change_and_the_reason_is_recorded(tmp_path: Path, change: str) -> None:
    root, other = make_run(tmp_path, 1, "last_good"), make_run(tmp_path, 2)
    freeze("P5", [root])
    reopen(tmp_path, "P5", "the account mix is revised")
    CHANGES[change](root, other)
    notes = [h for h in read_ledger(tmp_path).history if h["change"] == "reopen"]
    assert [(h["posture"], h["reason"]) for h in notes] == [("P5", "the account mix is revised")]
    assert notes[0]["runs"] == {root.name: f"{1:064x}"}


def test_a_frozen_run_without_role_is_not_pruned(tmp_path: Path) -> None:
    root = make_run(tmp_path, 1)
    freeze("P5", [root])
    assert prune(tmp_path, plan_of(tmp_path, AT_ONCE, NOW), AT_ONCE, NOW) == []
    reopen(tmp_path, "P5", "superseded")
    assert prune(tmp_path, plan_of(tmp_path, AT_ONCE, NOW), AT_ONCE, NOW) == [root.name]


def test_a_run_without_flag_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="has no flag"):
        freeze("P5", [make_run(tmp_path, 1, passed=False)])


@pytest.mark.parametrize(("name", "reason"), [("P5", "  "), ("P6", "why not")])
def test_reopening_needs_the_posture_and_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    freeze("P5", [make_run(tmp_path, 1)])
    with pytest.raises(InputError):
        reopen(tmp_path, name, reason)
    assert read_ledger(tmp_path).baseline_set_of(f"{1:032x}") == "P5"


def test_a_promotion_without_evidence_is_vetoed(tmp_path: Path) -> None:
    root = make_run(tmp_path, 1, "candidate")
    with pytest.raises(FraudworldError) as vetoed:
        promote(root)
    assert vetoed.value.code == "6A.STORE.PROMOTION_VETOED"
    for reason in ("evidence", "witness:7", "witness:101", "witness:202"):
        assert reason in str(vetoed.value)
    assert read_ledger(tmp_path).roles == {}


def test_a_candidate_is_promoted_once_its_witness_runs_exist(
    demo_world: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(demo_world, tmp_path / demo_world.name))
    assert vetoes(root) == ()
    with pytest.raises(RefusedError, match="the run is no candidate"):
        promote(root, seeds=(42,))
    pin(root, "candidate")
    with pytest.raises(RefusedError, match=r"1 veto.*no run of this policy is witness:7"):
        promote(root, seeds=(42, 7))
    assert promote(root, seeds=(42,)) == ()
    assert read_ledger(tmp_path).roles == {root.name: "last_good"}


def test_a_missing_flag_and_a_changed_byte_are_vetoes(demo_world: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(demo_world, tmp_path / demo_world.name))
    place = RunPlace(root)
    place.flag.unlink()
    assert vetoes(root) == ("no flag: it did not pass",)
    place.gateboard.write_text(place.gateboard.read_text("utf-8").replace("PASS", "FAIL"))
    assert vetoes(root) == ("evidence does not hold: 6A.S5.OUTPUT_CONFLICT",)


def test_a_failing_gate_and_a_missing_one_are_vetoes(
    demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateboard decides; the seal check is replaced."""
    root = Path(shutil.copytree(demo_world, tmp_path / demo_world.name))
    place = RunPlace(root)
    board = json.loads(place.gateboard.read_text("utf-8"))
    board["tests"] = [t for t in board["tests"] if not t["test_id"].startswith("T5_")]
    board["tests"][0] |= {"status": "FAIL", "pass_B": False}
    place.gateboard.write_text(json.dumps(board))
    monkeypatch.setattr(promotion, "check_run", lambda place: Sealed("0" * 64, True, {}))
    assert vetoes(root) == (
        "T5 was not judged",
        "T1_KMAX_HARD_INVARIANT max_overflow is FAIL",
    )
