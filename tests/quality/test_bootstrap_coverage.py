"""Coverage of 95 % intervals over 2 000 simulated worlds with known truth.

A world has 4 000 owners. A risky owner raises the risk of its assets, and so does a hidden trait,
which makes assets of one owner dependent.
"""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.gates.statistics import (
    around,
    clustered_odds,
    generator,
    jsd,
    odds_ratio,
    redrawn,
    resampled,
)

pytestmark = pytest.mark.full

WORLDS, OWNERS, RESAMPLES = 2_000, 4_000, 1_000
RISKY, MOST = 0.15, 5
BASE, UPLIFT, TRAIT = -2.2, 1.0, 1.0  # log-odds: assets, risky owners, ± hidden trait
COVERED = (0.93, 0.97)


def chances() -> np.ndarray:
    """P(asset risky | owner risky?, trait), shape (2, 2)."""
    logit = BASE + UPLIFT * np.array([[0.0], [1.0]]) + TRAIT * np.array([-1.0, 1.0])
    return 1 / (1 + np.exp(-logit))


def truth() -> float:
    """Expected odds ratio over assets; both traits and 1 … MOST assets are equally likely."""
    p = chances().mean(axis=1)
    return float(p[1] * (1 - p[0]) / (p[0] * (1 - p[1])))


def world(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (risky?, assets, risky assets) of one world, and owners of each."""
    risky = random.random(OWNERS) < RISKY
    trait = random.integers(0, 2, OWNERS)
    assets = random.integers(1, MOST + 1, OWNERS)
    risky_assets = random.binomial(assets, chances()[risky.astype(int), trait])
    cells = np.bincount(
        (risky * (MOST + 1) + assets) * (MOST + 1) + risky_assets, minlength=2 * (MOST + 1) ** 2
    )
    occupied = np.flatnonzero(cells)
    patterns = np.stack(np.unravel_index(occupied, (2, MOST + 1, MOST + 1)), axis=1)
    return patterns, cells[occupied]


@pytest.fixture(scope="module")
def intervals() -> tuple[np.ndarray, np.ndarray]:
    """Intervals by owner, and by asset as if assets were independent: (worlds, 2) each."""
    random = np.random.default_rng(20_261)
    by_owner, by_row = np.empty((WORLDS, 2)), np.empty((WORLDS, 2))
    for w in range(WORLDS):
        patterns, count = world(random)
        _, by_owner[w], by_row[w] = clustered_odds(
            patterns, count, RESAMPLES, generator(w, "coverage")
        )
    return by_owner, by_row


def coverage(intervals: np.ndarray, value: float) -> float:
    return float(((intervals[:, 0] <= value) & (value <= intervals[:, 1])).mean())


def test_intervals_by_owner_cover_the_truth(intervals):
    by_owner, _ = intervals
    assert COVERED[0] <= coverage(by_owner, truth()) <= COVERED[1]


def test_intervals_by_asset_are_too_narrow(intervals):
    by_owner, by_row = intervals
    assert coverage(by_row, truth()) < COVERED[0]
    widths = [np.median(np.log(i[:, 1] / i[:, 0])) for i in intervals]
    assert widths[0] > 1.1 * widths[1]
    assert coverage(by_row, truth()) < coverage(by_owner, truth())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_intervals_of_rates_cover_the_truth(share):
    """T4-like shares of 5 000 rows."""
    random = np.random.default_rng(7)
    hits = random.binomial(5_000, share, WORLDS)
    intervals = np.array(
        [
            resampled(
                np.array([h, 5_000 - h]), lambda c: c[:, 0] / 5_000, RESAMPLES, generator(w, "rate")
            )
            for w, h in enumerate(hits.tolist())
        ]
    )
    assert COVERED[0] <= coverage(intervals, share) <= COVERED[1]


CELLS = np.array([0.45, 0.25, 0.15, 0.1, 0.05])
SIZES = np.array([800, 2_000, 5_000])


def distances(shift: float) -> tuple[float, np.ndarray, float, np.ndarray]:
    """Metrics like those of T3 and T8 over three regions whose shares differ from the prior.

    Returns truth and intervals (worlds, 2) of the worst cell (T3), then of the divergence of the
    largest region (T8).
    """
    truth = CELLS + shift * np.array([1.0, -1.0, 0.0, 0.0, 0.0])
    random = np.random.default_rng(31)
    cell, root = np.empty((WORLDS, 2)), np.empty((WORLDS, 2))
    for w in range(WORLDS):
        resampler = generator(w, "distance")
        regions = [random.multinomial(n, truth) for n in SIZES]
        resampled_regions = [redrawn(row, RESAMPLES, resampler) for row in regions]
        moved = [
            np.abs(d - row).max(axis=1) / row.sum()
            for d, row in zip(resampled_regions, regions, strict=True)
        ]
        worst = max(float(np.abs(row / row.sum() - CELLS).max()) for row in regions)
        cell[w] = around(worst, np.max(moved, axis=0))
        root[w] = around(
            float(jsd(regions[-1].astype(float), CELLS)) ** 0.5,
            np.sqrt(jsd(resampled_regions[-1], regions[-1].astype(float))),
        )
    return shift, cell, float(jsd(truth, CELLS)), root**2


def test_intervals_of_distances_cover_a_truth_of_zero():
    """Percentiles of resampled distances would never cover zero, as they are positive."""
    cell_truth, cell, truth, divergence = distances(0.0)
    assert COVERED[0] <= coverage(cell, cell_truth) <= COVERED[1]
    assert COVERED[0] <= coverage(divergence, truth) <= COVERED[1]


@pytest.mark.parametrize(("shift", "excluded"), [(0.01, 0.05), (0.03, 0.7), (0.1, 0.99)])
def test_intervals_of_positive_distances_cover_and_exclude_zero(shift, excluded):
    """Nor do they lose power: they exclude zero in at least a share `excluded` of worlds."""
    cell_truth, cell, truth, divergence = distances(shift)
    assert coverage(cell, cell_truth) >= COVERED[0]
    assert coverage(divergence, truth) >= COVERED[0]
    assert (cell[:, 0] > 0).mean() >= excluded


def test_the_truth_is_the_odds_ratio_of_a_very_large_world():
    random = np.random.default_rng(5)
    total = np.zeros((2, 2))
    for _ in range(400):
        patterns, count = world(random)
        for (risky, assets, risky_assets), n in zip(patterns, count, strict=True):
            total[risky] += n * (assets - risky_assets), n * risky_assets
    assert odds_ratio(total) == pytest.approx(truth(), rel=0.02)
