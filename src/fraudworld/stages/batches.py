"""A table in pieces: what stages hand to the writer.

A column is an array, or a function that fills the buffer it is handed: a column that is only
published is then computed where it is encoded. Columns that are filled together stand under the
tuple of their names.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel

Fill = Callable[..., object]
Columns = dict[str, NDArray[np.generic]]
Batch = Mapping[Any, NDArray[np.generic] | Fill]


@dataclass(frozen=True)
class Rows:
    """A table of which piece k makes the rows first[k] … first[k + 1] − 1.

    `make(*arguments, low, high)` returns rows low … high − 1 of a piece, counted inside it. The
    arguments of piece k are row k of `columns`; Items may be among them. It is called where the
    rows are encoded, so it is a function of a module, or a partial of one.
    """

    first: NDArray[np.int64]  # shape (pieces + 1,)
    make: Callable[..., Batch]
    columns: tuple[Sequence[object] | NDArray[np.generic], ...]

    @property
    def n(self) -> int:
        return int(self.first[-1])

    def pieces(self, low: int, high: int) -> list[tuple[list[object], int, int]]:
        """(arguments, low, high inside the piece) of every piece with rows in low … high − 1."""
        first = self.first.tolist()
        begin = bisect_right(first, low) - 1
        touched = [k for k in range(begin, bisect_left(first, high)) if first[k] < first[k + 1]]
        return [
            (
                [column[k] for column in self.columns],
                max(low, first[k]) - first[k],
                max(min(high, first[k + 1]) - first[k], 0),
            )
            for k in touched or [0]  # an empty table still has its columns
        ]


def whole(batch: Columns) -> Rows:
    """A small table that is already in memory."""
    n = len(next(iter(batch.values())))
    return Rows(np.array([0, n]), _slice, ([batch],))


def _slice(batch: Columns, low: int, high: int) -> Batch:
    return {name: values[low:high] for name, values in batch.items()}


def same(value: int) -> Fill:
    """A column with one value in every row."""
    return lambda out: out.fill(int(value))


def ids(first: int, low: int) -> Fill:
    """Published ids of positions first + low, first + low + 1, …"""
    return partial(_count_up, first + low + 1)


def ref(positions: NDArray[np.integer], first: int) -> Fill:
    """Published ids of positions counted from `first`."""
    return partial(np.add, positions, 1 + first, dtype=np.int64)


def optional(positions: NDArray[np.integer], first: int) -> Fill:
    """As `ref`, but −1 becomes 0, the writer's null."""

    def fill(out: NDArray[np.int64]) -> None:
        ref(positions, first)(out)
        np.copyto(out, 0, where=positions < 0)

    return fill


def of_each(values: NDArray[np.integer], at: NDArray[np.integer], add: int = 0) -> Fill:
    """A column with values[at] + add; every position `at` is inside `values`."""
    return partial(_look_up, values, at, add)


@kernel
def _count_up(first, out):  # type: ignore[no-untyped-def]
    """out[i] = first + i; int64 (n,)."""
    for i in range(out.size):
        out[i] = first + i


@kernel
def _look_up(values, at, add, out):  # type: ignore[no-untyped-def]
    """out[i] = values[at[i]] + add.

    values, out : integer (m,), integer (n,); at : integer (n,), below m; add : int.
    """
    for i in range(out.size):
        out[i] = values[at[i]] + add
