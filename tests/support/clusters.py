"""Dask clusters of local processes whose workers and schedulers tests kill.

Tasks that tests submit are here too, since workers import them by name.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import LocalCluster, Status
from numpy.typing import NDArray

from fraudworld.engine.dask import LOOPBACK
from fraudworld.engine.tasks import Engine

NOBODY = f"{LOOPBACK}:0"
UP_S = 60.0
"""Seconds in which processes must start."""
SETTINGS = {
    # Dask blames a task after so many deaths of its workers; here workers die for other reasons.
    "distributed.scheduler.allowed-failures": 1_000,
    # A nanny between two workers must not count as lost.
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
}
I64 = NDArray[np.int64]


@contextmanager
def cluster(workers: int, folder: Path, **options: Any) -> Iterator[LocalCluster]:
    """A scheduler in this process and `workers` single-threaded processes, which restart."""
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=NOBODY,
            worker_dashboard_address=NOBODY,
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
            **options,
        ) as started,
    ):
        yield started


def pids(of: LocalCluster) -> list[int]:
    """Process ids of running workers.

    Starting workers are left out: a nanny does not restart a worker killed during its start.
    """
    return sorted(
        nanny.pid
        for nanny in list(of.workers.values())
        if nanny.process is not None
        and nanny.process.status is Status.running
        and nanny.worker_address in of.scheduler.workers
    )


@dataclass
class Killer:
    """While its context lasts, kills a random worker at `kills` random instants of `seconds`."""

    of: LocalCluster
    kills: int
    seconds: float
    seed: int
    done: list[float] = field(default_factory=list)

    def __enter__(self) -> Killer:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._kill, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _kill(self) -> None:
        rng = random.Random(self.seed)
        began, dead = time.monotonic(), set[int]()
        for instant in sorted(rng.uniform(0, self.seconds) for _ in range(self.kills)):
            if self._stop.wait(max(0.0, began + instant - time.monotonic())):
                return
            while not (living := [pid for pid in pids(self.of) if pid not in dead]):
                if self._stop.wait(0.05):
                    return
            dead.add(chosen := rng.choice(living))
            with suppress(ProcessLookupError):
                os.kill(chosen, signal.SIGKILL)
                self.done.append(time.monotonic() - began)


class Processes:
    """A scheduler and workers as separate programs, started by their command lines."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._file = folder / f"scheduler-{time.monotonic_ns()}.json"
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--scheduler-file", self._file, "--no-show"
        )
        self.address = self._address()
        self.workers = [
            self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
            for _ in range(workers)
        ]

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self, program: str, *words: object) -> subprocess.Popen[bytes]:
        log = self._open.enter_context((self.folder / f"{program}.log").open("ab"))
        address = ["--host", LOOPBACK, "--dashboard-address", NOBODY]
        module = f"distributed.cli.dask_{program}"
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words), *address],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=log,
            stderr=log,
        )
        self._open.callback(_ended, process)
        return process

    def _address(self) -> str:
        until = time.monotonic() + UP_S
        while time.monotonic() < until:
            with suppress(OSError, ValueError, KeyError):
                return str(json.loads(self._file.read_text("utf-8"))["address"])
            time.sleep(0.05)
        raise AssertionError((self.folder / "scheduler.log").read_text("utf-8"))


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def rounds(engine: Engine, shards: Sequence[int], depth: int, seconds: float) -> list[int]:
    """Rounds like those of a stage: results stay, sums return and feed the next round."""
    items = engine.submit(_begin, shards)
    sums = [0]
    for _ in range(depth):
        items, sums = engine.run(
            _mix, items, [sum(sums) % 997] * len(shards), [seconds] * len(shards)
        )
    return engine.collect(_end, items)


def _begin(seed: int) -> I64:
    return np.random.default_rng(seed).integers(0, 1 << 20, 10_000)


def _mix(values: I64, add: int, seconds: float) -> tuple[I64, int]:
    time.sleep(seconds)
    mixed = values * 31 % 1_000_003 + add
    return mixed, int(mixed.sum())


def _end(values: I64) -> int:
    return int(values.sum())


def sleep(seconds: float) -> float:
    """A task that takes `seconds`."""
    time.sleep(seconds)
    return seconds


def die(number: int) -> None:
    """A task that kills its worker by signal `number`."""
    os.kill(os.getpid(), number)
