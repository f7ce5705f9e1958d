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
from fraudworld.kernels import normal, offsets, permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Entities, ProductLaw
from fraudworld.kernels.discrete import choices, guide, guided_category, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, philox, registry
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held
from fraudworld.stages.pieces import Devices, DeviceShard, Parties, PartyShard, Terminals

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class DevicePlan:
    """Integer plan per region, segment and device type; and terminals per merchant."""

    cells: I64  # (regions, segments, device types)
    terminals: I64  # (merchants,)
    terminals_clamped: int  # terminals above the cap per merchant, not made


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
    per_party: NDArray[np.float64],
    population: I64,
    merchants: Merchants,
    outlet_scale: float,
) -> DevicePlan:
    """Plans: the world total of a type is rounded, then split over cells by largest remainder.

    per_party: of `expected_types`. population: parties, (regions, segments). outlet_scale: factor
    on the outlets of every merchant, `Geography.profile_scale`.
    """
    expected = population[:, :, None] * per_party[None, :, :]
    cells = np.zeros(expected.shape, dtype=np.int64)
    for t in range(expected.shape[2]):
        total = int(np.floor(expected[:, :, t].sum() + 0.5))
        if total:
            cells[:, :, t] = largest_remainder(total, expected[:, :, t])
    per_outlet = pack.device_count_priors.terminals_per_outlet
    wanted = round(per_outlet * float(merchants.outlets.sum()) * outlet_scale)
    terminals = largest_remainder(wanted, merchants.outlets)
    cap = pack.device_linkage_rules.max_devices_per_merchant
    clamped = np.minimum(terminals, cap)
    return DevicePlan(cells, clamped, int((terminals - clamped).sum()))


class _TypePlan(NamedTuple):
    """Types of the devices of a region's cells (segment, group)."""

    size: I64  # devices, (cells,)
    keys: U64  # of the permutations, (cells, permute.ROUNDS)
    cuts: I64  # cumulative planned counts by type, (cells, device types)


class _AttributeLaw(NamedTuple):
    """Group, operating system and browser of a device, given its type."""

    key: tuple[np.uint64, np.uint64]  # of the stream with two draws per device
    systems: U64  # thresholds, (device types, systems)
    browsers: U64  # thresholds, (systems, browsers)
    system_guide: U8  # to `systems`, as in kernels/discrete.py
    browser_guide: U8  # to `browsers`
    group_of: U8  # (device types,)


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
    engine: Engine,
) -> DeviceOutcome:
    """Devices as planned: of parties in order of owner and group, then terminals."""
    groups, types = pack.codes("device_group"), pack.codes("device_type")
    group_of = np.array([groups.index(pack.device_taxonomy.device_types[t].group) for t in types])
    allocated = _allocate(pack, seed, parties, plan, group_of, engine)
    per_shard = np.stack(allocated.counts)
    type_plans, type_use = _type_plans(
        pack, seed, plan, group_of, allocated.groups, parties.region, per_shard
    )
    attributes = registry.DEVICE_ATTRIBUTES.of(seed)
    attribute_law = _attribute_law(pack, attributes.key, group_of)
    first = offsets.from_counts(per_shard.sum(axis=1))
    items = engine.submit(
        partial(_party_devices, attribute_law),
        first[:-1].tolist(),
        [type_plans[r] for r in parties.region],
        list(_before(parties.region, per_shard)),
        allocated.counts,
        allocated.held,
    )
    terminals, terminal_use = _terminals(
        pack, seed, merchants, geo, plan, int(first[-1]), attribute_law
    )
    devices = Devices(items, first, terminals)
    uses = type_use, terminal_use, attributes.use("world", 0, devices.n)
    return DeviceOutcome(devices, allocated.dropped, (*allocated.uses, *uses))


def _allocate(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    plan: DevicePlan,
    group_of: NDArray[np.integer],
    engine: Engine,
) -> _Allocation:
    """Devices of every group per party. group_of: of every device type."""
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
    problem = allocation.allocation_problem("S4", laws, [range(len(owned))] * segments)
    of_group = np.stack([plan.cells[:, :, group_of == g].sum(axis=2) for g in owned], axis=2)
    wanted = of_group.reshape(regions, -1)
    size = np.repeat(parties.population(regions), len(owned), axis=1) * (wanted > 0)
    allocated = allocation.allocate(
        engine, problem, wanted, size, np.zeros_like(size), parties.region, _entities,
        parties.shards, parties.items,
    )  # fmt: skip
    held, counts = engine.run(allocation.held, *zip(*allocated.pieces, strict=True))
    uses = [
        stream.use(name, 0, parties.n, entities=n)
        for streams, drawn in ((draws, size), (slots, allocated.asked))
        for stream, (name, _), n in zip(streams, laws, problem.per_product(drawn), strict=True)
    ]
    dropped = {
        name: n for (name, _), n in zip(laws, problem.per_product(allocated.dropped), strict=True)
    }
    return _Allocation(owned, held, counts, dropped, uses)


def _entities(shard: Shard, of: PartyShard) -> Entities:
    """Parties of a shard as the entities of the allocation: all take part, none holds a floor."""
    return Entities(shard.first, of.segment, allocation.NOTHING_OPEN, allocation.NO_FLOOR)


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


def _attribute_law(
    pack: PolicyPack, key: tuple[np.uint64, np.uint64], group_of: NDArray[np.integer]
) -> _AttributeLaw:
    priors = pack.device_count_priors
    types, systems, agents = (pack.codes(c) for c in ("device_type", "os_family", "ua_family"))
    of_system = thresholds([[priors.os_mix[t].get(o, 0.0) for o in systems] for t in types])
    of_browser = thresholds([[priors.ua_mix[o].get(u, 0.0) for u in agents] for o in systems])
    return _AttributeLaw(
        key,
        of_system,
        of_browser,
        guide(of_system),
        guide(of_browser),
        group_of.astype(np.uint8),
    )


def _party_devices(
    law: _AttributeLaw, first: int, types: _TypePlan, before: I64, counts: I64, held: Held
) -> DeviceShard:
    """Task: devices first, first + 1, … of the world, those of one shard.

    before, counts: devices of earlier shards of the region, and of this one, (cells,).
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
    return DeviceShard(type_, *_attributes(law, first, type_), owner)


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


def _attributes(law: _AttributeLaw, first: int, type_: U8) -> tuple[U8, U8, U8]:
    """Group, operating system and browser of devices first, first + 1, … of the world."""
    group, os, ua = (np.empty(type_.size, dtype=np.uint8) for _ in range(3))
    _draw_attributes(law, first, type_, group, os, ua)
    return group, os, ua


@kernel
def _draw_attributes(law, first, type_, group, os, ua):  # type: ignore[no-untyped-def]
    """Operating system and browser of every device by a draw each; its group by its type.

    Parameters
    ----------
    law : _AttributeLaw
    first : int
        Number in the world of the first device.
    type_ : uint8 (devices,)
    group, os, ua : uint8 (devices,)
        Filled.
    """
    k0, k1 = law.key
    systems, browsers, group_of = law.systems, law.browsers, law.group_of
    to_system, to_browser = law.system_guide, law.browser_guide
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, type_.size, philox.MANY // 2):
        n = min(philox.MANY // 2, type_.size - low)
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for j in range(n):
            i = low + j
            group[i] = group_of[type_[i]]
            os[i] = guided_category(draws[2 * j], systems, to_system, type_[i])
            ua[i] = guided_category(draws[2 * j + 1], browsers, to_browser, os[i])


def _terminals(
    pack: PolicyPack,
    seed: int,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    first: int,
    law: _AttributeLaw,
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
        type_, *_attributes(law, first, type_), merchant, country, geo.region[country]
    )
    return terminals, stream.use("merchants", 0, merchant.size)
