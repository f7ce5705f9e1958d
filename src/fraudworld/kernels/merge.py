"""Merging two sorted columns into one published order, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Merged:
    """Rows of one batch: slices of both sides, and where each row goes."""

    size: int
    left: slice
    right: slice
    left_at: NDArray[np.int64]
    right_at: NDArray[np.int64]


def merged(
    left: NDArray[np.integer], right: NDArray[np.integer], rows: int = 1 << 20
) -> Iterator[Merged]:
    """Merge two ascending columns; rows of `right` come before equal rows of `left`.

    Batches hold about `rows` rows of `left` and all of `right` that belongs between them.
    """
    right_before = np.searchsorted(left, right, side="left")
    low_right = 0
    for low in range(0, max(left.size, 1), rows):
        high = min(low + rows, left.size)
        last = high == left.size
        high_right = right.size if last else int(np.searchsorted(right_before, high, side="left"))
        inside = right_before[low_right:high_right] - low
        right_at = inside + np.arange(inside.size)
        size = high - low + inside.size
        taken = np.zeros(size, dtype=np.bool_)
        taken[right_at] = True
        yield Merged(
            size,
            slice(low, high),
            slice(low_right, high_right),
            np.flatnonzero(~taken),
            right_at,
        )
        low_right = high_right
