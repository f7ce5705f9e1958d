"""The guard of homes: figures counted by hand, thin and broken worlds, policies without its law."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard
from fraudworld.gates.homes import Homes, count_homes, household_composition
from fraudworld.policy.loader import load_pack
from fraudworld.policy.rules import counts
from fraudworld.policy.rules import homes as law
from support import homes

PACK = load_pack().pack
SEGMENTS, TYPES, REGIONS = (PACK.codes(name) for name in ("segment", "party_type", "region"))
Party = tuple[str, int, int]
"""Segment, home and country."""

FAMILY, MATURE, RETIRED, STUDENT = law.FAMILY, law.MATURE, law.RETIRED, law.STUDENT
VALUE, FIRM = "RETAIL_VALUE", "BUSINESS_SME"


class PartyBase:
    """A party base in memory, in blocks."""

    def __init__(self, parties: Sequence[Party], blocks: int = 1) -> None:
        self._blocks = np.array_split(np.arange(len(parties)), blocks)
        segment, home, country = (np.array(column) for column in zip(*parties, strict=True))
        owner = [TYPES.index(PACK.party_taxonomy.segments[s]) for s in segment]
        self._columns = {
            "party_type": np.array(owner, dtype=np.uint8),
            "segment_id": np.array([SEGMENTS.index(s) for s in segment], dtype=np.uint8),
            "household_id": home.astype(np.int64),
            "country_iso": country.astype(np.uint8),
            "region_id": (country % len(REGIONS)).astype(np.uint8),
        }

    def map(self, fn: Callable[[Any], Any], table: object, names: object) -> Iterator[Any]:
        for rows in self._blocks:
            yield fn({name: values[rows] for name, values in self._columns.items()})


def counted(parties: Sequence[Party], blocks: int = 1) -> tuple[Homes, int]:
    return count_homes(Evidence(PartyBase(parties, blocks), PACK, 42))  # type: ignore[arg-type]


def judged(parties: Sequence[Party], pack: Any = PACK) -> Guard:
    evidence = Evidence(PartyBase(parties), pack, 42)  # type: ignore[arg-type]
    (guard,) = household_composition(evidence, ())
    return guard


def crowd(atoms: int) -> list[Party]:
    """Retail parties of every region, in homes by the law."""
    out: list[Party] = []
    for r, region in enumerate(REGIONS):
        shares = counts.segments_of(PACK, region, "RETAIL")
        codes = [SEGMENTS.index(s) for s in shares]
        draw = np.random.default_rng(r)
        segments = draw.choice(codes, size=1024 * atoms, p=list(shares.values()))
        first = max((home for _, home, _ in out), default=0) + 1
        of = homes.drawn(PACK, segments, r) + first
        out += [(SEGMENTS[s], int(h), r) for s, h in zip(segments, of, strict=True)]
    return out


SOME = [
    (FAMILY, 1, 0), (FAMILY, 1, 0), (STUDENT, 1, 0),  # a family with a child
    (FAMILY, 2, 0), (VALUE, 3, 0),  # two who are alone
    (STUDENT, 4, 0), (STUDENT, 4, 0),  # no partners
    (STUDENT, 5, 0), (VALUE, 5, 0),
    (RETIRED, 6, 0), (RETIRED, 6, 0),
    (RETIRED, 7, 0), (MATURE, 7, 0),
    (VALUE, 8, 1), (VALUE, 8, 1), (VALUE, 9, 1), (MATURE, 9, 1),
    (FIRM, 0, 1),
]  # fmt: skip


def test_figures_are_those_counted_by_hand() -> None:
    here, lacking = counted(SOME)
    assert (here.sizes.tolist(), lacking) == ([3, 1, 1, 2, 2, 2, 2, 2, 2], 0)
    assert here.alone(FAMILY) == 1 / 3
    assert here.with_others(STUDENT, law.STUDENT_COMPANY) == 3 / 4
    assert here.with_others(RETIRED, law.RETIRED_COMPANY) == 2 / 3
    assert np.isnan(here.alone("RETAIL_AFFLUENT"))
    two, alike, _ = here.partners()
    assert (two, alike) == (4, 2), "homes 6 to 9"


def test_chance_pairs_the_adults_of_a_country() -> None:
    expected = 0.0
    for country, adults in ((0, [RETIRED, RETIRED, RETIRED, MATURE]), (1, [VALUE] * 3 + [MATURE])):
        pairs = list(combinations(adults, 2))
        expected += 0.5 * len(adults) * sum(a == b for a, b in pairs) / len(pairs)
        assert counted(SOME)[0].inside(counted(SOME)[0].country == country).partners()[0] == 2
    assert counted(SOME)[0].partners()[2] == pytest.approx(expected)


@pytest.mark.parametrize("blocks", [1, 3, 18])
@pytest.mark.parametrize("step", [1, 10**12])
def test_neither_blocks_nor_sparse_ids_change_a_count(blocks: int, step: int) -> None:
    sparse = [(segment, home * step, country) for segment, home, country in SOME]
    here, _ = counted(sparse, blocks)
    plain, _ = counted(SOME)
    for name in ("members", "country", "region"):
        assert np.array_equal(getattr(here, name), getattr(plain, name)), name


def test_homes_by_the_law_hold() -> None:
    guard = judged(crowd(20))
    assert guard.holds, guard.details
    assert set(guard.details["figures"]) == {"world", *REGIONS}


def test_each_broken_figure_is_named() -> None:
    parties = crowd(10)
    alone = [(s, h if s != FAMILY else 10**6 + i, c) for i, (s, h, c) in enumerate(parties)]
    guard = judged(alone)
    assert not guard.holds
    assert "world: family_alone" in guard.details["broken"]
    assert "world: retired_company" not in guard.details["broken"]


def test_a_retail_party_without_home_breaks_the_guard() -> None:
    parties = crowd(10)
    guard = judged([(VALUE, 0, 0), *parties])
    assert not guard.holds
    assert guard.details["broken"] == ["retail parties without home"]


def test_a_world_with_too_few_of_a_figure_does_not_hold() -> None:
    guard = judged(SOME)
    assert (guard.holds, guard.details["status"]) == (False, "INSUFFICIENT_EVIDENCE")
    assert guard.details["broken"] == []
    assert "family_alone" in guard.details["why"]


def test_a_policy_that_cuts_homes_at_random_is_judged_all_the_same() -> None:
    """A world that leaves its homes to chance must not reach B+ by saying so."""
    parties = crowd(10)
    alone = [(s, 10**6 + i, c) for i, (s, _, c) in enumerate(parties)]
    guard = judged(alone, homes.independent(PACK))
    assert not guard.holds
    assert "world: family_alone" in guard.details["broken"]
