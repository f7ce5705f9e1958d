"""Whole runs on clusters that lose workers, schedulers and clients: everything or nothing."""

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
"""Parties of a shard: every shard one atom, several, and one shard a country."""

Ask = Callable[..., RunRequest]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two workers that are restarted when killed."""
    with clusters.cluster(2, tmp_path_factory.mktemp("workers")) as started:
        yield started


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An overlay that lets a world be this small."""
    file = tmp_path_factory.mktemp("overlay") / "tiny.yaml"
    file.write_text(OVERLAY, "utf-8")
    return str(file)


@pytest.fixture(scope="module")
def ask(overlay: str) -> Ask:
    """Requests for the small world."""

    def asked(root: Path, cluster: Any = None, **changes: Any) -> RunRequest:
        if cluster is not None:
            changes |= {"engine": "dask", "scheduler": cluster.scheduler_address}
        return RunRequest(**{**SMALL, **changes}, runs_root=root, overlays=(overlay,))

    return asked


@pytest.fixture(scope="module")
def undisturbed(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> pipeline.RunOutcome:
    """The small world made by threads."""
    return pipeline.run(ask(tmp_path_factory.mktemp("local")))


def same(a: pipeline.RunOutcome, b: pipeline.RunOutcome) -> bool:
    """Equal content digests, and every byte of data and logs."""
    digests = [json.loads(o.place.bundle_index.read_text())["content_digests"] for o in (a, b)]
    return digests[0] == digests[1] and files(a.place.root) == files(b.place.root)


def files(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for top in ("data", "logs")
        for p in sorted((root / top).rglob("*"))
        if p.is_file()
    }


def left(root: Path) -> list[Path]:
    """Staging folders that nobody removed."""
    return [p for p in (root / AREA).iterdir() if p.is_dir()]


def test_the_tiny_world_is_the_golden_one_though_a_worker_is_killed(
    two: Any, tmp_path: Path
) -> None:
    with (
        DaskEngine(1, two.scheduler_address, tmp_path / "scratch") as engine,
        clusters.Killer(two, kills=1, seconds=3.0, seed=3) as killer,
    ):
        made = golden.tiny(tmp_path / "tiny", 1_024, engine)
    assert golden.moved(golden.read("tiny"), made) == []
    assert len(killer.done) == 1


@pytest.mark.full
def test_a_run_on_a_cluster_survives_a_worker_killed(
    two: Any, undisturbed: pipeline.RunOutcome, ask: Ask, tmp_path: Path
) -> None:
    with clusters.Killer(two, kills=1, seconds=2.0, seed=7):
        outcome = pipeline.run(ask(tmp_path, two, shard_parties=4_096))
    assert same(outcome, undisturbed)
    assert left(tmp_path) == []


def test_the_engine_of_this_process_makes_the_same_run(
    undisturbed: pipeline.RunOutcome, ask: Ask, tmp_path: Path
) -> None:
    asked = ask(tmp_path, engine="dask", workers=2, shard_parties=1_024)
    assert same(pipeline.run(asked), undisturbed)
    assert left(tmp_path) == []


def test_memory_that_holds_nothing_makes_the_same_run(
    undisturbed: pipeline.RunOutcome, ask: Ask, tmp_path: Path
) -> None:
    asked = ask(tmp_path, memory=1e-6, shard_parties=4_096)
    assert same(pipeline.run(asked), undisturbed)
    assert left(tmp_path) == []


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_and_any_cut_make_the_same_run(
    workers: int, undisturbed: pipeline.RunOutcome, ask: Ask, tmp_path: Path
) -> None:
    with clusters.cluster(workers, tmp_path / "workers") as started:
        for size in SHARDS:
            root = tmp_path / f"runs-{size}"
            assert same(pipeline.run(ask(root, started, shard_parties=size)), undisturbed), size


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_twenty_workers_killed_at_random_instants(
    workers: int, undisturbed: pipeline.RunOutcome, ask: Ask, tmp_path: Path
) -> None:
    kills = 0
    rng = random.Random(workers)
    with clusters.cluster(workers, tmp_path / "workers") as started:
        before = time.monotonic()
        pipeline.run(ask(tmp_path / "first", started))
        usual = time.monotonic() - before
        while kills < 20:
            root = tmp_path / f"runs-{kills}"
            asked = ask(root, started, shard_parties=rng.choice(SHARDS))
            with clusters.Killer(started, rng.randint(1, 4), usual, rng.randrange(1 << 30)) as k:
                assert same(pipeline.run(asked), undisturbed), (kills, k.done)
            assert left(root) == []
            kills += len(k.done)


@pytest.mark.full
def test_a_run_whose_scheduler_is_killed_publishes_nothing_and_starts_cleanly_again(
    undisturbed: pipeline.RunOutcome,
    ask: Ask,
    overlay: str,
    tmp_path: Path,
    fraudworld: Callable[..., Any],
) -> None:
    root = tmp_path / "runs"
    words = f"{WORDS} --overlay {overlay} --runs-root {root} --scheduler"
    with clusters.Processes(tmp_path, workers=2) as processes:
        threading.Timer(3.0, processes.scheduler.kill).start()
        said = fraudworld(*words.split(), processes.address)
        assert said.status == 4
        assert "6A.ENGINE.SCHEDULER_LOST" in said.err
        assert [p for p in root.iterdir() if not p.name.startswith(".")] == left(root) == []
    with clusters.Processes(tmp_path, workers=2) as processes:
        asked = ask(root, engine="dask", scheduler=processes.address)
        assert same(pipeline.run(asked), undisturbed)


@pytest.mark.full
def test_a_command_killed_leaves_a_cluster_that_works_on(
    two: Any, undisturbed: pipeline.RunOutcome, ask: Ask, overlay: str, tmp_path: Path
) -> None:
    words = f"{WORDS} --overlay {overlay} --runs-root {tmp_path} --scheduler"
    command = [sys.executable, "-m", "fraudworld", *words.split(), two.scheduler_address]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for seconds in (2.0, 3.0, 4.0):
        process = subprocess.Popen(command, env=path, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert same(pipeline.run(ask(tmp_path, two)), undisturbed)
    assert left(tmp_path) == []
