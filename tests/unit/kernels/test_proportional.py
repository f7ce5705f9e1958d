"""Tables with given odds factors: rows sum to one, columns to their shares, odds as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.kernels import proportional


def fit(shares, sizes, factors):
    table = np.empty(np.shape(factors))
    steps, error = proportional.fit(
        np.array(shares), np.array(sizes, dtype=np.int64), np.array(factors), table
    )
    return table, steps, error


@st.composite
def strata(draw):
    rows, roles = draw(st.integers(1, 6)), draw(st.integers(2, 4))
    mass = draw(st.lists(st.floats(1e-4, 1.0), min_size=roles, max_size=roles))
    sizes = draw(st.lists(st.integers(0, 10**7), min_size=rows, max_size=rows))
    line = st.lists(st.floats(1 / 80, 80.0), min_size=roles, max_size=roles)
    factors = draw(st.lists(line, min_size=rows, max_size=rows))
    return np.array(mass) / sum(mass), np.array(sizes), np.array(factors)


@given(strata())
@settings(max_examples=200, deadline=None)
def test_marginals_are_exact_and_odds_are_as_asked_for(stratum):
    """Within rows, odds between roles differ from those of row 0 by the factors alone.

    Only one table has these odds and these sums (Sinkhorn 1967).
    """
    shares, sizes, factors = stratum
    table, steps, error = fit(shares, sizes, factors)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-14)
    if not sizes.sum():
        assert (table == shares).all()
        return
    assert error <= proportional.TOLERANCE
    assert steps < proportional.MOST_STEPS
    np.testing.assert_allclose(sizes @ table, shares * sizes.sum(), rtol=2e-12)
    odds = table / factors
    odds /= odds[:, -1:]
    np.testing.assert_allclose(odds, np.broadcast_to(odds[0], odds.shape), rtol=1e-9)


def test_a_higher_factor_raises_its_role_in_its_row_and_lowers_it_elsewhere():
    shares, sizes = [0.02, 0.03, 0.95], [9_000, 500, 500]
    before, _, _ = fit(shares, sizes, [[1.0, 1.0, 1.0], [5.0, 2.0, 1.0], [3.0, 3.0, 1.0]])
    after, _, _ = fit(shares, sizes, [[1.0, 1.0, 1.0], [9.0, 2.0, 1.0], [3.0, 3.0, 1.0]])
    assert after[1, 0] > before[1, 0]
    assert (after[[0, 2], 0] < before[[0, 2], 0]).all()


def test_factors_of_one_leave_the_shares():
    shares = np.array([0.1, 0.2, 0.7])
    table, _, _ = fit(shares, [5, 0, 7], np.ones((3, 3)))
    np.testing.assert_allclose(table, np.tile(shares, (3, 1)), rtol=1e-15)


def test_a_stratum_without_entities_keeps_its_shares():
    table, steps, error = fit([0.25, 0.75], [0, 0], [[1.0, 1.0], [60.0, 1.0]])
    assert table.tolist() == [[0.25, 0.75]] * 2
    assert (steps, error) == (0, 0.0)


def test_shares_of_zero_and_rounding_errors_below_it_stay_zero():
    table, _, error = fit([0.4, 0.0, 0.6, -1e-17], [100, 3], [[1.0] * 4, [9.0, 60.0, 1.0, 60.0]])
    assert (table[:, [1, 3]] == 0.0).all()
    assert error <= proportional.TOLERANCE


def test_one_row_with_entities_gets_exactly_the_shares():
    shares = [0.01, 0.02, 0.97]
    table, _, _ = fit(shares, [0, 40, 0], [[1.0] * 3, [60.0, 3.0, 1.0], [3.0, 8.0, 1.0]])
    np.testing.assert_allclose(table[1], shares, rtol=1e-12)


@pytest.mark.parametrize("ratio", [0.01, 100.0])
def test_the_strongest_factors_are_fitted_within_the_steps(ratio):
    """Crossing factors of 100 in strata where both roles and rows are even: the slowest case."""
    factors = [[ratio, 1.0 / ratio], [1.0 / ratio, ratio]]
    for share in (0.5, 0.4999, 0.3, 1e-4):
        _, steps, error = fit([share, 1.0 - share], [1_000, 1_000], factors)
        assert error <= proportional.TOLERANCE
        assert steps < proportional.MOST_STEPS
