"""From counts per holder to one row per thing held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel


@kernel
def expand_rows(entity, cell, counts, code_of, start, owner, code):  # type: ignore[no-untyped-def]
    """Write counts[i] rows of owner entity[i] and code code_of[cell[i]] for every i in order.

    Entities ascend; start: first row of every one, and the end, shape (entities + 1,). There is
    room for one more row.
    """
    start[:] = 0
    at = 0
    for i in range(counts.size):
        e, kind = entity[i], code_of[cell[i]]
        # The first row is written even where there is none: whether cannot be predicted.
        owner[at], code[at] = e, kind
        for row in range(at + 1, at + counts[i]):
            owner[row], code[row] = e, kind
        at += counts[i]
        start[e + 1] = at
    for e in range(1, start.size):
        start[e] = max(start[e], start[e - 1])


def from_counts(per_holder: NDArray[np.integer]) -> NDArray[np.int64]:
    """First row of every holder, and the total at the end: int64, shape (n + 1,)."""
    out = np.zeros(per_holder.size + 1, dtype=np.int64)
    np.cumsum(per_holder, out=out[1:])
    return out
