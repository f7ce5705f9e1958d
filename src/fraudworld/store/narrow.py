"""Narrows ids and counts to 32 bits and detects arithmetic progressions, in one pass."""

from __future__ import annotations

import numpy as np

from fraudworld.jit import kernel


@kernel
def halved(values, out):  # type: ignore[no-untyped-def]
    """Writes the lower 32 bits of `values` into `out`.

    values : int64 (n,), n ≥ 1; out : uint32 (n,). Returns the smallest and the largest value, and
    whether the values are an arithmetic progression. Twin: numpy's `min`, `max` and `diff`, in
    tests/unit/store/test_content.py.
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
