"""Exact selection over shards equals a stable sort of all keys, for any shards."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.kernels import ranks

CELLS = 3


@st.composite
def sharded_keys(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Keys that often tie or share their leading digit, cells, weights, and shard bounds."""
    n = draw(st.integers(0, 60))
    digit = st.sampled_from([0, 1, 7, ranks.DIGITS - 1])
    low = st.integers(0, 3) | st.just(2**ranks.SHIFT - 1)
    keys = [(draw(digit) << ranks.SHIFT) + draw(low) for _ in range(n)]
    cells = draw(st.lists(st.integers(0, CELLS - 1), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=3)))
    return (
        np.array(keys, np.uint64), np.array(cells, np.int64), np.array(weights, np.int64),
        np.array([0, *cuts, n]),
    )  # fmt: skip


@given(sharded_keys(), st.lists(st.integers(-2, 150), min_size=CELLS, max_size=CELLS))
@settings(max_examples=300, deadline=None)
def test_the_cut_selects_what_a_stable_sort_selects(world, quotas):
    keys, cells, weights, bounds = world
    quota = np.array(quotas)
    counts = np.zeros((CELLS, ranks.DIGITS), dtype=np.int64)
    np.add.at(counts, (cells, (keys >> np.uint64(ranks.SHIFT)).astype(np.int64)), weights)
    edge = ranks.edges(counts, quota)
    at_edge = []
    for low, high in itertools.pairwise(bounds):
        leading = (keys[low:high] >> np.uint64(ranks.SHIFT)).astype(np.int64)
        at = low + np.flatnonzero(leading == edge.digit[cells[low:high]])
        at_edge.append((cells[at], keys[at], at, weights[at]))
    cut, beyond = ranks.cut(edge, quota, at_edge)

    position = np.arange(keys.size)
    selected = (keys < cut.key[cells]) | (
        (keys == cut.key[cells]) & (position <= cut.position[cells])
    )
    lacks = dict(zip(beyond[0].tolist(), zip(beyond[2], beyond[3], strict=True), strict=True))
    for c in range(CELLS):
        in_cell = np.flatnonzero(cells == c)
        order = in_cell[np.argsort(keys[in_cell], kind="stable")]
        running = np.cumsum(weights[order])
        inside = order[running <= max(quota[c], 0)]
        assert sorted(np.flatnonzero(selected & (cells == c))) == sorted(inside)
        if c in lacks:
            at, lack = lacks[c]
            assert at == order[inside.size]
            assert lack == quota[c] - weights[inside].sum()


def test_count_is_a_histogram_of_leading_digits():
    digits = np.zeros(ranks.DIGITS, dtype=np.int64)
    ranks.count(np.array([0, 1, 2**ranks.SHIFT, 2**64 - 1], dtype=np.uint64), digits)
    assert digits[[0, 1, ranks.DIGITS - 1]].tolist() == [2, 1, 1]
    assert digits.sum() == 4
