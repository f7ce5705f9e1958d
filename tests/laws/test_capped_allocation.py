"""The allocation law: plans conserved, caps kept, residual slots fair, shards irrelevant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.kernels import normal
from fraudworld.kernels.capped import Factors, Law, allocate, draft, uncapped
from fraudworld.rng import Stream

SAMPLING = "account_allocation_sampling"


def _law(zero_share: float = 0.5, sigma: float = 0.9, cap: int = 3, seed: int = 1) -> Law:
    draws = Stream(seed, "test/allocation", SAMPLING, 2)
    return Law(zero_share, sigma, cap, draws.key, Stream(seed, "test/slots", SAMPLING, cap).key)


def _entities(n: int, cells: int):
    return np.arange(n), (np.arange(n) % cells).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 400),
    cells=st.integers(1, 5),
    cap=st.integers(1, 6),
    zero=st.floats(0, 0.95),
    sigma=st.floats(0, 1.5),
    load=st.floats(0, 8),
)
def test_plan_is_conserved_or_counted_and_no_cap_is_broken(n, cells, cap, zero, sigma, load):
    who, cell = _entities(n, cells)
    plan = np.floor(np.bincount(cell, minlength=cells) * load).astype(np.int64)
    done = allocate(who, cell, plan, _law(zero, sigma, cap), np.full(n, cap, np.int32))
    given_out = np.bincount(cell, done.counts, cells).astype(np.int64)
    assert (given_out + done.dropped == plan).all()
    assert done.counts.max(initial=0) <= cap
    assert done.counts.min(initial=0) >= 0
    capacity = np.bincount(cell, minlength=cells) * cap
    assert (done.dropped == np.maximum(plan - capacity, 0)).all(), "drops only what cannot fit"


def test_zero_share_is_an_exact_count():
    who, cell = _entities(10_000, 1)
    law = _law(zero_share=0.4, sigma=0.0, cap=9)
    done = allocate(who, cell, np.array([20_000]), law, np.full(10_000, 9, np.int32))
    assert (done.counts > 0).sum() == 6_000


def test_warning_mode_leaves_the_overflow_and_reports_it():
    who, cell = _entities(50_000, 1)
    law, room = _law(0.5, 1.0, 2), np.full(50_000, 2, np.int32)
    warn = uncapped(draft(who, cell, np.array([25_000]), law, 2), room)
    hard = allocate(who, cell, np.array([25_000]), law, room)
    assert warn.overflow == hard.overflow == int(np.maximum(warn.counts - 2, 0).sum()) > 0
    assert hard.redistributed == hard.overflow
    assert hard.counts.sum() == warn.counts.sum() == 25_000


def test_order_of_entities_does_not_matter():
    n = 5_000
    who, cell = _entities(n, 3)
    plan, room = np.array([900, 1100, 400]), np.full(n, 3, np.int32)
    straight = allocate(who, cell, plan, _law(), room).counts
    order = np.random.default_rng(5).permutation(n)
    mixed = allocate(who[order], cell[order], plan, _law(), room).counts
    assert (mixed == straight[order]).all()


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_the_gate_lets_in_those_with_the_largest_gates(rho):
    """The law as it is written: a deviate for everybody, then the smallest keys by a sort."""
    n, law = 20_000, _law(zero_share=0.7, cap=4)
    who, cell = _entities(n, 2)
    factor = np.random.default_rng(3).standard_normal(n)
    factors = Factors(factor, factor, rho) if rho else None
    made = draft(who, cell, np.array([3_000, 3_000]), law, law.cap, factors)
    draws = Stream(1, "test/allocation", SAMPLING, 2).draws(0, n)[:, 0]
    own = np.array([normal.quantile(((int(d) >> 12) + 0.5) * 2.0**-52) for d in draws])
    key = ((16.0 - (np.sqrt(rho) * factor + np.sqrt(1 - rho) * own)) * 2**28).astype(np.uint64)
    for c in range(2):
        inside = np.flatnonzero(cell == c)
        first = inside[np.argsort(key[inside], kind="stable")][: round(0.3 * inside.size)]
        assert set(np.flatnonzero(made.eligible & (cell == c))) == set(first)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_counts_share_the_factor(rho):
    """Two products of one holder correlate as far as they share its factor."""
    n = 200_000
    who, cell = _entities(n, 1)
    factor = np.random.default_rng(3).standard_normal(n)
    factors = Factors(factor, factor, rho)
    counts = [
        draft(who, cell, np.array([100 * n]), _law(0.0, 0.5, 400, seed), 400, factors).counts
        for seed in (1, 2)
    ]
    assert np.corrcoef(np.log(counts))[0, 1] == pytest.approx(rho, abs=0.01)
