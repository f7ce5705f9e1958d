"""Where shards run: an ordered map over threads of this process.

Kernels release the interpreter lock, so threads are enough, and what they share they share
without copying. Nothing a stage computes may depend on how many threads there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """An ordered parallel map."""

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results of fn over items, in the order of the items."""
        ...


class LocalEngine:
    """Threads of this process; `workers=1` runs in the caller's thread."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        if self._pool is None:
            return [fn(item) for item in items]
        return list(self._pool.map(fn, items))

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Shard:
    """Parties first … last − 1, all of one country."""

    first: int
    last: int
    country: int


ATOM = 1024
"""Parties of one country that are never cut apart: homes and firms live inside an atom."""


def cut(country_start: Iterable[int], parties_per_shard: int | None) -> tuple[Shard, ...]:
    """Contiguous party ranges inside countries, whole atoms each.

    `parties_per_shard` is rounded up to atoms; None makes one shard a country.
    """
    bounds = [int(b) for b in country_start]
    shards = []
    for country, (low, high) in enumerate(itertools.pairwise(bounds)):
        size = high - low if parties_per_shard is None else -(-parties_per_shard // ATOM) * ATOM
        shards += [
            Shard(first, min(first + size, high), country)
            for first in range(low, high, max(size, 1))
        ]
    return tuple(shards)
