"""Ids and counts in half the bytes, and how they run, in one pass."""

from __future__ import annotations

import numpy as np

from fraudworld.jit import kernel


@kernel
def halved(values, out):  # type: ignore[no-untyped-def]
    """Write the lower 32 bits of `values` (i64, one at least) into `out` (u32, as long).

    Returns the smallest and the largest value, and whether all go on in the step of the first two.
    """
    least = most = first = values[0]
    step = values[min(1, values.size - 1)] - first
    astray = np.int64(0)
    for i in range(values.size):
        value = values[i]
        out[i] = np.uint32(value)
        least = min(least, value)
        most = max(most, value)
        astray |= value ^ (first + i * step)
    return least, most, astray == 0
