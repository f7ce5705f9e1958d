"""Estimators of T10, with confidence intervals that are robust to clusters of flows.

Flows of one party are dependent. Every estimator is a ratio of sums, so one closed form gives
its variance: the influence of each flow on the logarithm of the ratio, summed per party,
squared and summed (the cluster-robust sandwich). Nothing is resampled: cost is linear in the
number of flows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, PlainSerializer

from fraudworld.gates.gate import number_or_null

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

NAN = float("nan")
POWER = 0.80
"""Power at which an effect counts as detectable."""


def _null_is(missing: float) -> BeforeValidator:
    return BeforeValidator(lambda value: missing if value is None else value)


_AS_NULL = PlainSerializer(number_or_null)
Figure = Annotated[float, _null_is(NAN), _AS_NULL]
"""A number of a JSON document; NaN is null there."""

Freedom = Annotated[float, _null_is(math.inf), _AS_NULL]
"""Degrees of freedom; infinity is null in a JSON document."""


@dataclass(frozen=True)
class Ratio:
    """A ratio with the standard error of its logarithm."""

    value: Figure
    log_se: Figure
    support: float  # events among the exposed
    weight: Figure = NAN  # its numerator, the exposed term of Mantel–Haenszel: pools over seeds
    freedom: Freedom = math.inf  # degrees of freedom behind log_se

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval, symmetric on the log scale; NaN without an estimate."""
        half = _quantile(0.5 + confidence / 2, self.freedom) * self.log_se
        return self.value * math.exp(-half), self.value * math.exp(half)

    def detectable(self, confidence: float = 0.95) -> float:
        """Smallest true ratio above 1 whose interval excludes 1 with probability POWER."""
        z = _quantile(0.5 + confidence / 2, self.freedom) + _quantile(POWER, self.freedom)
        return math.exp(z * self.log_se) if math.isfinite(self.log_se) else NAN


@dataclass(frozen=True)
class ArmRatio(Ratio):
    """A ratio of one arm that can be compared with that of another arm."""

    by_cluster: Floats | None = None
    """Influence on the logarithm, summed per cluster; pairs this ratio with another arm's."""

    @property
    def design(self) -> float:
        """Standard error over that of one-way clustering by party; at least 1."""
        if self.by_cluster is None:
            return 1.0
        one_way = math.sqrt(_sandwich(self.by_cluster, int(np.count_nonzero(self.by_cluster))))
        return max(self.log_se / one_way, 1.0) if one_way else 1.0

    def over(self, other: ArmRatio) -> Ratio:
        """This ratio divided by another arm's, as a paired comparison.

        Arms share arrivals, draws and parties, so the noise of a party cancels: the error is
        that of the per-party difference. Ratios over different parties are treated as
        independent.
        """
        support = min(self.support, other.support)
        if not other.value > 0:
            return Ratio(NAN, NAN, support)
        own, theirs = self.by_cluster, other.by_cluster
        if own is not None and theirs is not None and own.size == theirs.size:
            clusters = int(np.count_nonzero((own != 0) | (theirs != 0)))
            error = math.sqrt(_sandwich(own - theirs, clusters)) * max(self.design, other.design)
        else:
            error = math.hypot(self.log_se, other.log_se)
        return Ratio(self.value / other.value, error, support, self.weight)


@dataclass(frozen=True)
class Share:
    """A share, or an area under a ROC curve, with its standard error."""

    value: Figure
    se: Figure
    support: float  # rows, or events, it is estimated from

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Normal confidence interval, clipped to 0 … 1."""
        half = _quantile(0.5 + confidence / 2, math.inf) * self.se
        return max(self.value - half, 0.0), min(self.value + half, 1.0)


def rate_ratio(
    event: Bools, exposed: Bools, stratum: Ints, cluster: Ints, clusters: int = 0,
    second_cluster: Ints | None = None,
) -> ArmRatio:  # fmt: skip
    """Mantel–Haenszel ratio of event rates, exposed over unexposed, within strata.

    The estimate is the common risk ratio of Rothman (Modern Epidemiology, ch. 15); its
    variance is the cluster sandwich of the influence of every row, stratum margins included.

    Parameters
    ----------
    event, exposed : (n,) bool
    stratum, cluster : (n,) small integers from 0
    clusters : number of clusters, those without rows included; two arms can be paired only
        if they state the same number
    second_cluster : (n,) a second grouping of dependent rows, such as devices; the variance
        is then the two-way one of Cameron, Gelbach and Miller (2011), never below that of
        either grouping

    Returns
    -------
    NaN where the exposed or the unexposed have no event in any stratum with both.
    """
    strata = int(stratum.max(initial=0)) + 1

    def total(mask: Bools) -> Floats:
        return np.bincount(stratum[mask], minlength=strata).astype(np.float64)

    a, n1 = total(event & exposed), total(exposed)
    events, n = total(event), np.bincount(stratum, minlength=strata).astype(np.float64)
    b, n0, n = events - a, n - n1, np.maximum(n, 1.0)
    exposed_rate, other_rate = float((a * n0 / n).sum()), float((b * n1 / n).sum())
    if exposed_rate <= 0 or other_rate <= 0:
        return ArmRatio(NAN, NAN, float(a.sum()))
    # Influence of a row on the log ratio depends only on its stratum, exposure and event.
    table = np.empty((strata, 2, 2))
    for e in (0, 1):
        for y in (0, 1):
            d_exposed = (e * y * n0 + a * (1 - e)) / n - a * n0 / n**2
            d_other = ((1 - e) * y * n1 + b * e) / n - b * n1 / n**2
            table[:, e, y] = d_exposed / exposed_rate - d_other / other_rate
    influence = table.ravel()[stratum.astype(np.int64) * 4 + exposed * 2 + event]
    sums: Floats = np.bincount(cluster, influence, minlength=clusters).astype(np.float64)
    variance = _sandwich(sums, int(np.count_nonzero(np.bincount(cluster))))
    if second_cluster is not None:
        second = clustered(influence, second_cluster)
        joint = clustered(influence, _pairs(cluster, second_cluster))
        variance = max(variance + second - joint, variance, second)
    return ArmRatio(
        exposed_rate / other_rate, math.sqrt(variance), float(a.sum()), exposed_rate,
        by_cluster=sums,
    )  # fmt: skip


def mean_ratio(draws: Sequence[Ratio]) -> Ratio:
    """Geometric mean of independent draws of a ratio; its error is their empirical spread."""
    logs = np.log([draw.value for draw in draws])
    n = len(draws)
    error = float(logs.std(ddof=1)) / math.sqrt(n) if n > 1 else NAN
    support = min((draw.support for draw in draws), default=0.0)
    weight = float(np.mean([draw.weight for draw in draws])) if n else NAN
    return Ratio(float(np.exp(logs.mean())), error, support, weight, n - 1.0)


def pooled_ratio(seeds: Sequence[Ratio]) -> Ratio:
    """One ratio over several seeds, which are independent worlds.

    Numerators and denominators of Mantel–Haenszel are added, so seeds are further strata. To
    first order the logarithm of the sum is the mean of the logarithms weighted by numerators;
    freedom is that of Welch and Satterthwaite. NaN where a seed has no estimate.
    """
    support = float(sum(r.support for r in seeds))
    if not all(r.value > 0 and r.weight > 0 and math.isfinite(r.log_se) for r in seeds):
        return Ratio(NAN, NAN, support)
    exposed = sum(r.weight for r in seeds)
    other = sum(r.weight / r.value for r in seeds)
    parts = [(r.weight / exposed * r.log_se) ** 2 for r in seeds]
    doubt = sum(part**2 / r.freedom for part, r in zip(parts, seeds, strict=True))
    freedom = sum(parts) ** 2 / doubt if doubt else math.inf
    return Ratio(exposed / other, math.sqrt(sum(parts)), support, exposed, freedom)


def pooled_share(seeds: Sequence[Share]) -> Share:
    """One share, or mean area, over several seeds, weighted by support. NaN where one is."""
    support = float(sum(s.support for s in seeds))
    if not support:
        return Share(NAN, NAN, 0.0)
    # fsum: the built-in sum of floats rounds in another way from Python 3.12 on.
    value = math.fsum(s.value * s.support for s in seeds) / support
    error = math.sqrt(sum((s.se * s.support) ** 2 for s in seeds)) / support
    return Share(value, error, support)


def share(part: Bools, cluster: Ints) -> Share:
    """Share of true rows, with a cluster-robust standard error."""
    n = part.size
    if n == 0:
        return Share(NAN, NAN, 0.0)
    value = float(part.mean())
    return Share(value, math.sqrt(clustered((part - value) / n, cluster)), float(n))


def area(score: NDArray[np.generic], event: Bools, cluster: Ints) -> Share:
    """Area under the ROC curve of `score` for `event`, ties counted half.

    score: (n,) of any sortable type; an area below 0.5 means that high scores are safe. The
    variance is DeLong's with placements summed per cluster (Obuchowski 1997). NaN where one
    class is empty.
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
    """Variance of the sum of influences, clusters being independent."""
    clusters = int(np.count_nonzero(np.bincount(cluster)))
    return _sandwich(np.bincount(cluster, influence).astype(np.float64), clusters)


def _quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t, or of the normal where `freedom` is infinite."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if math.isinf(freedom) else stdtrit(freedom, probability))


def _pairs(first: Ints, second: Ints) -> Ints:
    """Joint groups of two groupings, numbered from 0."""
    key = first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second
    return np.asarray(np.unique(key, return_inverse=True)[1])


def _sandwich(sums: Floats, clusters: int) -> float:
    """Sum of squared cluster sums, with the small-sample factor G / (G − 1)."""
    return float((sums**2).sum()) * clusters / max(clusters - 1, 1)


def deciles(values: Ints) -> NDArray[np.uint8]:
    """Decile 0 … 9 of every value; equal values share a decile."""
    cuts = np.quantile(values, np.arange(1, 10) / 10)
    return np.searchsorted(cuts, values, side="right").astype(np.uint8)


def total_variation(one: Ints, other: Ints) -> float:
    """Total variation distance of two histograms over the same cells, 0 … 1."""
    if not (one.sum() and other.sum()):
        return NAN
    return float(0.5 * np.abs(one / one.sum() - other / other.sum()).sum())
