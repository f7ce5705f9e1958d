"""Estimators of the witness, each with an interval that knows flows of one party go together.

All are ratios of sums, so one closed form serves: a flow's influence on the logarithm of the
ratio, added up per party, squared, added up (the cluster-robust sandwich). Nothing is
resampled, so twenty million flows cost what reading them costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

NAN = float("nan")
POWER = 0.80
"""Chance of seeing what a stated power calls detectable."""


@dataclass(frozen=True)
class Ratio:
    """A ratio, the standard error of its logarithm, and what it rests on."""

    value: float
    log_se: float
    support: float  # events among the exposed
    freedom: float = math.inf  # degrees of freedom behind log_se
    by_cluster: Floats | None = field(default=None, repr=False, compare=False)
    """Influence on the logarithm, summed per cluster: for pairing with another arm."""

    @property
    def design(self) -> float:
        """Standard error over what parties alone would give it: at least 1."""
        if self.by_cluster is None:
            return 1.0
        alone = math.sqrt(_sandwich(self.by_cluster, int(np.count_nonzero(self.by_cluster))))
        return max(self.log_se / alone, 1.0) if alone else 1.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval on the logarithm's scale; NaN where there is no estimate."""
        wide = _quantile(0.5 + confidence / 2, self.freedom) * self.log_se
        return self.value * math.exp(-wide), self.value * math.exp(wide)

    def detectable(self, confidence: float = 0.95) -> float:
        """Smallest true ratio above 1 whose interval clears 1 with a chance of POWER."""
        z = _quantile(0.5 + confidence / 2, self.freedom) + _quantile(POWER, self.freedom)
        return math.exp(z * self.log_se) if math.isfinite(self.log_se) else NAN

    def over(self, other: Ratio) -> Ratio:
        """This ratio over another arm's.

        Arms share arrivals, draws and parties, so what one party adds to both cancels: the
        error is that of the difference, party by party. Without the same parties the two are
        taken as independent.
        """
        support = min(self.support, other.support)
        if not other.value > 0:
            return Ratio(NAN, NAN, support)
        one, two = self.by_cluster, other.by_cluster
        if one is not None and two is not None and one.size == two.size:
            seen = int(np.count_nonzero((one != 0) | (two != 0)))
            error = math.sqrt(_sandwich(one - two, seen)) * max(self.design, other.design)
        else:
            error = math.hypot(self.log_se, other.log_se)
        return Ratio(self.value / other.value, error, support)


@dataclass(frozen=True)
class Share:
    """A share or an area, its standard error, and what it rests on."""

    value: float
    se: float
    support: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval on the plain scale, kept inside 0 … 1."""
        wide = _quantile(0.5 + confidence / 2, math.inf) * self.se
        return max(self.value - wide, 0.0), min(self.value + wide, 1.0)


def rate_ratio(
    event: Bools, exposed: Bools, stratum: Ints, cluster: Ints, clusters: int = 0,
    also: Ints | None = None,
) -> Ratio:  # fmt: skip
    """Mantel–Haenszel ratio of event rates, exposed to not, within strata.

    event, exposed, stratum, cluster: (n,); strata and clusters are small integers from 0.
    clusters: how many there are, seen or not; arms of one world must state the same to pair.
    also: a second grouping whose rows go together too, devices for instance, which an attack
    carries from party to party; the variance is then the two-way one of Cameron, Gelbach and
    Miller (2011), never below that of either grouping.
    The point is the common risk ratio of Rothman (Modern Epidemiology, ch. 15); its variance
    is the sandwich over clusters of the influence of every row, strata margins included. NaN
    where one side has no event in any stratum that holds both.
    """
    strata = int(stratum.max(initial=0)) + 1

    def total(mask: Bools) -> Floats:
        return np.bincount(stratum[mask], minlength=strata).astype(np.float64)

    a, n1 = total(event & exposed), total(exposed)
    events, n = total(event), np.bincount(stratum, minlength=strata).astype(np.float64)
    b, n0, n = events - a, n - n1, np.maximum(n, 1.0)
    up, down = float((a * n0 / n).sum()), float((b * n1 / n).sum())
    if up <= 0 or down <= 0:
        return Ratio(NAN, NAN, float(a.sum()))
    # d log(up / down) by a row of stratum k: one value per (exposed?, event?) pattern.
    table = np.empty((strata, 2, 2))
    for e in (0, 1):
        for y in (0, 1):
            d_up = (e * y * n0 + a * (1 - e)) / n - a * n0 / n**2
            d_down = ((1 - e) * y * n1 + b * e) / n - b * n1 / n**2
            table[:, e, y] = d_up / up - d_down / down
    influence = table.ravel()[stratum.astype(np.int64) * 4 + exposed * 2 + event]
    sums: Floats = np.bincount(cluster, influence, minlength=clusters).astype(np.float64)
    seen = int(np.count_nonzero(np.bincount(cluster)))
    variance = _sandwich(sums, seen)
    if also is not None:
        other = clustered(influence, also)
        both = clustered(influence, _pairs(cluster, also))
        variance = max(variance + other - both, variance, other)
    return Ratio(up / down, math.sqrt(variance), float(a.sum()), by_cluster=sums)


def mean_ratio(draws: Sequence[Ratio]) -> Ratio:
    """Geometric mean of ratios drawn alike and independently, with the spread they show."""
    logs = np.log([draw.value for draw in draws])
    n = len(draws)
    error = float(logs.std(ddof=1)) / math.sqrt(n) if n > 1 else NAN
    support = min((draw.support for draw in draws), default=0.0)
    return Ratio(float(np.exp(logs.mean())), error, support, n - 1.0)


def share(part: Bools, cluster: Ints) -> Share:
    """Share of rows in `part`, its error over clusters."""
    n = part.size
    if n == 0:
        return Share(NAN, NAN, 0.0)
    value = float(part.mean())
    return Share(value, math.sqrt(clustered((part - value) / n, cluster)), float(n))


def area(score: NDArray[np.generic], event: Bools, cluster: Ints) -> Share:
    """Area under the ROC of `score` for `event`, ties counted half, error over clusters.

    score: (n,) any order that sorts; below .5 means that high scores are safe. The variance
    is DeLong's, with placements summed per cluster (Obuchowski 1997). NaN where one side is
    empty.
    """
    values, place = np.unique(score, return_inverse=True)
    bad = np.bincount(place[event], minlength=values.size).astype(np.float64)
    good = np.bincount(place, minlength=values.size) - bad
    n1, n0 = bad.sum(), good.sum()
    if not (n1 and n0):
        return Share(NAN, NAN, float(n1))
    good_below = (np.cumsum(good) - 0.5 * good) / n0
    bad_above = 1.0 - (np.cumsum(bad) - 0.5 * bad) / n1
    value = float((bad * good_below).sum() / n1)
    influence = np.where(event, (good_below[place] - value) / n1, (bad_above[place] - value) / n0)
    return Share(value, math.sqrt(clustered(influence, cluster)), float(n1))


def clustered(influence: Floats, cluster: Ints) -> float:
    """Variance of a sum of influences whose clusters are independent."""
    seen = int(np.count_nonzero(np.bincount(cluster)))
    return _sandwich(np.bincount(cluster, influence).astype(np.float64), seen)


def _quantile(probability: float, freedom: float) -> float:
    """Student's t; the normal where `freedom` is infinite."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if math.isinf(freedom) else stdtrit(freedom, probability))


def _pairs(one: Ints, other: Ints) -> Ints:
    """Cells of two groupings, numbered from 0."""
    key = one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other
    return np.asarray(np.unique(key, return_inverse=True)[1])


def _sandwich(sums: Floats, clusters: int) -> float:
    return float((sums**2).sum()) * clusters / max(clusters - 1, 1)


def deciles(values: Ints) -> NDArray[np.uint8]:
    """Decile 0 … 9 of every value among all; equal values share one."""
    cuts = np.quantile(values, np.arange(1, 10) / 10)
    return np.searchsorted(cuts, values, side="right").astype(np.uint8)


def total_variation(one: Ints, other: Ints) -> float:
    """Total variation distance of two histograms over the same cells, 0 … 1."""
    if not (one.sum() and other.sum()):
        return NAN
    return float(0.5 * np.abs(one / one.sum() - other / other.sum()).sum())
