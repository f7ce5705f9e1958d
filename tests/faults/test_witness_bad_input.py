"""`fraudworld witness` refuses bad input and then writes no verdict."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support.calling import CallResult

Call = Callable[..., CallResult]
FLAG = "data/layer3/6A/validation/_passed.flag"


@pytest.fixture
def world(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world, in its own runs root, that a test may break."""
    run = tmp_path / "runs" / small_world.name
    shutil.copytree(small_world, run, copy_function=os.link)
    (run.parent / ".upstream").symlink_to(small_world.parent / ".upstream")
    return run


def check_refused(result: CallResult, root: Path, status: int, *words: str) -> None:
    """One error block, the status, and no verdict."""
    assert result.status == status, result.err
    message = " ".join(result.err.split())
    assert [word for word in words if word not in message] == []
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not list(root.glob("reports/**/downstream_witness_6B_*.json"))


def test_a_candidate_without_flag_is_refused(fraudworld: Call, world: Path) -> None:
    (world / FLAG).unlink()
    result = fraudworld("witness", world, world, "--flows", 1000, "--quiet")
    check_refused(result, world.parent, 3, "6A.S5.RUN_NOT_BELIEVED", "flag and receipt agree")


def test_a_candidate_that_failed_its_gates_is_refused(
    fraudworld: Call, world: Path, tmp_path: Path
) -> None:
    request = RunRequest(
        profile="demo", scale=0.4, seed=7, runs_root=tmp_path / "failed",
        overlays=("published_baseline",),
    )  # fmt: skip
    failed = pipeline.run(request).place.root
    result = fraudworld("witness", world, failed, "--flows", 1000, "--quiet")
    check_refused(result, failed.parent, 3, "6B.S0.RUN_NOT_PASSED", "no _passed.flag")


def test_a_changed_candidate_is_refused(fraudworld: Call, world: Path) -> None:
    part = next(world.rglob("part-00000.parquet"))
    content = part.read_bytes()
    part.unlink()
    part.write_bytes(content[:-1] + b"!")
    result = fraudworld("witness", world, world, "--flows", 1000, "--quiet")
    check_refused(result, world.parent, 3, "6A.S5.RUN_NOT_BELIEVED", part.name)


def test_a_baseline_of_another_seed_is_refused(
    fraudworld: Call, world: Path, tmp_path: Path
) -> None:
    request = RunRequest(profile="demo", scale=0.4, seed=8, runs_root=tmp_path / "other")
    other = pipeline.run(request).place.root
    result = fraudworld("witness", other, world, "--flows", 1000, "--quiet")
    check_refused(result, world.parent, 2, "6B.S5.WITNESS_INPUT_INVALID", "seed 8", "candidate 7")


@pytest.mark.parametrize(
    ("flows", "code"),
    [("0", "6B.S0.WINDOW_INVALID"), ("999999999", "6B.S0.WINDOW_OUTSIDE_HORIZON")],
)
def test_flows_outside_the_horizon_are_refused(
    fraudworld: Call, world: Path, flows: str, code: str
) -> None:
    result = fraudworld("witness", world, world, "--flows", flows, "--quiet")
    check_refused(result, world.parent, 2, code)


def test_a_missing_run_is_refused(fraudworld: Call, world: Path) -> None:
    result = fraudworld("witness", "beef00", world, "--runs-root", world.parent, "--quiet")
    check_refused(result, world.parent, 2, "6A.CLI.RUN_NOT_FOUND")
