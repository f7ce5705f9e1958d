"""The laws of S1 per party: segments, homes and firms.

Twin of all kernels here: tests/reference/parties.py:make.
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
from fraudworld.stages.parties.plan import PopulationPlan
from fraudworld.stages.pieces import Parties, PartyShard


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
        count = 0
        for i in range(start, min(start + ATOM, party_type.size)):
            out[i] = -1
            order[count] = i - start
            count += party_type[i] == wanted
        n = min(ATOM, party_type.size - start)
        philox.fill(k0, k1, np.uint64(2 * (first + start)), draws[: 2 * n])
        for k in range(count - 1, 0, -1):
            # The high half of draw × (k + 1): uniform on 0 … k to within 2**-54.
            pick = np.int64(
                (draws[2 * order[k]] >> np.uint64(32)) * np.uint64(k + 1) >> np.uint64(32)
            )
            order[k], order[pick] = order[pick], order[k]
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


@dataclass(frozen=True)
class _Law:
    """The laws of S1 that every shard needs."""

    place: NDArray[np.uint64]  # permutation keys of a country, (countries, rounds)
    cuts: NDArray[np.int64]  # cumulative planned parties, (countries, segments)
    start: NDArray[np.int64]  # first party of every country, (countries + 1,)
    type_of: NDArray[np.uint8]  # party type of a segment, (segments,)
    units: tuple[tuple[int, Stream, NDArray[np.uint64]], ...]
    """Party type, stream and size thresholds of homes, then of firms."""


@dataclass(frozen=True)
class PartyLaws:
    """What S1 draws by: figures of the policy as arrays, and the streams of a seed."""

    type_of: NDArray[np.uint8]  # party type of a segment, (segments,)
    place: Stream
    units: tuple[tuple[int, Stream, NDArray[np.uint64]], ...]  # as in `_Law`

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> PartyLaws:
        """The laws of a policy and seed."""
        types, sizes = pack.codes("party_type"), pack.population_priors.households
        type_of = [types.index(pack.party_taxonomy.segments[s]) for s in pack.codes("segment")]
        homes = registry.HOUSEHOLD.of(seed), thresholds(sizes.size_shares)
        firms = registry.BUSINESS_GROUP.of(seed), thresholds(sizes.business_group_size_shares)
        return cls(
            np.array(type_of, dtype=np.uint8),
            registry.SEGMENT_PLACE.of(seed),
            ((types.index("RETAIL"), *homes), (types.index("BUSINESS"), *firms)),
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
    atoms of 1 024 consecutive parties, which shards never cut. Sizes of homes and firms:
    population_priors_6A.v1.yaml.
    """
    start = offsets.from_counts(plan.counts.sum(axis=1))
    law = _Law(
        laws.place.draws(0, len(geo.countries)),
        np.cumsum(plan.counts, axis=1),
        start,
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
        uses += [stream.use(code, int(low), int(high - low)) for _, stream, _ in laws.units]
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
    for wanted, stream, sizes in law.units:
        unit = np.empty(shard.n, dtype=np.int32)
        counts.append(int(_units(party_type, wanted, *stream.key, shard.first, sizes, unit)))
        units.append(unit)
    tally = np.bincount(segment, minlength=law.type_of.size)
    return PartyShard(party_type, segment, *units), _Summary(tally, counts)
