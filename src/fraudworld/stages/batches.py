"""A table in pieces: what stages hand to the writer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Rows:
    """Rows first[k] … first[k + 1] − 1 of a table are made of piece k.

    `make(*arguments, low, high)` gives rows low … high − 1 of a piece, counted inside it;
    the arguments of piece k stand in row k of `columns`, Items among them. It is called where
    the rows are encoded, so it is a function of a module, or a partial of one.
    """

    first: NDArray[np.int64]  # shape (pieces + 1,)
    make: Callable[..., Batch]
    columns: tuple[Sequence[Any] | NDArray[Any], ...]

    @property
    def n(self) -> int:
        return int(self.first[-1])

    def pieces(self, low: int, high: int) -> list[tuple[list[Any], int, int]]:
        """(arguments, low, high inside the piece) of every piece that rows low … high − 1 touch."""
        first = self.first.tolist()
        begin = bisect_right(first, low) - 1
        touched = [k for k in range(begin, bisect_left(first, high)) if first[k] < first[k + 1]]
        return [
            (
                [column[k] for column in self.columns],
                max(low, first[k]) - first[k],
                max(min(high, first[k + 1]) - first[k], 0),
            )
            for k in touched or [0]  # an empty table still has columns
        ]


def whole(batch: Batch) -> Rows:
    """A small table that is there already."""
    n = len(next(iter(batch.values())))
    return Rows(np.array([0, n]), _slice, ([batch],))


def _slice(batch: Batch, low: int, high: int) -> Batch:
    return {name: values[low:high] for name, values in batch.items()}


def ids(first: int, low: int, high: int) -> NDArray[np.int64]:
    """Published ids of positions first + low … first + high − 1."""
    return np.arange(first + low + 1, first + high + 1, dtype=np.int64)


def ref(positions: NDArray[np.integer], first: int = 0) -> NDArray[np.int64]:
    """Published ids of positions counted from `first`; for −1 with first 0: 0, the null."""
    return np.asarray(np.add(positions, 1 + first, dtype=np.int64))


def optional(positions: NDArray[np.integer], first: int) -> NDArray[np.int64]:
    """Published ids of positions counted from `first`, −1 becoming 0, the writer's null."""
    return np.where(positions < 0, np.int64(0), ref(positions, first))
