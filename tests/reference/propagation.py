"""Plain twin of `kernels/propagate.py` and `kernels/proportional.py`.

Odds rise with exposure, or by a factor for every pair of roles; expected numbers of roles stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def kept_prior(prior: float, sizes: Mapping[float, int]) -> dict[float, float]:
    """P(risky) per uplift, such that Σ size · P = prior · Σ size: the intercept by bisection.

    sizes: uplift → entities with it. Without entities, or with a prior of 0 or 1, P is the prior.
    """
    total = sum(sizes.values())
    if total == 0 or not 0.0 < prior < 1.0:
        return dict.fromkeys(sizes, prior)
    low, high = -60.0, 60.0
    for _ in range(100):
        b = 0.5 * (low + high)
        if sum(n * _sigmoid(b + u) for u, n in sizes.items()) < prior * total:
            low = b
        else:
            high = b
    return {u: _sigmoid(high + u) for u in sizes}


@dataclass(frozen=True)
class Stratum:
    """Assets of one group, tier and owner type: prior P(risky), and counts by risk of the owner."""

    prior: float
    clean: int
    risky: int

    def probabilities(self, uplift: float) -> tuple[float, float]:
        """P(risky) under a clean and under a risky owner."""
        if not uplift or not self.clean or not self.risky:
            return self.prior, self.prior
        p = kept_prior(self.prior, {0.0: self.clean, uplift: self.risky})
        return p[0.0], p[uplift]


def odds_ratio(strata: Sequence[Stratum], uplift: float) -> float:
    """Expected crude odds ratio over all strata; NaN where a cell of the table is empty."""
    p = [s.probabilities(uplift) for s in strata]
    risky0 = math.fsum(s.clean * q[0] for s, q in zip(strata, p, strict=True))
    risky1 = math.fsum(s.risky * q[1] for s, q in zip(strata, p, strict=True))
    safe0, safe1 = sum(s.clean for s in strata) - risky0, sum(s.risky for s in strata) - risky1
    return risky1 * safe0 / (risky0 * safe1) if risky0 * safe1 > 0 else math.nan


def solve_uplift(strata: Sequence[Stratum], target: float, limit: float) -> float:
    """Uplift in ± limit whose odds ratio is the target, to six digits; 0 where the ratio is NaN."""
    if math.isnan(odds_ratio(strata, 0.0)):
        return 0.0
    if odds_ratio(strata, limit) <= target:
        return limit
    if odds_ratio(strata, -limit) >= target:
        return -limit
    low, high = -limit, limit
    for _ in range(40):
        middle = 0.5 * (low + high)
        if odds_ratio(strata, middle) < target:
            low = middle
        else:
            high = middle
    return round(high, 6)


def fitted(
    shares: Mapping[str, float], sizes: Mapping[Row, int], factor: Callable[[Row, str], float]
) -> dict[Row, dict[str, float]]:
    """P(role) by row, ∝ intercept · factor, such that Σ size · P = share · Σ size for every role.

    Intercepts start at the shares and are scaled until every role has its number within 1e-12.
    Without entities, P is the shares.
    """
    total = sum(sizes.values())
    if total == 0:
        return {row: dict(shares) for row in sizes}
    intercepts = {role: max(share, 0.0) for role, share in shares.items()}
    for _ in range(100_000):
        table = {}
        for row in sizes:
            odds = {role: b * factor(row, role) for role, b in intercepts.items()}
            whole = sum(odds.values())
            table[row] = {role: odd / whole for role, odd in odds.items()}
        error = 0.0
        for role, b in intercepts.items():
            if b > 0.0:
                expected = sum(n * table[row][role] for row, n in sizes.items())
                ratio = shares[role] * total / expected
                intercepts[role] = b * ratio
                error = max(error, abs(ratio - 1.0))
        if error <= 1e-12:
            break
    return table
