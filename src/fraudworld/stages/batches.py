"""A table as a function of row ranges: what stages hand to the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.generic]]

SPAN = 1 << 20


@dataclass(frozen=True)
class Rows:
    """How many rows a table has, and `batch(low, high)`: its rows low … high − 1.

    A batch is made when it is encoded, on whatever thread does that, so nothing it reads
    may change once the table was emitted.
    """

    n: int
    batch: Callable[[int, int], Batch]


def whole(batch: Batch) -> Rows:
    """A small table that is there already."""
    n = len(next(iter(batch.values())))
    return Rows(n, lambda low, high: {name: v[low:high] for name, v in batch.items()})


def spans(n: int) -> Iterator[tuple[int, int]]:
    """(low, high) ranges of at most SPAN covering 0 … n − 1; none where n is 0."""
    for low in range(0, n, SPAN):
        yield low, min(low + SPAN, n)


def ids(low: int, high: int) -> NDArray[np.int64]:
    """Published ids of positions low … high − 1."""
    return np.arange(low + 1, high + 1, dtype=np.int64)


def ref(positions: NDArray[np.integer]) -> NDArray[np.int64]:
    """Published ids of positions; −1 becomes 0, the writer's null."""
    return np.asarray(np.add(positions, 1, dtype=np.int64))
