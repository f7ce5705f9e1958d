"""Discrete choices the processor can predict: tables of thresholds with a guide.

The loop of `discrete.category` ends where nobody can predict. A guide says for the leading bits
of a draw where to begin, and but for few draws that is also where to end (Chen and Asau, "On
generating random variates from an empirical distribution", 1974).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined

SHIFT = np.uint64(56)
"""Bits right of those that a guide is asked by: 8 of a draw."""


def guide(table: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The least category of every row of `table`, from `thresholds`, by leading bits of a draw."""
    draws = np.arange(2**8, dtype=np.uint64) << SHIFT - np.uint64(1)
    return np.asarray((table[:, None, :] <= draws[:, None]).sum(axis=2), dtype=np.uint8)


@inlined
def category(draw, table, guide, row):  # type: ignore[no-untyped-def]
    """What `discrete.category` finds."""
    d = draw >> np.uint64(1)
    j = np.int64(guide[row, draw >> SHIFT])
    while table[row, j] <= d:
        j += 1
    return j
