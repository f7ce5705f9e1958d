"""Correlation from integer sums: equals numpy's, and does not depend on shards."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fraudworld.stages.posture.score.moments import correlation, moments


def _scores(n, spread=0.2):
    draw = np.random.default_rng(3)
    owner = 0.3 + spread * draw.random(n // 3)
    of = np.sort(draw.integers(0, owner.size, n))
    return 0.5 * owner[of] + 0.4 * draw.random(n) - 0.1, owner, of


def test_correlation_equals_numpys():
    asset, owner, of = _scores(30_000)
    expected = np.corrcoef(asset, owner[of])[0, 1]
    assert correlation(moments(asset, owner, of)) == pytest.approx(expected, abs=1e-7)


def test_shards_change_no_bit():
    asset, owner, of = _scores(9_999)
    parts = [slice(low, low + 137) for low in range(0, of.size, 137)]
    sums = sum(moments(asset[p], owner, of[p]) for p in parts)
    assert sums.tolist() == moments(asset, owner, of).tolist()


def test_the_correlation_of_a_constant_is_nan():
    asset, owner, of = _scores(900, spread=0.0)
    assert math.isnan(correlation(moments(asset, owner, of)))
    nobody = np.zeros(0)
    assert math.isnan(correlation(moments(nobody, owner, nobody.astype(np.int64))))
