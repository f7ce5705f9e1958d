"""The engine of one machine: threads of this process.

Kernels release the interpreter lock, so threads suffice, and they share results without copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from fraudworld.engine.results import Kept, Results
from fraudworld.engine.tasks import Item
from fraudworld.perf.meter import Meter, unmetered

R = TypeVar("R")
S = TypeVar("S")
Row = tuple[object, ...]


class LocalItem(Item[R]):
    """A result that is kept, or still being made."""

    __slots__ = ("result",)

    def __init__(self, result: Kept[R] | Future[Kept[R]]) -> None:
        self.result = result

    def get(self) -> R:
        """The value, once it is there. Raises the exception of the task."""
        result = self.result
        return (result if isinstance(result, Kept) else result.result()).get()


class LocalEngine:
    """Runs tasks on threads, in the order they were submitted.

    memory: bytes of results kept in memory; beyond them results go to files in `scratch`. meter:
    the account that tasks submitted now are charged to.
    """

    def __init__(
        self,
        workers: int,
        memory: int | None = None,
        scratch: Path | None = None,
        meter: Meter = unmetered,
    ) -> None:
        self.workers = workers
        self._meter = meter
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="shard")
        self._later = ThreadPoolExecutor(workers, thread_name_prefix="later")
        self._results = Results(memory, scratch)
        self._closed = False

    def submit(
        self, task: Callable[..., R], *columns: Iterable[object], later: bool = False
    ) -> list[Item[R]]:
        # A task waits for its inputs on its own thread. They were submitted before it and a pool
        # starts tasks in order, so its inputs are running or done. No task waits for `later` ones.
        pool = self._later if later else self._pool
        kept = self._charged(partial(self._kept, task))
        return [LocalItem(pool.submit(kept, row)) for row in zip(*columns, strict=True)]

    def collect(self, task: Callable[..., R], *columns: Iterable[object]) -> list[R]:
        return self._all(partial(_run, task), columns)

    def run(
        self, task: Callable[..., tuple[R, S]], *columns: Iterable[object]
    ) -> tuple[list[Item[R]], list[S]]:
        done = self._all(partial(self._split, task), columns)
        return [LocalItem(kept) for kept, _ in done], [summary for _, summary in done]

    def fetch(self, items: Sequence[Item[R]]) -> list[R]:
        return [_local(item).get() for item in items]

    def check(self, items: Sequence[Item[object]]) -> None:
        for item in items:
            result = _local(item).result
            if isinstance(result, Future) and result.done():
                result.result()

    def settle(self) -> None:
        """Nothing to do: threads charge each task when it ends."""

    def _charged(self, run: Callable[[Row], R]) -> Callable[[Row], R]:
        """`run`, charged to the account that is open now."""
        account = self._meter()
        return run if account is None else lambda row: account.measured(run, row)

    def _all(self, run: Callable[[Row], R], columns: tuple[Iterable[object], ...]) -> list[R]:
        """`run(row)` of every row; re-raises the exception of the first row that failed."""
        rows, run = list(zip(*columns, strict=True)), self._charged(run)
        done: dict[int, R] = {}
        errors: list[tuple[int, BaseException]] = []
        following = iter(range(len(rows)))

        def work() -> None:
            # Rows are many and short: a free thread takes the next one itself.
            for i in following:
                if errors or self._closed:
                    return
                try:
                    done[i] = run(rows[i])
                except BaseException as error:
                    errors.append((i, error))

        threads = [self._pool.submit(work) for _ in range(min(self.workers, len(rows)))]
        for thread in threads:
            thread.result()
        if errors:
            raise min(errors, key=itemgetter(0))[1]
        return [done[i] for i in range(len(rows))]

    def _kept(self, task: Callable[..., R], row: Row) -> Kept[R]:
        return self._results.put(_run(task, row))

    def _split(self, task: Callable[..., tuple[R, S]], row: Row) -> tuple[Kept[R], S]:
        result, summary = _run(task, row)
        return self._results.put(result), summary

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


def _local(item: Item[R]) -> LocalItem[R]:
    if not isinstance(item, LocalItem):
        raise TypeError(f"an item of another engine: {type(item).__name__}")
    return item


def _run(task: Callable[..., R], row: Row) -> R:
    return task(*map(_value, row))


def _value(argument: object) -> object:
    """An argument with its items replaced by their values."""
    if isinstance(argument, LocalItem):
        return argument.get()
    if type(argument) is list:
        return [_value(element) for element in argument]
    if type(argument) is tuple:
        return tuple(_value(element) for element in argument)
    return argument
