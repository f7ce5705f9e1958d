"""Homes by kind: who lives with whom, inside an atom of parties.

A party of a segment lives in a home of some *kind* (single, couple, family, …), as a *head* or
as a *dependant* of the heads: the policy has the shares of every region and segment. In an atom:

1. Retail parties are shuffled. Each draws its place, (kind, head or dependant), and a head whether
   it shares the home with heads of its own segment only.
2. Heads of a kind, those who look for their own segment first, segment by segment, are cut into
   homes of drawn numbers of heads. The last home of a kind takes the rest.
3. Each dependant draws one of the homes of its kind; where that is full, the next one with room.
   A dependant without such a home lives alone.

Homes are numbered in order of their first party, so that a number tells nothing of the kind.
The figures are of the policy `population_priors_6A.v1`. Twin of all kernels here:
tests/reference/parties.py:_homes_by_kind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import ATOM
from fraudworld.jit import inlined, kernel
from fraudworld.kernels.discrete import category, thresholds
from fraudworld.policy.models import Households
from fraudworld.rng import philox
from fraudworld.stages.shuffle import shuffled

U64 = NDArray[np.uint64]


class HomeKinds(NamedTuple):
    """Thresholds (u64, 63 bits) of the laws of homes; kinds are in order of their names."""

    places: U64  # heads of kind 0, 1, …, then dependants, (regions, segments, 2 · kinds)
    alike: U64  # a head looks for its own segment, or for anyone, (kinds, 2)
    heads: U64  # 1, 2, … heads of a home, (kinds, sizes)
    max_members: int


def home_kinds(homes: Households, regions: tuple[str, ...], segments: tuple[str, ...]) -> HomeKinds:
    """The laws of a policy. Rows of segments that the policy gives no homes are not used."""
    kinds = sorted(homes.kinds)
    places = np.zeros((len(regions), len(segments), 2 * len(kinds)))
    places[:, :, 0] = 1.0
    for r, region in enumerate(regions):
        for segment, living in homes.living[region].items():
            row = [living.heads.get(k, 0.0) for k in kinds]
            row += [living.dependants.get(k, 0.0) for k in kinds]
            places[r, segments.index(segment)] = row
    heads = np.zeros((len(kinds), max(len(kind.heads) for kind in homes.kinds.values())))
    for k, name in enumerate(kinds):
        heads[k, : len(homes.kinds[name].heads)] = homes.kinds[name].heads
    alike = [[homes.kinds[k].same_segment, 1.0 - homes.kinds[k].same_segment] for k in kinds]
    return HomeKinds(thresholds(places), thresholds(alike), thresholds(heads), homes.max_members)


@inlined
def _sort_by_place(order, segment, draws, kinds, region, ends, row):  # type: ignore[no-untyped-def]
    """Sorts parties by the group they live in, stable in their order.

    Groups: of kind 0 the heads who look for segment 0, 1, …, then its other heads; the same of
    kind 1, 2, …; then the dependants of kind 0, 1, …

    Parameters
    ----------
    order : int64 (members,)
        Positions in the atom.
    segment : uint8 (n,)
    draws : uint64 (2 · n,)
        Place, and whether a head looks for its own segment.
    kinds : HomeKinds
    region : int
    ends : int64 (groups + 1,)
        Filled: end of every group in `row`.
    row : int64 (ATOM,)
        Filled: positions in the atom.
    """
    places, alike = kinds.places[region], kinds.alike
    n_kinds, n_segments = alike.shape[0], places.shape[0]
    of_kind = n_segments + 1
    group = np.empty(order.size, dtype=np.int64)
    ends[:] = 0
    for k in range(order.size):
        i = order[k]
        place = category(draws[2 * i], places, segment[i])
        kind = place % n_kinds
        anyone = category(draws[2 * i + 1], alike, kind)
        head = kind * of_kind + (n_segments if anyone else np.int64(segment[i]))
        group[k] = head if place < n_kinds else n_kinds * of_kind + kind
        ends[group[k] + 1] += 1
    for g in range(ends.size - 1):
        ends[g + 1] += ends[g]
    for k in range(order.size):
        row[ends[group[k]]] = order[k]
        ends[group[k]] += 1


@inlined
def _home_of_dependant(draw, members, low, high, most):  # type: ignore[no-untyped-def]
    """The drawn one of homes low … high − 1, or the next with room; −1 where there is none.

    draw : uint64; members : int64, members of every home; low, high, most : int.
    """
    homes = high - low
    home = np.int64((draw >> np.uint64(32)) * np.uint64(homes) >> np.uint64(32))
    for _ in range(homes):
        if members[low + home] < most:
            return low + home
        home = np.int64(home + 1 if home + 1 < homes else 0)
    return np.int64(-1)


@inlined
def _form(row, ends, draws, kinds, members, home):  # type: ignore[no-untyped-def]
    """Forms the homes of an atom: heads are cut into homes, then dependants join them.

    Parameters
    ----------
    row, ends
        As filled by `_sort_by_place`.
    draws : uint64 (2 · n,)
        Draw 1 of a party: heads of the home it begins, or the home it joins.
    kinds : HomeKinds
    members, home : int64 (ATOM,)
        Filled: members of every home, and the home of every party by position in the atom.

    Returns
    -------
    int
        Homes.
    """
    n_kinds = kinds.alike.shape[0]
    of_kind = (ends.size - 1) // n_kinds - 1
    first = np.zeros(n_kinds + 1, dtype=np.int64)
    homes, at = 0, 0
    for kind in range(n_kinds):
        end = ends[kind * of_kind + of_kind - 1]
        while at < end:
            size = min(1 + category(draws[2 * row[at] + 1], kinds.heads, kind), end - at)
            for j in range(at, at + size):
                home[row[j]] = homes
            members[homes] = size
            homes += 1
            at += size
        first[kind + 1] = homes
    for kind in range(n_kinds):
        for k in range(at, ends[n_kinds * of_kind + kind]):
            joined = _home_of_dependant(
                draws[2 * row[k] + 1], members, first[kind], first[kind + 1], kinds.max_members
            )
            if joined < 0:
                joined = homes
                members[joined] = 0
                homes += 1
            home[row[k]] = joined
            members[joined] += 1
        at = ends[n_kinds * of_kind + kind]
    return homes


@kernel
def form_homes(people, wanted, keys, first, kinds, region, out):  # type: ignore[no-untyped-def]
    """Groups the parties of one type into homes, atom by atom.

    Parameters
    ----------
    people : (uint8 (n,), uint8 (n,))
        Party type and segment of the parties of a shard.
    wanted : int
        The type that is grouped.
    keys : ((uint64, uint64), (uint64, uint64))
        Of two streams of width 2: order, and heads of a home or home of a dependant; place, and
        whether a head looks for its own segment.
    first : int
        Number in the world of party 0.
    kinds : HomeKinds
    region : int
        Of the shard.
    out : int32 (n,)
        Filled: home of a party, counted from 0; −1 for parties of other types.

    Returns
    -------
    int
        Homes.
    """
    party_type, segment = people
    (k0, k1), (p0, p1) = keys
    groups = kinds.alike.shape[0] * (kinds.places.shape[1] + 2)
    order, row = np.empty(ATOM + 1, dtype=np.int64), np.empty(ATOM, dtype=np.int64)
    members, home = np.empty(ATOM, dtype=np.int64), np.empty(ATOM, dtype=np.int64)
    ends, number = np.empty(groups + 1, dtype=np.int64), np.empty(ATOM, dtype=np.int64)
    draws, places = np.empty(2 * ATOM, dtype=np.uint64), np.empty(2 * ATOM, dtype=np.uint64)
    homes = 0
    for low in range(0, party_type.size, ATOM):
        n = min(ATOM, party_type.size - low)
        of_type, of_segment = party_type[low : low + n], segment[low : low + n]
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        philox.fill(p0, p1, np.uint64(2 * (first + low)), places[: 2 * n])
        count = shuffled(of_type, wanted, draws, order)
        _sort_by_place(order[:count], of_segment, places, kinds, region, ends, row)
        number[: _form(row, ends, draws, kinds, members, home)] = -1
        for i in range(n):
            if of_type[i] != wanted:
                out[low + i] = -1
                continue
            if number[home[i]] < 0:
                number[home[i]] = homes
                homes += 1
            out[low + i] = number[home[i]]
    return homes
