"""Exact selection in one process: the k smallest entities of every cell.

Ranks are over (key, position): integers, ties broken by the position. `kernels/ranks.py` does
the same over shards.

Two passes and no sort: one counts the leading digits of the keys by cell, the other takes all
entities before the digit in which the quota ends. Only entities of that digit are sorted.

Twin of all kernels here: tests/reference/draws.py:first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudworld.jit import kernel

DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS


@kernel
def _count(keys, cells, shift, hist):  # type: ignore[no-untyped-def]
    """Counts entities by cell and leading digit.

    keys : uint64 (n,); cells : integer (n,); shift : uint64 (cells,), right shift that leaves the
    digit; hist : int32 (cells, DIGITS), grows.
    """
    for i in range(keys.size):
        c = cells[i]
        hist[c, keys[i] >> shift[c]] += 1


@kernel
def _ends(hist, quota, digit, rest):  # type: ignore[no-untyped-def]
    """Finds the digit in which every quota ends.

    Parameters
    ----------
    hist : int32 (cells, DIGITS)
    quota : int64 (cells,)
    digit : int64 (cells,)
        Filled; −1: none is taken, DIGITS: all are.
    rest : int64 (cells,)
        Filled: entities of that digit to take.

    Returns
    -------
    int
        Entities of those digits, over all cells.
    """
    candidates = 0
    for c in range(quota.size):
        if quota[c] <= 0:
            digit[c] = -1
            continue
        taken = 0
        d = 0
        while d < DIGITS and taken + hist[c, d] < quota[c]:
            taken += hist[c, d]
            d += 1
        digit[c] = d
        if d < DIGITS:
            rest[c] = quota[c] - taken
            candidates += hist[c, d]
    return candidates


@kernel
def _sieve(keys, cells, shift, digit, out, candidates):  # type: ignore[no-untyped-def]
    """Takes every entity before its cell's digit, and lists those in it.

    Parameters
    ----------
    keys, cells, shift
        As in `_count`.
    digit : int64 (cells,)
    out : bool (n,)
        Set where an entity is taken.
    candidates : int64
        Filled with the entities of the digit.
    """
    n = 0
    for i in range(keys.size):
        c = cells[i]
        leading = np.int64(keys[i] >> shift[c])
        if leading < digit[c]:
            out[i] = True
        elif leading == digit[c]:
            candidates[n] = i
            n += 1


def smallest(
    keys: NDArray[np.uint64],
    cells: NDArray[np.integer],
    quota: NDArray[np.int64],
    bits: ArrayLike = 64,
) -> NDArray[np.bool_]:
    """Marks, in every cell c, the `quota[c]` entities with the smallest (key, position).

    keys: u64 below 2**bits (`bits` may differ by cell), shape (n,); cells: 0 …
    len(quota) − 1, shape (n,). A quota above the size of its cell marks the whole cell.
    """
    n_cells = quota.size
    shift = np.zeros(n_cells, dtype=np.uint64)
    shift[:] = np.maximum(np.asarray(bits) - DIGIT_BITS, 0)
    hist = np.zeros((n_cells, DIGITS), dtype=np.int32)
    _count(keys, cells, shift, hist)
    digit, rest = (np.zeros(n_cells, dtype=np.int64) for _ in range(2))
    n = _ends(hist, np.asarray(quota, dtype=np.int64), digit, rest)
    out = np.zeros(keys.size, dtype=np.bool_)
    candidates = np.empty(n, dtype=np.int64)
    _sieve(keys, cells, shift, digit, out, candidates)

    cell = np.asarray(cells[candidates])
    ranked = np.lexsort((keys[candidates], cell))
    size = np.bincount(cell, minlength=n_cells)
    rank = np.arange(n) - np.repeat(np.cumsum(size) - size, size)
    out[candidates[ranked[rank < np.repeat(rest, size)]]] = True
    return out
