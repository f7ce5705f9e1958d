"""Kernels against numpy and SciPy, and against their stated properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, nbinom, norm, poisson

from fraudworld.kernels import apportion, discrete, normal, permute, select
from fraudworld.rng import FAMILIES, Stream, philox


@pytest.mark.parametrize("width", [1, 3, 4, 8])
@pytest.mark.parametrize("first", [0, 1, 7, 1_000_003])
def test_stream_is_numpys_philox_bit_for_bit(width, first):
    stream = Stream(42, "test/philox", FAMILIES[0], width)
    expected = np.random.Philox(key=np.array(stream.key))
    expected.advance(first * width // 4)
    raw = expected.random_raw(50 * width + 4)[first * width % 4 :][: 50 * width]
    assert (stream.draws(first, 50).ravel() == raw).all()
    entities = np.array([first + 49, first, first + 13])
    for index in range(width):
        assert (
            stream.at(entities, index) == stream.draws(first, 50)[entities - first, index]
        ).all()


@pytest.mark.parametrize("count", [1, 3, 4, 4 * philox.AT_ONCE - 1, 4 * philox.AT_ONCE + 6, 5_003])
@pytest.mark.parametrize("first", range(4))
def test_fill_equals_numpys_philox_at_any_start_and_length(count, first):
    out = np.zeros(count, dtype=np.uint64)
    philox.fill(np.uint64(5), np.uint64(6), np.uint64(first), out)
    raw = np.random.Philox(key=np.array([5, 6], dtype=np.uint64)).random_raw(first + count)
    assert (out == raw[first:]).all()


def test_streams_depend_on_seed_and_label_only():
    a = Stream(1, "x", FAMILIES[0]).flat(0, 8)
    assert (a == Stream(1, "x", FAMILIES[3]).flat(0, 8)).all()
    assert not (a == Stream(2, "x", FAMILIES[0]).flat(0, 8)).any()
    assert not (a == Stream(1, "y", FAMILIES[0]).flat(0, 8)).any()


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="unknown substream family"):
        Stream(1, "x", "household_sampling")


def test_deviates_equal_the_scalar_quantile_bit_for_bit():
    """Draws of the middle, of both tails, of the extremes, and around the border of the tails."""
    draws = np.random.default_rng(7).integers(0, 2**64, 600, dtype=np.uint64)
    far = draws >> np.arange(600, dtype=np.uint64) % np.uint64(60)
    # Border of the tails (probability 0.075), in steps of the 52 bits a deviate uses.
    edge = (
        np.uint64(math.floor(0.075 * 2**52)) + np.arange(-50, 50).astype(np.uint64)
    ) << np.uint64(12)
    bits = np.concatenate([draws, far, ~far, edge, ~edge])
    out = np.empty(bits.size)
    normal.deviates(bits, out)
    assert out.tolist() == [normal.quantile(((int(b) >> 12) + 0.5) * 2.0**-52) for b in bits]


def test_normal_quantile_log_and_exp_match_scipy_and_numpy():
    u = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 20_001), [1e-300, 1e-15, 1 - 1e-15]])
    assert np.array([normal.quantile(v) for v in u]) == pytest.approx(
        norm.ppf(u), abs=1e-9, rel=1e-12
    )
    x = np.concatenate([np.linspace(-40, 40, 4_001), np.linspace(-600, 600, 1_201)])
    assert np.array([normal.exp(v) for v in x]) == pytest.approx(np.exp(x), rel=1e-14)
    y = np.exp(x)
    assert np.array([normal.log(v) for v in y]) == pytest.approx(np.log(y), rel=1e-12, abs=1e-13)


def test_exps_equals_the_scalar_exp_bit_for_bit():
    x = np.concatenate(
        [np.linspace(-600, 600, 2_001), np.random.default_rng(8).normal(0, 2, 2_000)]
    )
    out = np.empty(x.size)
    normal.exps(x, out)
    assert out.tolist() == [normal.exp(v) for v in x]


@settings(max_examples=50, deadline=None)
@given(
    keys=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), min_size=1, max_size=200),
    cells=st.integers(1, 4),
    data=st.data(),
)
def test_smallest_equals_a_stable_sort(keys, cells, data):
    key = np.array(keys, dtype=np.uint64)
    cell = np.arange(key.size) % cells
    quota = np.array([data.draw(st.integers(0, key.size + 1)) for _ in range(cells)])
    marked = select.smallest(key, cell, quota)
    for c in range(cells):
        inside = np.flatnonzero(cell == c)
        expected = inside[np.argsort(key[inside], kind="stable")][: quota[c]]
        assert set(np.flatnonzero(marked & (cell == c))) == set(expected)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 1_000, 4_097])
def test_permutation_is_a_bijection(n):
    keys = Stream(3, "test/permute", FAMILIES[0], 8).draws(n, 1)[0]
    assert sorted(permute.permuted(0, n, n, keys)) == list(range(n))


def test_places_of_groups_are_those_of_each_permutation():
    sizes = np.array([1, 7, 2**20 + 3, 10**15], dtype=np.uint64)
    keys = Stream(3, "test/permute", FAMILIES[0], 8).draws(0, 4)
    group = np.tile(np.array([2, -1, 0, 3, 1]), 6)
    elements = np.where(group == 0, 0, np.arange(30) // 5)
    found = permute.grouped_places(sizes, keys, group, elements)
    for g, element, place in zip(group, elements, found, strict=True):
        assert place == (permute.permuted(element, 1, int(sizes[g]), keys[g])[0] if g >= 0 else 0)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 3_000),
    ends=st.lists(st.integers(0, 3_000), max_size=4),
    quotas=st.lists(st.integers(0, 1_000), min_size=1, max_size=6),
)
def test_places_and_categories_do_not_depend_on_the_batch(n, ends, quotas):
    keys = Stream(3, "test/permute", FAMILIES[0], 8).draws(n, 1)[0]
    place = permute.permuted(0, n, n, keys)
    cuts = np.cumsum(quotas)
    for low, high in itertools.pairwise(sorted({0, n, *(end for end in ends if end < n)})):
        assert (permute.permuted(low, high - low, n, keys) == place[low:high]).all()
        categories = np.empty(high - low, dtype=np.uint8)
        permute.assign_by_quota(low, n, keys, cuts, categories)
        expected = np.searchsorted(cuts[:-1], place[low:high], side="right")
        assert (categories == expected).all()


def test_permutation_looks_uniform():
    keys = Stream(4, "test/permute", FAMILIES[0], 8).draws(0, 4_000)
    first = np.array([permute.permuted(0, 1, 10, k)[0] for k in keys])
    assert chisquare(np.bincount(first, minlength=10)).pvalue > 1e-4
    pairs = np.array([permute.permuted(1, 1, 10, k)[0] for k in keys])
    assert abs(np.corrcoef(first, pairs)[0, 1] + 1 / 9) < 0.06


@settings(max_examples=100, deadline=None)
@given(total=st.integers(0, 10**7), weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_largest_remainder_conserves_and_stays_within_one(total, weights):
    w = np.array(weights)
    if w.sum() <= 1e-3:
        return
    counts = apportion.largest_remainder(total, w)
    assert counts.sum() == total
    assert np.abs(counts - total * w / w.sum()).max() < 1 + 1e-6


@settings(max_examples=60, deadline=None)
@given(data=st.data(), r=st.integers(1, 8), c=st.integers(1, 8))
def test_controlled_rounding_keeps_both_margins(data, r, c):
    rows = np.array([data.draw(st.integers(0, 500)) for _ in range(r)], dtype=np.int64)
    if rows.sum() == 0:
        return
    mix = np.array([data.draw(st.floats(0.05, 1)) for _ in range(c)])
    columns = apportion.largest_remainder(int(rows.sum()), mix)
    expected = apportion.fit(np.outer(rows, mix), rows, columns)
    counts = apportion.controlled(expected, rows, columns)
    assert (counts.sum(axis=1) == rows).all()
    assert (counts.sum(axis=0) == columns).all()
    assert counts.min() >= 0
    assert np.abs(counts - expected).max() < 3


def test_bounded_apportionment_keeps_floors_and_shares_the_remainder():
    counts = apportion.bounded(1000, [1, 1, 98], [100, 50, 0])
    assert list(counts) == [100, 50, 850]
    with pytest.raises(ValueError, match="floors sum to"):
        apportion.bounded(10, [1, 1], [6, 6])


def test_choices_follow_the_shares_and_never_take_an_impossible_category():
    table = discrete.thresholds([[0.0, 0.3, 0.7, 0.0], [1.0, 0.0, 0.0, 0.0]])
    draws = Stream(5, "test/choice", FAMILIES[0]).flat(0, 100_000)
    chosen = discrete.choices(draws, np.zeros(draws.size, np.uint8), table)
    assert np.bincount(chosen, minlength=4) / draws.size == pytest.approx(
        [0, 0.3, 0.7, 0], abs=0.006
    )
    edge = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert list(discrete.choices(edge, np.zeros(2, np.uint8), table)) == [1, 2]
    assert list(discrete.choices(edge, np.ones(2, np.uint8), table)) == [0, 0]
    with pytest.raises(ValueError, match="sum to 1"):
        discrete.thresholds([[0.5, 0.49]])
    assert discrete.means(table) == pytest.approx([1.7, 0.0])


@pytest.mark.parametrize("mean", [0.2, 3.0, 14.0])
@pytest.mark.parametrize("dispersion", [0.5, 1.0, 8.0])
def test_count_distributions_equal_scipys_truncated_ones(mean, dispersion):
    of_scipy = nbinom.pmf(np.arange(25), dispersion, dispersion / (dispersion + mean))
    shares = discrete.negative_binomial(mean, dispersion, 24)
    np.testing.assert_allclose(shares, of_scipy / of_scipy.sum(), rtol=1e-12)
    of_scipy = poisson.pmf(np.arange(25), mean)
    shares = discrete.zero_inflated_poisson(0.0, mean, 24)
    np.testing.assert_allclose(shares, of_scipy / of_scipy.sum(), rtol=1e-12)


def test_zero_inflated_poisson_has_its_zero_share_and_maximum():
    p = discrete.zero_inflated_poisson(0.25, 1.1, 3)
    assert p.size == 4
    assert p.sum() == pytest.approx(1)
    assert p[0] > 0.25
