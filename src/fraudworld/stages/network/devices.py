"""The law of S4's devices: how many, whose, of which type, on which system.

Expected devices per (region × segment × type) become integer plans. Groups of types are
allocated to parties by the gated, weighted, capped law; inside a cell the types of a group
then take exactly their planned numbers, placed by a keyed permutation. Terminals belong to
merchants, in proportion to their outlets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.engine.tasks import Engine
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.jit import kernel
from fraudworld.kernels import guide, normal, offsets, permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Entities, ProductLaw
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, philox, registry
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held
from fraudworld.stages.pieces import Devices, DeviceShard, Parties, PartyShard, Terminals

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class DevicePlan:
    """Integer plan per region, segment and device type; and terminals per merchant."""

    cells: I64  # (regions, segments, device types)
    terminals: I64  # (merchants,)
    terminals_clamped: int  # terminals the cap per merchant took away


@dataclass(frozen=True)
class DeviceOutcome:
    """Devices, and what the allocation could not place."""

    devices: Devices
    dropped: dict[str, int]  # device group → devices
    rng: tuple[StreamUse, ...]


def expected_types(pack: PolicyPack) -> NDArray[np.float64]:
    """Devices expected per party, shape (segments, device types)."""
    priors = pack.device_count_priors
    types = pack.codes("device_type")
    out = np.zeros((len(pack.codes("segment")), len(types)))
    for s, segment in enumerate(pack.codes("segment")):
        party_type = pack.party_taxonomy.segments[segment]
        profile = pack.segmentation_priors.profiles[segment].model_dump()
        tilt = sum(w * (profile[score] - 0.5) for score, w in priors.tilt.weights.items())
        clip = priors.tilt.clip
        total = priors.lambda_per_party[party_type] * normal.exp(min(max(tilt, -clip), clip))
        mix = np.array([priors.type_mix[party_type].get(t, 0.0) for t in types])
        for score, weights in priors.type_tilt.items():
            for name, w in weights.items():
                mix[types.index(name)] *= normal.exp(w * (profile[score] - 0.5))
        out[s] = total * priors.density_multiplier * mix / mix.sum()
    return out


def plan_devices(
    pack: PolicyPack, parties: Parties, merchants: Merchants, outlet_scale: float
) -> DevicePlan:
    """World total per type by rounding, then cells by largest remainder."""
    population = parties.population(len(pack.codes("region")))
    expected = population[:, :, None] * expected_types(pack)[None, :, :]
    cells = np.zeros(expected.shape, dtype=np.int64)
    for t in range(expected.shape[2]):
        total = int(np.floor(expected[:, :, t].sum() + 0.5))
        if total:
            cells[:, :, t] = largest_remainder(total, expected[:, :, t])
    wanted = round(
        pack.device_count_priors.terminals_per_outlet
        * float(merchants.outlets.sum())
        * outlet_scale
    )
    terminals = largest_remainder(wanted, merchants.outlets)
    cap = pack.device_linkage_rules.max_devices_per_merchant
    clamped = np.minimum(terminals, cap)
    return DevicePlan(cells, clamped, int((terminals - clamped).sum()))


class _TypeLaw(NamedTuple):
    """How the devices of a region's cells (segment, group) are dealt their types."""

    size: I64  # devices, (cells,)
    keys: U64  # of the permutation, (cells, rounds)
    upto: I64  # running planned counts, (cells, device types)


class _AttributeLaw(NamedTuple):
    """Systems per type, and browsers per system, by the two draws of every device."""

    key: tuple[np.uint64, np.uint64]
    systems: U64  # thresholds, (device types, systems)
    browsers: U64  # thresholds, (systems, browsers)
    guides: tuple[NDArray[np.uint8], NDArray[np.uint8]]  # to both
    group_of: NDArray[np.uint8]  # of every device type


def draw_devices(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    engine: Engine,
) -> DeviceOutcome:
    """Realise the plan: party devices in order of owner and group, then terminals."""
    priors = pack.device_count_priors
    groups, types = pack.codes("device_group"), pack.codes("device_type")
    group_of = np.array([groups.index(pack.device_taxonomy.device_types[t].group) for t in types])
    owned = [g for g, name in enumerate(groups) if name in priors.counts]
    streams, spares, laws = [], [], []
    for name in (groups[g] for g in owned):
        counted = priors.counts[name]
        stream = registry.DEVICE_ALLOCATION.of(seed, code=name)
        spare = registry.DEVICE_REDISTRIBUTION.of(seed, code=name, width=counted.cap)
        law = ProductLaw(counted.zero_share, counted.sigma, counted.cap, stream.key, spare.key)
        streams.append(stream)
        spares.append(spare)
        laws.append((name, law))
    regions, segments = plan.cells.shape[:2]
    # Every segment is offered every group; where a cell has no plan, nobody takes part.
    problem = allocation.allocation_problem("S4", laws, [range(len(owned))] * segments)
    of_group = np.stack([plan.cells[:, :, group_of == g].sum(axis=2) for g in owned], axis=2)
    wanted = of_group.reshape(regions, -1)
    size = np.repeat(parties.population(regions), len(owned), axis=1) * (wanted > 0)
    made = allocation.allocate(
        engine, problem, wanted, size, np.zeros_like(size), parties.region, _entities,
        parties.shards, parties.items,
    )  # fmt: skip
    held, counts = engine.run(allocation.held, *zip(*made.pieces, strict=True))
    per_shard = np.stack(counts)

    type_laws, type_use = _type_laws(pack, seed, plan, group_of, owned, parties.region, per_shard)
    systems, agents = pack.codes("os_family"), pack.codes("ua_family")
    attributes = registry.DEVICE_ATTRIBUTES.of(seed)
    mixes = (
        thresholds([[priors.os_mix[t].get(o, 0.0) for o in systems] for t in types]),
        thresholds([[priors.ua_mix[o].get(u, 0.0) for u in agents] for o in systems]),
    )
    attribute_law = _AttributeLaw(
        attributes.key,
        *mixes,
        (guide.guide(mixes[0]), guide.guide(mixes[1])),
        group_of.astype(np.uint8),
    )
    first = offsets.from_counts(per_shard.sum(axis=1))
    items = engine.submit(
        partial(_devices, attribute_law),
        first[:-1].tolist(),
        [type_laws[r] for r in parties.region],
        list(_offsets(parties.region, per_shard)),
        counts,
        held,
    )
    terminals, terminal_use = _terminals(
        pack, seed, merchants, geo, plan, int(first[-1]), attribute_law
    )
    devices = Devices(items, first, terminals)
    uses = (
        stream.use(name, 0, parties.n, entities=n)
        for mine, drew in ((streams, size), (spares, made.asked))
        for stream, (name, _), n in zip(mine, laws, problem.per_product(drew), strict=True)
    )
    dropped = {
        name: n for (name, _), n in zip(laws, problem.per_product(made.dropped), strict=True)
    }
    return DeviceOutcome(
        devices, dropped, (*uses, type_use, terminal_use, attributes.use("world", 0, devices.n))
    )


def _entities(shard: Shard, of: PartyShard) -> Entities:
    return Entities(shard.first, of.segment, allocation.NOTHING_OPEN, allocation.NO_FLOOR)


def _offsets(region: NDArray[np.uint8], counts: I64) -> I64:
    """How many devices earlier shards have in every cell of a shard's region: as `counts`."""
    out = np.empty_like(counts)
    for r in np.unique(region):
        inside = region == r
        out[inside] = np.cumsum(counts[inside], axis=0) - counts[inside]
    return out


def _type_laws(
    pack: PolicyPack,
    seed: int,
    plan: DevicePlan,
    group_of: NDArray[np.integer],
    owned: list[int],
    region: NDArray[np.uint8],
    counts: I64,
) -> tuple[list[_TypeLaw], StreamUse]:
    """Per region, exact numbers of every type in each (segment, group).

    counts: devices per shard and cell.
    """
    regions, segments, types = plan.cells.shape
    n_groups = len(pack.codes("device_group"))
    stream = registry.DEVICE_TYPE_PLACE.of(seed)
    keys = stream.draws(0, regions * segments * n_groups)
    keys = keys.reshape(regions, segments, n_groups, -1)[:, :, owned].reshape(
        regions, counts.shape[1], -1
    )
    size = np.zeros((regions, counts.shape[1]), dtype=np.int64)
    np.add.at(size, region, counts)
    upto = np.zeros((*size.shape, types), dtype=np.int64)
    for r, c in zip(*np.nonzero(size), strict=True):
        segment, g = divmod(int(c), len(owned))
        inside = plan.cells[r, segment] * (group_of == owned[g])
        # What the cap dropped is missing from every type in proportion.
        upto[r, c] = np.cumsum(largest_remainder(int(size[r, c]), inside))
    return (
        [_TypeLaw(size[r], keys[r], upto[r]) for r in range(regions)],
        stream.use("cells", 0, regions * segments * n_groups),
    )


def _devices(
    law: _AttributeLaw, first: int, types: _TypeLaw, offset: I64, counts: I64, held: Held
) -> DeviceShard:
    """Devices first, first + 1, … of the world. offset, counts: of earlier shards, of this one,
    per cell.
    """
    n = int(counts.sum())
    owner, cell = np.empty(n + 1, dtype=np.uint32), np.empty(n + 1, dtype=np.uint16)
    offsets.expand_rows(
        held.entity, held.cell, held.count, np.arange(counts.size, dtype=np.uint16),
        np.empty(held.entities + 1, dtype=np.int32), owner, cell,
    )  # fmt: skip
    owner, cell = owner[:n], cell[:n]
    kind = np.empty(n, dtype=np.uint8)
    _deal(types.size, types.keys, types.upto, offset, counts, cell, kind)
    group, os, ua = (np.empty(n, dtype=np.uint8) for _ in range(3))
    _attributes(law, first, kind, group, os, ua)
    return DeviceShard(kind, group, os, ua, owner)


@kernel
def _deal(size, keys, upto, offset, counts, cell, kind):  # type: ignore[no-untyped-def]
    """Hand every device the next of the types dealt to its cell."""
    dealt = np.empty(cell.size, dtype=np.uint8)
    following = np.zeros(counts.size, dtype=np.int64)
    at = 0
    for c in range(counts.size):
        n = counts[c]
        following[c] = at
        if n:
            only = 0
            while upto[c, only] == 0:
                only += 1
            if upto[c, only] == size[c]:
                dealt[at : at + n] = only
            else:
                permute.assign_by_quota(offset[c], size[c], keys[c], upto[c], dealt[at : at + n])
        at += n
    for i in range(cell.size):
        kind[i] = dealt[following[cell[i]]]
        following[cell[i]] += 1


@kernel
def _attributes(law, first, kind, group, os, ua):  # type: ignore[no-untyped-def]
    k0, k1 = law.key
    systems, browsers, group_of = law.systems, law.browsers, law.group_of
    to_system, to_browser = law.guides
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, kind.size, philox.MANY // 2):
        n = min(philox.MANY // 2, kind.size - low)
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for j in range(n):
            i = low + j
            group[i] = group_of[kind[i]]
            os[i] = guide.category(draws[2 * j], systems, to_system, kind[i])
            ua[i] = guide.category(draws[2 * j + 1], browsers, to_browser, os[i])


def _terminals(
    pack: PolicyPack,
    seed: int,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    first: int,
    law: _AttributeLaw,
) -> tuple[Terminals, StreamUse]:
    """Merchants' devices, from device `first` on."""
    merchant = np.repeat(np.arange(merchants.n, dtype=np.int32), plan.terminals)
    terminal_mix = pack.device_count_priors.terminal_mix
    mix = [terminal_mix.get(t, 0.0) for t in pack.codes("device_type")]
    stream = registry.TERMINAL_TYPE.of(seed)
    draws = np.ascontiguousarray(stream.draws(0, merchant.size)[:, 0])
    kind = choices(draws, np.zeros(merchant.size, dtype=np.uint8), thresholds([mix]))
    group, os, ua = (np.empty(kind.size, dtype=np.uint8) for _ in range(3))
    _attributes(law, first, kind, group, os, ua)
    country = merchants.home_country[merchant]
    terminals = Terminals(kind, group, os, ua, merchant, country, geo.region[country])
    return terminals, stream.use("merchants", 0, merchant.size)
