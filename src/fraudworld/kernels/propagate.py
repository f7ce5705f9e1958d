"""Log-odds uplift with marginals kept: the mathematics of risk propagation.

In a stratum with prior p, entities exposed to `u` more log-odds are risky with probability
σ(b + u), the others with σ(b). The intercept b is solved so that the expected number of
risky entities is exactly p · n: the uplift moves risk, it never adds any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels import normal


def sigmoid(x: float) -> float:
    """1 / (1 + e^−x), the same on every machine."""
    return 1.0 / (1.0 + normal.exp(-min(max(x, -500.0), 500.0)))


def intercept(prior: float, sizes: NDArray[np.int64], uplifts: NDArray[np.float64]) -> float:
    """b with Σ sizes · σ(b + uplift) = prior · Σ sizes, by bisection to the last bit.

    prior in (0, 1); sizes and uplifts have one entry per exposure class.
    """
    total = float(sizes.sum())
    if total == 0:
        return normal.log(prior / (1.0 - prior))
    low, high = -60.0, 60.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        mean = sum(n * sigmoid(middle + u) for n, u in zip(sizes, uplifts, strict=True)) / total
        if mean < prior:
            low = middle
        else:
            high = middle
    return high


def implied_odds_ratio(
    priors: NDArray[np.float64], sizes: NDArray[np.int64], uplift: float
) -> float:
    """Crude odds ratio the strata imply in expectation at one uplift.

    priors: (strata,); sizes: (strata, 2) entities of clean and of risky owners.
    """
    risky = np.zeros(2)
    for prior, pair in zip(priors, sizes, strict=True):
        if prior <= 0.0 or pair.sum() == 0:
            continue
        b = intercept(float(prior), pair, np.array([0.0, uplift]))
        risky += pair * np.array([sigmoid(b), sigmoid(b + uplift)])
    safe = sizes.sum(axis=0) - risky
    return float(risky[1] * safe[0] / (risky[0] * safe[1]))


def solve_uplift(
    priors: NDArray[np.float64], sizes: NDArray[np.int64], target: float, limit: float
) -> float:
    """Uplift whose implied crude odds ratio is `target`, within ± limit.

    The implied ratio rises with the uplift; beyond the limit the limit is returned. The
    result is rounded to 1e-6, so that nobody depends on the last bit of a search.
    """
    low, high = -limit, limit
    if implied_odds_ratio(priors, sizes, high) <= target:
        return limit
    if implied_odds_ratio(priors, sizes, low) >= target:
        return -limit
    for _ in range(40):
        middle = 0.5 * (low + high)
        if implied_odds_ratio(priors, sizes, middle) < target:
            low = middle
        else:
            high = middle
    return round(high, 6)
