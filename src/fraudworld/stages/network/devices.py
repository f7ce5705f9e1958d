"""The law of S4's devices: how many, whose, of which type, on which system.

Expected devices per (region × segment × type) become integer plans. Groups of types are
allocated to parties by the gated, weighted, capped law; inside a cell the types of a group
then take exactly their planned numbers, placed by a keyed permutation. Terminals belong to
merchants, in proportion to their outlets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.local import Engine, Shard
from fraudworld.kernels import expand, normal, permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Law, allocate
from fraudworld.kernels.discrete import thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Devices, Geography, Merchants, Parties

COUNTS = "device_count_realisation"
SAMPLING = "device_allocation_sampling"
ATTRIBUTES = "device_attribute_sampling"
PREMISES = 12
"""Terminals that share one place of a merchant."""


@dataclass(frozen=True)
class DevicePlan:
    """Integer plan per region, segment and device type; and terminals per merchant."""

    cells: NDArray[np.int64]  # (regions, segments, device types)
    terminals: NDArray[np.int64]  # (merchants,)
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
    n_regions, n_segments = len(pack.codes("region")), len(pack.codes("segment"))
    population = np.bincount(
        parties.region.astype(np.int64) * n_segments + parties.segment,
        minlength=n_regions * n_segments,
    ).reshape(n_regions, n_segments)
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


@njit(cache=True, nogil=True)
def _types(owner, group, cell_of, n_groups, kinds, next_kind, out):  # type: ignore[no-untyped-def]
    """Hand every device the next of the types dealt to its (cell, group)."""
    for i in range(owner.size):
        c = cell_of[owner[i]] * n_groups + group[i]
        out[i] = kinds[next_kind[c]]
        next_kind[c] += 1


@njit(cache=True, nogil=True)
def _sizes(owner, group, cell_of, n_groups, out):  # type: ignore[no-untyped-def]
    for i in range(owner.size):
        out[cell_of[owner[i]] * n_groups + group[i]] += 1


def draw_devices(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    shards: tuple[Shard, ...],
    engine: Engine,
) -> DeviceOutcome:
    """Realise the plan: party devices in order of owner and group, then terminals."""
    priors = pack.device_count_priors
    groups, types = pack.codes("device_group"), pack.codes("device_type")
    type_group = np.array(
        [groups.index(pack.device_taxonomy.device_types[t].group) for t in types], dtype=np.uint8
    )
    n_segments = len(pack.codes("segment"))
    cell_of = parties.region.astype(np.uint16) * np.uint16(n_segments) + parties.segment
    n_cells = plan.cells.shape[0] * n_segments
    by_cell = plan.cells.reshape(n_cells, len(types))
    group_plan = np.zeros((n_cells, len(groups)), dtype=np.int64)
    for t in range(len(types)):
        group_plan[:, type_group[t]] += by_cell[:, t]

    counts = np.zeros((len(groups), parties.n), dtype=np.uint8)
    owned = [g for g, name in enumerate(groups) if name in priors.counts]

    def allocate_group(g: int) -> tuple[int, list[StreamUse]]:
        counted = priors.counts[groups[g]]
        # Parties of a cell without a plan (retail has no servers) take no part.
        members = np.flatnonzero((group_plan[:, g] > 0)[cell_of])
        stream = Stream(seed, f"s4/device_allocation/{groups[g]}", SAMPLING, 2)
        spare = Stream(seed, f"s4/cap_redistribution/{groups[g]}", SAMPLING, counted.cap)
        law = Law(counted.zero_share, counted.sigma, counted.cap, stream.key, spare.key)
        room = np.full(members.size, law.cap, dtype=np.int32)
        done = allocate(members, cell_of[members], group_plan[:, g], law, room)
        counts[g, members] = done.counts
        return int(done.dropped.sum()), [stream.use(groups[g], 0, parties.n, entities=members.size)]

    results = engine.map(allocate_group, owned)
    dropped = {groups[g]: lost for g, (lost, _) in zip(owned, results, strict=True)}
    uses = [use for _, used in results for use in used]

    start = expand.starts(counts.sum(axis=0, dtype=np.int64))
    n_party = int(start[-1])
    owner = np.empty(n_party, dtype=np.uint32)
    group = np.empty(n_party, dtype=np.uint8)
    identity = np.arange(len(groups), dtype=np.uint8)[None, :]
    zero = np.zeros(parties.n, dtype=np.uint8)
    engine.map(
        lambda s: expand.fill(counts, identity, zero, start, s.first, s.last, owner, group), shards
    )
    kind, type_use = _assign_types(pack, seed, owner, group, cell_of, by_cell, type_group, engine)
    devices, attribute_uses = _attributes(
        pack, seed, parties, merchants, geo, plan, owner, kind, type_group
    )
    return DeviceOutcome(devices, dropped, (*uses, type_use, *attribute_uses))


def _assign_types(
    pack: PolicyPack,
    seed: int,
    owner: NDArray[np.uint32],
    group: NDArray[np.uint8],
    cell_of: NDArray[np.uint16],
    by_cell: NDArray[np.int64],
    type_group: NDArray[np.uint8],
    engine: Engine,
) -> tuple[NDArray[np.uint8], StreamUse]:
    """Exact numbers of every type in each (cell, group)."""
    n_cells = by_cell.shape[0]
    n_groups = len(pack.codes("device_group"))
    sizes = np.zeros(n_cells * n_groups, dtype=np.int64)
    _sizes(owner, group, cell_of, n_groups, sizes)
    stream = Stream(seed, "s4/device_type_place", COUNTS, permute.ROUNDS)
    keys = stream.draws(0, sizes.size)
    first = expand.starts(sizes)
    kinds = np.empty(owner.size, dtype=np.uint8)

    def deal(c: int) -> None:
        inside = by_cell[c // n_groups] * (type_group == c % n_groups)
        # What the cap dropped is missing from every type in proportion.
        upto = np.cumsum(largest_remainder(int(sizes[c]), inside))
        permute.deal_out(0, sizes[c], keys[c], upto, kinds[first[c] : first[c + 1]])

    engine.map(deal, np.flatnonzero(sizes).tolist())
    out = np.empty(owner.size, dtype=np.uint8)
    _types(owner, group, cell_of, n_groups, kinds, first[:-1].copy(), out)
    return out, stream.use("cells", 0, sizes.size)


def _attributes(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    merchants: Merchants,
    geo: Geography,
    plan: DevicePlan,
    owner: NDArray[np.uint32],
    kind: NDArray[np.uint8],
    type_group: NDArray[np.uint8],
) -> tuple[Devices, tuple[StreamUse, ...]]:
    """Append terminals; draw systems and browsers; find every device's home."""
    priors = pack.device_count_priors
    types = pack.codes("device_type")
    merchant = np.repeat(np.arange(merchants.n, dtype=np.int32), plan.terminals)
    n_party, n = owner.size, owner.size + merchant.size
    mix = np.array([priors.terminal_mix.get(t, 0.0) for t in types])
    terminal_stream = Stream(seed, "s4/terminal_type", ATTRIBUTES)
    terminal_kind = terminal_stream.choices(0, np.zeros(merchant.size, np.uint8), thresholds([mix]))
    all_kinds = np.concatenate([kind, terminal_kind])

    systems, agents = pack.codes("os_family"), pack.codes("ua_family")
    os_table = thresholds([[priors.os_mix[t].get(o, 0.0) for o in systems] for t in types])
    ua_table = thresholds([[priors.ua_mix[o].get(u, 0.0) for u in agents] for o in systems])
    attributes = Stream(seed, "s4/device_attributes", ATTRIBUTES, 2)
    os = attributes.choices(0, all_kinds, os_table)
    ua = attributes.choices(0, os, ua_table, index=1)

    home_of_party, party_homes = _party_homes(parties)
    first_terminal = expand.starts(plan.terminals)
    within = np.arange(merchant.size) - first_terminal[merchant]
    premises = expand.starts(-(-plan.terminals // PREMISES))
    terminal_home = party_homes + premises[merchant] + within // PREMISES
    country = np.concatenate([parties.country[owner], merchants.home_country[merchant]])
    none = np.full(merchant.size, -1, dtype=np.int32)
    devices = Devices(
        type=all_kinds,
        group=type_group[all_kinds],
        os=os,
        ua=ua,
        owner=np.concatenate([owner.astype(np.int32), none]),
        merchant=np.concatenate([np.full(n_party, -1, dtype=np.int32), merchant]),
        owner_type=np.concatenate([parties.type[owner], np.full(merchant.size, 255, np.uint8)]),
        country=country,
        region=geo.region[country],
        home=np.concatenate([home_of_party[owner], terminal_home.astype(np.int32)]),
        users=np.concatenate([np.ones(n_party, np.uint8), np.zeros(merchant.size, np.uint8)]),
        homes=party_homes + int(premises[-1]),
    )
    return devices, (
        terminal_stream.use("merchants", 0, merchant.size),
        attributes.use("world", 0, n),
    )


@njit(cache=True, nogil=True)
def _number_homes(household, first_home, home):  # type: ignore[no-untyped-def]
    homes = 0
    for p in range(household.size):
        h = household[p]
        if h < 0:
            home[p] = homes
            homes += 1
        elif first_home[h] < 0:
            first_home[h] = homes
            home[p] = homes
            homes += 1
        else:
            home[p] = first_home[h]
    return homes


def _party_homes(parties: Parties) -> tuple[NDArray[np.int32], int]:
    """Home of every party: its household, or premises of its own; in order of party."""
    first = np.full(int(parties.household.max(initial=-1)) + 1, -1, dtype=np.int32)
    home = np.empty(parties.n, dtype=np.int32)
    return home, int(_number_homes(parties.household, first, home))
