"""The laws of S1 that act on single parties: segments, homes and firms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.local import ATOM, Engine, Shard, cut
from fraudworld.kernels import permute
from fraudworld.kernels.discrete import thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Geography, Parties
from fraudworld.stages.parties.plan import PopulationPlan

SEGMENT_PLACE = ("s1/segment_place", "party_attribute_sampling", permute.ROUNDS)
UNIT_DRAWS = "party_attribute_sampling"


@njit(cache=True, nogil=True)
def _units(member, shuffle, size_draw, cuts, atom, out):  # type: ignore[no-untyped-def]
    """Group the members of every atom into units; returns how many units there are.

    Members of an atom are shuffled (Fisher–Yates from their draws) and cut into runs whose
    sizes are drawn; the last run of an atom takes what is left. `out` gets the unit of each
    member, counted from 0, and −1 for others.
    """
    n = member.size
    order = np.empty(atom, dtype=np.int64)
    units = 0
    for start in range(0, n, atom):
        count = 0
        for i in range(start, min(start + atom, n)):
            out[i] = -1
            if member[i]:
                order[count] = i
                count += 1
        for k in range(count - 1, 0, -1):
            # The high half of draw × (k + 1): uniform on 0 … k but for 2**-54.
            pick = np.int64(
                (shuffle[order[k]] >> np.uint64(32)) * np.uint64(k + 1) >> np.uint64(32)
            )
            order[k], order[pick] = order[pick], order[k]
        k = 0
        while k < count:
            d = size_draw[order[k]] >> np.uint64(1)
            size = 1
            while cuts[size - 1] <= d:
                size += 1
            for j in range(k, min(k + size, count)):
                out[order[j]] = units
            units += 1
            k += size
    return units


@dataclass(frozen=True)
class _Slice:
    segment: NDArray[np.uint8]
    household: NDArray[np.int32]
    households: int
    firm: NDArray[np.int32]
    firms: int


def draw_parties(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    plan: PopulationPlan,
    parties_per_shard: int | None,
    engine: Engine,
) -> tuple[Parties, tuple[StreamUse, ...]]:
    """Realise the population plan.

    Segments take exactly the planned numbers, placed inside a country by a keyed
    permutation, so a party's id says nothing about its segment. Homes (retail) and firms
    (business) are drawn inside atoms of 1 024 consecutive parties, which shards never cut.
    """
    per_country = plan.counts.sum(axis=1)
    start = np.concatenate([[0], np.cumsum(per_country)]).astype(np.int64)
    segments, types = pack.codes("segment"), pack.codes("party_type")
    type_of = np.array(
        [types.index(pack.party_taxonomy.segments[s]) for s in segments], dtype=np.uint8
    )
    place = Stream(seed, *SEGMENT_PLACE)
    keys = place.draws(0, len(geo.countries))
    cuts = np.cumsum(plan.counts, axis=1)
    homes = pack.population_priors.households
    household = Stream(seed, "s1/household", UNIT_DRAWS, 2)
    firm = Stream(seed, "s1/business_group", UNIT_DRAWS, 2)
    household_cuts = thresholds(homes.size_shares)
    firm_cuts = thresholds(homes.business_group_size_shares)
    retail, business = types.index("RETAIL"), types.index("BUSINESS")

    def one(shard: Shard) -> _Slice:
        n = shard.last - shard.first
        segment = np.empty(n, dtype=np.uint8)
        offset = shard.first - int(start[shard.country])
        country_size = int(per_country[shard.country])
        permute.deal_out(offset, country_size, keys[shard.country], cuts[shard.country], segment)
        kind = type_of[segment]
        found = []
        for member, stream, sizes in (
            (kind == retail, household, household_cuts),
            (kind == business, firm, firm_cuts),
        ):
            draws = stream.draws(shard.first, n)
            unit = np.empty(n, dtype=np.int32)
            shuffle, size = np.ascontiguousarray(draws.T)
            units = _units(member, shuffle, size, sizes, ATOM, unit)
            found.append((unit, units))
        (home, home_count), (group, group_count) = found
        return _Slice(segment, home, home_count, group, group_count)

    shards = cut(start, parties_per_shard)
    slices = engine.map(one, shards)
    segment = np.concatenate([s.segment for s in slices])
    country = np.repeat(np.arange(len(geo.countries), dtype=np.uint8), per_country)
    parties = Parties(
        type=type_of[segment],
        segment=segment,
        country=country,
        region=geo.region[country],
        household=_dense([(s.household, s.households) for s in slices]),
        business_group=_dense([(s.firm, s.firms) for s in slices]),
        country_start=start,
    )
    uses = [place.use("countries", 0, len(geo.countries))]
    for code, low, high in zip(geo.countries, start, start[1:], strict=False):
        uses += [stream.use(code, int(low), int(high - low)) for stream in (household, firm)]
    return parties, tuple(uses)


def _dense(slices: list[tuple[NDArray[np.int32], int]]) -> NDArray[np.int32]:
    """Number the units of all shards consecutively; −1 stays −1."""
    offset, out = 0, []
    for unit, count in slices:
        out.append(np.where(unit >= 0, unit + np.int32(offset), np.int32(-1)))
        offset += count
    return np.concatenate(out).astype(np.int32)
