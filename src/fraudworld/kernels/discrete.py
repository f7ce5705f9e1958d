"""Discrete choices: a draw is compared with a table of integer thresholds.

Two ways to read one table give the same category. `category` compares all thresholds, without
a branch: for lists of a few categories. `guided_category` starts at the entry of a guide table
and almost always ends there: for longer lists (Chen and Asau, "On generating random variates
from an empirical distribution", AIIE Transactions 6, 1974).

Twin of the kernels here: tests/reference/draws.py:category.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from fraudworld.jit import inlined, kernel


def thresholds(shares: ArrayLike) -> NDArray[np.uint64]:
    """Cumulative u64 thresholds of each row of shares, in the shape of `shares`.

    A draw d takes the first category whose threshold is above d >> 1. Thresholds have 63 bits,
    so that a cumulative share of 1 is representable; that of the last possible category is
    2**63, so that rounding leaves no gap. Raises ValueError unless every row sums to 1.
    """
    p = np.atleast_2d(np.asarray(shares, dtype=np.float64))
    if (p < 0).any() or (np.abs(p.sum(axis=-1) - 1.0) > 1e-9).any():
        raise ValueError("shares must be non-negative and sum to 1")
    cumulative = np.minimum(np.cumsum(p, axis=-1), 1.0)
    out = (cumulative * 2.0**63).astype(np.uint64)
    # Categories after the last possible one must stay impossible.
    last = p.shape[-1] - 1 - np.argmax(p[..., ::-1] > 0, axis=-1)
    out[np.arange(p.shape[-1]) >= last[..., None]] = np.uint64(2**63)
    return out.reshape(np.shape(shares))


def means(table: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Mean category number of every row of `table`, (rows,) float64."""
    return np.asarray((1.0 - table / 2.0**63).sum(axis=1))


@inlined
def category(draw, table, row):  # type: ignore[no-untyped-def]
    """Category of a u64 draw under row `row` of `table` ((rows, categories) u64)."""
    # Branch-free: an early exit would mispredict on most draws.
    d = draw >> np.uint64(1)
    n = 0
    for j in range(table.shape[1] - 1):
        n += table[row, j] <= d
    return n


GUIDE_SHIFT = np.uint64(56)
"""A guide has an entry for every value of the 8 leading bits of a draw."""


def guide(table: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Guide of `table`: the least category that the leading bits of a draw allow, (rows, 256)."""
    draws = np.arange(2**8, dtype=np.uint64) << GUIDE_SHIFT - np.uint64(1)
    return np.asarray((table[:, None, :] <= draws[:, None]).sum(axis=2), dtype=np.uint8)


@inlined
def guided_category(draw, table, guide, row):  # type: ignore[no-untyped-def]
    """Category of a u64 draw under row `row` of `table`, searched from the entry of its guide."""
    d = draw >> np.uint64(1)
    j = np.int64(guide[row, draw >> GUIDE_SHIFT])
    while table[row, j] <= d:
        j += 1
    return j


@kernel
def choose(draws, rows, table, out):  # type: ignore[no-untyped-def]
    """Sets out[i] to the category of draws[i] (u64) under row rows[i] of `table`."""
    for i in range(draws.size):
        out[i] = category(draws[i], table, rows[i])


def choices(
    draws: NDArray[np.uint64], rows: NDArray[np.integer], table: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """Categories of `draws` as u8, (n,); `rows` (n,) names the row of `table` for each draw."""
    out = np.empty(draws.size, dtype=np.uint8)
    choose(draws, rows, table, out)
    return out


def zero_inflated_poisson(zero_share: float, mean: float, maximum: int) -> NDArray[np.float64]:
    """P(0 … maximum): structural zero with `zero_share`, else Poisson truncated above."""
    # The formula, because importing scipy.stats takes a second.
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
