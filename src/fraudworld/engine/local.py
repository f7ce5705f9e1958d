"""The engine of one machine: threads of this process.

Kernels release the interpreter lock, so threads are enough, and what they share they share
without copying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any

from fraudworld.engine.results import Kept, Results
from fraudworld.engine.tasks import Item


class LocalItem:
    """A result that is kept, or on its way."""

    __slots__ = ("held",)

    def __init__(self, held: Kept | Future[Kept]) -> None:
        self.held = held

    def get(self) -> Any:
        """The value, once it is there. Raises what the task died of."""
        held = self.held
        return (held if isinstance(held, Kept) else held.result()).get()


class LocalEngine:
    """Runs tasks on threads, in the order they were asked for.

    memory: bytes of results kept in memory; beyond them results go to files in `scratch`.
    """

    def __init__(
        self, workers: int, memory: int | None = None, scratch: Path | None = None
    ) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="shard")
        self._later = ThreadPoolExecutor(workers, thread_name_prefix="later")
        self._results = Results(memory, scratch)
        self._closed = False

    def submit(
        self, task: Callable[..., Any], *columns: Iterable[Any], later: bool = False
    ) -> list[Item]:
        # A task waits for its inputs on its own thread. They were asked for before it, and
        # a pool starts tasks in order, so what it waits for is running or done; what comes
        # later is waited for by nothing but the end.
        pool = self._later if later else self._pool
        return [LocalItem(pool.submit(self._kept, task, row)) for row in zip(*columns, strict=True)]

    def collect(self, task: Callable[..., Any], *columns: Iterable[Any]) -> list[Any]:
        return self._all(_run, task, columns)

    def run(
        self, task: Callable[..., tuple[Any, Any]], *columns: Iterable[Any]
    ) -> tuple[list[Item], list[Any]]:
        done = self._all(self._split, task, columns)
        return [LocalItem(kept) for kept, _ in done], [summaries for _, summaries in done]

    def fetch(self, items: Sequence[Any]) -> list[Any]:
        return [item.get() for item in items]

    def check(self, items: Sequence[Any]) -> None:
        for item in items:
            if isinstance(item.held, Future) and item.held.done():
                item.held.result()

    def _all(
        self, run: Callable[..., Any], task: Callable[..., Any], columns: tuple[Iterable[Any], ...]
    ) -> list[Any]:
        """`run(task, row)` of every row; raises what the first row died of that did."""
        rows = list(zip(*columns, strict=True))
        done: list[Any] = [None] * len(rows)
        died: list[tuple[int, BaseException]] = []
        following = iter(range(len(rows)))

        def work() -> None:
            # Rows are many and short: a thread that is free takes the next one itself.
            for i in following:
                if died or self._closed:
                    return
                try:
                    done[i] = run(task, rows[i])
                except BaseException as error:
                    died.append((i, error))

        threads = [self._pool.submit(work) for _ in range(min(self.workers, len(rows)))]
        for thread in threads:
            thread.result()
        if died:
            raise min(died, key=itemgetter(0))[1]
        return done

    def _kept(self, task: Callable[..., Any], row: tuple[Any, ...]) -> Kept:
        return self._results.put(_run(task, row))

    def _split(self, task: Callable[..., Any], row: tuple[Any, ...]) -> tuple[Kept, Any]:
        kept, summaries = _run(task, row)
        return self._results.put(kept), summaries

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        for pool in (self._pool, self._later):
            pool.shutdown(cancel_futures=True)


def _run(task: Callable[..., Any], row: tuple[Any, ...]) -> Any:
    return task(*map(_value, row))


def _value(argument: Any) -> Any:
    if isinstance(argument, LocalItem):
        return argument.get()
    if type(argument) in (list, tuple):
        return type(argument)(map(_value, argument))
    return argument
