"""T7: risk propagates from owners to their accounts and devices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.counts import Sample
from fraudworld.gates.gate import Row, at_least
from fraudworld.gates.statistics import clustered_odds, generator, mantel_haenszel


def occurring_patterns(cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Patterns that occur, one row each, and the owners with each."""
    patterns = np.argwhere(cells)
    return patterns, cells[tuple(patterns.T)]


def t7_risk_propagation_effect(sample: Sample) -> Iterator[Row]:
    """T7: odds ratio of a risky asset given a risky owner; owners are resampled, not rows."""
    policy = sample.pack.validation_policy
    for asset in ("account", "device"):
        patterns, owners = occurring_patterns(sample.counts.patterns[asset])
        value, interval, by_row = clustered_odds(
            patterns, owners, policy.support.bootstrap_resamples,
            generator(sample.seed, f"T7_{asset}"), policy.support.confidence,
        )  # fmt: skip
        common, low, high = mantel_haenszel(sample.counts.strata[asset].astype(np.float64))
        yield at_least(
            "T7_RISK_PROPAGATION_EFFECT", f"or_{asset}", value, policy.gates["T7_odds_ratio"],
            seed=sample.seed, interval=interval, floor_of_interval=1.0,
            support=float(owners[patterns[:, 0] == 1].sum()),
            minimum_support=policy.support.min_risky_owners,
            row_wise_interval=list(by_row), mantel_haenszel=common,
            mantel_haenszel_interval=[low, high],
        )  # fmt: skip
