"""Expected coverage of a count law, as lint computes it."""

from __future__ import annotations

import pytest

from fraudworld.policy import models
from fraudworld.policy.rules.counts import coverage


@pytest.mark.parametrize("zero_share", [0.0, 0.2, 0.9, 0.9996])
def test_coverage_stays_below_the_mean_at_any_correlation(zero_share):
    law = models.HurdleCount(zero_share=zero_share, sigma=1.0, cap=3)
    mean = 0.1 * (1.0 - zero_share)
    shares = [coverage(mean, law, rho) for rho in (0.0, 0.5, 0.88, 0.99, 1.0)]
    assert all(0.5 * mean < share <= 1.01 * mean for share in shares)
