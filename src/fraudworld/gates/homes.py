"""Homes of a published world: who lives with whom, counted from the party base alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row, number_or_null
from fraudworld.gates.published import Columns
from fraudworld.gates.tally import I64, CountPerEntity, occurrences
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import homes as law

COLUMNS = ("party_type", "segment_id", "country_iso", "region_id", "household_id")
WORLD = "world"
ERRORS = 1.96
"""Standard errors of a 95 % interval."""


@dataclass(frozen=True)
class Homes:
    """Homes by column. members: retail parties by (segment, home); country, region: of the home."""

    members: NDArray[np.unsignedinteger]
    country: NDArray[np.uint8]
    region: NDArray[np.uint8]
    segments: tuple[str, ...]

    def inside(self, rows: NDArray[np.bool_]) -> Homes:
        """Some of the homes."""
        return Homes(self.members[:, rows], self.country[rows], self.region[rows], self.segments)

    @cached_property
    def sizes(self) -> I64:
        """Members of every home."""
        return self._of(self.segments)

    def parties(self, segment: str) -> int:
        """Parties of a segment."""
        return int(self._of({segment}).sum())

    def alone(self, segment: str) -> float:
        """Share of the parties of a segment that are alone; NaN where there is no party."""
        own = self._of({segment})
        return _share(int(own[self.sizes == 1].sum()), int(own.sum()))

    def with_others(self, segment: str, others: Collection[str]) -> float:
        """Share of a segment's parties whose home has one more party of `others`; NaN as above."""
        own = self._of({segment})
        in_company = self._of(others) > (segment in others)
        return _share(int(own[in_company].sum()), int(own.sum()))

    def partners(self) -> tuple[int, int, float]:
        """Homes of two adults: all, those of one segment, those that chance would give.

        Chance pairs the adults of these homes at random inside their country.
        """
        two = (self.sizes == 2) & (self._of(law.CHILDREN) == 0)
        pairs, country = self.members[:, two], self.country[two]
        expected = 0.0
        for code in np.unique(country):
            people = pairs[:, country == code].sum(axis=1, dtype=np.int64)
            total = int(people.sum())
            alike = float((people * (people - 1)).sum()) / (total * (total - 1))
            expected += 0.5 * total * alike
        return int(two.sum()), int((pairs == 2).sum()), expected

    def _of(self, segments: Collection[str]) -> I64:
        """Members of some segments, by home."""
        at = [i for i, name in enumerate(self.segments) if name in segments]
        return np.asarray(self.members[at].sum(axis=0, dtype=np.int64))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def count_homes(evidence: Evidence) -> tuple[Homes, int]:
    """Every home, counted block by block; and the retail parties that have none."""
    published, pack = evidence.published, evidence.pack
    table, segments = BY_NAME["s1_party_base_6A"], pack.codes("segment")
    retail = pack.codes("party_type").index(law.RETAIL)

    def read(columns: Columns) -> tuple[Columns, int]:
        own = columns["party_type"] == retail
        at_home = own & (columns["household_id"] > 0)
        rows = {name: columns[name][at_home] for name in COLUMNS[1:]}
        return rows, int(own.sum()) - int(at_home.sum())

    blocks, homeless = zip(*published.map(read, table, COLUMNS), strict=True)
    ids = [block["household_id"] for block in blocks]
    most, parties = max(int(i.max(initial=0)) for i in ids), sum(i.size for i in ids)
    # Ids of a published world are dense; sparse ones are numbered anew, to bound memory.
    known = None if most <= parties else np.unique(np.concatenate(ids))
    homes = most + 1 if known is None else known.size
    members = CountPerEntity(homes * len(segments))
    country, region = (np.zeros(homes, dtype=np.uint8) for _ in range(2))
    for block in blocks:
        home = block["household_id"]
        if known is not None:
            home = np.searchsorted(known, home)
        members.add(occurrences(home * len(segments) + block["segment_id"]))
        country[home], region[home] = block["country_iso"], block["region_id"]
    by = np.ascontiguousarray(members.counts.reshape(homes, len(segments)).T)
    lived_in = np.asarray(by.any(axis=0))
    return Homes(by, country, region, segments).inside(lived_in), sum(homeless)


class Figure(NamedTuple):
    """A figure of some homes, the parties or homes it is of, and whether it is within its bound."""

    name: str
    value: float
    support: int
    holds: bool


def household_composition(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Families, students, retired parties and partners of a segment live together.

    Judged in the world, and in every region with enough of them. A share of a region misses its
    bound only beyond the sampling error of as many parties: 1.96 standard errors.
    """
    pack = evidence.pack
    bounds, least = pack.validation_policy.guards, pack.validation_policy.support.min_for_share
    bound = (
        f"FAMILY alone <= {bounds.household_max_family_alone:g}, in company STUDENT >= "
        f"{bounds.household_min_student_company:g}, RETIRED >= "
        f"{bounds.household_min_retired_company:g}, partners' lift >= "
        f"{bounds.household_min_partner_lift:g}, sizes within {bounds.household_size_tolerance:g}"
    )
    homes, homeless = count_homes(evidence)
    figures = {WORLD: _figures(homes, pack, _implied_size(homes, pack), 0.0)}
    for r, name in enumerate(pack.codes("region")):
        figures[name] = _figures(
            homes.inside(homes.region == r), pack, law.mean_size(pack, name), ERRORS
        )
    broken = [
        f"{place}: {figure.name}"
        for place, inside in figures.items()
        for figure in inside
        if figure.support >= least and not figure.holds
    ]
    missing = [figure.name for figure in figures[WORLD] if figure.support < least]
    details: dict[str, Any] = {
        "broken": broken + ["retail parties without home"] * (homeless > 0),
        "minimum_support": least,
        "figures": {
            place: {f.name: [number_or_null(f.value), f.support] for f in inside}
            for place, inside in figures.items()
        },
    }
    if missing:
        details |= {"status": "INSUFFICIENT_EVIDENCE", "why": f"too few for {', '.join(missing)}"}
    holds = not details["broken"] and not missing
    yield Guard("household_composition", holds, float(len(details["broken"])), bound, details)


def _implied_size(homes: Homes, pack: PolicyPack) -> float:
    """Mean size that the laws imply of homes of several regions; NaN where there is none."""
    regions = pack.codes("region")
    parties = np.bincount(homes.region, homes.sizes, len(regions))
    implied = np.array([law.mean_size(pack, region) for region in regions])
    return float(parties.sum() / (parties / implied).sum()) if parties.any() else float("nan")


def _figures(homes: Homes, pack: PolicyPack, implied: float, errors: float) -> tuple[Figure, ...]:
    """The judged figures.

    implied: mean size that the laws imply. errors: standard errors that a share may miss its bound.
    """
    bounds = pack.validation_policy.guards
    alone = homes.alone(law.FAMILY)
    students = homes.with_others(law.STUDENT, law.STUDENT_COMPANY)
    retired = homes.with_others(law.RETIRED, law.RETIRED_COMPANY)
    pairs, alike, expected = homes.partners()
    lift = alike / expected if expected > 0 else float("nan")
    parties = int(homes.sizes.sum())
    size = _share(parties, homes.country.size)

    def error(bound: float, segment: str) -> float:
        return errors * math.sqrt(bound * (1.0 - bound) / max(homes.parties(segment), 1))

    most_alone, least_students, least_retired = (
        bounds.household_max_family_alone + error(bounds.household_max_family_alone, law.FAMILY),
        bounds.household_min_student_company
        - error(bounds.household_min_student_company, law.STUDENT),
        bounds.household_min_retired_company
        - error(bounds.household_min_retired_company, law.RETIRED),
    )
    near = abs(size / implied - 1.0) <= bounds.household_size_tolerance
    return (
        Figure("family_alone", alone, homes.parties(law.FAMILY), alone <= most_alone),
        Figure("student_company", students, homes.parties(law.STUDENT), students >= least_students),
        Figure("retired_company", retired, homes.parties(law.RETIRED), retired >= least_retired),
        Figure("partner_lift", lift, pairs, lift >= bounds.household_min_partner_lift),
        Figure("mean_size", size, parties, near),
    )  # fmt: skip
