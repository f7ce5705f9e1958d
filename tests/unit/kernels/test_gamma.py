"""Gamma variates against SciPy's law, and the scatter of shares around a plan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fraudworld.kernels import gamma


def draws(rows: int, seed: int = 7) -> np.ndarray:
    return np.random.Philox(key=seed).random_raw(rows * gamma.WIDTH).reshape(rows, gamma.WIDTH)


@pytest.mark.parametrize("shape", [0.05, 0.7, 1.0, 3.0, 40.0, 1e5])
def test_variates_have_the_gamma_law(shape: float) -> None:
    drawn = [gamma.variate(row, shape) for row in draws(4_000).tolist()]
    assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 1e-4


def test_a_variate_is_a_function_of_its_draws() -> None:
    row = draws(1)[0].tolist()
    assert gamma.variate(row, 2.5) == gamma.variate(row, 2.5)


def test_when_every_try_is_refused_the_result_is_the_mode_of_the_proposal() -> None:
    refused = [0, 2**64 - 1] * gamma.TRIES + [0]  # deviates far below, uniforms near one
    assert gamma.variate(refused, 5.0) == pytest.approx(5.0 - 1.0 / 3.0)


def test_shares_scatter_with_the_stated_overdispersion() -> None:
    weights, total, worlds = np.array([0.6, 0.3, 0.1, 0.0]), 10_000, 1_500
    rows = draws(worlds * 4).reshape(worlds, 4, gamma.WIDTH)
    shares = np.array(
        [w / w.sum() for w in (gamma.scattered(total, weights, 2.5, r) for r in rows)]
    )
    assert shares.mean(axis=0) == pytest.approx(
        weights, abs=4 * 0.5 * np.sqrt(2.5 / total / worlds)
    )
    variance = 2.5 * weights * (1 - weights) / total
    assert shares.var(axis=0)[:3] == pytest.approx(variance[:3], rel=0.15)
    assert (shares[:, 3] == 0.0).all()


@pytest.mark.parametrize(
    ("total", "weights", "overdispersion"),
    [(100, [1.0, 2.0], 0.0), (0, [1.0, 2.0], 2.5), (100, [0.0, 2.0], 2.5)],
)
def test_nothing_scatters_where_nothing_can(
    total: int, weights: list[float], overdispersion: float
) -> None:
    out = gamma.scattered(total, weights, overdispersion, draws(2))
    assert out.tolist() == weights


def test_shares_so_small_that_all_variates_underflow_keep_the_weights() -> None:
    out = gamma.scattered(1, [1e-300, 2e-300], 1e3, np.zeros((2, gamma.WIDTH), dtype=np.uint64))
    assert (out > 0).any()
