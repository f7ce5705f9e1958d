"""S1: exact plans and regional mixes, homes of the planned sizes, countries that differ."""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.engine.local import LocalEngine
from fraudworld.engine.shards import ATOM, cut
from fraudworld.errors import InputError
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.loader import load_pack
from fraudworld.stages.parties.draw import PartyLaws, draw_parties
from fraudworld.stages.parties.plan import plan_counts
from support import gathered, homes, worlds

PACK = load_pack().pack
INDEPENDENT = homes.independent(PACK)


def draw(geo, plan, seed=42, size=5_000, workers=1, pack=PACK):
    with LocalEngine(workers) as engine:
        parties, uses = draw_parties(PartyLaws.of(pack, seed), geo, plan, size, engine)
        return gathered.parties(engine, parties, geo), uses


@pytest.fixture(scope="module")
def population():
    geo = worlds.geography(PACK, 120_000)
    plan = plan_counts(PACK, 42, geo)
    parties, uses = draw(geo, plan)
    return geo, plan, parties, uses


def test_plan_is_realised_exactly(population):
    geo, plan, parties, _ = population
    counts = np.zeros_like(plan.counts)
    np.add.at(counts, (parties.country, parties.segment), 1)
    assert (counts == plan.counts).all()
    assert (np.diff(parties.country) >= 0).all(), "countries are contiguous"
    assert (geo.region[parties.country] == parties.region).all()


@pytest.mark.parametrize("scatter", [0.0, 2.5])
def test_region_mix_is_the_policy_by_largest_remainder(population, scatter):
    """Types exactly; segments exactly, or within the scatter of a seed."""
    geo, plan, _, _ = population
    if not scatter:
        priors = PACK.segmentation_priors.model_copy(update={"seed_overdispersion": 0.0})
        plan = plan_counts(PACK.model_copy(update={"segmentation_priors": priors}), 42, geo)
    types, segments = PACK.codes("party_type"), PACK.codes("segment")
    for r, region in enumerate(PACK.codes("region")):
        per_segment = plan.counts[geo.region == r].sum(axis=0)
        mix = PACK.population_priors.party_type_mix[region]
        by_type = largest_remainder(int(per_segment.sum()), [mix[t] for t in types])
        for t, party_type in enumerate(types):
            inside = [
                s
                for s in range(len(segments))
                if PACK.party_taxonomy.segments[segments[s]] == party_type
            ]
            shares = PACK.segmentation_priors.segment_mix[region][party_type]
            expected = largest_remainder(int(by_type[t]), [shares[segments[s]] for s in inside])
            assert per_segment[inside].sum() == by_type[t]
            noise = 5 * np.sqrt(scatter * expected) + 2 * (scatter > 0)
            assert (abs(per_segment[inside] - expected) <= noise).all()


def test_every_country_reaches_its_floor(population):
    _geo, plan, _, _ = population
    assert plan.counts.sum(axis=1).min() >= PACK.population_priors.country_floor.minimum


def test_countries_differ_from_their_region_within_the_band(population):
    geo, plan, _, _ = population
    rule = PACK.segmentation_priors.country_modulation
    distances = []
    for r in range(len(PACK.codes("region"))):
        inside = plan.counts[geo.region == r]
        if len(inside) < 2:
            continue
        region_mix = inside.sum(axis=0) / inside.sum()
        for row in inside[inside.sum(axis=1) >= rule.min_parties]:
            distances.append(0.5 * np.abs(row / row.sum() - region_mix).sum())
    assert 0 < max(distances) <= rule.max_tv


def test_homes_and_firms_hold_the_right_parties(population):
    _, _, parties, _ = population
    types = PACK.codes("party_type")
    priors = PACK.population_priors.households
    for unit, party_type, most in (
        (parties.household, "RETAIL", priors.max_members),
        (parties.business_group, "BUSINESS", len(priors.business_group_size_shares)),
    ):
        assert ((unit >= 0) == (parties.type == types.index(party_type))).all()
        members = unit[unit >= 0]
        sizes = np.bincount(members)
        assert sizes.min() >= 1, "units are dense"
        assert sizes.max() <= most
        country = parties.country[unit >= 0]
        first = np.full(sizes.size, 255)
        first[members[::-1]] = country[::-1]
        assert (first[members] == country).all(), "no unit crosses a border"


def test_firms_and_independent_homes_have_the_planned_sizes(population):
    geo, plan, parties, _ = population
    independent, _ = draw(geo, plan, pack=INDEPENDENT)
    priors = PACK.population_priors.households
    for unit, shares in (
        (independent.household, priors.size_shares),
        (parties.business_group, priors.business_group_size_shares),
    ):
        sizes = np.bincount(unit[unit >= 0])
        assert sizes.max() <= len(shares)
        nominal = float(np.dot(np.arange(1, len(shares) + 1), shares))
        assert sizes.mean() == pytest.approx(nominal, rel=0.04)


def test_homes_and_firms_stay_inside_an_atom(population):
    _, _, parties, _ = population
    atom = (np.arange(parties.n) - parties.country_start[parties.country]) // ATOM
    member = parties.household >= 0
    low, high = {}, {}
    for h, a in zip(parties.household[member].tolist(), atom[member].tolist(), strict=True):
        low.setdefault(h, a)
        high[h] = a
        assert low[h] == a


@pytest.mark.parametrize("size", [None, 1_000, 50_000])
@pytest.mark.parametrize("workers", [1, 2])
def test_shards_change_nothing(population, size, workers):
    geo, plan, parties, uses = population
    other, other_uses = draw(geo, plan, size=size, workers=workers)
    for name in ("type", "segment", "household", "business_group", "country_start"):
        assert (getattr(other, name) == getattr(parties, name)).all(), name
    assert other_uses == uses


def test_another_seed_differs(population):
    geo, plan, parties, _ = population
    other_plan = plan_counts(PACK, 43, geo)
    assert other_plan.scale_draw != plan.scale_draw
    other, _ = draw(geo, plan, seed=43, size=None)
    assert (other.segment != parties.segment).mean() > 0.5


def test_the_id_does_not_predict_the_segment(population):
    _, _, parties, _ = population
    inside = parties.country == int(np.argmax(np.bincount(parties.country)))
    segment = parties.segment[inside].astype(float)
    assert abs(np.corrcoef(np.arange(segment.size), segment)[0, 1]) < 0.02
    same_next = (segment[1:] == segment[:-1]).mean()
    assert same_next == pytest.approx(
        ((np.bincount(segment.astype(int)) / segment.size) ** 2).sum(), abs=0.01
    )


def test_shards_are_whole_atoms_that_cover_everything():
    start = [0, 10, 5_000, 5_001, 123_456]
    for size in (None, 1, 1_024, 5_000):
        shards = cut(start, size)
        assert [s.first for s in shards[1:]] == [s.last for s in shards[:-1]]
        assert shards[0].first == 0
        assert shards[-1].last == 123_456
        assert all((s.first - start[s.country]) % ATOM == 0 for s in shards)


def test_more_countries_than_the_world_can_hold_is_an_error():
    geo = worlds.geography(PACK, 1_000)
    with pytest.raises(InputError, match=r"6A\.S1\.PARTY_TARGETS_INCONSISTENT"):
        plan_counts(PACK, 42, geo)
