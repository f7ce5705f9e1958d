"""The laws of S1 per party: segments, homes and firms.

Homes by kind are in `homes.py`. Twin of all kernels here: tests/reference/parties.py:make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import ATOM, Shard, cut
from fraudworld.engine.tasks import Engine
from fraudworld.inputs.arrays import Geography
from fraudworld.jit import kernel
from fraudworld.kernels import offsets, permute
from fraudworld.kernels.discrete import thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.stages.parties.homes import HomeKinds, form_homes, home_kinds
from fraudworld.stages.parties.plan import PopulationPlan
from fraudworld.stages.pieces import Parties, PartyShard
from fraudworld.stages.shuffle import shuffled


@kernel
def _units(party_type, wanted, k0, k1, first, cuts, out):  # type: ignore[no-untyped-def]
    """Groups the parties of one type into units (homes or firms), atom by atom.

    Members of an atom are shuffled (Fisher–Yates, by draw 0 of each) and cut into runs. The size
    of a run is drawn by draw 1 of its first member; the last run of an atom takes the rest.

    Parameters
    ----------
    party_type : uint8 (n,)
        Of the parties of a shard.
    wanted : int
        The type that is grouped.
    k0, k1 : uint64
        Key of a stream of width 2.
    first : int
        Number in the world of party 0.
    cuts : uint64 (sizes,)
        Thresholds of the sizes 1, 2, …, in 63 bits.
    out : int32 (n,)
        Filled: unit of a member, counted from 0; −1 for parties of other types.

    Returns
    -------
    int
        Units.
    """
    order = np.empty(ATOM + 1, dtype=np.int64)
    draws = np.empty(2 * ATOM, dtype=np.uint64)
    units = 0
    for start in range(0, party_type.size, ATOM):
        n = min(ATOM, party_type.size - start)
        for i in range(start, start + n):
            out[i] = -1
        philox.fill(k0, k1, np.uint64(2 * (first + start)), draws[: 2 * n])
        count = shuffled(party_type[start : start + n], wanted, draws, order)
        k = 0
        while k < count:
            d = draws[2 * order[k] + 1] >> np.uint64(1)
            size = 1
            for end in cuts:
                size += end <= d
            for j in range(k, min(k + size, count)):
                out[start + order[j]] = units
            units += 1
            k += size
    return units


class UnitLaw(NamedTuple):
    """How parties of one type are grouped into homes or firms."""

    party_type: int
    streams: tuple[Stream, ...]  # order and size; of homes by kind, then place and partner
    sizes: NDArray[np.uint64]  # thresholds of the sizes 1, 2, … where units are cut at random
    kinds: HomeKinds | None  # None: cut at random


@dataclass(frozen=True)
class _Law:
    """The laws of S1 that every shard needs."""

    place: NDArray[np.uint64]  # permutation keys of a country, (countries, rounds)
    cuts: NDArray[np.int64]  # cumulative planned parties, (countries, segments)
    start: NDArray[np.int64]  # first party of every country, (countries + 1,)
    region: NDArray[np.uint8]  # (countries,)
    type_of: NDArray[np.uint8]  # party type of a segment, (segments,)
    units: tuple[UnitLaw, ...]  # homes, then firms


@dataclass(frozen=True)
class PartyLaws:
    """What S1 draws by: figures of the policy as arrays, and the streams of a seed."""

    type_of: NDArray[np.uint8]  # party type of a segment, (segments,)
    place: Stream
    units: tuple[UnitLaw, ...]  # homes, then firms

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> PartyLaws:
        """The laws of a policy and seed."""
        types, segments = pack.codes("party_type"), pack.codes("segment")
        units = pack.population_priors.households
        type_of = [types.index(pack.party_taxonomy.segments[s]) for s in segments]
        streams: tuple[Stream, ...] = (registry.HOUSEHOLD.of(seed),)
        kinds = None
        if units.composition == "by_kind":
            streams = (*streams, registry.HOUSEHOLD_PLACE.of(seed))
            kinds = home_kinds(units, pack.codes("region"), segments)
        firms = (registry.BUSINESS_GROUP.of(seed),), thresholds(units.business_group_size_shares)
        return cls(
            np.array(type_of, dtype=np.uint8),
            registry.SEGMENT_PLACE.of(seed),
            (
                UnitLaw(types.index("RETAIL"), streams, thresholds(units.size_shares), kinds),
                UnitLaw(types.index("BUSINESS"), *firms, None),
            ),
        )


def draw_parties(
    laws: PartyLaws,
    geo: Geography,
    plan: PopulationPlan,
    parties_per_shard: int | None,
    engine: Engine,
) -> tuple[Parties, tuple[StreamUse, ...]]:
    """Realises the population plan.

    Segments get exactly the planned numbers, placed inside a country by a keyed permutation, so
    an id is independent of the segment. Homes (retail) and firms (business) are drawn inside
    atoms of 1 024 consecutive parties, which shards never cut. Composition of homes, and sizes:
    population_priors_6A.v1.yaml.
    """
    start = offsets.from_counts(plan.counts.sum(axis=1))
    law = _Law(
        laws.place.draws(0, len(geo.countries)),
        np.cumsum(plan.counts, axis=1),
        start,
        geo.region,
        laws.type_of,
        laws.units,
    )
    shards = cut(start, parties_per_shard)
    items, summaries = engine.run(partial(_shard, law), shards)
    unit_counts = [s.units for s in summaries]
    first = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(unit_counts, axis=0)])
    parties = Parties(
        shards=shards,
        items=items,
        region=geo.region[[s.country for s in shards]],
        household_first=first[:, 0],
        business_group_first=first[:, 1],
        segments=np.stack([s.segments for s in summaries]),
    )
    uses = [laws.place.use("countries", 0, len(geo.countries))]
    for code, low, high in zip(geo.countries, start, start[1:], strict=False):
        streams = [stream for unit in laws.units for stream in unit.streams]
        uses += [stream.use(code, int(low), int(high - low)) for stream in streams]
    return parties, tuple(uses)


class _Summary(NamedTuple):
    """Counts of one shard."""

    segments: NDArray[np.int64]  # parties of every segment
    units: list[int]  # homes, firms


def _shard(law: _Law, shard: Shard) -> tuple[PartyShard, _Summary]:
    """Task: the parties of one shard."""
    segment = np.empty(shard.n, dtype=np.uint8)
    first, last = (int(law.start[shard.country + i]) for i in range(2))
    keys, cuts = law.place[shard.country], law.cuts[shard.country]
    permute.assign_by_quota(shard.first - first, last - first, keys, cuts, segment)
    party_type = law.type_of.take(segment)
    units, counts = [], []
    for of in law.units:
        unit = np.empty(shard.n, dtype=np.int32)
        keys_ = tuple(stream.key for stream in of.streams)
        if of.kinds is None:
            n = _units(party_type, of.party_type, *keys_[0], shard.first, of.sizes, unit)
        else:
            people, region = (party_type, segment), int(law.region[shard.country])
            n = form_homes(people, of.party_type, keys_, shard.first, of.kinds, region, unit)
        counts.append(int(n))
        units.append(unit)
    tally = np.bincount(segment, minlength=law.type_of.size)
    return PartyShard(party_type, segment, *units), _Summary(tally, counts)
