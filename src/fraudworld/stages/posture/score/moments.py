"""Correlation of the signals of assets and their owners, from sums that do not depend on order.

Signals are taken as integers, multiples of 2**-30, so a sum is exact however it was cut; the
image moves a correlation by less than 1e-8.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel

ONE = float(1 << 30)
MASK = (1 << 32) - 1
SUMS = 9
"""n, Σx, Σy, then Σx², Σy² and Σxy as a high and a low sum each: products have 60 bits."""

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def moments(asset: F64, owner: F64, of: NDArray[np.integer]) -> I64:
    """Sums over assets of their signal and that of the owner `of` each."""
    out = np.zeros(SUMS, dtype=np.int64)
    _moments(asset, owner, of, out)
    return out


@kernel
def _moments(asset, owner, of, out):  # type: ignore[no-untyped-def]
    sx = sy = np.int64(0)
    high_xx = low_xx = high_yy = low_yy = high_xy = low_xy = np.int64(0)
    for i in range(of.size):
        x = np.int64(asset[i] * ONE)
        y = np.int64(owner[of[i]] * ONE)
        sx += x
        sy += y
        high_xx += x * x >> 32
        low_xx += x * x & MASK
        high_yy += y * y >> 32
        low_yy += y * y & MASK
        high_xy += x * y >> 32
        low_xy += x * y & MASK
    out[0] += of.size
    out[1] += sx
    out[2] += sy
    out[3] += high_xx
    out[4] += low_xx
    out[5] += high_yy
    out[6] += low_yy
    out[7] += high_xy
    out[8] += low_xy


def correlation(sums: I64) -> float:
    """Pearson's r; nan where one of the signals is constant."""
    n, x, y = (int(v) for v in sums[:3])
    xx, yy, xy = ((int(high) << 32) + int(low) for high, low in sums[3:].reshape(3, 2))
    spread = (n * xx - x * x) * (n * yy - y * y)
    # Four factors of ONE off: spreads below 1e-9 are those of constants.
    if spread / ONE**4 <= 1e-9:
        return math.nan
    return (n * xy - x * y) / math.sqrt(spread)
