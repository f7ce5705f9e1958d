"""From counts per holder to one row per thing held."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def fill(counts, codes, row_of, start, low, high, owner, code):  # type: ignore[no-untyped-def]
    """Rows of holders low … high − 1: owner, and the code of each thing, slots in order.

    counts: (slots, holders); codes[row_of[p], s] is what slot s means for holder p; start:
    first row of each holder. Writes owner[start[p]:start[p+1]] and code[…] in place.
    """
    for p in range(low, high):
        at = start[p]
        r = row_of[p]
        for s in range(counts.shape[0]):
            for _ in range(counts[s, p]):
                owner[at] = p
                code[at] = codes[r, s]
                at += 1


def starts(per_holder: NDArray[np.integer]) -> NDArray[np.int64]:
    """First row of every holder, and the total at the end: int64, shape (n + 1,)."""
    out = np.zeros(per_holder.size + 1, dtype=np.int64)
    np.cumsum(per_holder, out=out[1:])
    return out
