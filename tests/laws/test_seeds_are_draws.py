"""A seed is a draw: mixes and totals scatter around the policy, and are then exact plans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.accounts.draw import account_rates, plan_accounts
from fraudworld.stages.network.devices import expected_types, plan_devices
from fraudworld.stages.parties.plan import plan_counts
from support import worlds

PACK = load_pack().pack
EXACT = load_pack(overlays=["published_baseline"]).pack
SEEDS = (42, 7, 101, 202)
Table = NDArray[np.float64]


def segments(pack: PolicyPack, seed: int) -> Table:
    """Parties by (region, segment)."""
    geo = worlds.geography(pack, 100_000)
    out = np.zeros((len(pack.codes("region")), len(pack.codes("segment"))))
    np.add.at(out, geo.region, plan_counts(pack, seed, geo).counts)
    return out


def population(pack: PolicyPack) -> NDArray[np.int64]:
    """A fixed population, so that only the totals of products and devices differ."""
    return np.rint(segments(EXACT, 42)).astype(np.int64)


def products(pack: PolicyPack, seed: int) -> Table:
    """Accounts by product."""
    plans, _ = plan_accounts(pack, seed, account_rates(pack), population(pack))
    return np.array([float(p.cells.sum()) for p in plans])


def devices(pack: PolicyPack, seed: int) -> Table:
    """Party devices by type."""
    merchants = worlds.merchants(pack)
    plan = plan_devices(pack, seed, expected_types(pack), population(pack), merchants, 0.1)
    totals = plan.cells.sum(axis=(0, 1)).astype(float)
    return totals[totals > 0]


def homogeneity(tables: list[Table]) -> float:
    """χ² of seeds × cells over its degrees of freedom."""
    observed = np.stack([t.ravel() for t in tables])
    observed = observed[:, observed.sum(axis=0) > 0]
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    df = (observed.shape[0] - 1) * (observed.shape[1] - 1)
    return float(((observed - expected) ** 2 / expected).sum() / df)


@pytest.mark.parametrize("of", [segments, products, devices])
def test_seeds_scatter_like_an_overdispersed_draw(of: Callable[[PolicyPack, int], Table]) -> None:
    ratios = [homogeneity([of(PACK, s + k) for s in SEEDS]) for k in (0, 1_000, 2_000)]
    assert all(0.5 <= r <= 6.0 for r in ratios), ratios
    assert homogeneity([of(EXACT, s) for s in SEEDS]) < 0.1


def test_a_plan_keeps_its_total_whatever_the_seed_draws() -> None:
    people = population(PACK)
    expected = (people * account_rates(PACK)[:, None, :]).sum()
    for seed in SEEDS:
        assert products(PACK, seed).sum() == pytest.approx(expected, abs=len(account_rates(PACK)))


def test_countries_and_segments_of_a_drawn_region_stay_exact() -> None:
    geo = worlds.geography(PACK, 100_000)
    drawn, exact = (plan_counts(p, 42, geo).counts for p in (PACK, EXACT))
    assert (drawn.sum(axis=1) == exact.sum(axis=1)).all()
    assert (drawn.sum(axis=0) != exact.sum(axis=0)).any()
