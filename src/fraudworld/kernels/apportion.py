"""Largest remainder: integer plans whose total is conserved exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def largest_remainder(total: int, weights: ArrayLike) -> NDArray[np.int64]:
    """Split `total` over `weights` (non-negative, not all zero); ties go to the first.

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
    # Stable order, remainders rounded so that equal shares are equal whatever their rounding.
    order = np.argsort(-np.round(quota - counts, 9), kind="stable")
    if rest >= 0:
        order = order[flat[order] > 0]
        counts[order[:rest]] += 1
    else:  # the floor of a sum rounded up by one ulp
        counts[order[::-1][: -rest]] -= 1
    return counts.reshape(w.shape)


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
