"""The law of S4's links: who uses a device, and which accounts and instruments it reaches.

Exactly the planned share of a group's devices is shared, chosen by rank of a draw among the
devices whose owner has somebody to share with: a home for retail, a firm for business.
Access counts are zero-inflated Poisson; accounts are those of the device's users,
instruments those of the linked accounts. Caps per account and per instrument are kept by
passing over what is full, in order of device; users of a device live in one atom, so this
order never crosses a shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import guide, offsets, ranks
from fraudworld.kernels.discrete import means, thresholds, zero_inflated_poisson
from fraudworld.policy.models import ZeroInflatedPoisson
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.stages.pieces import (
    Accounts,
    AccountShard,
    DeviceLinks,
    Devices,
    DeviceShard,
    Instruments,
    InstrumentShard,
    LinkShard,
    Parties,
    PartyShard,
)

ACCESS_WIDTH = registry.DEVICE_ACCESS.width
MAX_USERS = 8
BLOCK = 1024
"""Devices whose draws are held at once."""
ROLES = (
    "PRIMARY_OWNER",
    "SECONDARY_USER",
    "ASSOCIATED_ACCOUNT_ACCESS",
    "ASSOCIATED_INSTRUMENT_ACCESS",
)
"""Roles of a device's links, in published order."""


@dataclass(frozen=True)
class LinkOutcome:
    """Links, and what the caps turned away."""

    links: DeviceLinks
    with_company: NDArray[np.int64]  # devices of several users, per shard
    sharing_wanted: int
    sharing_short: int  # devices that should be shared but have nobody to share with
    rng: tuple[StreamUse, ...]


@inlined
def _insert(values, low, end, value):  # type: ignore[no-untyped-def]
    """Put a value in order into values[low:end], a handful, unless it is there: whether it was
    put.
    """
    at = end
    while at > low and values[at - 1] > value:
        at -= 1
    if at > low and values[at - 1] == value:
        return False
    for i in range(end, at, -1):
        values[i] = values[i - 1]
    values[at] = value
    return True


@inlined
def _held(start, holders, h, index):  # type: ignore[no-untyped-def]
    """Number `index`, from 0, of what holders[h], holders[h + 1], … have one after the other."""
    while index >= start[holders[h] + 1] - start[holders[h]]:
        index -= start[holders[h] + 1] - start[holders[h]]
        h += 1
    return start[holders[h]] + index


@kernel
def _draw_links(  # type: ignore[no-untyped-def]
    first,
    owner,
    group,
    rank_key,
    cut_key,
    cut_position,
    share_key,
    access_key,
    user_cuts,
    unit,
    unit_start,
    unit_member,
    account_start,
    instrument_start,
    account_cuts,
    account_guide,
    instrument_cuts,
    instrument_guide,
    roles,
    max_used,
    max_per_account,
    max_per_instrument,
    used,
    account_load,
    instrument_load,
    out_device,
    out_role,
    out_target,
):
    """Links of devices first, first + 1, … into the out buffers; returns (rows, devices marked
    as shared, devices with co-users); −1 rows where there is no room for another device.

    Targets of a role are put in order of id as they are found: the table is sorted so.
    """
    rank_0, rank_1 = rank_key
    share_0, share_1 = share_key
    access_0, access_1 = access_key
    ranked = np.empty(BLOCK, dtype=np.uint64)
    access = np.empty(BLOCK * ACCESS_WIDTH, dtype=np.uint64)
    users = np.empty(MAX_USERS, dtype=np.int64)
    for d in range(owner.size):
        used[owner[d]] += 1
    most = MAX_USERS + account_cuts.shape[1] - 1 + instrument_cuts.shape[1] - 1
    at = marked = with_company = 0
    for d in range(owner.size):
        if at + most > out_device.size:
            return -1, 0, 0
        j = d % BLOCK
        if j == 0:
            n = min(BLOCK, owner.size - d)
            position = np.uint64(first + d)
            philox.fill(rank_0, rank_1, position, ranked[:n])
            position *= np.uint64(ACCESS_WIDTH)
            philox.fill(access_0, access_1, position, access[: n * ACCESS_WIDTH])
        draws = j * ACCESS_WIDTH
        g = group[d]
        o = owner[d]
        users[0] = o
        n_users = 1
        out_device[at] = d
        out_role[at] = roles[0]
        out_target[at] = o
        at += 1
        begin, size = unit_start[unit[o]], unit_start[unit[o] + 1] - unit_start[unit[o]]
        if ranks.within(ranked[j], first + d, g, cut_key, cut_position) & (size > 1):
            marked += 1
            lanes = philox.pair(share_0, share_1, np.uint64(first + d))
            draw = lanes[0] >> np.uint64(1)
            want = 2
            while user_cuts[g, want - 2] <= draw:
                want += 1
            skip = np.int64((lanes[1] >> np.uint64(32)) * np.uint64(size) >> np.uint64(32))
            for k in range(size):
                if n_users >= want:
                    break
                other = unit_member[begin + (skip + k if skip + k < size else skip + k - size)]
                if other != o and used[other] < max_used:
                    _insert(users, 1, n_users, other)
                    n_users += 1
                    used[other] += 1
            for k in range(1, n_users):
                out_device[at] = d
                out_role[at] = roles[1]
                out_target[at] = users[k]
                at += 1
            with_company += n_users > 1

        total = 0
        for k in range(n_users):
            total += account_start[users[k] + 1] - account_start[users[k]]
        want = min(guide.category(access[draws], account_cuts, account_guide, g), total)
        accounts, carried = at, 0
        for k in range(want):
            lanes_of = access[draws + 2 + k // 4]
            lane = (lanes_of >> np.uint64(16 * (k % 4))) & np.uint64(65535)
            skip = np.int64(lane * np.uint64(total) >> np.uint64(16))
            for step in range(total):
                index = skip + step
                if index >= total:
                    index -= total
                account = _held(account_start, users, 0, index)
                if account_load[account] < max_per_account and _insert(
                    out_target, accounts, at, account
                ):
                    out_device[at] = d
                    out_role[at] = roles[2]
                    account_load[account] += 1
                    carried += instrument_start[account + 1] - instrument_start[account]
                    at += 1
                    break

        total = carried
        want = min(guide.category(access[draws + 1], instrument_cuts, instrument_guide, g), total)
        instruments = at
        for k in range(want):
            lanes_of = access[draws + 4 + k // 4]
            lane = (lanes_of >> np.uint64(16 * (k % 4))) & np.uint64(65535)
            skip = np.int64(lane * np.uint64(total) >> np.uint64(16))
            for step in range(total):
                index = skip + step
                if index >= total:
                    index -= total
                instrument = _held(instrument_start, out_target, accounts, index)
                if instrument_load[instrument] < max_per_instrument and _insert(
                    out_target, instruments, at, instrument
                ):
                    out_device[at] = d
                    out_role[at] = roles[3]
                    instrument_load[instrument] += 1
                    at += 1
                    break
    return at, marked, with_company


@dataclass(frozen=True)
class _Law:
    """What every shard needs of this law."""

    rank: Stream
    sharing: Stream
    access: Stream
    groups: int
    user_cuts: NDArray[np.uint64]
    account_cuts: NDArray[np.uint64]
    account_guide: NDArray[np.uint8]
    instrument_cuts: NDArray[np.uint64]
    instrument_guide: NDArray[np.uint8]
    wanted: NDArray[np.float64]  # links of a device of every group but for its co-users', expected
    roles: NDArray[np.uint8]
    max_used: int
    max_per_account: int
    max_per_instrument: int


def draw_links(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    engine: Engine,
) -> LinkOutcome:
    """Owner, co-user, account and instrument links of every party device."""
    rules, groups = pack.device_linkage_rules, pack.codes("device_group")
    account_cuts = _poisson_cuts(rules.accounts_per_device, groups)
    instrument_cuts = _poisson_cuts(rules.instruments_per_device, groups)
    roles = pack.codes("device_link_role")
    law = _Law(
        rank=registry.DEVICE_SHARING_RANK.of(seed),
        sharing=registry.DEVICE_SHARING.of(seed),
        access=registry.DEVICE_ACCESS.of(seed),
        groups=len(groups),
        user_cuts=_user_cuts(pack),
        account_cuts=account_cuts,
        account_guide=guide.guide(account_cuts),
        instrument_cuts=instrument_cuts,
        instrument_guide=guide.guide(instrument_cuts),
        wanted=1.0 + means(account_cuts) + means(instrument_cuts),
        roles=np.array([roles.index(r) for r in ROLES], dtype=np.uint8),
        max_used=pack.device_count_priors.max_used_per_party,
        max_per_account=rules.max_devices_per_account,
        max_per_instrument=rules.max_devices_per_instrument,
    )
    first = devices.first[:-1].tolist()
    chosen, wanted, sizes = _choose_shared(pack, law, parties, devices, engine)
    cuts = [(chosen.key[r], chosen.position[r]) for r in parties.region]
    items, summaries = engine.run(
        partial(_shard, law), first, cuts, [float(of_group @ law.wanted) for of_group in sizes],
        parties.items, accounts.items, instruments.items, devices.items,
    )  # fmt: skip
    rows, shared, with_company = np.array(summaries, dtype=np.int64).T
    n = int(devices.first[-1])
    return LinkOutcome(
        DeviceLinks(items, offsets.from_counts(rows)),
        with_company,
        wanted,
        wanted - int(shared.sum()),
        tuple(s.use("world", 0, n) for s in (law.rank, law.sharing, law.access)),
    )


def _shard(
    law: _Law,
    first: int,
    cut: tuple[NDArray[np.uint64], NDArray[np.int64]],
    expected: float,
    parties: PartyShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
) -> tuple[LinkShard, tuple[int, int, int]]:
    """Links of one shard, about as many as `expected`.

    Told: links, devices marked as shared, devices with co-users.
    """
    units = _units(parties.household, parties.business_group)
    n = devices.owner.size
    most = MAX_USERS + law.account_cuts.shape[1] + law.instrument_cuts.shape[1]
    # What is not written costs nothing, so no column is cut to its size by copying it.
    for room in (int(1.05 * expected) + 64 * most, n * most):
        device, target = np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint32)
        role = np.empty(room, dtype=np.uint8)
        rows, marked, with_company = _draw_links(
            first, devices.owner, devices.group, law.rank.key, *cut, law.sharing.key,
            law.access.key, law.user_cuts, *units, accounts.start, instruments.start,
            law.account_cuts, law.account_guide, law.instrument_cuts, law.instrument_guide,
            law.roles, law.max_used, law.max_per_account, law.max_per_instrument,
            np.zeros(parties.type.size, dtype=np.int32),
            np.zeros(accounts.type.size, dtype=np.uint8),
            np.zeros(instruments.type.size, dtype=np.uint8),
            device, role, target,
        )  # fmt: skip
        if rows >= 0:
            break
    return LinkShard(device[:rows], role[:rows], target[:rows]), (rows, marked, with_company)


@kernel
def _units(household, business_group):  # type: ignore[no-untyped-def]
    """Whom a party may share a device with: (unit of each, first member of each, members)."""
    n = household.size
    homes, firms = household.max() + 1 if n else 0, business_group.max() + 1 if n else 0
    unit = np.empty(n, dtype=np.int32)
    units = homes + firms
    for p in range(n):
        if household[p] >= 0:
            unit[p] = household[p]
        elif business_group[p] >= 0:
            unit[p] = homes + business_group[p]
        else:
            unit[p] = units
            units += 1
    start = np.zeros(units + 2, dtype=np.int32)
    for p in range(n):
        start[unit[p] + 2] += 1
    for u in range(units):
        start[u + 2] += start[u + 1]
    member = np.empty(n, dtype=np.int32)
    for p in range(n):  # start[u + 1] runs from the first member of u to that of u + 1
        member[start[unit[p] + 1]] = p
        start[unit[p] + 1] += 1
    return unit, start[: units + 1], member


@kernel
def _count(owner, group, draws, unit, unit_start, sizes, digits):  # type: ignore[no-untyped-def]
    """Devices per group; and by leading digit those whose owner has company."""
    for d in range(owner.size):
        sizes[group[d]] += 1
        u = unit[owner[d]]
        if unit_start[u + 1] - unit_start[u] > 1:
            digits[group[d], draws[d] >> np.uint64(ranks.SHIFT)] += 1


@kernel
def _at_edge(owner, group, draws, unit, unit_start, digit, out):  # type: ignore[no-untyped-def]
    """Devices whose digit is the one their group's quota ends in; returns how many."""
    n = 0
    for d in range(owner.size):
        if np.int64(draws[d] >> np.uint64(ranks.SHIFT)) == digit[group[d]]:
            u = unit[owner[d]]
            if unit_start[u + 1] - unit_start[u] > 1:
                out[n] = d
                n += 1
    return n


def _choose_shared(
    pack: PolicyPack, law: _Law, parties: Parties, devices: Devices, engine: Engine
) -> tuple[ranks.Cut, int, Sequence[NDArray[np.int64]]]:
    """Who is shared, per region and group, (regions, groups): an exact share, by rank.

    Returns also how many are, and the devices of every shard by group.
    """
    regions, groups = len(pack.codes("region")), pack.codes("device_group")
    first = devices.first[:-1].tolist()
    counted = engine.collect(partial(_digits, law), first, parties.items, devices.items)
    sizes = np.zeros((regions, law.groups), dtype=np.int64)
    digits = np.zeros((regions, law.groups, ranks.DIGITS), dtype=np.int64)
    for region, (of_group, of_digit) in zip(parties.region, counted, strict=True):
        sizes[region] += of_group
        digits[region] += of_digit
    share = np.zeros(law.groups)
    for name, rule in pack.device_linkage_rules.sharing.items():
        share[groups.index(name)] = rule.share
    quota = np.floor(sizes * share + 0.5).astype(np.int64)
    edge = ranks.edges(digits.reshape(-1, ranks.DIGITS), quota.ravel())
    digit = edge.digit.reshape(quota.shape)
    found = engine.collect(
        partial(_candidates, law), first, [int(r) for r in parties.region],
        digit[parties.region], parties.items, devices.items,
    )  # fmt: skip
    cut, _ = ranks.cut(edge, quota.ravel(), found)
    shaped = ranks.Cut(cut.key.reshape(quota.shape), cut.position.reshape(quota.shape))
    return shaped, int(quota.sum()), [of_group for of_group, _ in counted]


def _digits(
    law: _Law, first: int, parties: PartyShard, devices: DeviceShard
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    unit, unit_start, _ = _units(parties.household, parties.business_group)
    sizes = np.zeros(law.groups, dtype=np.int64)
    digits = np.zeros((law.groups, ranks.DIGITS), dtype=np.int64)
    draws = law.rank.flat(first, devices.owner.size)
    _count(devices.owner, devices.group, draws, unit, unit_start, sizes, digits)
    return sizes, digits


def _candidates(
    law: _Law,
    first: int,
    region: int,
    digit: NDArray[np.int64],
    parties: PartyShard,
    devices: DeviceShard,
) -> ranks.Candidates:
    unit, unit_start, _ = _units(parties.household, parties.business_group)
    draws = law.rank.flat(first, devices.owner.size)
    at = np.empty(devices.owner.size, dtype=np.int32)
    at = at[: _at_edge(devices.owner, devices.group, draws, unit, unit_start, digit, at)]
    cell = region * law.groups + devices.group[at].astype(np.int64)
    return cell, draws[at], first + at.astype(np.int64), np.ones(at.size, dtype=np.int64)


def _user_cuts(pack: PolicyPack) -> NDArray[np.uint64]:
    """Users of a shared device: 2 … max, each further user half as likely; per group."""
    groups = pack.codes("device_group")
    shares = np.zeros((len(groups), MAX_USERS - 1))
    shares[:, 0] = 1.0
    for name, rule in pack.device_linkage_rules.sharing.items():
        p = 0.5 ** np.arange(rule.max_users - 1)
        shares[groups.index(name), : p.size] = p / p.sum()
    return thresholds(shares)


def _poisson_cuts(
    laws: dict[str, ZeroInflatedPoisson], groups: tuple[str, ...]
) -> NDArray[np.uint64]:
    """Thresholds of the access counts per group; groups without a law reach nothing."""
    shares = np.zeros((len(groups), 9))
    shares[:, 0] = 1.0
    for name, law in laws.items():
        p = zero_inflated_poisson(law.zero_share, law.mean, law.maximum)
        shares[groups.index(name), :] = 0.0
        shares[groups.index(name), : p.size] = p
    return thresholds(shares)
