"""Expected coverage of a count law, as lint computes it."""

from __future__ import annotations

import pytest

from fraudworld.policy import models
from fraudworld.policy.rules.counts import coverage, held


@pytest.mark.parametrize("zero_share", [0.0, 0.2, 0.9, 0.9996])
def test_coverage_stays_below_the_mean_at_any_correlation(zero_share):
    law = models.HurdleCount(zero_share=zero_share, sigma=1.0, cap=3)
    mean = 0.1 * (1.0 - zero_share)
    shares = [coverage(mean, law, rho) for rho in (0.0, 0.5, 0.88, 0.99, 1.0)]
    assert all(0.5 * mean < share <= 1.01 * mean for share in shares)


@pytest.mark.parametrize("correlation", [0.0, 0.4])
@pytest.mark.parametrize(("mean", "cap"), [(0.2, 4), (1.3, 4), (3.0, 4), (2.0, 1)])
def test_held_has_the_mean_and_the_coverage_of_the_law(mean, cap, correlation):
    law = models.HurdleCount(zero_share=0.25, sigma=0.9, cap=cap)
    shares = held(mean, law, correlation)
    assert len(shares) == cap + 1
    assert sum(shares) == pytest.approx(1.0)
    reachable = min(mean, 0.75 * cap)
    assert sum(n * share for n, share in enumerate(shares)) == pytest.approx(reachable)
    assert 1.0 - shares[0] == pytest.approx(coverage(mean, law, correlation))
