"""6P.P1: birth dates that keep the age law of every segment and fit the homes.

The ages of a segment in a region are quantiles of its law. Who lives with people of other segments
takes one interval of ranks, who does not the ranks below and above it, so that the whole segment
keeps its law exactly while parents of grown-up children are old enough. Inside an interval all
members of a home have nearby ranks: that of the home plus a deviation, folded back into 0 … 1,
which leaves ranks uniform.

Twin: tests/reference/profiles/people.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.layers.profiles.choose import unit
from fraudworld.policy.profiles.models import AgeLaw, People

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

CLASSES = 5
"""How a person lives: with nobody of another segment, with older, with its own generation, with
older and younger, with younger people of other segments."""

DAYS_PER_YEAR = 365.2425
NO_GENERATION = 255
"""Of a segment that is no person's."""


class Ranks(NamedTuple):
    """Intervals of ranks by row (region · segments + segment) and class."""

    offset: F64  # (rows, CLASSES)
    scale: F64  # (rows, CLASSES)
    below: F64  # of class 0, the part of its ranks below all others, (rows,)
    jump: F64  # what its other part is moved up, (rows,)


def ranks_of(counts: I64, alone_below: F64) -> Ranks:
    """Intervals of ranks from counts of persons, (rows, CLASSES); alone_below: (rows,)."""
    total = np.maximum(counts.sum(axis=1), 1).astype(np.float64)
    alone, others = counts[:, 0].astype(np.float64), counts[:, 1:].astype(np.float64)
    offset = np.zeros(counts.shape)
    start = alone_below * alone
    for k in range(1, counts.shape[1]):
        offset[:, k] = start / total
        start = start + counts[:, k]
    return Ranks(offset, counts / total[:, None], alone_below, others.sum(axis=1) / total)


class AgeTable(NamedTuple):
    """Age laws by row (region · segments + segment), padded to one width; NaN: no law."""

    edges: F64  # years, (rows, edges)
    cumulative: F64  # share below each edge, (rows, edges)


def age_table(policy: People, regions: tuple[str, ...], segments: tuple[str, ...]) -> AgeTable:
    """The age laws of a policy."""
    laws: list[AgeLaw | None] = []
    for region in regions:
        for segment in segments:
            law = policy.ages.get(segment)
            if law is None and segment in policy.adult_ages.segments:
                law = policy.adult_ages.regions[region]
            laws.append(law)
    width = max(len(law.edges) for law in laws if law is not None)
    edges, cumulative = np.full((len(laws), width), np.nan), np.full((len(laws), width), 2.0)
    for row, law in enumerate(laws):
        if law is not None:
            n = len(law.edges)
            edges[row, :n] = law.edges
            cumulative[row, :n] = [0.0, *np.cumsum(law.shares)[:-1], 1.0]
    return AgeTable(edges, cumulative)


@kernel
def living(first, segment, generation, home, home_start, home_member, out):  # type: ignore[no-untyped-def]
    """How persons live, see CLASSES.

    Parameters
    ----------
    first : int
        Party of element 0 of `out`.
    segment : uint8 (parties,)
    generation : uint8 (segments,)
        NO_GENERATION for segments of firms and bodies.
    home, home_start, home_member : int32 (parties,), int64 (homes + 1,), int32
        Homes of the world; −1: none.
    out : uint8 (n,)
        Filled; 0 for parties that are no persons.
    """
    for i in range(out.size):
        p = first + i
        own, older, younger, peers = segment[p], False, False, False
        if home[p] >= 0 and generation[own] != NO_GENERATION:
            for j in range(home_start[home[p]], home_start[home[p] + 1]):
                other = segment[home_member[j]]
                older |= generation[other] > generation[own]
                younger |= generation[other] < generation[own]
                peers |= other != own and generation[other] == generation[own]
        if older and younger:
            out[i] = 3
        elif younger:
            out[i] = 4
        elif older:
            out[i] = 1
        else:
            out[i] = 2 if peers else 0


def age_days(
    row: I64, kind: U8, home: NDArray[np.uint64], own: NDArray[np.uint64], mule: NDArray[np.bool_],
    ranks: Ranks, table: AgeTable, policy: People,
) -> I64:  # fmt: skip
    """Ages of persons in days, (n,).

    row: region · segments + segment; kind: class of `living`; home, own: draws of the home's rank
    and of the deviation; mule: whether the party is a money mule.
    """
    rank = unit(home) + policy.home_age_width * (unit(own) - 0.5)
    rank = np.abs(rank)
    rank = np.where(rank > 1.0, 2.0 - rank, rank)
    skew = policy.mule_skew
    rank = np.where(mule, rank * ((1.0 - skew) + skew * rank), rank)
    moved = np.where((kind == 0) & (rank >= ranks.below[row]), ranks.jump[row], 0.0)
    u = ranks.offset[row, kind] + rank * ranks.scale[row, kind] + moved
    k = (table.cumulative[row] <= u[:, None]).sum(axis=1) - 1
    k = np.minimum(k, (table.cumulative[row] <= 1.0).sum(axis=1) - 2)
    low, high = table.cumulative[row, k], table.cumulative[row, k + 1]
    inside = np.clip((u - low) / (high - low), 0.0, 1.0)
    years = table.edges[row, k] + inside * (table.edges[row, k + 1] - table.edges[row, k])
    return np.asarray(np.floor(years * DAYS_PER_YEAR), dtype=np.int64)
