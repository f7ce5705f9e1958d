"""Devices: how many, whose, of which type, on which operating system and browser.

Expected devices per (region, segment, type) become integer plans by largest remainder. Party
devices are allocated to parties by group of types (`kernels/capped`: hurdle, weights, cap). Inside
a cell (region, segment, group) the types then take exactly their planned numbers, at places a
keyed permutation decides. Terminals belong to merchants, in proportion to their outlets.

The figures are of the policy `device_count_priors_6A.v1`. Twin of all kernels here:
tests/reference/devices.py:make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.jit import kernel
from fraudworld.kernels import gamma, normal, offsets, permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Entities, ProductLaw, SlotDraws
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, registry
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held, Quotas, Settlement, ShardEntries
from fraudworld.stages.network.systems import SystemLaw, system_laws
from fraudworld.stages.network.token_holders import NO_PLATFORM, TokenHolders
from fraudworld.stages.pieces import Devices, DeviceShard, Parties, PartyShard, Terminals

NO_SLOT = np.uint8(255)
"""No device before the rest is shared."""

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class DevicePlan:
    """Integer plan per region, segment and device type; and terminals per merchant."""

    cells: I64  # (regions, segments, device types)
    terminals: I64  # (merchants,)
    terminals_clamped: int  # terminals above the cap per merchant, not made
    rng: tuple[StreamUse, ...]


@dataclass(frozen=True)
class DeviceOutcome:
    """The devices of a world, and those that no party had room for."""

    devices: Devices
    dropped: dict[str, int]  # device group → planned devices above the caps of all parties
    rng: tuple[StreamUse, ...]


def expected_types(pack: PolicyPack) -> NDArray[np.float64]:
    """Expected devices per party, (segments, device types).

    λ of the party type · density · exp(clipped tilt of the profile), split by the mix of the party
    type, whose shares are tilted by the profile, too.
    """
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
    pack: PolicyPack,
    seed: int,
    per_party: NDArray[np.float64],
    population: I64,
    merchants: Merchants,
    outlet_scale: float,
) -> DevicePlan:
    """Plans: the world total of a type is rounded, then split over cells by largest remainder.

    Totals are those expected, or scatter around them.
    per_party: of `expected_types`. population: parties, (regions, segments). outlet_scale: factor
    on the outlets of every merchant, `Geography.profile_scale`.
    """
    expected = population[:, :, None] * per_party[None, :, :]
    cells = np.zeros(expected.shape, dtype=np.int64)
    totals = np.floor(expected.sum(axis=(0, 1)) + 0.5).astype(np.int64)
    scatter, uses = pack.device_count_priors.seed_overdispersion, tuple[StreamUse, ...]()
    if scatter:
        stream, whole = registry.DEVICE_TOTALS.of(seed), int(totals.sum())
        draws = stream.draws(0, totals.size)
        weights = gamma.scattered(whole, expected.sum(axis=(0, 1)), scatter, draws)
        totals = largest_remainder(whole, weights)
        uses = (stream.use("types", 0, totals.size),)
    for t in np.flatnonzero(totals):
        cells[:, :, t] = largest_remainder(int(totals[t]), expected[:, :, t])
    per_outlet = pack.device_count_priors.terminals_per_outlet
    wanted = round(per_outlet * float(merchants.outlets.sum()) * outlet_scale)
    terminals = largest_remainder(wanted, merchants.outlets)
    cap = pack.device_linkage_rules.max_devices_per_merchant
    clamped = np.minimum(terminals, cap)
    return DevicePlan(cells, clamped, int((terminals - clamped).sum()), uses)


def raise_to_holders(
    pack: PolicyPack, plan: DevicePlan, parties: Parties, holders: TokenHolders
) -> int:
    """Raises plans of the wallet group to the holders of tokens in a cell; returns by how many.

    Only cells of a few parties have more holders than planned devices: lint compares the means.
    The added devices are of the group's types in proportion to their expected numbers.
    """
    taxonomy, types = pack.device_taxonomy.device_types, pack.codes("device_type")
    inside = np.array([taxonomy[t].group == holders.group for t in types])
    regions, segments = plan.cells.shape[:2]
    least = np.zeros((regions, segments), dtype=np.int64)
    np.add.at(least, parties.region, holders.counts)
    short = np.maximum(least - plan.cells[:, :, inside].sum(axis=2), 0)
    expected = expected_types(pack)[:, inside]
    for r, s in zip(*np.nonzero(short), strict=True):
        plan.cells[r, s, inside] += largest_remainder(int(short[r, s]), expected[s])
    return int(short.sum())


class _TypePlan(NamedTuple):
    """Types of the devices of a region's cells (segment, group)."""

    size: I64  # devices, (cells,)
    keys: U64  # of the permutations, (cells, permute.ROUNDS)
    cuts: I64  # cumulative planned counts by type, (cells, device types)


class _Allocation(NamedTuple):
    """Party devices by cell (segment, group)."""

    groups: list[int]  # device groups that parties own
    held: list[Item[Held]]  # devices of the parties of every shard
    counts: list[I64]  # devices of every shard, (cells,)
    dropped: dict[str, int]
    uses: list[StreamUse]


def draw_devices(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    holders: TokenHolders,
    engine: Engine,
) -> DeviceOutcome:
    """Devices as planned: of parties in order of owner and group, then terminals."""
    groups, types = pack.codes("device_group"), pack.codes("device_type")
    group_of = np.array([groups.index(pack.device_taxonomy.device_types[t].group) for t in types])
    allocated = _allocate(pack, seed, parties, plan, holders, group_of, engine)
    per_shard = np.stack(allocated.counts)
    type_plans, type_use = _type_plans(
        pack, seed, plan, group_of, allocated.groups, parties.region, per_shard
    )
    first = offsets.from_counts(per_shard.sum(axis=1))
    laws = system_laws(pack, seed, geo, parties.by_country(len(geo.countries)))
    items = engine.submit(
        _party_devices,
        [laws.of_country[s.country] for s in parties.shards],
        zip(first[:-1].tolist(), (s.first for s in parties.shards), strict=True),
        [type_plans[r] for r in parties.region],
        list(_before(parties.region, per_shard)),
        allocated.counts,
        allocated.held,
        parties.items,
        holders.platform,
    )
    terminals, terminal_use = _terminals(
        pack, seed, merchants, geo, plan, int(first[-1]), laws.of_terminals
    )
    devices = Devices(items, first, terminals)
    uses = type_use, terminal_use, *laws.uses(parties.n, int(first[-1]), devices.n)
    return DeviceOutcome(devices, allocated.dropped, (*plan.rng, *allocated.uses, *uses))


def _allocate(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    plan: DevicePlan,
    holders: TokenHolders,
    group_of: NDArray[np.integer],
    engine: Engine,
) -> _Allocation:
    """Devices of every group per party. group_of: of every device type.

    Holders of tokens get one device of the wallet group before the rest is shared, and their part
    of the rest is smaller by about as much: wallets decide who has a phone, not how many there are.
    """
    priors, groups = pack.device_count_priors, pack.codes("device_group")
    owned = [g for g, name in enumerate(groups) if name in priors.counts]
    draws, slots, laws = [], [], []
    for name in (groups[g] for g in owned):
        prior = priors.counts[name]
        draw = registry.DEVICE_ALLOCATION.of(seed, code=name)
        slot = registry.DEVICE_REDISTRIBUTION.of(seed, code=name, width=prior.cap)
        draws.append(draw)
        slots.append(slot)
        laws.append(
            (name, ProductLaw(prior.zero_share, prior.sigma, prior.cap, draw.key, slot.key))
        )
    regions, segments = plan.cells.shape[:2]
    # Every segment is offered every group; in a cell without a plan nobody takes part.
    problem = allocation.allocation_problem(
        "S4", laws, [range(len(owned))] * segments, slots=range(len(owned)),
        factor=registry.PARTY_FACTOR.of(seed).key, correlation=priors.party_factor_correlation,
    )  # fmt: skip
    of_group = np.stack([plan.cells[:, :, group_of == g].sum(axis=2) for g in owned], axis=2)
    wanted = of_group.reshape(regions, -1)
    size = np.repeat(parties.population(regions), len(owned), axis=1) * (wanted > 0)
    first = owned.index(groups.index(holders.group))
    placed = np.zeros((regions, segments, len(owned)), dtype=np.int64)
    np.add.at(placed[:, :, first], parties.region, holders.counts)
    allocated = allocation.allocate(
        engine, problem, wanted, size, placed.reshape(size.shape), parties.region,
        partial(_entities, first), parties.shards, parties.items, holders.platform,
        floors_count=True,
    )  # fmt: skip
    held, counts = engine.run(
        partial(_with_floors, len(owned)), *zip(*allocated.pieces, strict=True)
    )
    uses = [
        stream.use(name, 0, parties.n, entities=n)
        for streams, drawn in ((draws, size), (slots, allocated.asked))
        for stream, (name, _), n in zip(streams, laws, problem.per_product(drawn), strict=True)
    ]
    dropped = {
        name: n for (name, _), n in zip(laws, problem.per_product(allocated.dropped), strict=True)
    }
    return _Allocation(owned, held, counts, dropped, uses)


def _entities(first: int, shard: Shard, of: PartyShard, platform: U8) -> Entities:
    """Parties of a shard as the entities of the allocation.

    All take part; holders of tokens have a device of group `first` already.
    """
    floor = allocation.NO_FLOOR
    if platform.size:
        floor = np.where(platform == NO_PLATFORM, NO_SLOT, np.uint8(first))
    return Entities(shard.first, of.segment, allocation.NOTHING_OPEN, floor)


def _with_floors(
    groups: int,
    of: ShardEntries,
    quotas: Quotas,
    slots: SlotDraws | None,
    settled: Settlement,
) -> tuple[Held, I64]:
    """Task over the values of an `allocation.Piece`: all devices of the parties of a shard."""
    entities, _ = of
    held, per_cell = allocation.held(of, quotas, slots, settled)
    if not entities.floor.size:
        return held, per_cell
    room = held.entity.size + entities.floor.size + 1
    entity = np.empty(room, dtype=np.uint32)
    cell, count = (np.empty(room, dtype=np.uint16) for _ in range(2))
    rows = held.entity, held.cell, held.count
    n = _add_floors(entities.code, entities.floor, groups, rows, entity, cell, count, per_cell)
    return Held(held.entities, entity[:n], cell[:n], count[:n]), per_cell


@kernel
def _add_floors(code, floor, groups, held, entity, cell, count, per_cell):  # type: ignore[no-untyped-def]
    """Adds the floors of parties to what they hold, in order of party, then cell.

    Parameters
    ----------
    code, floor : uint8 (parties,)
        Segment, and group of the floor; NO_SLOT for none.
    groups : int
        Groups of a segment.
    held : uint32, uint16, uint16 (rows,)
        Party, cell and count of what they hold beyond their floors.
    entity, cell, count : uint32, uint16, uint16
        Filled.
    per_cell : int64 (cells,)
        Grows by the floors.

    Returns
    -------
    int
        Rows filled.
    """
    from_entity, from_cell, from_count = held
    n, j = 0, 0
    for p in range(code.size):
        waiting = floor[p] != NO_SLOT
        own = np.uint16(np.int64(code[p]) * groups + floor[p]) if waiting else np.uint16(0)
        if waiting:
            per_cell[own] += 1
        while j < from_entity.size and from_entity[j] == p:
            if waiting and from_cell[j] > own:
                entity[n], cell[n], count[n] = p, own, 1
                n += 1
                waiting = False
            entity[n], cell[n], count[n] = p, from_cell[j], from_count[j]
            if waiting and from_cell[j] == own:
                count[n] += 1
                waiting = False
            n += 1
            j += 1
        if waiting:
            entity[n], cell[n], count[n] = p, own, 1
            n += 1
    return n


def _before(region: U8, counts: I64) -> I64:
    """Devices of earlier shards of a shard's region by cell. counts, result: (shards, cells)."""
    out = np.empty_like(counts)
    for r in np.unique(region):
        inside = region == r
        out[inside] = np.cumsum(counts[inside], axis=0) - counts[inside]
    return out


def _type_plans(
    pack: PolicyPack,
    seed: int,
    plan: DevicePlan,
    group_of: NDArray[np.integer],
    owned: list[int],
    region: U8,
    counts: I64,
) -> tuple[list[_TypePlan], StreamUse]:
    """Exact numbers of every type in each (segment, group), per region.

    group_of: of every device type. owned: groups of the cells. region: of every shard. counts:
    devices, (shards, cells).
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
    cuts = np.zeros((*size.shape, types), dtype=np.int64)
    for r, c in zip(*np.nonzero(size), strict=True):
        segment, g = divmod(int(c), len(owned))
        inside = plan.cells[r, segment] * (group_of == owned[g])
        # Devices that the caps dropped are missing from every type in proportion.
        cuts[r, c] = np.cumsum(largest_remainder(int(size[r, c]), inside))
    return (
        [_TypePlan(size[r], keys[r], cuts[r]) for r in range(regions)],
        stream.use("cells", 0, regions * segments * n_groups),
    )


def _party_devices(
    law: SystemLaw,
    first: tuple[int, int],
    types: _TypePlan,
    before: I64,
    counts: I64,
    held: Held,
    parties: PartyShard,
    platform: U8,
) -> DeviceShard:
    """Task: the devices of the parties of one shard.

    first: numbers in the world of the first device and the first party. before, counts: devices
    of earlier shards of the region, and of this one, (cells,). platform: of `TokenHolders`.
    """
    n = int(counts.sum())
    owner, cell = np.empty(n + 1, dtype=np.uint32), np.empty(n + 1, dtype=np.uint16)
    offsets.expand_rows(
        held.entity, held.cell, held.count, np.arange(counts.size, dtype=np.uint16),
        np.empty(held.entities + 1, dtype=np.int32), owner, cell,
    )  # fmt: skip
    owner, cell = owner[:n], cell[:n]
    type_ = np.empty(n, dtype=np.uint8)
    _assign_types(types, before, counts, cell, type_)
    return DeviceShard(type_, *law.of_parties(first, type_, owner, parties, platform), owner)


@kernel
def _assign_types(plan, before, counts, cell, type_):  # type: ignore[no-untyped-def]
    """Types of the devices of a shard.

    Parameters
    ----------
    plan : _TypePlan
    before, counts : int64 (cells,)
        Devices of earlier shards of the region, and of this one.
    cell : uint16 (devices,)
    type_ : uint8 (devices,)
        Filled.
    """
    size, keys, cuts = plan.size, plan.keys, plan.cuts
    types = np.empty(cell.size, dtype=np.uint8)  # in order of cell
    cursor = np.zeros(counts.size, dtype=np.int64)
    at = 0
    for c in range(counts.size):
        n = counts[c]
        cursor[c] = at
        if n:
            only = 0
            while cuts[c, only] == 0:
                only += 1
            if cuts[c, only] == size[c]:
                types[at : at + n] = only
            else:
                permute.assign_by_quota(before[c], size[c], keys[c], cuts[c], types[at : at + n])
        at += n
    for i in range(cell.size):
        type_[i] = types[cursor[cell[i]]]
        cursor[cell[i]] += 1


def _terminals(
    pack: PolicyPack,
    seed: int,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    first: int,
    law: SystemLaw,
) -> tuple[Terminals, StreamUse]:
    """Terminals in order of merchant. first: number in the world of the first one."""
    merchant = np.repeat(np.arange(merchants.n, dtype=np.int32), plan.terminals)
    terminal_mix = pack.device_count_priors.terminal_mix
    mix = [terminal_mix.get(t, 0.0) for t in pack.codes("device_type")]
    stream = registry.TERMINAL_TYPE.of(seed)
    draws = np.ascontiguousarray(stream.draws(0, merchant.size)[:, 0])
    type_ = choices(draws, np.zeros(merchant.size, dtype=np.uint8), thresholds([mix]))
    country = merchants.home_country[merchant]
    terminals = Terminals(
        type_, *law.of_terminals(first, type_), merchant, country, geo.region[country]
    )
    return terminals, stream.use("merchants", 0, merchant.size)
