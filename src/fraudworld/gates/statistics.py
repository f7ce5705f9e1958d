"""Estimators and their uncertainty. Bootstraps are seeded and exact on counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal."""


def generator(seed: int | None, metric: str) -> np.random.Generator:
    """Generator of a bootstrap, a function of the run's seed and the metric's name."""
    key = int.from_bytes(
        hashlib.sha256(f"gates\0{seed}\0{metric}".encode()).digest()[:16], "little"
    )
    return np.random.Generator(np.random.Philox(key=key))


def odds_ratio(table: Floats) -> Floats:
    """Odds ratio of 2×2 counts [..., exposed?, case?] with Haldane's half in every cell.

    table: (…, 2, 2); index 1 means exposed and case. Returns (…,).
    """
    t = np.asarray(table, dtype=np.float64) + 0.5
    return np.asarray(t[..., 1, 1] * t[..., 0, 0] / (t[..., 1, 0] * t[..., 0, 1]))


def mantel_haenszel(strata: Floats) -> tuple[float, float, float]:
    """Common odds ratio over strata (n, 2, 2) with its 95 % interval (Robins–Breslow–Greenland).

    NaN where no stratum is informative.
    """
    s = np.asarray(strata, dtype=np.float64)
    a, b, c, d = s[:, 1, 1], s[:, 1, 0], s[:, 0, 1], s[:, 0, 0]
    n = np.maximum(s.sum(axis=(1, 2)), 1.0)
    r, q = a * d / n, b * c / n
    p, o = (a + d) / n, (b + c) / n
    R, Q = r.sum(), q.sum()
    if R <= 0 or Q <= 0:
        return float("nan"), float("nan"), float("nan")
    variance = (
        (p * r).sum() / (2 * R**2)
        + (p * q + o * r).sum() / (2 * R * Q)
        + (o * q).sum() / (2 * Q**2)
    )
    ratio = R / Q
    wide = Z95 * np.sqrt(variance)
    return float(ratio), float(ratio * np.exp(-wide)), float(ratio * np.exp(wide))


def jsd(observed: Floats, expected: Floats) -> Floats:
    """Jensen–Shannon divergence in bits along the last axis; inputs are counts or shares."""
    p = observed / observed.sum(axis=-1, keepdims=True)
    q = expected / expected.sum(axis=-1, keepdims=True)
    m = 0.5 * (p + q)

    def entropy(x: Floats) -> Floats:
        return np.asarray(-(x * np.log2(np.where(x > 0, x, 1.0))).sum(axis=-1))

    return np.maximum(entropy(m) - 0.5 * (entropy(p) + entropy(q)), 0.0)


def join_rare(cells: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Cells of several samples, rare neighbours joined; cells that are empty in all left out.

    cells: (samples, cells). From the first cell on, cells are joined with the next until the
    smallest sample expects at least `least` in them; what remains at the end joins the last.
    """
    cells = cells[:, cells.sum(axis=0) > 0]
    if not cells.size:
        return cells
    together, smallest = int(cells.sum()), int(cells.sum(axis=1).min())
    starts, waiting = [0], 0
    for at, column in enumerate(cells.sum(axis=0).tolist()):
        if waiting * smallest >= least * together:
            starts.append(at)
            waiting = 0
        waiting += column
    if waiting * smallest < least * together and len(starts) > 1:
        starts.pop()
    return np.asarray(np.add.reduceat(cells, starts, axis=1))


def homogeneity(cells: NDArray[np.int64]) -> tuple[float, int]:
    """χ² of samples (samples, cells) against their sum, and its degrees of freedom.

    NaN without a degree of freedom.
    """
    freedom = max(cells.shape[0] - 1, 0) * max(cells.shape[1] - 1, 0)
    if not freedom:
        return float("nan"), 0
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / cells.sum()
    return float(((cells - expected) ** 2 / expected).sum()), freedom


def auc(positive: Floats, negative: Floats) -> float:
    """Area under the ROC of a score given as counts per ascending score value.

    Ties count half. At least .5: the direction of a feature does not matter. NaN where one
    side is empty.
    """
    if not (positive.sum() and negative.sum()):
        return float("nan")
    below = np.cumsum(negative) - negative
    area = (positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum())
    return float(max(area, 1.0 - area))


def poisson_interval(count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval (Garwood) of the mean of a Poisson count; for rare categories."""
    from scipy.special import gammaincinv

    tail = (1 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * ((share * (1 - share) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def redrawn(counts: NDArray[np.integer], resamples: int, random: np.random.Generator) -> Floats:
    """Multinomial resamples of category counts: (resamples, categories).

    counts: (categories,), over n = Σ counts independent units; zeros stay zero. A multinomial draw
    is the bootstrap of n rows, so statistics of counts are resampled without touching rows.
    """
    n = int(counts.sum())
    if n == 0:
        return np.zeros((resamples, counts.size))
    return random.multinomial(n, counts / n, size=resamples).astype(np.float64)


def resampled(
    counts: NDArray[np.integer], statistic: Callable[[Floats], Floats], resamples: int,
    random: np.random.Generator, confidence: float = 0.95,
) -> tuple[float, float]:  # fmt: skip
    """Percentile interval of a statistic of category counts; for rates, ratios, quantiles.

    statistic maps (resamples, categories) to (resamples,). A maximum never resamples above
    itself: its interval says how many rows carry it, not how large it could have been.
    """
    tail = 100 * (1 - confidence) / 2
    statistics = statistic(redrawn(counts, resamples, random))
    low, high = np.percentile(statistics, [tail, 100 - tail])
    return float(low), float(high)


def around(distance: float, moved: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a distance from a prior, or of the largest of several.

    moved: (resamples,) distances between resamples and the observation. Noise increases a
    distance, so its percentiles lie above it and never reach a true distance of zero. By the
    triangle inequality d(observed, prior) and d(truth, prior) differ by at most
    d(observed, truth), which `moved` resamples: the interval covers with at least `confidence`.
    """
    radius = float(np.quantile(moved, confidence))
    return max(distance - radius, 0.0), distance + radius


def clustered_odds(
    patterns: NDArray[np.integer], multiplicity: NDArray[np.integer], resamples: int,
    random: np.random.Generator, confidence: float = 0.95,
) -> tuple[float, tuple[float, float], tuple[float, float]]:  # fmt: skip
    """Odds ratio of risky assets given a risky owner, resampling owners, not assets.

    patterns: (k, 3) distinct (owner risky?, assets, risky assets); multiplicity: owners of
    each. Returns (ratio, interval over owners, interval as if assets were independent).
    """
    risky, assets, bad = patterns.T
    weight = np.zeros((patterns.shape[0], 4))
    weight[:, 0] = (1 - risky) * (assets - bad)
    weight[:, 1] = (1 - risky) * bad
    weight[:, 2] = risky * (assets - bad)
    weight[:, 3] = risky * bad
    cells = multiplicity @ weight

    def ratio(table: Floats) -> Floats:
        return odds_ratio(table.reshape(-1, 2, 2))

    by_owner = resampled(multiplicity, lambda m: ratio(m @ weight), resamples, random, confidence)
    by_row = resampled(cells.astype(np.int64), ratio, resamples, random, confidence)
    return float(ratio(cells)[0]), by_owner, by_row
