"""Estimators of the gates against statsmodels, SciPy and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2
from statsmodels.stats.rates import confint_poisson

from fraudworld.gates.network import quantile
from fraudworld.gates.statistics import (
    around,
    auc,
    clustered_odds,
    generator,
    homogeneity,
    join_rare,
    jsd,
    mantel_haenszel,
    odds_ratio,
    poisson_interval,
    redrawn,
    resampled,
)

BOARD = "data/layer3/6A/validation/realism_gate_6A.json"
cells = st.integers(1, 5_000)
tables = st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=8)


@given(tables)
def test_odds_ratio_is_scipys_with_haldanes_half(rows):
    ratios = odds_ratio(np.array(rows).reshape(-1, 2, 2))
    for value, row in zip(ratios, rows, strict=True):
        table = np.array(row, dtype=float).reshape(2, 2) + 0.5
        assert value == pytest.approx(Table2x2(table).oddsratio, rel=1e-12)
        expected = stats.contingency.odds_ratio(np.array(row).reshape(2, 2), kind="sample")
        assert odds_ratio(np.array(row).reshape(2, 2) - 0.5) == pytest.approx(expected.statistic)


@settings(deadline=None)
@given(tables)
def test_mantel_haenszel_is_statsmodels_ratio_and_interval(rows):
    strata = np.array(rows, dtype=float).reshape(-1, 2, 2)
    expected = StratifiedTable(np.moveaxis(strata, 0, 2))
    ratio, low, high = mantel_haenszel(strata)
    assert ratio == pytest.approx(expected.oddsratio_pooled, rel=1e-10)
    assert (low, high) == pytest.approx(expected.oddsratio_pooled_confint(), rel=1e-8)


def test_empty_strata_do_not_change_mantel_haenszel():
    strata = np.array([[[50.0, 5.0], [40.0, 12.0]]])
    padded = np.concatenate([strata, np.zeros((4, 2, 2))])
    assert mantel_haenszel(padded) == pytest.approx(mantel_haenszel(strata))
    assert np.isnan(mantel_haenszel(np.zeros((3, 2, 2)))).all()


@given(
    st.lists(st.integers(0, 1_000), min_size=2, max_size=12),
    st.lists(st.integers(1, 1_000), min_size=12, max_size=12),
)
def test_jsd_is_scipys_distance_squared_in_bits(observed, expected):
    if not any(observed):
        return
    o, e = np.array(observed, dtype=float), np.array(expected[: len(observed)], dtype=float)
    assert jsd(o, e) == pytest.approx(jensenshannon(o, e, base=2) ** 2, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=4, max_size=80))
def test_auc_is_scikit_learns_in_the_better_direction(pairs):
    score, label = np.array([s for s, _ in pairs]), np.array([b for _, b in pairs])
    if label.all() or not label.any():
        return
    counts = np.zeros((7, 2))
    np.add.at(counts, (score, label.astype(int)), 1)
    expected = roc_auc_score(label, score)
    assert auc(counts[:, 1], counts[:, 0]) == pytest.approx(max(expected, 1 - expected))


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=60), st.floats(0.01, 1.0, exclude_min=True)
)
def test_quantile_is_numpys_inverted_cdf(values, q):
    distinct, counts = np.unique(np.array(values), return_counts=True)
    expected = np.quantile(values, q, method="inverted_cdf")
    assert quantile(distinct, counts.astype(float), q) == expected


def test_bootstrap_of_counts_is_scipys_percentile_bootstrap():
    """For a share of 300 rows, multinomial counts and resampled rows give the same interval."""
    rows = np.repeat([1.0, 0.0], [84, 216])
    expected = stats.bootstrap(
        (rows,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    interval = resampled(
        np.array([84, 216]), lambda c: c[:, 0] / c.sum(axis=1), 20_000, generator(1, "share")
    )
    assert interval == pytest.approx((expected.low, expected.high), abs=0.004)


def test_bootstrap_over_patterns_is_the_bootstrap_over_owners():
    """Resampling pattern counts against resampling 400 owners one by one."""
    draw = np.random.default_rng(11)
    risky = draw.random(400) < 0.3
    assets = draw.integers(1, 6, 400)
    risky_assets = draw.binomial(assets, np.where(risky, 0.4, 0.15))
    owners = np.stack([risky.astype(int), assets, risky_assets], axis=1)
    patterns, count = np.unique(owners, axis=0, return_counts=True)
    value, by_owner, by_row = clustered_odds(patterns, count, 20_000, generator(1, "t7"))

    def ratio(rows: np.ndarray) -> float:
        table = np.zeros((2, 2))
        for r in (0, 1):
            of_owners = rows[rows[:, 0] == r]
            table[r] = (of_owners[:, 1] - of_owners[:, 2]).sum(), of_owners[:, 2].sum()
        return float(odds_ratio(table))

    assert value == pytest.approx(ratio(owners))
    plain = [ratio(owners[draw.integers(0, 400, 400)]) for _ in range(4_000)]
    assert np.log(by_owner) == pytest.approx(np.log(np.percentile(plain, [2.5, 97.5])), abs=0.04)
    assert by_row[1] - by_row[0] == pytest.approx(by_owner[1] - by_owner[0], rel=0.25)


def test_every_interval_of_a_gateboard_contains_its_value(demo_world):
    """Naive bootstrap intervals of maxima and divergences would lie above the observed value."""
    board = json.loads((demo_world / BOARD).read_text())
    rows = [r for r in board["tests"] if r["ci_low"] is not None]
    assert {r["test_id"].split("_")[0] for r in rows} == {"T3", "T4", "T5", "T7", "T8"}
    assert [
        r["metric_name"] for r in rows if not 0 <= r["ci_low"] <= r["value"] <= r["ci_high"]
    ] == []


@given(st.integers(0, 5_000))
def test_poisson_interval_is_statsmodels_exact_one(count):
    expected = confint_poisson(count, 1, method="exact-c")
    assert poisson_interval(count) == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_distance_reaches_zero_or_excludes_it():
    moved = np.linspace(0.0, 1.0, 10_001)
    assert around(0.5, moved) == pytest.approx((0.0, 1.45))
    assert around(3.0, moved) == pytest.approx((2.05, 3.95))
    assert around(3.0, moved, 0.5) == pytest.approx((2.5, 3.5))


def test_estimates_without_counts_are_nan():
    none = np.array([], dtype=np.int64)
    assert np.isnan(quantile(none, np.array([]), 0.99))
    assert np.isnan(auc(np.array([3.0, 1.0]), np.zeros(2)))
    assert np.isnan(auc(np.zeros(2), np.array([3.0, 1.0])))
    assert redrawn(np.zeros(3, dtype=np.int64), 5, generator(1, "none")).tolist() == [[0.0] * 3] * 5


def test_the_bootstrap_is_a_function_of_seed_and_metric():
    counts = np.array([30, 70])

    def interval(seed: int | None, metric: str) -> tuple[float, float]:
        return resampled(counts, lambda c: c[:, 0] / 100, 1_000, generator(seed, metric))

    assert interval(42, "T4") == interval(42, "T4")
    assert (
        len({interval(42, "T4"), interval(7, "T4"), interval(42, "T3"), interval(None, "T4")}) > 1
    )


samples = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 400), min_size=n, max_size=n), min_size=1, max_size=30
    )
)


@given(samples)
def test_homogeneity_is_scipys_chi_squared(rows):
    cells = np.array(rows, dtype=np.int64).reshape(len(rows), -1).T
    if not cells.size or not cells.sum(axis=1).all():
        return
    joined = join_rare(cells, 5.0)
    chi2, freedom = homogeneity(joined)
    if joined.shape[1] < 2:
        assert (np.isnan(chi2), freedom) == (True, 0)
        return
    expected = stats.chi2_contingency(joined, correction=False)
    assert chi2 == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert freedom == expected.dof


@given(samples, st.sampled_from([1.0, 5.0, 40.0]))
def test_rare_cells_are_joined_with_neighbours(rows, least):
    """Sums of neighbours in order; the smallest sample expects enough in each, if it has enough."""
    cells = np.array(rows, dtype=np.int64).reshape(len(rows), -1).T
    joined = join_rare(cells, least)
    if not cells.sum():
        assert joined.shape[1] == 0
        return
    assert np.array_equal(joined.sum(axis=1), cells.sum(axis=1))
    ends = np.cumsum(joined, axis=1).T.tolist()
    sums = np.cumsum(cells, axis=1).T.tolist()
    assert all(end in sums for end in ends)
    expected = joined.sum(axis=0) * joined.sum(axis=1).min() / joined.sum()
    assert joined.shape[1] == 1 or expected.min() >= least * (1 - 1e-12)


def test_copies_differ_by_nothing_and_multinomial_samples_by_one_a_degree():
    """Null: χ²/df of 400 tables of 57 degrees has mean 1 and standard error .01."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.full(20, 3.0))
    copies = np.tile((shares * 10_000).astype(np.int64), (4, 1))
    assert homogeneity(copies) == (pytest.approx(0.0, abs=1e-9), 57)
    found = [homogeneity(rng.multinomial(5_000, shares, size=4)) for _ in range(400)]
    assert np.mean([chi2 / freedom for chi2, freedom in found]) == pytest.approx(1.0, abs=0.04)
