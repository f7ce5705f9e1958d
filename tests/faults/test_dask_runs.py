"""Runs on clusters that lose workers, scheduler or client: the same bytes, or nothing published."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from fraudworld.engine.dask import DaskEngine
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.publish import AREA
from golden import golden_worlds as golden
from support import clusters

OVERLAY = """\
name: tiny
why: tests of clusters need a world that is made in a second or two
set:
  population_priors:
    country_floor: {minimum: 40}
"""
SMALL = {"profile": "demo", "scale": 0.1}
WORDS = "run --profile demo --scale 0.1 --quiet --engine dask"
SHARDS = (1_024, 4_096, 0)
"""Parties per shard: one atom, four atoms, and (0) one shard per country."""

MakeRequest = Callable[..., RunRequest]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two workers that are restarted when killed."""
    with clusters.cluster(2, tmp_path_factory.mktemp("workers")) as started:
        yield started


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An overlay that lowers the country floor for so small a world."""
    file = tmp_path_factory.mktemp("overlay") / "tiny.yaml"
    file.write_text(OVERLAY, "utf-8")
    return str(file)


@pytest.fixture(scope="module")
def request_for(overlay: str) -> MakeRequest:
    """A maker of requests for the small world."""

    def make_request(root: Path, cluster: Any = None, **changes: Any) -> RunRequest:
        if cluster is not None:
            changes |= {"engine": "dask", "scheduler": cluster.scheduler_address}
        return RunRequest(**{**SMALL, **changes}, runs_root=root, overlays=(overlay,))

    return make_request


@pytest.fixture(scope="module")
def undisturbed(
    request_for: MakeRequest, tmp_path_factory: pytest.TempPathFactory
) -> pipeline.RunOutcome:
    """The small world, made by the thread engine."""
    return pipeline.run(request_for(tmp_path_factory.mktemp("local")))


def same_bytes(a: pipeline.RunOutcome, b: pipeline.RunOutcome) -> bool:
    """Whether content digests and every byte of data and logs are equal."""
    digests = [json.loads(o.place.bundle_index.read_text())["content_digests"] for o in (a, b)]
    return digests[0] == digests[1] and files(a.place.root) == files(b.place.root)


def files(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for top in ("data", "logs")
        for p in sorted((root / top).rglob("*"))
        if p.is_file()
    }


def staging_left(root: Path) -> list[Path]:
    """Staging folders that remain."""
    return [p for p in (root / AREA).iterdir() if p.is_dir()]


def test_the_tiny_world_has_golden_digests_after_a_worker_is_killed(
    two_workers: Any, tmp_path: Path
) -> None:
    with (
        DaskEngine(1, two_workers.scheduler_address, tmp_path / "scratch") as engine,
        clusters.Killer(two_workers, kills=1, seconds=3.0, seed=3) as killer,
    ):
        digests = golden.tiny(tmp_path / "tiny", 1_024, engine)
    assert golden.changed_digests(golden.read("tiny"), digests) == []
    assert len(killer.done) == 1


@pytest.mark.full
def test_a_run_on_a_cluster_survives_a_worker_killed(
    two_workers: Any, undisturbed: pipeline.RunOutcome, request_for: MakeRequest, tmp_path: Path
) -> None:
    with clusters.Killer(two_workers, kills=1, seconds=2.0, seed=7):
        outcome = pipeline.run(request_for(tmp_path, two_workers, shard_parties=4_096))
    assert same_bytes(outcome, undisturbed)
    assert staging_left(tmp_path) == []


def test_a_local_cluster_makes_the_same_bytes(
    undisturbed: pipeline.RunOutcome, request_for: MakeRequest, tmp_path: Path
) -> None:
    request = request_for(tmp_path, engine="dask", workers=2, shard_parties=1_024)
    assert same_bytes(pipeline.run(request), undisturbed)
    assert staging_left(tmp_path) == []


def test_spilling_every_result_makes_the_same_bytes(
    undisturbed: pipeline.RunOutcome, request_for: MakeRequest, tmp_path: Path
) -> None:
    request = request_for(tmp_path, memory=1e-6, shard_parties=4_096)
    assert same_bytes(pipeline.run(request), undisturbed)
    assert staging_left(tmp_path) == []


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_and_any_shard_size_make_the_same_bytes(
    workers: int, undisturbed: pipeline.RunOutcome, request_for: MakeRequest, tmp_path: Path
) -> None:
    with clusters.cluster(workers, tmp_path / "workers") as started:
        for size in SHARDS:
            root = tmp_path / f"runs-{size}"
            assert same_bytes(
                pipeline.run(request_for(root, started, shard_parties=size)), undisturbed
            ), size


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_runs_survive_twenty_workers_killed_at_random_instants(
    workers: int, undisturbed: pipeline.RunOutcome, request_for: MakeRequest, tmp_path: Path
) -> None:
    kills = 0
    rng = random.Random(workers)
    with clusters.cluster(workers, tmp_path / "workers") as started:
        before = time.monotonic()
        pipeline.run(request_for(tmp_path / "first", started))
        usual = time.monotonic() - before
        while kills < 20:
            root = tmp_path / f"runs-{kills}"
            request = request_for(root, started, shard_parties=rng.choice(SHARDS))
            with clusters.Killer(started, rng.randint(1, 4), usual, rng.randrange(1 << 30)) as k:
                assert same_bytes(pipeline.run(request), undisturbed), (kills, k.done)
            assert staging_left(root) == []
            kills += len(k.done)


@pytest.mark.full
def test_a_run_whose_scheduler_is_killed_publishes_nothing_and_can_be_repeated(
    undisturbed: pipeline.RunOutcome,
    request_for: MakeRequest,
    overlay: str,
    tmp_path: Path,
    fraudworld: Callable[..., Any],
) -> None:
    root = tmp_path / "runs"
    words = f"{WORDS} --overlay {overlay} --runs-root {root} --scheduler"
    with clusters.Processes(tmp_path, workers=2) as processes:
        threading.Timer(3.0, processes.scheduler.kill).start()
        result = fraudworld(*words.split(), processes.address)
        assert result.status == 4
        assert "6A.ENGINE.SCHEDULER_LOST" in result.err
        shown = [p for p in root.iterdir() if not p.name.startswith(".")]
        assert shown in ([], [root / "reports"])  # timings of the refused run
        assert not list(root.rglob("run_receipt.json"))
        assert staging_left(root) == []
    with clusters.Processes(tmp_path, workers=2) as processes:
        request = request_for(root, engine="dask", scheduler=processes.address)
        assert same_bytes(pipeline.run(request), undisturbed)


@pytest.mark.full
def test_a_killed_command_leaves_the_cluster_working(
    two_workers: Any,
    undisturbed: pipeline.RunOutcome,
    request_for: MakeRequest,
    overlay: str,
    tmp_path: Path,
) -> None:
    words = f"{WORDS} --overlay {overlay} --runs-root {tmp_path} --scheduler"
    command = [sys.executable, "-m", "fraudworld", *words.split(), two_workers.scheduler_address]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for seconds in (2.0, 3.0, 4.0):
        process = subprocess.Popen(command, env=path, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert same_bytes(pipeline.run(request_for(tmp_path, two_workers)), undisturbed)
    assert staging_left(tmp_path) == []
