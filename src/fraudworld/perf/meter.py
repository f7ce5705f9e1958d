"""Charges the CPU of tasks on other threads to the step that started them.

The CPU time of a process says nothing about which state used it: a table is encoded on other
threads while a later state computes. So a step counts the CPU of its own thread, and every task
measures itself on the thread that runs it and is charged to the account that was open when the
task was submitted.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Clocks:
    """Clocks, in seconds: wall time, CPU of the calling thread, CPU of all threads."""

    wall: Callable[[], float] = time.perf_counter
    thread: Callable[[], float] = time.thread_time
    process: Callable[[], float] = time.process_time


class Account:
    """Seconds that tasks on other threads spent for one step; threads may add at once.

    `elapsed_s`: wall seconds of the tasks, added up, so two threads may spend two in one second.
    `peak_rss_mib`: high-water mark of this process when a task last ended. `error_type`: of the
    first task that failed.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._lock = threading.Lock()
        self.cpu_s = 0.0
        self.elapsed_s = 0.0
        self.peak_rss_mib = 0.0
        self.error_type: str | None = None

    def add(self, cpu_s: float, elapsed_s: float, error_type: str | None = None) -> None:
        """Adds the seconds of a task."""
        with self._lock:
            self.cpu_s += cpu_s
            self.elapsed_s += elapsed_s
            self.peak_rss_mib = max(self.peak_rss_mib, peak_rss_mib())
            self.error_type = self.error_type or error_type

    def measured(self, task: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Runs a task on this thread and adds its seconds; re-raises its exception."""
        wall, cpu = self._clocks.wall(), self._clocks.thread()
        error: str | None = None
        try:
            return task(*args, **named)
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self.add(self._clocks.thread() - cpu, self._clocks.wall() - wall, error)


Meter = Callable[[], Account | None]
"""The account that is open now; None where nothing is measured."""


def unmetered() -> None:
    """A meter that measures nothing."""


class MeteredExecutor(Executor):
    """Charges every task of a pool to one account; the pool's owner shuts it down."""

    def __init__(self, pool: Executor, account: Account) -> None:
        self._pool = pool
        self._account = account

    def submit(self, task: Callable[P, R], /, *args: P.args, **named: P.kwargs) -> Future[R]:
        """Starts a task on the pool."""
        return self._pool.submit(lambda: self._account.measured(task, *args, **named))


def peak_rss_mib() -> float:
    """High-water mark of this process's memory, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2
