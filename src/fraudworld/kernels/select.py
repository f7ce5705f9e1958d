"""Exact selection inside cells: who is among the k smallest.

Ranks are over (key, position): integers, ties broken by position, never by float luck.
Thresholds are found over whole cells, so the choice does not depend on how the entities
were cut into shards.

Two passes and no sort: one counts a leading digit of every key per cell, the other takes
all entities before the digit the quota ends in. Only entities of that digit are ranked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS

Exact = Callable[[NDArray[np.int64]], NDArray[np.uint64]]


@njit(cache=True, nogil=True)
def _count(keys, cells, shift, hist):  # type: ignore[no-untyped-def]
    for i in range(keys.size):
        c = cells[i]
        hist[c, keys[i] >> shift[c]] += 1


@njit(cache=True, nogil=True)
def _ends(hist, quota, width, first, last, rest):  # type: ignore[no-untyped-def]
    """Per cell: digits first … last hold the entity that fills the quota, with `width`
    more on either side; `rest` of theirs are still to be taken. Returns how many they are.
    """
    candidates = 0
    for c in range(quota.size):
        taken = 0
        d = 0
        while d < DIGITS and taken + hist[c, d] < quota[c]:
            taken += hist[c, d]
            d += 1
        if quota[c] <= 0 or d == DIGITS:
            # Nobody, or everybody: no digit has to be looked into.
            first[c] = 0 if quota[c] <= 0 else DIGITS
            last[c] = first[c] - 1
            continue
        first[c] = max(d - width, 0)
        last[c] = min(d + width, DIGITS - 1)
        for e in range(first[c], d):
            taken -= hist[c, e]
        rest[c] = quota[c] - taken
        for e in range(first[c], last[c] + 1):
            candidates += hist[c, e]
    return candidates


@njit(cache=True, nogil=True)
def _sieve(keys, cells, shift, first, last, out, candidates):  # type: ignore[no-untyped-def]
    """Take every entity before its cell's digits; list those inside them."""
    n = 0
    for i in range(keys.size):
        c = cells[i]
        digit = np.int64(keys[i] >> shift[c])
        if digit < first[c]:
            out[i] = True
        elif digit <= last[c]:
            candidates[n] = i
            n += 1


def smallest(
    keys: NDArray[np.uint64],
    cells: NDArray[np.integer],
    quota: NDArray[np.int64],
    bits: ArrayLike = 64,
    exact: Exact | None = None,
) -> NDArray[np.bool_]:
    """Mark, in every cell c, the `quota[c]` entities with the smallest (key, position).

    keys: u64 below 2**bits (`bits` may differ by cell), shape (n,); cells: 0 …
    len(quota) − 1, shape (n,). A quota above the size of its cell marks the whole cell.

    `exact` serves keys that are dear to compute: it maps positions to their true keys,
    and `keys` then only have to be in the same order wherever they are two digits apart.
    """
    n_cells = quota.size
    shift = np.zeros(n_cells, dtype=np.uint64)
    shift[:] = np.maximum(np.asarray(bits) - DIGIT_BITS, 0)
    hist = np.zeros((n_cells, DIGITS), dtype=np.int32)
    _count(keys, cells, shift, hist)
    first, last, rest = (np.zeros(n_cells, dtype=np.int64) for _ in range(3))
    n = _ends(hist, np.asarray(quota, dtype=np.int64), int(exact is not None), first, last, rest)
    out = np.zeros(keys.size, dtype=np.bool_)
    candidates = np.empty(n, dtype=np.int64)
    _sieve(keys, cells, shift, first, last, out, candidates)

    cell = np.asarray(cells[candidates])
    ranked = np.lexsort((keys[candidates] if exact is None else exact(candidates), cell))
    size = np.bincount(cell, minlength=n_cells)
    rank = np.arange(n) - np.repeat(np.cumsum(size) - size, size)
    out[candidates[ranked[rank < np.repeat(rest, size)]]] = True
    return out
