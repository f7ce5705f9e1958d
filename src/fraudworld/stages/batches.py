"""Cutting columns into batches for the writer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.generic]]

BATCH_ROWS = 1 << 20


def spans(n: int) -> Iterator[tuple[int, int]]:
    """(low, high) row ranges of at most BATCH_ROWS covering n rows; none where n is 0."""
    for low in range(0, n, BATCH_ROWS):
        yield low, min(low + BATCH_ROWS, n)


def ids(low: int, high: int) -> NDArray[np.int64]:
    """Published ids of positions low … high − 1."""
    return np.arange(low + 1, high + 1, dtype=np.int64)


def ref(positions: NDArray[np.integer]) -> NDArray[np.int64]:
    """Published ids of positions; −1 becomes 0, the writer's null."""
    return positions.astype(np.int64) + 1
