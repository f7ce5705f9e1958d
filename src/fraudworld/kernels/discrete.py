"""Discrete choices: a draw compared with integer thresholds."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray


def thresholds(shares: ArrayLike) -> NDArray[np.uint64]:
    """Cumulative u64 thresholds of each row of shares, shape as given.

    A draw d takes the first category whose threshold is above d >> 1. Thresholds live in
    63 bits, where a float share has an exact integer image; the last one is closed so that
    rounding never leaves a gap.
    """
    p = np.atleast_2d(np.asarray(shares, dtype=np.float64))
    if (p < 0).any() or (np.abs(p.sum(axis=-1) - 1.0) > 1e-9).any():
        raise ValueError("shares must be non-negative and sum to 1")
    cumulative = np.minimum(np.cumsum(p, axis=-1), 1.0)
    out = (cumulative * 2.0**63).astype(np.uint64)
    # Closed at the last category that can occur at all.
    last = p.shape[-1] - 1 - np.argmax(p[..., ::-1] > 0, axis=-1)
    out[np.arange(p.shape[-1]) >= last[..., None]] = np.uint64(2**63)
    return out.reshape(np.shape(shares))


@njit(cache=True, nogil=True)
def choose(draws, rows, table, out):  # type: ignore[no-untyped-def]
    """out[i] = category of draws[i] under row rows[i] of `table` (from `thresholds`)."""
    for i in range(draws.size):
        d = draws[i] >> np.uint64(1)
        r = rows[i]
        j = 0
        while table[r, j] <= d:
            j += 1
        out[i] = j


def choices(
    draws: NDArray[np.uint64], rows: NDArray[np.integer], table: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """Categories as u8, one per draw; `rows` picks the row of `table`."""
    out = np.empty(draws.size, dtype=np.uint8)
    choose(draws, rows, table, out)
    return out


def zero_inflated_poisson(zero_share: float, mean: float, maximum: int) -> NDArray[np.float64]:
    """P(0 … maximum): structural zero with `zero_share`, else Poisson truncated above."""
    from scipy.stats import poisson

    p = poisson.pmf(np.arange(maximum + 1), mean)
    p = (1.0 - zero_share) * p / p.sum()
    p[0] += zero_share
    return np.asarray(p / p.sum())
