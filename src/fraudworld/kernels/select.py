"""Exact selection inside cells: who is among the k smallest.

Ranks are over (key, position): integers, ties broken by position, never by float luck.
Thresholds are found over whole cells, so the choice does not depend on how the entities
were cut into shards.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _histogram(keys, cells, shift, prefix, hist):  # type: ignore[no-untyped-def]
    """Count keys per cell and 11-bit digit, where the digits above equal the cell's prefix."""
    above = shift + np.uint64(11)
    for i in range(keys.size):
        c = cells[i]
        key = keys[i]
        if above >= np.uint64(64) or (key >> above) == prefix[c]:
            hist[c, np.int64((key >> shift) & np.uint64(2047))] += 1


@njit(cache=True, nogil=True)
def _mark(keys, cells, threshold, ties, out):  # type: ignore[no-untyped-def]
    for i in range(keys.size):
        c = cells[i]
        if keys[i] < threshold[c]:
            out[i] = True
        elif keys[i] == threshold[c] and ties[c] > 0:
            ties[c] -= 1
            out[i] = True


def smallest(
    keys: NDArray[np.uint64],
    cells: NDArray[np.integer],
    quota: NDArray[np.int64],
    bits: int = 64,
) -> NDArray[np.bool_]:
    """Mark, in every cell c, the `quota[c]` entities with the smallest (key, position).

    keys: u64 below 2**bits, shape (n,); cells: 0 … len(quota) − 1, shape (n,). A quota
    above the size of its cell marks the whole cell. A radix search from the top digit:
    one histogram a digit, stopped as soon as every threshold is known.
    """
    n_cells = quota.size
    prefix = np.zeros(n_cells, dtype=np.uint64)
    remaining = np.asarray(quota, dtype=np.int64).copy()
    rows = np.arange(n_cells)
    shift = max(0, -(-bits // 11) * 11 - 11)
    size = np.bincount(cells, minlength=n_cells) if keys.size else np.zeros(n_cells, np.int64)
    whole = remaining >= size
    while True:
        hist = np.zeros((n_cells, 2048), dtype=np.int64)
        _histogram(keys, cells, np.uint64(shift), prefix, hist)
        cumulative = np.cumsum(hist, axis=1)
        digit = np.minimum((cumulative < remaining[:, None]).sum(axis=1), 2047)
        before = cumulative[rows, digit] - hist[rows, digit]
        remaining -= np.where(whole, 0, before)
        prefix = (prefix << np.uint64(11)) | digit.astype(np.uint64)
        if shift == 0:
            break
        shift -= 11
    threshold = np.where(whole, np.uint64(2**64 - 1), prefix)
    ties = np.where(whole, keys.size, remaining)
    ties = np.where(np.asarray(quota) <= 0, 0, ties)
    threshold = np.where(np.asarray(quota) <= 0, np.uint64(0), threshold)
    out = np.zeros(keys.size, dtype=np.bool_)
    _mark(keys, cells, threshold, ties, out)
    return out
