"""Correlation between the signals of assets and of their owners, from exact integer sums.

The rounding of a float sum depends on its order, and so on how the world is cut into shards.
Signals are therefore truncated to multiples of 2**-30 and summed as integers, which moves a
correlation by less than 1e-8.

Twin of all kernels here: numpy.corrcoef, compared in tests/unit/stages/test_posture_moments.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel

SCALE = float(1 << 30)
"""Integer that stands for a signal of 1."""

LOW = (1 << 32) - 1
SUMS = 9
"""n, Σx, Σy, then Σx², Σy² and Σxy, each as the sums of its high and low 32 bits.

A product has up to 60 bits, so a sum of whole products would overflow after 8 of them.
"""

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def moments(asset: F64, owner: F64, of: NDArray[np.integer]) -> I64:
    """Sums over assets, where x is the signal of an asset and y that of its owner; (SUMS,).

    asset: (assets,). owner: (owners,). of: index in `owner` of every asset's owner, (assets,).
    """
    out = np.zeros(SUMS, dtype=np.int64)
    _moments(asset, owner, of, out)
    return out


@kernel
def _moments(asset, owner, of, out):  # type: ignore[no-untyped-def]
    """Adds the sums of `moments` to `out`.

    Parameters
    ----------
    asset : float64 (assets,)
    owner : float64 (owners,)
    of : integer (assets,)
        Index in `owner`.
    out : int64 (SUMS,)
    """
    sx = sy = np.int64(0)
    high_xx = low_xx = high_yy = low_yy = high_xy = low_xy = np.int64(0)
    for i in range(of.size):
        x = np.int64(asset[i] * SCALE)
        y = np.int64(owner[of[i]] * SCALE)
        sx += x
        sy += y
        high_xx += x * x >> 32
        low_xx += x * x & LOW
        high_yy += y * y >> 32
        low_yy += y * y & LOW
        high_xy += x * y >> 32
        low_xy += x * y & LOW
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
    """Pearson's r from the sums of `moments`; NaN where one of the signals is constant."""
    n, x, y = (int(v) for v in sums[:3])
    xx, yy, xy = ((int(high) << 32) + int(low) for high, low in sums[3:].reshape(3, 2))
    spread = (n * xx - x * x) * (n * yy - y * y)
    # Each of the four signals multiplied has a factor SCALE; below 1e-9 is a constant, rounded.
    if spread / SCALE**4 <= 1e-9:
        return math.nan
    return (n * xy - x * y) / math.sqrt(spread)
