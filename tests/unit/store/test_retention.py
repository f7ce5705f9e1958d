"""Retention: a plan keeps runs with a role or a freeze; a prune removes fraudworld runs only."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudworld.store import prune as store_prune
from fraudworld.store.layout import RunPlace
from fraudworld.store.prune import (
    TRASH,
    find,
    orphaned_arms,
    plan_of,
    prune,
    prune_superseded,
    size_of,
)
from fraudworld.store.receipt import Receipt
from fraudworld.store.retention import ARMS, Kept, Plan, RetentionPolicy, plan, superseded
from fraudworld.store.roles import freeze, pin, read_ledger
from support.calling import CallResult
from support.store_of_runs import AT_ONCE, NOW, make_run, prune_now

ROLES = ("none", "baseline", "candidate", "last_good", "witness:7")

kept_runs = st.lists(
    st.builds(
        Kept,
        run_id=st.text("0123456789abcdef", min_size=32, max_size=32),
        role=st.sampled_from(ROLES),
        passed=st.booleans(),
        grade=st.sampled_from(("<C", "B", "B+")),
        created_at=st.timedeltas(timedelta(days=-9), timedelta(days=9)).map(lambda d: NOW + d),
        frozen=st.sampled_from((None, None, "P5")),
    ),
    unique_by=lambda run: run.run_id,
    max_size=12,
)
policies = st.timedeltas(timedelta(0), timedelta(days=3)).map(RetentionPolicy)


@pytest.mark.parametrize("has_receipt", [True, False])
def test_a_run_that_another_prune_removes_meanwhile_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_receipt: bool
) -> None:
    removed, stays = (make_run(tmp_path, number) for number in (1, 2))
    read_receipt = store_prune.read_receipt

    def read_during_another_prune(place: RunPlace) -> Receipt:
        if place.root == removed and not has_receipt:
            shutil.rmtree(removed)
        receipt = read_receipt(place)
        if place.root == removed:
            shutil.rmtree(removed)
        return receipt

    monkeypatch.setattr(store_prune, "read_receipt", read_during_another_prune)
    found_runs = find(tmp_path)
    assert [r.run_id for r in found_runs.runs] == [stays.name]
    assert found_runs.left_alone == ()


@given(kept_runs, policies)
def test_a_plan_keeps_every_role_and_every_frozen_run(
    runs: list[Kept], policy: RetentionPolicy
) -> None:
    planned = plan(runs, policy, NOW)
    by_id = {run.run_id: run for run in runs}
    assert sorted(v.run_id for v in (*planned.keep, *planned.remove)) == sorted(by_id)
    assert all(v.why for v in (*planned.keep, *planned.remove))
    for gone in (by_id[v.run_id] for v in planned.remove):
        assert gone.role == "none"
        assert gone.frozen is None
        assert policy.grace == timedelta(0) or NOW - gone.created_at >= policy.grace


@given(kept_runs, policies)
def test_a_plan_is_idempotent_and_ignores_order(runs: list[Kept], policy: RetentionPolicy) -> None:
    first = plan(runs, policy, NOW)
    assert plan(list(reversed(runs)), policy, NOW) == first
    remaining = [r for r in runs if r.run_id in {v.run_id for v in first.keep}]
    assert plan(remaining, policy, NOW) == Plan(first.keep, ())


def test_prune_removes_the_planned_runs_once(tmp_path: Path) -> None:
    keep, gone = make_run(tmp_path, 1, "baseline"), make_run(tmp_path, 2)
    assert prune_now(tmp_path) == [gone.name]
    assert keep.exists()
    assert not gone.exists()
    assert list((tmp_path / TRASH).iterdir()) == []
    assert prune_now(tmp_path) == []


def test_prune_leaves_everything_but_fraudworld_runs(tmp_path: Path) -> None:
    """Links, foreign folders and files, another tool's receipt, a foreign file inside a run."""
    root, away = tmp_path / "runs", tmp_path / "away"
    target = make_run(away, 9)
    root.mkdir()
    (root / f"{9:032x}").symlink_to(target)
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("keep")
    (root / f"{8:032x}").mkdir()  # named like a run, without a receipt
    (root / "file.txt").write_text("keep")
    foreign = make_run(root, 7)
    text = json.loads((foreign / "run_receipt.json").read_text()) | {"tool": "another"}
    (foreign / "run_receipt.json").write_text(json.dumps(text))
    linked = make_run(root, 6)
    (linked / "run_receipt.json").rename(away / "receipt.json")
    (linked / "run_receipt.json").symlink_to(away / "receipt.json")
    (make_run(root, 5) / "thesis.docx").write_text("keep")
    make_run(root, 4).rename(root / f"{3:032x}")  # named like another run
    trash = root / TRASH
    trash.mkdir()
    (trash / "mine").mkdir()
    (trash / f"{1:032x}-0123abcd").symlink_to(away)
    before = sorted(str(p) for p in tmp_path.rglob("*") if not p.name.startswith(".st"))
    assert prune_now(root) == []
    assert before == sorted(str(p) for p in tmp_path.rglob("*") if not p.name.startswith(".st"))
    assert {why for _, why in find(root).left_alone} == {
        "a link", "not named as runs are", "no receipt of ours",
        "holds thesis.docx, which is not ours", "its receipt is another run's",
    }  # fmt: skip


def test_a_trash_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    root, away = tmp_path / "runs", tmp_path / "away"
    run = make_run(root, 1)
    away.mkdir()
    (away / f"{1:032x}-0123abcd").mkdir()
    (root / TRASH).symlink_to(away)
    assert prune_now(root) == []
    assert run.exists()
    assert (away / f"{1:032x}-0123abcd").exists()


def test_a_run_pinned_or_frozen_after_planning_is_kept(tmp_path: Path) -> None:
    pinned, frozen, gone = (make_run(tmp_path, n) for n in (1, 2, 3))
    agreed = plan_of(tmp_path, AT_ONCE, NOW)
    assert len(agreed.remove) == 3
    pin(pinned, "baseline")
    freeze("P5", [frozen])
    assert prune(tmp_path, agreed, AT_ONCE, NOW) == [gone.name]
    assert pinned.exists()
    assert frozen.exists()


def test_a_pruned_run_has_no_ledger_entry(tmp_path: Path) -> None:
    """A pruned run loses its ledger entry, so making it again restores its own role."""
    old = make_run(tmp_path, 1, "candidate")
    assert pin(make_run(tmp_path, 2), "candidate") == (old.name,)
    assert prune_now(tmp_path) == [old.name]
    assert old.name not in read_ledger(tmp_path).roles


PRUNE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from fraudworld.store.prune import plan_of, prune
from fraudworld.store.retention import RetentionPolicy
root, policy, now = Path(sys.argv[1]), RetentionPolicy(), datetime.now(UTC)
print("ready", flush=True)
prune(root, plan_of(root, policy, now), policy, now)
"""


def test_a_prune_killed_at_any_instant_removes_no_run_partly(tmp_path: Path) -> None:
    """Every visible run is complete, and the next prune finishes the interrupted one."""
    draw, midway = random.Random(6), 0
    for attempt in range(12):
        root = tmp_path / str(attempt)
        keep = make_run(root, 999, "last_good")
        complete = {p.relative_to(keep).as_posix() for p in keep.rglob("*")}
        for number in range(1, 41):
            make_run(root, number)
        with subprocess.Popen(
            [sys.executable, "-c", PRUNE, str(root)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            left = draw.randint(1, 41)
            while len(list(root.glob("[!.]*"))) > left and child.poll() is None:
                pass  # a pause would miss most of the few milliseconds that a prune takes
            child.kill()
        visible = [p for p in root.iterdir() if not p.name.startswith(".")]
        midway += 1 < len(visible) < 41
        for run in visible:
            assert {p.relative_to(run).as_posix() for p in run.rglob("*")} == complete
        prune_now(root)
        assert [p for p in root.iterdir() if not p.name.startswith(".")] == [keep]
        assert list((root / TRASH).iterdir()) == []
    assert midway, "no kill came while runs were removed"


def test_the_command_prints_a_reason_per_run_and_asks_for_yes(
    tmp_path: Path, fraudworld: Callable[..., CallResult]
) -> None:
    keep, gone = make_run(tmp_path, 1, "baseline"), make_run(tmp_path, 2, passed=False)
    result = fraudworld("runs", "prune", "--runs-root", tmp_path)
    assert result.status == 0
    assert gone.exists()
    assert "is baseline" in result.out
    assert "holds no role" in result.out
    assert "--yes" in result.out
    result = fraudworld("runs", "prune", "--runs-root", tmp_path, "--yes", "--json")
    assert json.loads(result.out)["removed"] == [gone.name]
    assert keep.exists()
    assert not gone.exists()


@pytest.mark.parametrize("text", ["[]", "{", '{"tool": "fraudworld"}', '{"tool": "x"}'])
def test_without_a_readable_ledger_nothing_is_removed(
    tmp_path: Path, text: str, fraudworld: Callable[..., CallResult]
) -> None:
    run = make_run(tmp_path, 1)
    (tmp_path / "store_6A.json").write_text(text)
    result = fraudworld("runs", "prune", "--runs-root", tmp_path, "--yes")
    assert result.status == 2
    assert "LEDGER_INVALID" in result.err
    assert run.exists()


def make_arms(root: Path, name: str) -> Path:
    """Control arms of T10 of a candidate: a world and a stream of 4 000 bytes in all."""
    for part in ("worlds/w/data.parquet", "streams/s/data.parquet"):
        file = root / ARMS / name / part
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * 2_000)
    return root / ARMS / name


@given(kept_runs, st.randoms())
def test_a_command_removes_only_runs_it_made_itself(runs: list[Kept], rnd: random.Random) -> None:
    whole = plan(runs, RetentionPolicy(), NOW)
    made = {run.run_id for run in runs if rnd.random() < 0.5}
    needed = {run_id for run_id in sorted(made) if rnd.random() < 0.3}
    part = superseded(whole, made, needed)
    assert sorted(v.run_id for v in (*part.keep, *part.remove)) == sorted(r.run_id for r in runs)
    gone = {v.run_id for v in part.remove}
    assert gone == {v.run_id for v in whole.remove} & (made - needed)
    assert all(v.why.startswith("superseded: ") for v in part.remove)


def test_control_arms_go_with_their_candidate(tmp_path: Path) -> None:
    gone, kept = make_run(tmp_path, 1), make_run(tmp_path, 2, "candidate")
    arms = [make_arms(tmp_path, run.name) for run in (gone, kept)]
    assert prune_now(tmp_path) == [gone.name]
    assert [folder.exists() for folder in arms] == [False, True]
    assert not any((tmp_path / TRASH).iterdir())


def test_arms_without_a_candidate_go_and_strange_folders_stay(tmp_path: Path) -> None:
    kept = make_run(tmp_path, 2, "candidate")
    for name in ("worlds", "streams", f"{7:032x}", kept.name, "notes"):
        make_arms(tmp_path, name)
    outside = make_arms(tmp_path / "elsewhere", f"{9:032x}")
    (tmp_path / ARMS / f"{9:032x}").symlink_to(outside)
    assert {p.name for p in orphaned_arms(tmp_path)} == {"worlds", "streams", f"{7:032x}"}
    assert prune_now(tmp_path) == []
    left = {p.name for p in (tmp_path / ARMS).iterdir()}
    assert left == {kept.name, "notes", f"{9:032x}"}
    assert (outside / "worlds/w/data.parquet").is_file()


def test_a_linked_folder_of_arms_is_not_touched(tmp_path: Path) -> None:
    make_arms(tmp_path / "elsewhere", f"{7:032x}")
    (tmp_path / ARMS).symlink_to(tmp_path / "elsewhere" / ARMS)
    assert orphaned_arms(tmp_path) == ()
    prune_now(tmp_path)
    assert (tmp_path / "elsewhere" / ARMS / f"{7:032x}").is_dir()


def test_the_plan_accounts_for_arms(tmp_path: Path, fraudworld: Callable[..., CallResult]) -> None:
    run = make_run(tmp_path, 1)
    alone = size_of(run)
    make_arms(tmp_path, run.name)
    make_arms(tmp_path, f"{7:032x}")
    stated = json.loads(fraudworld("runs", "prune", "--runs-root", tmp_path, "--json").out)
    assert {row["run"]: (row["action"], row["bytes"]) for row in stated["plan"]} == {
        run.name: ("remove", alone + 4_000), f"{7:032x}": ("remove", 4_000),
    }  # fmt: skip
    shown = fraudworld("runs", "prune", "--runs-root", tmp_path)
    assert "arms of T10 without their run" in shown.out


def test_superseded_runs_are_named_before_they_go(tmp_path: Path) -> None:
    mine, theirs, needed = (make_run(tmp_path, number) for number in (1, 2, 3))
    lines: list[str] = []
    gone = prune_superseded(tmp_path, {mine.name, needed.name}, {needed.name}, lines.append)
    assert gone == [mine.name]
    assert [run.exists() for run in (mine, theirs, needed)] == [False, True, True]
    assert lines == [f"prune {mine.name[:8]}: superseded: holds no role (passed B)"]
    assert prune_superseded(tmp_path, {needed.name}, {needed.name}, lines.append) == []
