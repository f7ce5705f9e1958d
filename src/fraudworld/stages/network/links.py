"""The law of S4's links: who uses a device, and which accounts and instruments it reaches.

Exactly the planned share of a group's devices is shared, chosen by rank of a draw among the
devices whose owner has somebody to share with: a home for retail, a firm for business.
Access counts are zero-inflated Poisson; accounts are those of the device's users,
instruments those of the linked accounts. Caps per account and per instrument are kept by
passing over what is full, in order of device; users of a device live in one atom, so this
order never crosses a shard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.local import Engine, Shard
from fraudworld.kernels import expand
from fraudworld.kernels.discrete import thresholds, zero_inflated_poisson
from fraudworld.kernels.select import smallest
from fraudworld.policy.models import ZeroInflatedPoisson
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Accounts, DeviceLinks, Devices, Instruments, Parties

ALLOCATION = "device_allocation_sampling"
ACCESS_WIDTH = 6
MAX_USERS = 8


@dataclass(frozen=True)
class LinkOutcome:
    """Links, devices with their user counts, and what the caps turned away."""

    links: DeviceLinks
    devices: Devices
    sharing_wanted: int
    sharing_short: int  # devices that should be shared but have nobody to share with
    rng: tuple[StreamUse, ...]


@njit(cache=True, nogil=True)
def _draw_links(  # type: ignore[no-untyped-def]
    low,
    high,
    owner,
    group,
    shared,
    share_draws,
    access,
    user_cuts,
    unit,
    unit_start,
    unit_member,
    account_start,
    instrument_start,
    account_cuts,
    instrument_cuts,
    roles,
    max_used,
    max_per_account,
    max_per_instrument,
    used,
    account_load,
    instrument_load,
    users_out,
    out_device,
    out_role,
    out_target,
):
    """Links of devices low … high − 1 into the out buffers; returns how many rows."""
    at = 0
    users = np.empty(8, dtype=np.int64)
    accounts = np.empty(16, dtype=np.int64)
    picked = np.empty(16, dtype=np.int64)
    for d in range(low, high):
        g = group[d]
        o = owner[d]
        users[0] = o
        n_users = 1
        out_device[at] = d
        out_role[at] = roles[0]
        out_target[at] = o
        at += 1
        if shared[d]:
            first, last = unit_start[unit[o]], unit_start[unit[o] + 1]
            size = last - first
            draw = share_draws[d - low, 0] >> np.uint64(1)
            want = 2
            while user_cuts[g, want - 2] <= draw:
                want += 1
            begin = np.int64(
                (share_draws[d - low, 1] >> np.uint64(32)) * np.uint64(size) >> np.uint64(32)
            )
            for k in range(size):
                if n_users >= want:
                    break
                other = unit_member[first + (begin + k) % size]
                if other != o and used[other] < max_used:
                    users[n_users] = other
                    n_users += 1
                    used[other] += 1
            # Co-users in order of id, as the table is sorted.
            users[1:n_users].sort()
            for k in range(1, n_users):
                out_device[at] = d
                out_role[at] = roles[1]
                out_target[at] = users[k]
                at += 1
        users_out[d] = n_users

        total = 0
        for k in range(n_users):
            total += account_start[users[k] + 1] - account_start[users[k]]
        draw = access[d - low, 0] >> np.uint64(1)
        want = 0
        while account_cuts[g, want] <= draw:
            want += 1
        want = min(want, total)
        n_accounts = 0
        for k in range(want):
            lanes = access[d - low, 2 + k // 4]
            lane = (lanes >> np.uint64(16 * (k % 4))) & np.uint64(65535)
            begin = np.int64(lane * np.uint64(total) >> np.uint64(16))
            for step in range(total):
                index = (begin + step) % total
                u = 0
                while index >= account_start[users[u] + 1] - account_start[users[u]]:
                    index -= account_start[users[u] + 1] - account_start[users[u]]
                    u += 1
                account = account_start[users[u]] + index
                fresh = account_load[account] < max_per_account
                for j in range(n_accounts):
                    if accounts[j] == account:
                        fresh = False
                        break
                if fresh:
                    accounts[n_accounts] = account
                    n_accounts += 1
                    account_load[account] += 1
                    break
        accounts[:n_accounts].sort()
        for k in range(n_accounts):
            out_device[at] = d
            out_role[at] = roles[2]
            out_target[at] = accounts[k]
            at += 1

        total = 0
        for k in range(n_accounts):
            total += instrument_start[accounts[k] + 1] - instrument_start[accounts[k]]
        draw = access[d - low, 1] >> np.uint64(1)
        want = 0
        while instrument_cuts[g, want] <= draw:
            want += 1
        want = min(want, total)
        n_picked = 0
        for k in range(want):
            lanes = access[d - low, 4 + k // 4]
            lane = (lanes >> np.uint64(16 * (k % 4))) & np.uint64(65535)
            begin = np.int64(lane * np.uint64(total) >> np.uint64(16))
            for step in range(total):
                index = (begin + step) % total
                u = 0
                while index >= instrument_start[accounts[u] + 1] - instrument_start[accounts[u]]:
                    index -= instrument_start[accounts[u] + 1] - instrument_start[accounts[u]]
                    u += 1
                instrument = instrument_start[accounts[u]] + index
                fresh = instrument_load[instrument] < max_per_instrument
                for j in range(n_picked):
                    if picked[j] == instrument:
                        fresh = False
                        break
                if fresh:
                    picked[n_picked] = instrument
                    n_picked += 1
                    instrument_load[instrument] += 1
                    break
        picked[:n_picked].sort()
        for k in range(n_picked):
            out_device[at] = d
            out_role[at] = roles[3]
            out_target[at] = picked[k]
            at += 1
    return at


def draw_links(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    shards: tuple[Shard, ...],
    engine: Engine,
) -> LinkOutcome:
    """Owner, co-user, account and instrument links of every party device, and terminals."""
    rules = pack.device_linkage_rules
    groups = pack.codes("device_group")
    role_codes = pack.codes("device_link_role")
    roles = np.array(
        [
            role_codes.index(r)
            for r in (
                "PRIMARY_OWNER",
                "SECONDARY_USER",
                "ASSOCIATED_ACCOUNT_ACCESS",
                "ASSOCIATED_INSTRUMENT_ACCESS",
            )
        ],
        dtype=np.uint8,
    )
    n_party = int((devices.owner >= 0).sum())
    owner = devices.owner[:n_party].astype(np.int64)
    unit, unit_start, unit_member = _units(parties)
    shared, wanted, rank_stream = _choose_shared(
        pack, seed, devices, n_party, owner, unit, unit_start
    )
    user_cuts = _user_cuts(pack)
    account_cuts = _poisson_cuts(rules.accounts_per_device, groups)
    instrument_cuts = _poisson_cuts(rules.instruments_per_device, groups)

    first_device = np.searchsorted(owner, np.arange(parties.n + 1)).astype(np.int64)
    used = np.diff(first_device).astype(np.int32)
    account_load = np.zeros(accounts.n, dtype=np.uint8)
    instrument_load = np.zeros(instruments.n, dtype=np.uint8)
    users = devices.users.copy()
    share_stream = Stream(seed, "s4/device_sharing", ALLOCATION, 2)
    access_stream = Stream(seed, "s4/device_access", ALLOCATION, ACCESS_WIDTH)

    def one(shard: Shard) -> DeviceLinks:
        low, high = int(first_device[shard.first]), int(first_device[shard.last])
        n = high - low
        room = n * 4 + int(shared[low:high].sum()) * MAX_USERS + n * 16
        buffers = (
            np.empty(room, dtype=np.uint32),
            np.empty(room, dtype=np.uint8),
            np.empty(room, dtype=np.uint32),
        )
        rows = _draw_links(
            low, high, owner, devices.group, shared,
            share_stream.draws(low, n), access_stream.draws(low, n), user_cuts,
            unit, unit_start, unit_member, accounts.start, instruments.start,
            account_cuts, instrument_cuts, roles,
            pack.device_count_priors.max_used_per_party,
            rules.max_devices_per_account, rules.max_devices_per_instrument,
            used, account_load, instrument_load, users, *buffers,
        )  # fmt: skip
        device, role, target = buffers
        return DeviceLinks(device[:rows].copy(), role[:rows].copy(), target[:rows].copy())

    parts = engine.map(one, shards)
    terminals = np.arange(n_party, devices.n, dtype=np.uint32)
    parts.append(
        DeviceLinks(
            terminals,
            np.full(terminals.size, role_codes.index("MERCHANT_TERMINAL"), dtype=np.uint8),
            devices.merchant[n_party:].astype(np.uint32),
        )
    )
    links = DeviceLinks(
        np.concatenate([p.device for p in parts]),
        np.concatenate([p.role for p in parts]),
        np.concatenate([p.target for p in parts]),
    )
    return LinkOutcome(
        links,
        replace(devices, users=users),
        wanted,
        wanted - int(shared.sum()),
        tuple(s.use("world", 0, n_party) for s in (rank_stream, share_stream, access_stream)),
    )


def _units(
    parties: Parties,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Whom a party may share a device with: unit of each party, and members of each unit."""
    households = int(parties.household.max(initial=-1)) + 1
    firms = int(parties.business_group.max(initial=-1)) + 1
    alone = parties.household + parties.business_group == -2
    unit = np.where(parties.household >= 0, parties.household, households + parties.business_group)
    unit = np.where(alone, households + firms + np.cumsum(alone) - 1, unit).astype(np.int64)
    start = expand.starts(np.bincount(unit, minlength=households + firms + int(alone.sum())))
    return unit, start, np.argsort(unit, kind="stable")


def _choose_shared(
    pack: PolicyPack,
    seed: int,
    devices: Devices,
    n_party: int,
    owner: NDArray[np.int64],
    unit: NDArray[np.int64],
    unit_start: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], int, Stream]:
    """Mark the shared devices: exact share per region and group, by rank of a draw."""
    groups = pack.codes("device_group")
    n_regions = len(pack.codes("region"))
    stream = Stream(seed, "s4/device_sharing_rank", ALLOCATION)
    cell = (
        devices.region[:n_party].astype(np.uint16) * np.uint16(len(groups))
        + devices.group[:n_party]
    )
    share = np.zeros(len(groups))
    for name, rule in pack.device_linkage_rules.sharing.items():
        share[groups.index(name)] = rule.share
    size = np.bincount(cell, minlength=n_regions * len(groups))
    quota = np.floor(size * np.tile(share, n_regions) + 0.5).astype(np.int64)
    candidates = np.flatnonzero(np.diff(unit_start)[unit[owner]] > 1)
    out = np.zeros(n_party, dtype=np.bool_)
    out[candidates] = smallest(stream.flat(0, n_party)[candidates], cell[candidates], quota)
    return out, int(quota.sum()), stream


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
