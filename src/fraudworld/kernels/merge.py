"""Merging two sorted columns into one published order, any range of it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MergedRows:
    """Some rows of the merged order: slices of both sides, and where each of theirs goes."""

    left: slice
    right: slice
    left_at: NDArray[np.int64] | slice
    right_at: NDArray[np.int64]


@dataclass(frozen=True)
class Merge:
    """Two ascending columns as one; rows of the right come before equal rows of the left.

    Meant for a right side that is short: its rows' places are kept.
    """

    n: int
    right_at: NDArray[np.int64]

    @classmethod
    def of(cls, left: NDArray[np.integer], right: NDArray[np.integer]) -> Merge:
        """Order two ascending columns."""
        before = np.searchsorted(left, right, side="left")
        return cls(left.size + right.size, before + np.arange(right.size))

    def rows(self, low: int, high: int) -> MergedRows:
        """Rows low … high − 1 of the merged order."""
        first, last = np.searchsorted(self.right_at, [low, high])
        right_at = self.right_at[first:last] - low
        left = slice(low - int(first), high - int(last))
        if right_at.size == 0:
            return MergedRows(left, slice(0, 0), slice(None), right_at)
        is_left = np.ones(high - low, dtype=np.bool_)
        is_left[right_at] = False
        return MergedRows(left, slice(int(first), int(last)), np.flatnonzero(is_left), right_at)
