"""What the report draws of profiles: ages, homes and accounts of a whole world, as counts.

Every function returns rows for the validation report, at most a few hundred (a map: a cell each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fraudworld.documents import JsonObject
from fraudworld.layers.profiles.ages import DAYS_PER_YEAR, NO_GENERATION, AgeTable, age_table
from fraudworld.layers.profiles.parties import DAY_0
from fraudworld.layers.profiles.places import scatter
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_TIME

if TYPE_CHECKING:
    from fraudworld.layers.profiles.make import Profiles

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

AGE_CLASS = 5
"""Years of a class of ages."""
AGE_CLASSES = 25
"""Classes of ages; the last one has no upper end."""
CELL = 2
"""Degrees of latitude and of longitude that a cell of the map spans."""
OLDEST_ACCOUNT = 30
"""Years from which accounts are counted together."""
LARGEST_GAP = 60
"""Years from which age differences are counted together, and their negative."""

Relation = tuple[str, NDArray[np.bool_]]
"""Name of a relation of two members of a home, and which pairs are in it."""


def observed(of: Profiles) -> JsonObject:
    """Counts of the whole world for the figures of the report."""
    return {
        "ages": ages(of),
        "age_differences": age_differences(of),
        "homes_by_cell": homes_by_cell(of),
        "account_ages": account_ages(of),
    }


def ages(of: Profiles) -> list[JsonObject]:
    """Persons of a segment by class of ages on the first day of the horizon.

    expected: by the law of the segment in each region, given the persons of the regions.
    """
    base, regions, segments = of.world.base, of.inputs.codes("region"), of.inputs.codes("segment")
    at = np.flatnonzero(of.world.person)
    row = of.world.region[base.party_country[at]] * np.int64(len(segments)) + base.party_segment[at]
    place = np.clip(_years(of.lives.born[at]) // AGE_CLASS, 0, AGE_CLASSES - 1)
    size = len(regions) * len(segments) * AGE_CLASSES
    counts = np.bincount(row * AGE_CLASSES + place, minlength=size).reshape(-1, AGE_CLASSES)
    law = counts.sum(axis=1)[:, None] * _law_by_class(
        age_table(of.policy.people, regions, segments)
    )
    persons, expected = (
        table.reshape(len(regions), len(segments), AGE_CLASSES).sum(axis=0)
        for table in (counts, law)
    )
    return [
        {
            "segment": segments[s],
            "from_age": int(k) * AGE_CLASS,
            "persons": int(persons[s, k]),
            "observed": float(persons[s, k] / persons[s].sum()),
            "law": float(expected[s, k] / persons[s].sum()),
        }
        for s, k in np.argwhere((persons > 0) | (expected > 0))
    ]


def _law_by_class(table: AgeTable) -> F64:
    """Share of every class of ages in each law, (rows, AGE_CLASSES); 0 for rows without a law."""
    edges = np.append(np.arange(AGE_CLASSES) * AGE_CLASS, np.inf)
    out = np.zeros((len(table.edges), AGE_CLASSES))
    for row, (years, below) in enumerate(zip(table.edges, table.cumulative, strict=True)):
        known = below <= 1.0
        if known.any():
            out[row] = np.diff(np.interp(edges, years[known], below[known]))
    return out


def age_differences(of: Profiles) -> list[JsonObject]:
    """Pairs of members of a household by their age difference in whole years.

    Partners are of one generation, and not of the youngest, whose pairs are siblings and flatmates;
    generations are one apart, and their difference is that of the older minus the younger one.
    """
    known, segments = of.policy.people.generations, of.inputs.codes("segment")
    generation = np.array([known.get(s, NO_GENERATION) for s in segments])
    base = of.world.base
    member = base.home_member[of.world.household[base.home_member]]
    home, born = base.home[member], of.lives.born[member]
    rank = generation[base.party_segment[member]]
    counts: dict[str, I64] = {}
    apart = 1
    # Members of a home lie behind one another: as many rounds as the largest home has members.
    while (first := np.flatnonzero(home[apart:] == home[:-apart])).size:
        second = first + apart
        older = np.where(rank[second] > rank[first], second, first)
        younger = first + second - older
        days, step = born[younger] - born[older], rank[older] - rank[younger]
        relations: tuple[Relation, ...] = (
            ("PARTNERS", (step == 0) & (rank[first] > 0)),
            ("SIBLINGS_AND_FLATMATES", (step == 0) & (rank[first] == 0)),
            ("GENERATIONS", step == 1),
        )
        for name, pairs in relations:
            gap = days[pairs] if name == "GENERATIONS" else np.abs(days[pairs])
            years = np.floor(gap / DAYS_PER_YEAR).astype(np.int64)
            place = np.clip(years, -LARGEST_GAP, LARGEST_GAP) + LARGEST_GAP
            so_far = counts.setdefault(name, np.zeros(2 * LARGEST_GAP + 1, dtype=np.int64))
            so_far += np.bincount(place, minlength=so_far.size)
        apart += 1
    return [
        {
            "relation": name,
            "years": int(k) - LARGEST_GAP,
            "pairs": int(pairs[k]),
            "share": float(pairs[k] / pairs.sum()),
        }
        for name, pairs in counts.items()
        for k in np.flatnonzero(pairs)
    ]


def homes_by_cell(of: Profiles) -> JsonObject:
    """Homes of persons by cell of CELL degrees; columns, as a world fills thousands of cells.

    south, west: degrees of the edges of a cell; a home is where its first member lives.
    """
    world = of.world
    point = streams.HOME_POINT.of(of.inputs.identity.seed)
    across = 360 // CELL

    def cells(low: int, high: int) -> I64:
        leads = low + np.flatnonzero(
            world.person[low:high] & (world.leader[low:high] == np.arange(low, high))
        )
        lat, lon = scatter(of.places, of.home_place[leads], of.sharing.address_of[leads], point)
        row = np.floor((lat + 90.0) / CELL).astype(np.int64)
        # 180° east is 180° west.
        column = np.floor((lon + 180.0) / CELL).astype(np.int64) % across
        return np.bincount(row * across + column, minlength=across * (180 // CELL))

    counts = np.sum(of._over(cells, world.base.parties), axis=0)
    filled = np.flatnonzero(counts)
    return {
        "degrees": CELL,
        "south": (filled // across * CELL - 90).tolist(),
        "west": (filled % across * CELL - 180).tolist(),
        "homes": counts[filled].tolist(),
    }


def account_ages(of: Profiles) -> list[JsonObject]:
    """Accounts open on the first day of the horizon, by group of products and years since opening.

    share: of the group; years are whole, OLDEST_ACCOUNT stands for more.
    """
    kinds = of.inputs.pack.account_taxonomy.account_types
    groups = of.inputs.codes("account_group")
    group = np.array([groups.index(kinds[t].group) for t in of.inputs.codes("account_type")])
    opened, closed = of.account_dates
    at = np.flatnonzero((opened < DAY_0) & ((closed == NO_TIME) | (closed >= DAY_0)))
    years = np.minimum(_years(opened[at]), OLDEST_ACCOUNT)
    cell = group[of.world.base.account_type[at]] * (OLDEST_ACCOUNT + 1) + years
    counts = np.bincount(cell, minlength=len(groups) * (OLDEST_ACCOUNT + 1))
    counts = counts.reshape(len(groups), -1)
    return [
        {
            "group": groups[g],
            "years": int(k),
            "accounts": int(counts[g, k]),
            "share": float(counts[g, k] / counts[g].sum()),
        }
        for g, k in np.argwhere(counts)
    ]


def _years(day: I64) -> I64:
    """Whole years from a day, in days since 1970, to the first day of the horizon."""
    return np.floor((DAY_0 - day) / DAYS_PER_YEAR).astype(np.int64)
