"""The part of the Dask engine that runs on workers: the rows of a future, and what they cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fraudworld.engine.results import bytes_in
from fraudworld.engine.workers import Versions, compare, stamp
from fraudworld.perf.meter import Account, Clocks

Row = tuple[object, ...]
Charge = tuple[str, int]
"""An engine, and the number of an account in it."""

_LOCK = threading.Lock()
_SPENT: dict[Charge, Account] = {}
"""What the tasks of this worker have spent, until `spent` takes it."""


class RowResults:
    """Results of the rows of a future, which stay on the worker, and for `run` their summaries.

    Reports its size to Dask, which places, moves and spills results by it.
    """

    __slots__ = ("kept", "size", "summaries")

    def __init__(self, kept: Sequence[object], summaries: Sequence[object] = ()) -> None:
        self.kept = kept
        self.summaries = summaries
        self.size = bytes_in(list(kept))

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.size


@dataclass(frozen=True)
class Pick:
    """Placeholder of an item among a row's arguments: row `row` of input `source` of the future."""

    source: int
    row: int


Law = Callable[..., object] | RowResults
"""A task, or the result that holds it."""


def keep(
    expected: Versions,
    charge: Charge | None,
    law: Law,
    plan: list[Row],
    sources: list[RowResults],
) -> RowResults:
    """On the worker: the rows of a future of `submit`."""
    return RowResults(_run(expected, charge, law, plan, sources))


def split(
    expected: Versions,
    charge: Charge | None,
    law: Law,
    plan: list[Row],
    sources: list[RowResults],
) -> RowResults:
    """On the worker: the rows of a future of `run`."""
    kept, summaries = zip(*_run(expected, charge, law, plan, sources), strict=True)
    return RowResults(kept, summaries)


def _run(
    expected: Versions,
    charge: Charge | None,
    law: Law,
    plan: list[Row],
    sources: list[RowResults],
) -> list[Any]:
    # Workers may join at any time, so each future compares versions.
    compare("a worker", expected, stamp())
    task: Any = law.kept[0] if isinstance(law, RowResults) else law

    def value(argument: object) -> object:
        if isinstance(argument, Pick):
            return sources[argument.source].kept[argument.row]
        if type(argument) is list:
            return [value(element) for element in argument]
        if type(argument) is tuple:
            return tuple(value(element) for element in argument)
        return argument

    def rows() -> list[Any]:
        return [task(*map(value, row)) for row in plan]

    if charge is None:
        return rows()
    with _LOCK:
        account = _SPENT.setdefault(charge, Account(Clocks()))
    return account.measured(rows)


def constant(task: object) -> RowResults:
    """On a worker: holds a task with large constants for the futures that run it."""
    return RowResults([task])


def summaries_of(results: RowResults) -> Sequence[object]:
    """On the worker: the summaries of a future's rows."""
    return results.summaries


def spent(engine: str) -> dict[int, tuple[float, float, str | None]]:
    """On a worker: takes the seconds of CPU and of wall time, and the error type, by account."""
    with _LOCK:
        mine = [charge for charge in _SPENT if charge[0] == engine]
        taken = {number: _SPENT.pop((engine, number)) for _, number in mine}
    return {n: (a.cpu_s, a.elapsed_s, a.error_type) for n, a in taken.items()}
