"""Estimators of the witness against statsmodels, scikit-learn and the cluster bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2

from fraudworld.t10.estimators import (
    ArmRatio,
    Ratio,
    Share,
    area,
    deciles,
    mean_ratio,
    pooled_ratio,
    pooled_share,
    rate_ratio,
    share,
    total_variation,
)


def flows(n=20_000, parties=2_000, ratio=2.0, seed=1):
    """Events; exposure multiplies their probability by `ratio`, and parties differ in risk."""
    random = np.random.default_rng(seed)
    cluster = random.integers(0, parties, n)
    exposed = (random.random(parties) < 0.2)[cluster]
    stratum = (np.arange(parties) % 5)[cluster]
    frail = random.lognormal(0, 0.7, parties)[cluster]
    chance = 0.03 * (1 + stratum / 5) * frail * np.where(exposed, ratio, 1.0)
    return random.random(n) < chance, exposed, stratum, cluster


def test_rate_ratio_is_statsmodels_pooled_risk_ratio():
    event, exposed, stratum, cluster = flows()
    tables = np.array(
        [
            [
                [np.sum(event & exposed & on), np.sum(~event & exposed & on)],
                [np.sum(event & ~exposed & on), np.sum(~event & ~exposed & on)],
            ]
            for on in (stratum == k for k in range(5))
        ]
    )
    ratio = rate_ratio(event, exposed, stratum, cluster)
    expected = StratifiedTable([t.astype(float) for t in tables])
    assert ratio.value == pytest.approx(expected.riskratio_pooled, rel=1e-12)
    assert ratio.support == tables[:, 0, 0].sum()


def test_one_stratum_of_independent_rows_has_the_classical_error():
    event, exposed, _, _ = flows()
    n = event.size
    ratio = rate_ratio(event, exposed, np.zeros(n, int), np.arange(n))
    table = [
        [np.sum(event & exposed), np.sum(~event & exposed)],
        [np.sum(event & ~exposed), np.sum(~event & ~exposed)],
    ]
    expected = Table2x2(np.array(table, float))
    assert ratio.log_se == pytest.approx(expected.log_riskratio_se, rel=1e-3)
    assert ratio.interval() == pytest.approx(expected.riskratio_confint(), rel=1e-3)


def test_the_clustered_error_equals_that_of_resampled_parties():
    # 400 resamples estimate a standard error within 3.5 %; 15 % is four of those.
    event, exposed, stratum, cluster = flows(n=8_000, parties=400)
    random = np.random.default_rng(2)
    rows = [np.flatnonzero(cluster == c) for c in range(400)]
    logs = []
    for _ in range(400):
        drawn = random.integers(0, 400, 400)
        index = np.concatenate([rows[c] for c in drawn])
        label = np.repeat(np.arange(400), [rows[c].size for c in drawn])
        logs.append(math.log(rate_ratio(event[index], exposed[index], stratum[index], label).value))
    ratio = rate_ratio(event, exposed, stratum, cluster)
    assert ratio.log_se == pytest.approx(np.std(logs), rel=0.15)
    unclustered = rate_ratio(event, exposed, stratum, np.arange(event.size))
    assert ratio.log_se > 1.2 * unclustered.log_se  # parties are not independent rows


def test_a_second_clustering_does_not_narrow_the_interval():
    event, exposed, stratum, cluster = flows()
    rows = np.arange(event.size)
    clustered = rate_ratio(event, exposed, stratum, cluster)
    assert rate_ratio(
        event, exposed, stratum, cluster, second_cluster=rows
    ).log_se == pytest.approx(clustered.log_se, rel=1e-2)
    swapped = rate_ratio(event, exposed, stratum, rows, second_cluster=cluster)
    assert swapped.log_se == pytest.approx(clustered.log_se, rel=1e-2)


def test_a_ratio_without_events_on_one_side_is_nan():
    event, exposed, stratum, cluster = flows(n=500)
    assert math.isnan(rate_ratio(event & ~exposed, exposed, stratum, cluster).value)
    assert math.isnan(rate_ratio(event & exposed, exposed, stratum, cluster).value)


def test_arms_of_the_same_parties_are_paired():
    event, exposed, stratum, cluster = flows()
    base = rate_ratio(event, exposed, stratum, cluster, 2_000)
    flipped = np.random.default_rng(3).random(event.size) < 0.01
    other = rate_ratio(event ^ flipped, exposed, stratum, cluster, 2_000)
    paired = other.over(base)
    assert paired.value == pytest.approx(other.value / base.value)
    assert paired.log_se < 0.6 * math.hypot(base.log_se, other.log_se)
    assert base.over(base).log_se == 0.0
    independent = ArmRatio(1.5, 0.1, 10.0)
    assert base.over(independent).log_se == pytest.approx(math.hypot(base.log_se, 0.1))
    assert math.isnan(base.over(ArmRatio(0.0, 0.1, 10.0)).value)


def test_the_detectable_ratio_is_detected_with_the_stated_power():
    # 2 000 draws at 80 % power: the observed share has an error of 0.9 points; 4 are allowed.
    least = Ratio(1.0, 0.08, 100.0).detectable()
    random = np.random.default_rng(4)
    logs = random.normal(math.log(least), 0.08, 2_000)
    detected = [Ratio(math.exp(x), 0.08, 1.0).interval()[0] > 1.0 for x in logs]
    assert np.mean(detected) == pytest.approx(0.80, abs=0.04)


def test_the_mean_of_several_draws_has_students_interval():
    values = [0.9, 1.1, 1.05, 0.97]
    mean = mean_ratio([Ratio(v, 0.5, 7.0) for v in values])
    logs = np.log(values)
    low, high = stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))
    assert mean.interval() == pytest.approx((math.exp(low), math.exp(high)))
    assert math.isnan(mean_ratio([Ratio(1.0, 0.1, 1.0)]).log_se)


def test_the_area_equals_scikit_learns_auc():
    event, _exposed, stratum, cluster = flows()
    score = np.random.default_rng(5).integers(0, 20, event.size) + 4 * event
    assert area(score, event, cluster).value == pytest.approx(roc_auc_score(event, score))
    assert area(stratum, event, cluster).value == pytest.approx(roc_auc_score(event, stratum))
    assert math.isnan(area(score, np.zeros_like(event), cluster).value)


def test_the_error_of_an_area_is_that_of_repeated_samples():
    # DeLong against 300 samples, which give their standard deviation within 4 %.
    def sample(seed):
        random = np.random.default_rng(seed)
        event = np.arange(2_000) < 300
        return area(random.normal(event * 1.0), event, np.arange(2_000))

    areas = [sample(s) for s in range(300)]
    assert np.mean([f.se for f in areas]) == pytest.approx(
        np.std([f.value for f in areas]), rel=0.2
    )


def test_a_share_of_independent_rows_has_the_binomial_error():
    part = np.arange(1_000) < 200
    estimate = share(part, np.arange(1_000))
    assert (estimate.value, estimate.support) == (0.2, 1_000)
    assert estimate.se == pytest.approx(math.sqrt(0.2 * 0.8 / 999))
    assert math.isnan(share(part[:0], np.arange(0)).value)


def test_deciles_are_of_equal_size_and_keep_ties_together():
    assert np.bincount(deciles(np.arange(1_000))).tolist() == [100] * 10
    assert np.unique(deciles(np.full(50, 7))).size == 1


def test_total_variation_of_counts():
    assert total_variation(np.array([1, 1]), np.array([5, 5])) == 0.0
    assert total_variation(np.array([1, 0]), np.array([0, 5])) == 1.0
    assert math.isnan(total_variation(np.array([0, 0]), np.array([0, 5])))


def test_pooled_seeds_are_further_strata():
    seeds = [flows(seed=seed, ratio=ratio) for seed, ratio in ((1, 2.0), (2, 2.2), (3, 1.9))]
    pooled = pooled_ratio([rate_ratio(*seed) for seed in seeds])
    together = [np.concatenate(column) for column in zip(*seeds, strict=True)]
    seed = np.repeat(np.arange(3), [s[0].size for s in seeds])
    whole = rate_ratio(together[0], together[1], together[2] * 3 + seed, together[3] + 2_000 * seed)
    assert pooled.value == pytest.approx(whole.value, rel=1e-12)
    assert pooled.support == whole.support
    assert pooled.log_se == pytest.approx(whole.log_se, rel=0.02)
    assert pooled.log_se < min(rate_ratio(*seed).log_se for seed in seeds)


def test_a_seed_without_an_estimate_leaves_none():
    known = Ratio(2.0, 0.1, 50.0, 9.0)
    pooled = pooled_ratio([known, Ratio(math.nan, math.nan, 3.0)])
    assert math.isnan(pooled.value)
    assert pooled.support == 53.0
    assert math.isnan(pooled_ratio([known, Ratio(2.0, 0.1, 50.0)]).value), "without a weight"
    assert math.isnan(pooled_share([Share(0.5, 0.1, 4.0), Share(math.nan, math.nan, 0.0)]).value)


def test_pooled_freedom_lies_between_one_seed_and_their_sum():
    draws = [mean_ratio([Ratio(v, 0.5, 7.0, 3.0) for v in (0.9, 1.1, 1.05, s)]) for s in (1, 1.2)]
    pooled = pooled_ratio(draws)
    assert 3.0 < pooled.freedom <= 6.0
    assert math.isinf(pooled_ratio([Ratio(2.0, 0.1, 50.0, 9.0)] * 2).freedom)


def test_pooled_shares_are_those_of_all_rows():
    random = np.random.default_rng(5)
    parts = [random.random(n) < 0.2 for n in (4_000, 1_000)]
    alone = [share(p, np.arange(p.size)) for p in parts]
    pooled = pooled_share(alone)
    whole = share(np.concatenate(parts), np.arange(5_000))
    assert pooled.value == pytest.approx(whole.value, rel=1e-12)
    assert pooled.se == pytest.approx(whole.se, rel=0.01)
