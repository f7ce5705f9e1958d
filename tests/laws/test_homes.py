"""S1: who lives with whom. Homes by kind are as the policy implies; each party has one home."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.engine.local import LocalEngine
from fraudworld.engine.shards import ATOM
from fraudworld.gates.counts import Counts
from fraudworld.policy.loader import load_pack
from fraudworld.policy.rules import counts, home_lines
from fraudworld.policy.rules import homes as law
from fraudworld.stages.parties.draw import PartyLaws, draw_parties
from fraudworld.stages.parties.plan import plan_counts
from fraudworld.store.layout import RunPlace
from support import gathered, homes, worlds

PACK = load_pack().pack
RULE = PACK.population_priors.households
SEGMENTS = PACK.codes("segment")
RETAIL = [s for s in SEGMENTS if PACK.party_taxonomy.segments[s] == "RETAIL"]
REGIONS = PACK.codes("region")
KINDS = sorted(RULE.kinds)


def crowd(region: str, parties: int, seed: int = 5) -> np.ndarray:
    """Segments of so many retail parties of a region, in random order."""
    shares = counts.segments_of(PACK, region, "RETAIL")
    codes = [SEGMENTS.index(s) for s in shares]
    return np.random.default_rng(seed).choice(codes, size=parties, p=list(shares.values()))


def company(home: np.ndarray, segments: np.ndarray, of: str, others: set[str]) -> float:
    """Share of the parties of a segment whose home has one more party of `others`."""
    known = np.isin(segments, [SEGMENTS.index(s) for s in others])
    there = np.bincount(home, known)
    own = segments == SEGMENTS.index(of)
    return float((there[home[own]] > (of in others)).mean())


@pytest.mark.parametrize("region", REGIONS)
def test_homes_are_as_the_policy_implies(region: str) -> None:
    segments = crowd(region, 100 * ATOM)
    home = homes.drawn(PACK, segments, REGIONS.index(region))
    sizes = np.bincount(home)
    assert sizes.mean() == pytest.approx(law.mean_size(PACK, region), rel=0.015)
    implied = {what: (figure, bound) for what, figure, bound, _ in law.judged(PACK, region)}
    everyone = set(RETAIL)
    seen = {
        f"{law.FAMILY} alone": 1.0 - company(home, segments, law.FAMILY, everyone),
        f"{law.RETIRED} with {law.RETIRED}": company(home, segments, law.RETIRED, {law.RETIRED}),
        f"{law.STUDENT} with {' or '.join(sorted(law.STUDENT_COMPANY))}": company(
            home, segments, law.STUDENT, set(law.STUDENT_COMPANY)
        ),
    }
    for what, value in seen.items():
        # An atom is finite: the last of a small group lives with the first of the next.
        assert value == pytest.approx(implied[what][0], abs=0.03), what
    for segment, share in law.company(PACK, region).items():
        assert company(home, segments, segment, everyone) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("region", REGIONS)
def test_partners_are_alike_as_the_policy_implies(region: str) -> None:
    segments = crowd(region, 100 * ATOM)
    home = homes.drawn(PACK, segments, REGIONS.index(region))
    adult = segments != SEGMENTS.index(law.STUDENT)
    two = (np.bincount(home) == 2) & (np.bincount(home, adult) == 2)
    order = np.argsort(home, kind="stable")
    pairs = segments[order[two[home[order]]]].reshape(-1, 2)
    margin = np.bincount(pairs.ravel(), minlength=len(SEGMENTS)) / pairs.size
    lift = (pairs[:, 0] == pairs[:, 1]).mean() / (margin**2).sum()
    kinds = law.homes_of(PACK, region).values()
    # A few homes per atom hold the last of one segment and the first of the next.
    assert 0.88 * law.partner_lift(kinds) <= lift <= 1.02 * law.partner_lift(kinds)
    assert lift >= PACK.validation_policy.guards.household_min_partner_lift


def test_homes_grow_in_the_order_of_public_household_sizes() -> None:
    """Pew Research, Household patterns by region, 2019: 6.9, 5.0, 4.6, 3.3, 3.1 persons."""
    order = ("AFRICA", "APAC", "LATAM", "AMER", "EMEA")
    sizes = [law.mean_size(PACK, f"REGION_{name}") for name in order]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 1.5
    assert sizes[0] < 2.1


def test_independent_homes_have_no_lift() -> None:
    pack = homes.independent(PACK)
    for region in REGIONS:
        assert law.partner_lift(law.homes_of(pack, region).values()) == pytest.approx(1.0)
        mean = float(np.dot(np.arange(1, 7), RULE.size_shares))
        assert law.mean_size(pack, region) == pytest.approx(mean)
        shares = law.company(pack, region)
        assert shares == pytest.approx(dict.fromkeys(shares, 1 - 0.78 / mean))


def test_the_switch_moves_nothing_but_homes() -> None:
    geo = worlds.geography(PACK, 20_000)
    plan = plan_counts(PACK, 42, geo)
    drawn = []
    for pack in (PACK, homes.independent(PACK)):
        with LocalEngine(1) as engine:
            parties, uses = draw_parties(PartyLaws.of(pack, 42), geo, plan, None, engine)
            drawn.append((gathered.parties(engine, parties, geo), {use.label for use in uses}))
    (by_kind, streams), (cut, before) = drawn
    for name in ("type", "segment", "business_group", "country_start"):
        assert (getattr(by_kind, name) == getattr(cut, name)).all(), name
    assert (by_kind.household != cut.household).any()
    assert streams - before == {"s1/household_place"}


def test_home_lines_have_the_mean_that_lint_implies(demo_world: Path) -> None:
    """Links and endpoints of homes by region, as published."""
    counted = Counts.from_dict(json.loads(RunPlace(demo_world).gateboard.read_text())["counts"])
    at = PACK.codes("ip_type").index("RESIDENTIAL")
    observed = counted.link_types[:, at] / counted.node_types[:, at]
    implied = home_lines.implied_means(PACK)
    nominal = PACK.ip_count_priors.homes.mean_devices
    for region, mean in zip(REGIONS, observed, strict=True):
        assert mean == pytest.approx(implied[region], rel=0.025), region
        assert nominal[region] == pytest.approx(implied[region], rel=0.005), region


def test_a_dependant_without_a_home_of_its_kind_lives_alone() -> None:
    """All heads of families live elsewhere: children find no family in their atom."""
    students = np.full(50, SEGMENTS.index(law.STUDENT))
    living = RULE.model_dump()["living"]
    living[REGIONS[0]][law.STUDENT] = {"heads": {}, "dependants": {"FAMILY": 1.0}}
    home = homes.drawn(homes.with_households(PACK, living=living), students)
    assert home.tolist() == list(range(50))


def test_dependants_fill_the_homes_with_room_and_no_more() -> None:
    """Ten lone heads and ninety children: homes of six, and forty who find no room."""
    segments = np.repeat([SEGMENTS.index(law.FAMILY), SEGMENTS.index(law.STUDENT)], [10, 90])
    rule = RULE.model_dump()
    rule["living"][REGIONS[0]][law.FAMILY] = {"heads": {"FAMILY": 1.0}, "dependants": {}}
    rule["living"][REGIONS[0]][law.STUDENT] = {"heads": {}, "dependants": {"FAMILY": 1.0}}
    rule["kinds"]["FAMILY"] = {"heads": [1.0], "same_segment": 0.0}
    home = homes.drawn(homes.with_households(PACK, **rule), segments)
    sizes = np.bincount(home)
    assert sorted(sizes.tolist()) == [1] * 40 + [6] * 10
    assert len(set(home[:10].tolist())) == 10, "heads keep homes of their own"


def test_numbers_of_homes_follow_the_first_party() -> None:
    home = homes.drawn(PACK, crowd(REGIONS[0], 3 * ATOM))
    first = [int(np.flatnonzero(home == h)[0]) for h in range(int(home.max()) + 1)]
    assert first == sorted(first)


@st.composite
def laws(draw: st.DrawFn) -> dict[str, object]:
    """Any kinds and any places; some kinds may have dependants and no heads."""
    most = draw(st.integers(1, 6))

    def split(parts: int) -> list[float]:
        mass = draw(st.lists(st.integers(0, 3), min_size=parts, max_size=parts))
        mass[draw(st.integers(0, parts - 1))] += 1
        return [m / sum(mass) for m in mass]

    rule = RULE.model_dump()
    for kind in KINDS:
        rule["kinds"][kind] = {
            "heads": split(draw(st.integers(1, most))),
            "same_segment": draw(st.sampled_from([0.0, 0.5, 1.0])),
        }
    for segment in RETAIL:
        shares = split(2 * len(KINDS))
        rule["living"][REGIONS[0]][segment] = {
            "heads": dict(zip(KINDS, shares[: len(KINDS)], strict=True)),
            "dependants": dict(zip(KINDS, shares[len(KINDS) :], strict=True)),
        }
    return {**rule, "max_members": most}


@settings(max_examples=40, deadline=None)
@given(laws(), st.lists(st.integers(0, len(SEGMENTS) - 1), min_size=1, max_size=2_500),
       st.integers(0, 2**64 - 1))  # fmt: skip
def test_every_retail_party_has_one_home_of_legal_size(
    rule: dict[str, object], segments: list[int], seed: int
) -> None:
    pack = homes.with_households(PACK, **rule)
    of = np.array(segments)
    home = homes.drawn(pack, of, seed=seed, first=7 * ATOM)
    retail = np.isin(of, [SEGMENTS.index(s) for s in RETAIL])
    assert ((home >= 0) == retail).all()
    inside = home[retail]
    if inside.size:
        sizes = np.bincount(inside)
        assert sizes.min() >= 1, "numbers are dense"
        assert sizes.max() <= pack.population_priors.households.max_members
        atoms = np.flatnonzero(retail) // ATOM
        low, high = np.full(sizes.size, 10**6), np.full(sizes.size, -1)
        np.minimum.at(low, inside, atoms)
        np.maximum.at(high, inside, atoms)
        assert (low == high).all(), "no home crosses the end of an atom"
