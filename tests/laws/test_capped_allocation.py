"""The allocation law: plans conserved, caps kept, residual slots fair, shards irrelevant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.kernels.capped import allocate, draft, gate_and_weight, uncapped
from fraudworld.rng import Stream


def _case(n: int, cells: int, sigma: float, seed: int = 1):
    stream = Stream(seed, "test/allocation", "account_allocation_sampling", 2)
    gate, weight = np.empty(n, np.uint64), np.empty(n, np.uint64)
    gate_and_weight(np.zeros((n, 2)), stream.draws(0, n), 0.3, sigma, gate, weight)
    return (np.arange(n) % cells).astype(np.uint16), gate, weight


def _slots(cap: int, seed: int = 1):
    spare = Stream(seed, "test/slots", "account_allocation_sampling", cap)
    return lambda at: np.stack([spare.at(at, i) for i in range(cap)], axis=1)


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
    cell, gate, weight = _case(n, cells, sigma)
    plan = np.floor(np.bincount(cell, minlength=cells) * load).astype(np.int64)
    done = allocate(cell, gate, weight, plan, zero, np.full(n, cap, np.int32), _slots(cap))
    given_out = np.bincount(cell, done.counts, cells).astype(np.int64)
    assert (given_out + done.dropped == plan).all()
    assert done.counts.max(initial=0) <= cap
    assert done.counts.min(initial=0) >= 0
    capacity = np.bincount(cell, minlength=cells) * cap
    assert (done.dropped == np.maximum(plan - capacity, 0)).all(), "drops only what cannot fit"


def test_zero_share_is_an_exact_count():
    cell, gate, weight = _case(10_000, 1, 0.0)
    done = allocate(
        cell, gate, weight, np.array([20_000]), 0.4, np.full(10_000, 9, np.int32), _slots(9)
    )
    assert (done.counts > 0).sum() == 6_000


def test_warning_mode_leaves_the_overflow_and_reports_it():
    cell, gate, weight = _case(50_000, 1, 1.0)
    room = np.full(50_000, 2, np.int32)
    warn = uncapped(draft(cell, gate, weight, np.array([25_000]), 0.5, 2), room)
    hard = allocate(cell, gate, weight, np.array([25_000]), 0.5, room, _slots(2))
    assert warn.overflow == hard.overflow == int(np.maximum(warn.counts - 2, 0).sum()) > 0
    assert hard.redistributed == hard.overflow
    assert hard.counts.sum() == warn.counts.sum() == 25_000


def test_order_of_entities_does_not_matter():
    n = 5_000
    cell, gate, weight = _case(n, 3, 0.9)
    plan, room = np.array([900, 1100, 400]), np.full(n, 3, np.int32)
    straight = allocate(cell, gate, weight, plan, 0.5, room, _slots(3)).counts
    order = np.random.default_rng(5).permutation(n)
    slots = _slots(3)
    mixed = allocate(
        cell[order], gate[order], weight[order], plan, 0.5, room, lambda at: slots(order[at])
    ).counts
    assert (mixed == straight[order]).all()


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_weights_have_mean_one_and_share_the_factor(rho):
    n = 200_000
    factor = np.random.default_rng(3).standard_normal((n, 2))
    weights = []
    for label in ("a", "b"):
        gate, weight = np.empty(n, np.uint64), np.empty(n, np.uint64)
        draws = Stream(9, label, "account_allocation_sampling", 2).draws(0, n)
        gate_and_weight(factor, draws, rho, 0.5, gate, weight)
        weights.append(np.log(weight / 2**20))
    assert np.mean(np.exp(weights[0])) == pytest.approx(1.0, abs=0.01)
    assert np.corrcoef(weights)[0, 1] == pytest.approx(rho, abs=0.01)
