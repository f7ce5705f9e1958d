"""The Dask engine when workers or the scheduler are killed: the same values, or a LostError.

Killing one worker costs time only. Without workers or scheduler, LostError is raised, and nothing
hangs. A cluster that does not fit (address, version, folder) is refused before any work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from fraudworld.engine import dask as of_dask
from fraudworld.engine.dask import DaskEngine
from fraudworld.engine.local import LocalEngine
from fraudworld.errors import InputError, LostError
from support import clusters


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two workers that are restarted when killed."""
    with clusters.cluster(2, tmp_path_factory.mktemp("workers")) as started:
        yield started


def test_rounds_survive_a_worker_killed(two_workers: Any, tmp_path: Path) -> None:
    with LocalEngine(1) as local:
        expected = clusters.rounds(local, range(12), 6, 0)
    with DaskEngine(1, two_workers.scheduler_address, tmp_path / "scratch") as engine:
        assert engine.workers == 2
        with clusters.Killer(two_workers, kills=1, seconds=1.0, seed=5) as killer:
            assert clusters.rounds(engine, range(12), 6, 0.05) == expected
    assert len(killer.done) == 1


@pytest.mark.full
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_rounds_survive_twenty_workers_killed(workers: int, tmp_path: Path) -> None:
    with LocalEngine(1) as local:
        expected = clusters.rounds(local, range(12), 20, 0)
    kills = 0
    with (
        clusters.cluster(workers, tmp_path / "workers") as started,
        DaskEngine(1, started.scheduler_address, tmp_path / "scratch") as engine,
    ):
        while kills < 20:
            with clusters.Killer(started, kills=4, seconds=5, seed=kills) as killer:
                assert clusters.rounds(engine, range(12), 20, 0.02) == expected
            kills += len(killer.done)


def test_a_killed_scheduler_raises_and_the_same_work_succeeds_on_another(tmp_path: Path) -> None:
    with LocalEngine(1) as local:
        expected = clusters.rounds(local, range(8), 4, 0)
    with (
        clusters.Processes(tmp_path, workers=1) as processes,
        DaskEngine(1, processes.address, tmp_path / "scratch", patience=5) as engine,
    ):
        threading.Timer(0.5, processes.scheduler.kill).start()
        before = time.monotonic()
        with pytest.raises(LostError) as caught:
            clusters.rounds(engine, range(8), 50, 0.05)
        assert caught.value.code == "6A.ENGINE.SCHEDULER_LOST"
        assert "same command" in caught.value.remedy
        with pytest.raises(LostError):  # every later call, too
            clusters.rounds(engine, range(8), 1, 0)
        assert time.monotonic() - before < 60
    with (
        clusters.Processes(tmp_path, workers=1) as processes,
        DaskEngine(1, processes.address, tmp_path / "scratch") as engine,
    ):
        assert clusters.rounds(engine, range(8), 4, 0) == expected


def test_settling_accounts_with_a_killed_scheduler_raises(tmp_path: Path) -> None:
    with (
        clusters.Processes(tmp_path, workers=1) as processes,
        DaskEngine(1, processes.address, tmp_path / "scratch", patience=5) as engine,
    ):
        clusters.rounds(engine, range(8), 1, 0)
        processes.scheduler.kill()
        processes.scheduler.wait()
        with pytest.raises(LostError) as caught:
            engine.settle()
        assert caught.value.code == "6A.ENGINE.SCHEDULER_LOST"


def test_workers_that_start_again_while_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask counts running workers only: none, where all were killed and are starting again."""

    async def nobody(*_: object, **__: object) -> dict[str, int]:
        return {}

    with clusters.cluster(1, tmp_path / "workers") as started:
        started.scheduler.handlers["ncores"] = nobody
        with DaskEngine(1, started.scheduler_address, tmp_path / "scratch") as engine:
            assert engine.workers == 1
            assert engine.collect(abs, [-3, -2]) == [3, 2]


def test_losing_all_workers_raises(tmp_path: Path) -> None:
    with (
        clusters.Processes(tmp_path, workers=1) as processes,
        DaskEngine(1, processes.address, tmp_path / "scratch", patience=3) as engine,
    ):
        threading.Timer(0.5, processes.workers[0].kill).start()
        with pytest.raises(LostError) as caught:
            engine.collect(clusters.sleep, [60.0])
        assert caught.value.code == "6A.ENGINE.WORKERS_LOST"


def test_a_task_that_kills_its_workers_raises(tmp_path: Path) -> None:
    with (
        clusters.cluster(
            1, tmp_path / "workers", scheduler_kwargs={"allowed_failures": 0}
        ) as started,
        DaskEngine(1, started.scheduler_address, tmp_path / "scratch") as engine,
    ):
        with pytest.raises(LostError, match="every worker that ran one task died") as caught:
            engine.collect(clusters.die, [9])
        assert caught.value.code == "6A.ENGINE.WORKERS_LOST"


def test_a_wrong_address_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_dask, "CONNECT_S", 0.5)
    nowhere = f"tcp://{of_dask.LOOPBACK}:9"
    with pytest.raises(InputError) as caught:
        DaskEngine(1, nowhere, tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("6A.CLI.SCHEDULER_UNREACHABLE", 2)
    assert caught.value.where == nowhere


def test_a_scheduler_without_workers_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_dask, "CONNECT_S", 3.0)
    with (
        clusters.cluster(0, tmp_path / "workers") as empty,
        pytest.raises(InputError) as caught,
    ):
        DaskEngine(1, empty.scheduler_address, tmp_path / "scratch", patience=1)
    assert caught.value.code == "6A.CLI.NO_WORKERS"


def test_workers_of_another_version_are_bad_input(tmp_path: Path) -> None:
    preload = "import fraudworld; fraudworld.__version__ = '0.0.9'"
    with (
        clusters.cluster(1, tmp_path / "workers", preload=[preload]) as old,
        pytest.raises(InputError) as caught,
    ):
        DaskEngine(1, old.scheduler_address, tmp_path / "scratch")
    assert caught.value.code == "6A.CLI.WORKERS_DIFFER"
    assert "fraudworld 0.0.9" in caught.value.what


def test_workers_without_access_to_the_folder_are_bad_input(
    two_workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(folder: str, nonce: str) -> str | None:
        return None

    elsewhere.__module__ = "nowhere"  # sent by value, as no worker can import it
    monkeypatch.setattr(of_dask, "answer", elsewhere)
    with pytest.raises(InputError) as caught:
        DaskEngine(1, two_workers.scheduler_address, tmp_path / "scratch")
    assert caught.value.code == "6A.CLI.FOLDER_NOT_SHARED"
    assert str(tmp_path) in caught.value.where
