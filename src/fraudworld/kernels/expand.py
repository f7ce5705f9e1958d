"""From counts per holder to one row per thing held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel


@kernel
def fill(entity, cell, counts, code_of, start, owner, code):  # type: ignore[no-untyped-def]
    """Write counts[i] rows of owner entity[i] and code code_of[cell[i]] for every i in order.

    Entities ascend; start: first row of every one, and the end, shape (entities + 1,).
    """
    at, e = 0, 0
    for i in range(counts.size):
        while e <= entity[i]:
            start[e] = at
            e += 1
        for _ in range(counts[i]):
            owner[at] = entity[i]
            code[at] = code_of[cell[i]]
            at += 1
    start[e:] = at


def starts(per_holder: NDArray[np.integer]) -> NDArray[np.int64]:
    """First row of every holder, and the total at the end: int64, shape (n + 1,)."""
    out = np.zeros(per_holder.size + 1, dtype=np.int64)
    np.cumsum(per_holder, out=out[1:])
    return out
