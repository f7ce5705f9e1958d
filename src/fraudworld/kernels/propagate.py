"""Log-odds uplift with marginals kept: the mathematics of risk propagation.

In a stratum with prior p, entities exposed to `u` more log-odds are risky with probability
σ(b + u), the others with σ(b). The intercept b is solved so that the expected number of risky
entities is exactly p · n: the uplift moves risk and adds none.

With two exposure classes and x = e^b, r = e^u the condition is a quadratic in x, which is solved
in closed form with + − × ÷ √ alone: every machine finds the same bits.

Twin of all kernels here: tests/reference/propagation.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import normal

F64 = NDArray[np.float64]


@kernel
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^−x), bit-identical on every machine; x : float64."""
    return 1.0 / (1.0 + normal.exp(-min(max(x, -500.0), 500.0)))


@kernel
def intercept(prior, sizes, uplifts):  # type: ignore[no-untyped-def]
    """b with Σ sizes · σ(b + uplift) = prior · Σ sizes, by bisection to the last bit.

    prior : float in (0, 1]; sizes : int64 (classes,); uplifts : float64 (classes,). Returns 0
    where all sizes are 0.
    """
    total = 0
    for c in range(sizes.size):
        total += sizes[c]
    if total == 0:
        return 0.0
    low, high = -60.0, 60.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        risky = 0.0
        for c in range(sizes.size):
            risky += sizes[c] * sigmoid(middle + uplifts[c])
        if risky / total < prior:
            low = middle
        else:
            high = middle
    return high


def exposed_probabilities(priors: F64, sizes: NDArray[np.int64], uplift: float) -> F64:
    """P(risky) of the unexposed and of the exposed: shape (strata, 2).

    priors: (strata,) in 0 … 1; sizes: (strata, 2). In every stratum that has entities,
    Σ sizes · result = prior · Σ sizes; priors of 0 and of 1 stay what they are.
    """
    ratio = float(normal.exp(uplift))
    open_ = (priors > 0.0) & (priors < 1.0)
    p = np.where(open_, priors, 0.5)
    n0, n1 = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    empty = n0 + n1 == 0.0
    n0 = np.where(empty, 1.0, n0)  # without entities any size gives a usable law
    wanted = p * (n0 + n1)
    a = ratio * (n0 + n1 - wanted)
    b = n0 + ratio * n1 - wanted * (1.0 + ratio)
    root = np.sqrt(b * b + 4.0 * a * wanted)
    # The positive root of a x² + b x − wanted, in the form that does not cancel.
    x = np.where(b > 0.0, 2.0 * wanted / (b + root), (root - b) / (2.0 * a))
    out = np.stack([x / (1.0 + x), ratio * x / (1.0 + ratio * x)], axis=1)
    return np.where(open_[:, None], out, priors[:, None])


def implied_odds_ratio(priors: F64, sizes: NDArray[np.int64], uplift: float) -> float:
    """Crude odds ratio the strata imply in expectation at one uplift.

    priors: (strata,); sizes: (strata, 2) entities unexposed and exposed. NaN where no
    entity is exposed, none is unexposed, or none can be risky.
    """
    risky_of = sizes * exposed_probabilities(priors, sizes, uplift)
    r0, r1 = math.fsum(risky_of[:, 0]), math.fsum(risky_of[:, 1])
    s0, s1 = math.fsum(sizes[:, 0]) - r0, math.fsum(sizes[:, 1]) - r1
    return r1 * s0 / (r0 * s1) if r0 * s1 > 0.0 else math.nan


def solve_uplift(priors: F64, sizes: NDArray[np.int64], target: float, limit: float) -> float:
    """Uplift whose implied crude odds ratio is `target`, within ± limit.

    The implied ratio rises with the uplift, so it is bisected. Returns the limit where the target
    lies beyond it, and 0 where no odds ratio is defined. The result is rounded to 1e-6, so that
    no value depends on the last bit of a bisection.
    """
    if math.isnan(implied_odds_ratio(priors, sizes, 0.0)):
        return 0.0
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
