"""Offset arrays (CSR), and one row per thing held.

Twin: tests/reference/accounts.py:make.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel


@kernel
def expand_rows(entity, cell, counts, code_of, start, owner, code):  # type: ignore[no-untyped-def]
    """Writes counts[i] rows of owner entity[i] and code code_of[cell[i]], in order of i.

    Parameters
    ----------
    entity, cell, counts : integer (n,)
        Entities ascend.
    code_of : uint8 (cells,)
    start : int32 (entities + 1,)
        Filled: first row of every entity.
    owner, code : uint32, uint8 (rows + 1,)
        Filled; one row longer than needed.
    """
    start[:] = 0
    at = 0
    for i in range(counts.size):
        e, c = entity[i], code_of[cell[i]]
        # Writes the first row even where there is none: a test would mispredict.
        owner[at], code[at] = e, c
        for row in range(at + 1, at + counts[i]):
            owner[row], code[row] = e, c
        at += counts[i]
        start[e + 1] = at
    for e in range(1, start.size):
        start[e] = max(start[e], start[e - 1])


def from_counts(per_holder: NDArray[np.integer]) -> NDArray[np.int64]:
    """Offsets of holders with these counts: int64 (n + 1,), the total at the end."""
    out = np.zeros(per_holder.size + 1, dtype=np.int64)
    np.cumsum(per_holder, out=out[1:])
    return out
