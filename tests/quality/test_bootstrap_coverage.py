"""Do 95 % intervals cover the truth 95 times in a hundred? 2 000 simulated worlds know it.

Every world has 4 000 owners whose assets share a fate: an owner's risk raises the risk of its
assets, and so does a hidden trait of its own, which makes assets of one owner dependent.
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
    """The odds ratio over assets in an endless world; traits are even, assets 1 … MOST."""
    p = chances().mean(axis=1)
    return float(p[1] * (1 - p[0]) / (p[0] * (1 - p[1])))


def world(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (risky?, assets, risky assets) of one world, and owners of each."""
    risky = random.random(OWNERS) < RISKY
    trait = random.integers(0, 2, OWNERS)
    assets = random.integers(1, MOST + 1, OWNERS)
    bad = random.binomial(assets, chances()[risky.astype(int), trait])
    cells = np.bincount(
        (risky * (MOST + 1) + assets) * (MOST + 1) + bad, minlength=2 * (MOST + 1) ** 2
    )
    found = np.flatnonzero(cells)
    patterns = np.stack(np.unravel_index(found, (2, MOST + 1, MOST + 1)), axis=1)
    return patterns, cells[found]


@pytest.fixture(scope="module")
def intervals() -> tuple[np.ndarray, np.ndarray]:
    """Intervals over owners, and as if assets were independent: (worlds, 2) each."""
    random = np.random.default_rng(20_261)
    by_owner, by_row = np.empty((WORLDS, 2)), np.empty((WORLDS, 2))
    for w in range(WORLDS):
        patterns, count = world(random)
        _, by_owner[w], by_row[w] = clustered_odds(
            patterns, count, RESAMPLES, generator(w, "coverage")
        )
    return by_owner, by_row


def covered(intervals: np.ndarray, value: float) -> float:
    return float(((intervals[:, 0] <= value) & (value <= intervals[:, 1])).mean())


def test_intervals_over_owners_cover(intervals):
    by_owner, _ = intervals
    assert COVERED[0] <= covered(by_owner, truth()) <= COVERED[1]


def test_intervals_over_assets_are_too_narrow(intervals):
    by_owner, by_row = intervals
    assert covered(by_row, truth()) < COVERED[0]
    widths = [np.median(np.log(i[:, 1] / i[:, 0])) for i in intervals]
    assert widths[0] > 1.1 * widths[1]
    assert covered(by_row, truth()) < covered(by_owner, truth())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_intervals_of_rates_cover(share):
    """T4-like shares of 5 000 rows."""
    random = np.random.default_rng(7)
    hits = random.binomial(5_000, share, WORLDS)
    found = np.array(
        [
            resampled(
                np.array([h, 5_000 - h]), lambda c: c[:, 0] / 5_000, RESAMPLES, generator(w, "rate")
            )
            for w, h in enumerate(hits.tolist())
        ]
    )
    assert COVERED[0] <= covered(found, share) <= COVERED[1]


CELLS = np.array([0.45, 0.25, 0.15, 0.1, 0.05])
SIZES = np.array([800, 2_000, 5_000])


def distances(shift: float) -> tuple[float, np.ndarray, float, np.ndarray]:
    """T3-like and T8-like metrics of three regions whose truth is `shift` off the prior.

    Returns truth and intervals (worlds, 2) of the worst cell, then of the divergence of the
    largest region.
    """
    truth = CELLS + shift * np.array([1.0, -1.0, 0.0, 0.0, 0.0])
    random = np.random.default_rng(31)
    cell, root = np.empty((WORLDS, 2)), np.empty((WORLDS, 2))
    for w in range(WORLDS):
        resampler = generator(w, "distance")
        seen = [random.multinomial(n, truth) for n in SIZES]
        drawn = [redrawn(row, RESAMPLES, resampler) for row in seen]
        moved = [
            np.abs(d - row).max(axis=1) / row.sum() for d, row in zip(drawn, seen, strict=True)
        ]
        worst = max(float(np.abs(row / row.sum() - CELLS).max()) for row in seen)
        cell[w] = around(worst, np.max(moved, axis=0))
        root[w] = around(
            float(jsd(seen[-1].astype(float), CELLS)) ** 0.5,
            np.sqrt(jsd(drawn[-1], seen[-1].astype(float))),
        )
    return shift, cell, float(jsd(truth, CELLS)), root**2


def test_intervals_of_distances_cover_a_truth_of_zero():
    """What percentiles of resampled distances never do: they all lie above zero."""
    cell_truth, cell, truth, divergence = distances(0.0)
    assert COVERED[0] <= covered(cell, cell_truth) <= COVERED[1]
    assert COVERED[0] <= covered(divergence, truth) <= COVERED[1]


@pytest.mark.parametrize(("shift", "seen"), [(0.01, 0.05), (0.03, 0.7), (0.1, 0.99)])
def test_intervals_of_distances_cover_others_at_least_as_often(shift, seen):
    """And rule zero out in a share `seen` of worlds."""
    cell_truth, cell, truth, divergence = distances(shift)
    assert covered(cell, cell_truth) >= COVERED[0]
    assert covered(divergence, truth) >= COVERED[0]
    assert (cell[:, 0] > 0).mean() >= seen


def test_the_simulated_truth_is_the_ratio_of_a_very_large_world():
    random = np.random.default_rng(5)
    total = np.zeros((2, 2))
    for _ in range(400):
        patterns, count = world(random)
        for (risky, assets, bad), n in zip(patterns, count, strict=True):
            total[risky] += n * (assets - bad), n * bad
    assert odds_ratio(total) == pytest.approx(truth(), rel=0.02)
