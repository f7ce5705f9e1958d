"""What `fraudworld witness` refuses, and that it then says nothing of T10."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support.calling import Said

Call = Callable[..., Said]
FLAG = "data/layer3/6A/validation/_passed.flag"


@pytest.fixture
def world(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world, in a runs root of its own, that may be broken."""
    run = tmp_path / "runs" / small_world.name
    shutil.copytree(small_world, run, copy_function=os.link)
    (run.parent / ".upstream").symlink_to(small_world.parent / ".upstream")
    return run


def refused(said: Said, root: Path, status: int, *words: str) -> None:
    """One error block, the status, and no verdict."""
    assert said.status == status, said.err
    told = " ".join(said.err.split())
    assert [word for word in words if word not in told] == []
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not list(root.glob("reports/**/downstream_witness_6B_*.json"))


def test_a_candidate_without_flag(fraudworld: Call, world: Path) -> None:
    (world / FLAG).unlink()
    said = fraudworld("witness", world, world, "--flows", 1000, "--quiet")
    refused(said, world.parent, 3, "6B.S0.RUN_NOT_PASSED", "no _passed.flag")


def test_a_candidate_that_was_changed(fraudworld: Call, world: Path) -> None:
    part = next(world.rglob("part-00000.parquet"))
    content = part.read_bytes()
    part.unlink()
    part.write_bytes(content[:-1] + b"!")
    said = fraudworld("witness", world, world, "--flows", 1000, "--quiet")
    refused(said, world.parent, 3, "6A.S5.OUTPUT_CONFLICT", part.name)


def test_a_baseline_of_another_seed(fraudworld: Call, world: Path, tmp_path: Path) -> None:
    request = RunRequest(profile="demo", scale=0.4, seed=8, runs_root=tmp_path / "other")
    other = pipeline.run(request).place.root
    said = fraudworld("witness", other, world, "--flows", 1000, "--quiet")
    refused(said, world.parent, 2, "6B.S5.WITNESS_INPUT_INVALID", "seed 8", "candidate 7")


@pytest.mark.parametrize(
    ("flows", "code"),
    [("0", "6B.S0.WINDOW_INVALID"), ("999999999", "6B.S0.WINDOW_OUTSIDE_HORIZON")],
)
def test_flows_the_horizon_does_not_hold(
    fraudworld: Call, world: Path, flows: str, code: str
) -> None:
    said = fraudworld("witness", world, world, "--flows", flows, "--quiet")
    refused(said, world.parent, 2, code)


def test_a_run_that_does_not_exist(fraudworld: Call, world: Path) -> None:
    said = fraudworld("witness", "beef00", world, "--runs-root", world.parent, "--quiet")
    refused(said, world.parent, 2, "6A.CLI.RUN_NOT_FOUND")
