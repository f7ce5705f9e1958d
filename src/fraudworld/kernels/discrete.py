"""Discrete choices: a draw compared with integer thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from fraudworld.jit import inlined, kernel


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


def means(table: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Mean number of the category drawn from every row of `table`, from `thresholds`."""
    return np.asarray((1.0 - table / 2.0**63).sum(axis=1))


@inlined
def category(draw, table, row):  # type: ignore[no-untyped-def]
    """Category of one draw under one row of `table`."""
    # All are compared: where to stop, nobody could predict.
    d = draw >> np.uint64(1)
    n = 0
    for j in range(table.shape[1] - 1):
        n += table[row, j] <= d
    return n


@kernel
def choose(draws, rows, table, out):  # type: ignore[no-untyped-def]
    """out[i] = category of draws[i] under row rows[i] of `table` (from `thresholds`)."""
    for i in range(draws.size):
        out[i] = category(draws[i], table, rows[i])


def choices(
    draws: NDArray[np.uint64], rows: NDArray[np.integer], table: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """Categories as u8, one per draw; `rows` picks the row of `table`."""
    out = np.empty(draws.size, dtype=np.uint8)
    choose(draws, rows, table, out)
    return out


def zero_inflated_poisson(zero_share: float, mean: float, maximum: int) -> NDArray[np.float64]:
    """P(0 … maximum): structural zero with `zero_share`, else Poisson truncated above."""
    # By its formula: scipy.stats takes a second to import.
    k = np.arange(maximum + 1)
    p = np.exp(xlogy(k, mean) - gammaln(k + 1) - mean)
    p = (1.0 - zero_share) * p / p.sum()
    p[0] += zero_share
    return np.asarray(p / p.sum())


def negative_binomial(mean: float, dispersion: float, maximum: int) -> NDArray[np.float64]:
    """P(0 … maximum) of `mean` and variance mean + mean² / dispersion, truncated above."""
    k = np.arange(maximum + 1)
    ways = gammaln(k + dispersion) - gammaln(k + 1) - gammaln(dispersion)
    success = dispersion / (dispersion + mean)
    p = np.exp(ways + xlogy(dispersion, success) + xlog1py(k, -success))
    return np.asarray(p / p.sum())
