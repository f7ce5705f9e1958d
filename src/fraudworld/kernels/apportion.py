"""Apportionment by largest remainder: integer plans whose total is conserved exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def largest_remainder(total: int, weights: ArrayLike) -> NDArray[np.int64]:
    """Splits `total` over `weights` (non-negative, not all zero); ties go to the first.

    Returns int64 of the weights' shape, summing to `total` exactly.
    """
    w = np.asarray(weights, dtype=np.float64)
    flat = w.ravel()
    if total < 0 or flat.size == 0 or not np.isfinite(flat).all() or (flat < 0).any():
        raise ValueError("largest_remainder needs a total ≥ 0 and finite weights ≥ 0")
    mass = flat.sum()
    if mass <= 0:
        if total == 0:
            return np.zeros(w.shape, dtype=np.int64)
        raise ValueError("largest_remainder cannot split a positive total over zero weights")
    quota = total * (flat / mass)
    counts = np.floor(quota).astype(np.int64)
    rest = int(total - counts.sum())
    # Remainders are rounded so that equal shares tie, and ties go to the first.
    order = np.argsort(-np.round(quota - counts, 9), kind="stable")
    if rest >= 0:
        order = order[flat[order] > 0]
        counts[order[:rest]] += 1
    else:  # the floor of a sum rounded up by one ulp
        counts[order[::-1][:-rest]] -= 1
    return np.asarray(counts.reshape(w.shape), dtype=np.int64)


def bounded(total: int, weights: ArrayLike, floor: ArrayLike) -> NDArray[np.int64]:
    """Largest remainder where cell c gets at least `floor[c]`.

    Cells whose share is below their floor get the floor; the rest is split over the others.
    """
    w = np.asarray(weights, dtype=np.float64)
    low = np.broadcast_to(np.asarray(floor, dtype=np.int64), w.shape)
    if int(low.sum()) > total:
        raise ValueError(f"floors sum to {int(low.sum())}, above the total {total}")
    fixed = np.zeros(w.shape, dtype=bool)
    while True:
        free = ~fixed
        counts = low.copy()
        if free.any():
            counts[free] = largest_remainder(int(total - low[fixed].sum()), w[free])
        short = free & (counts < low)
        if not short.any():
            return counts
        fixed |= short


def controlled(
    matrix: ArrayLike, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rounds a non-negative matrix to integers with exactly these row and column sums.

    The margins of the matrix must be close to `rows` and `columns`, whose totals must agree. Every
    cell starts at its floor. The remaining ones are placed row by row into the columns that still
    need most (Gale–Ryser), larger fractions first among equals, so a solution is found whenever
    one exists.
    """
    m = np.asarray(matrix, dtype=np.float64)
    if int(rows.sum()) != int(columns.sum()):
        raise ValueError("rows and columns must have the same total")
    counts = np.floor(m + 1e-9).astype(np.int64)
    # A float margin slightly below its integer can make a floor exceed it: take those back.
    for axis, target in ((1, rows), (0, columns)):
        over = counts.sum(axis=axis) - target
        for line in np.flatnonzero(over > 0):
            cells = counts[line] if axis == 1 else counts[:, line]
            for cell in np.argsort(-cells, kind="stable")[: over[line]]:
                cells[cell] -= 1
    need_row = rows - counts.sum(axis=1)
    need_column = columns - counts.sum(axis=0)
    fraction = np.round(m - counts, 9)
    for row in np.argsort(-need_row, kind="stable"):
        while need_row[row] > 0:
            take = min(int(need_row[row]), int((need_column > 0).sum()))
            order = np.lexsort((-fraction[row], -need_column))[:take]
            counts[row, order] += 1
            need_column[order] -= 1
            need_row[row] -= take
    return counts


def fit(matrix: ArrayLike, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
    """Scales a non-negative matrix to the given margins by iterative proportional fitting."""
    m = np.array(matrix, dtype=np.float64)
    r = np.asarray(rows, dtype=np.float64)
    c = np.asarray(columns, dtype=np.float64)
    for _ in range(200):
        m *= (r / np.maximum(m.sum(axis=1), 1e-300))[:, None]
        m *= (c / np.maximum(m.sum(axis=0), 1e-300))[None, :]
        if np.abs(m.sum(axis=1) - r).max(initial=0.0) < 1e-7:
            break
    return m
