"""Fixtures of all tests: published worlds, made once per session, and the command line."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.calling import CallResult


@pytest.fixture
def fraudworld(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., CallResult]:
    """Calls the program in this process: `fraudworld("policy", "lint")`."""
    from fraudworld.cli import app as cli

    def call(*words: object) -> CallResult:
        monkeypatch.setattr(sys, "argv", ["fraudworld", *(str(w) for w in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        result = capsys.readouterr()
        code = stop.value.code
        return CallResult(
            code if isinstance(code, int) else int(code is not None), result.out, result.err
        )

    return call


@pytest.fixture(scope="session")
def demo_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a published demo run, seed 42, for reading only.

    Made once for all test processes: they share a runs root, and the first to lock it runs.
    """
    from fraudworld.request import RunRequest
    from fraudworld.run import pipeline

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root = shared / "demo-runs"
    with (shared / "demo-runs.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        outcome = pipeline.run(RunRequest(profile="demo", seed=42, runs_root=root))
    return outcome.place.root


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a published run of about 40 000 parties, seed 7, for reading only."""
    from fraudworld.request import RunRequest
    from fraudworld.run import pipeline

    root = tmp_path_factory.mktemp("small-runs")
    return pipeline.run(RunRequest(profile="demo", scale=0.4, seed=7, runs_root=root)).place.root


@pytest.fixture(scope="session")
def small_stream(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a published stream: twelve days over `small_world`, for reading only."""
    from fraudworld.layers.transactions.request import StreamRequest
    from fraudworld.layers.transactions.stream import stream

    to = tmp_path_factory.mktemp("small-stream")
    assert stream(StreamRequest(run=small_world, days=12, to=to)).passed
    return to


@pytest.fixture(scope="session")
def profiled_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a published run with profiles inside, for reading only.

    It has 6 500 parties and seven banks, all of Greece. Its upstream is `up`, beside its runs root.
    """
    from fraudworld.layers.profiles.layer import make_profiles
    from fraudworld.layers.profiles.request import ProfilesRequest
    from fraudworld.request import RunRequest
    from fraudworld.run import pipeline
    from support.upstreams import of_one_country

    root = tmp_path_factory.mktemp("profiled")
    upstream = of_one_country(root / "up", "GR", "REGION_EMEA", "EUR", 0.002)
    request = RunRequest(upstream_dir=upstream, runs_root=root / "runs", workers=1)
    run = pipeline.run(request).place.root
    make_profiles(ProfilesRequest(run=run, upstream_dir=upstream, allow_unflagged=True, workers=1))
    return run
