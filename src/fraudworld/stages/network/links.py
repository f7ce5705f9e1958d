"""Device links: who uses a device, and which accounts and instruments are reached from it.

1. *Sharing.* An exact share of a region's devices of a group is shared (`sharing.py`).
2. *Co-users.* A shared device draws how many users it has, whether they are of its owner's circle
   or of the home or firm, and from where on the members are asked; those who use the policy's
   maximum already are passed over.
3. *Access.* The numbers of accounts and instruments are zero-inflated Poisson. Accounts are those
   of the device's users, instruments those of the linked accounts, each from its own drawn place
   on; those linked to the policy's maximum of devices are passed over.

Devices take their turn in order of device. Users of a device live in one atom, so the order never
crosses a shard. The figures are of the policy `device_linkage_rules_6A.v1`.

Twin of all kernels here: tests/reference/devices.py:link.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import offsets, ranks
from fraudworld.kernels.discrete import (
    guide,
    guided_category,
    means,
    thresholds,
    zero_inflated_poisson,
)
from fraudworld.policy.models import ZeroInflatedPoisson
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.rng.philox import Key
from fraudworld.stages.network.sharing import choose_shared, company_of, has_company
from fraudworld.stages.pieces import (
    Accounts,
    AccountShard,
    Circles,
    CircleShard,
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
"""Draws of a device: counts of accounts and instruments, then 16-bit lanes, two words for each."""

MAX_USERS = 8
"""Largest number of users of a device that a policy may ask for."""

MAX_REACHED = 8
"""The same for accounts, and for instruments: one lane each."""

BLOCK = 1024
"""Devices whose draws are held at once."""

ROLES = (
    "PRIMARY_OWNER",
    "SECONDARY_USER",
    "ASSOCIATED_ACCOUNT_ACCESS",
    "ASSOCIATED_INSTRUMENT_ACCESS",
)
"""Roles of a device's links, in published order."""

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class LinkOutcome:
    """Links of all party devices, and counters of sharing."""

    links: DeviceLinks
    with_company: I64  # devices of several users, (shards,)
    sharing_wanted: int  # devices to be shared, by the policy
    sharing_short: int  # of these, devices that no owner with company has
    rng: tuple[StreamUse, ...]


class _AccessLaw(NamedTuple):
    """How many accounts, or instruments, are reached from a device."""

    cuts: U64  # thresholds of the count, (groups, counts)
    guide: U8  # to `cuts`, as in kernels/discrete.py
    cap: int  # devices linked to one account or instrument


class _KernelLaw(NamedTuple):
    """The law as `_draw_links` needs it."""

    rank: Key  # stream of width 1: rank for sharing
    sharing: Key  # stream of width 2: number of users, place in the unit
    access: Key  # stream of ACCESS_WIDTH
    user_cuts: U64  # thresholds of 2, 3, … users, (groups, MAX_USERS − 1)
    accounts: _AccessLaw
    instruments: _AccessLaw
    roles: U8  # codes of ROLES, (4,)
    max_used: int  # devices that one party uses
    mates: np.uint64  # of a member's shared devices: those of circle mates, in units of 2**-32


class _Loads(NamedTuple):
    """Links so far; zero before."""

    used: I32  # devices a party uses, (parties,)
    account: U8  # devices linked to an account, (accounts,)
    instrument: U8  # devices linked to an instrument, (instruments,)


class _Rows(NamedTuple):
    """Buffers for links, as in `LinkShard`."""

    device: U32
    role: U8
    target: U32


@inlined
def _insert(values, low, end, value):  # type: ignore[no-untyped-def]
    """Inserts a value into the ascending values[low:end], unless it is among them.

    Returns whether it was inserted. By shifting: there are a handful of values.
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
def _nth_held(start, holders, h, n):  # type: ignore[no-untyped-def]
    """Holding n, from 0, of holders[h], holders[h + 1], … one after the other.

    start: first holding of every holder.
    """
    while n >= start[holders[h] + 1] - start[holders[h]]:
        n -= start[holders[h] + 1] - start[holders[h]]
        h += 1
    return start[holders[h]] + n


@inlined
def _pick_co_users(lanes, cuts, group, owner, members, used, max_used, users):  # type: ignore[no-untyped-def]
    """Writes co-users of a shared device to users[1:], ascending; returns the users.

    Parameters
    ----------
    lanes : (uint64, uint64)
        Draws of the number of users and of the place in the unit.
    cuts : uint64 (groups, MAX_USERS − 1)
        As in `_KernelLaw`.
    group, owner : int
        Of the device.
    members : int32 (members,)
        Parties of the owner's unit.
    used : int32 (parties,)
        Grows.
    max_used : int
    users : int64 (MAX_USERS,)
    """
    draw = lanes[0] >> np.uint64(1)
    wanted = 2
    while cuts[group, wanted - 2] <= draw:
        wanted += 1
    size = members.size
    first = np.int64((lanes[1] >> np.uint64(32)) * np.uint64(size) >> np.uint64(32))
    n = 1
    for k in range(size):
        if n >= wanted:
            break
        other = members[first + k if first + k < size else first + k - size]
        if other != owner and used[other] < max_used:
            _insert(users, 1, n, other)
            n += 1
            used[other] += 1
    return n


@inlined
def _drawn_place(words, word, k, total):  # type: ignore[no-untyped-def]
    """Drawn place, below `total`, of choice k.

    words: uint64, four 16-bit lanes in each; the lanes of a device begin at index `word`.
    """
    lane = (words[word + k // 4] >> np.uint64(16 * (k % 4))) & np.uint64(65535)
    return np.int64(lane * np.uint64(total) >> np.uint64(16))


@kernel
def _draw_links(first, owner, group, law, cut, company, held, loads, rows):  # type: ignore[no-untyped-def]
    """Links of the devices of a shard, in order of device, role, target.

    Parameters
    ----------
    first : int
        Number in the world of the first device.
    owner, group : uint32, uint8 (devices,)
    law : _KernelLaw
    cut : (uint64 (groups,), int64 (groups,))
        Key and position of the last device of a group that is shared.
    company : Company
    held : (int32 (parties + 1,), int32 (accounts + 1,))
        First account of every party, first instrument of every account.
    loads : _Loads
        Grow.
    rows : _Rows
        Filled.

    Returns
    -------
    (int, int, int)
        Links, devices to be shared, devices with co-users; (−1, 0, 0) where the buffers end
        before another device surely fits.
    """
    (rank_0, rank_1), (share_0, share_1), (access_0, access_1) = law.rank, law.sharing, law.access
    user_cuts, roles, max_used, mates = law.user_cuts, law.roles, law.max_used, law.mates
    account_cuts, account_guide, account_cap = law.accounts
    instrument_cuts, instrument_guide, instrument_cap = law.instruments
    (cut_key, cut_position), (account_start, instrument_start) = cut, held
    (unit, unit_start, unit_member), (circle, circle_start, circle_member) = company
    used, account_load, instrument_load = loads
    out_device, out_role, out_target = rows
    ranked = np.empty(BLOCK, dtype=np.uint64)
    access = np.empty(BLOCK * ACCESS_WIDTH, dtype=np.uint64)
    users = np.empty(MAX_USERS, dtype=np.int64)
    for d in range(owner.size):
        used[owner[d]] += 1
    most = MAX_USERS + account_cuts.shape[1] - 1 + instrument_cuts.shape[1] - 1
    at = to_share = with_company = 0
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
        draws, g, o = j * ACCESS_WIDTH, group[d], owner[d]
        users[0], n_users = o, 1
        out_device[at], out_role[at], out_target[at] = d, roles[0], o
        at += 1
        chosen = ranks.within(ranked[j], first + d, g, cut_key, cut_position)
        if chosen and has_company(company, o):
            lanes = philox.pair(share_0, share_1, np.uint64(first + d))
            members = unit_member[unit_start[unit[o]] : unit_start[unit[o] + 1]]
            c = circle[o]
            # The place in the unit uses the upper half of the same draw.
            lower = lanes[1] & np.uint64(0xFFFFFFFF)
            if c >= 0 and (members.size == 1 or lower < mates):
                members = circle_member[circle_start[c] : circle_start[c + 1]]
            n_users = _pick_co_users(lanes, user_cuts, g, o, members, used, max_used, users)
            for k in range(1, n_users):
                out_device[at], out_role[at], out_target[at] = d, roles[1], users[k]
                at += 1
            to_share += 1
            with_company += n_users > 1

        # Written out for accounts and for instruments: one step for both is a tenth slower.
        total = 0
        for k in range(n_users):
            total += account_start[users[k] + 1] - account_start[users[k]]
        wanted = min(guided_category(access[draws], account_cuts, account_guide, g), total)
        accounts, n_instruments = at, 0
        for k in range(wanted):
            skip = _drawn_place(access, draws + 2, k, total)
            for n in range(skip, skip + total):
                account = _nth_held(account_start, users, 0, n if n < total else n - total)
                if account_load[account] < account_cap and _insert(
                    out_target, accounts, at, account
                ):
                    out_device[at], out_role[at] = d, roles[2]
                    account_load[account] += 1
                    n_instruments += instrument_start[account + 1] - instrument_start[account]
                    at += 1
                    break

        total = n_instruments
        wanted = min(
            guided_category(access[draws + 1], instrument_cuts, instrument_guide, g), total
        )
        instruments = at
        for k in range(wanted):
            skip = _drawn_place(access, draws + 4, k, total)
            for n in range(skip, skip + total):
                instrument = _nth_held(
                    instrument_start, out_target, accounts, n if n < total else n - total
                )
                if instrument_load[instrument] < instrument_cap and _insert(
                    out_target, instruments, at, instrument
                ):
                    out_device[at], out_role[at] = d, roles[3]
                    instrument_load[instrument] += 1
                    at += 1
                    break
    return at, to_share, with_company


@dataclass(frozen=True)
class _Law:
    """The law of one policy and seed."""

    rank: Stream
    sharing: Stream
    access: Stream
    expected: NDArray[np.float64]  # expected links per device, co-users excluded; (groups,)
    kernel: _KernelLaw

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> _Law:
        rules, groups = pack.device_linkage_rules, pack.codes("device_group")
        account_cuts = _poisson_cuts(rules.accounts_per_device, groups)
        instrument_cuts = _poisson_cuts(rules.instruments_per_device, groups)
        roles = pack.codes("device_link_role")
        rank, sharing, access = (
            stream.of(seed)
            for stream in (
                registry.DEVICE_SHARING_RANK,
                registry.DEVICE_SHARING,
                registry.DEVICE_ACCESS,
            )
        )
        return cls(
            rank=rank,
            sharing=sharing,
            access=access,
            expected=1.0 + means(account_cuts) + means(instrument_cuts),
            kernel=_KernelLaw(
                rank=rank.key,
                sharing=sharing.key,
                access=access.key,
                user_cuts=_user_cuts(pack),
                accounts=_AccessLaw(
                    account_cuts, guide(account_cuts), rules.max_devices_per_account
                ),
                instruments=_AccessLaw(
                    instrument_cuts, guide(instrument_cuts), rules.max_devices_per_instrument
                ),
                roles=np.array([roles.index(r) for r in ROLES], dtype=np.uint8),
                max_used=pack.device_count_priors.max_used_per_party,
                mates=np.uint64(rules.circles.co_user_share * 2.0**32),
            ),
        )


def draw_links(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    circles: Circles,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    engine: Engine,
) -> LinkOutcome:
    """Owner, co-user, account and instrument links of every party device."""
    law = _Law.of(pack, seed)
    shared = choose_shared(pack, law.rank, parties, circles, devices, engine)
    cuts = [(shared.cut.key[r], shared.cut.position[r]) for r in parties.region]
    items, sums = engine.run(
        partial(_links, law), devices.first[:-1].tolist(), cuts,
        [float(sizes @ law.expected) for sizes in shared.sizes],
        parties.items, circles.items, accounts.items, instruments.items, devices.items,
    )  # fmt: skip
    rows, to_share, with_company = np.array(sums, dtype=np.int64).T
    n = int(devices.first[-1])
    return LinkOutcome(
        DeviceLinks(items, offsets.from_counts(rows)),
        with_company,
        shared.wanted,
        shared.wanted - int(to_share.sum()),
        tuple(s.use("world", 0, n) for s in (law.rank, law.sharing, law.access)),
    )


class _LinkSums(NamedTuple):
    """Sums over the links of one shard."""

    links: int
    to_share: int  # devices to be shared
    with_company: int  # devices with co-users


def _links(
    law: _Law,
    first: int,
    cut: tuple[U64, I64],
    expected: float,
    parties: PartyShard,
    circles: CircleShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
) -> tuple[LinkShard, _LinkSums]:
    """Task: links of one shard.

    first, cut: as for `_draw_links`. expected: links, for the size of the buffers.
    """
    company = company_of(parties, circles)
    n = devices.owner.size
    accounts_law, instruments_law = law.kernel.accounts, law.kernel.instruments
    most = MAX_USERS + accounts_law.cuts.shape[1] + instruments_law.cuts.shape[1]
    # Pages that are never written cost nothing, so columns are views of their buffers, not copies.
    for room in (int(1.05 * expected) + 64 * most, n * most):
        rows = _Rows(
            np.empty(room, dtype=np.uint32),
            np.empty(room, dtype=np.uint8),
            np.empty(room, dtype=np.uint32),
        )
        loads = _Loads(
            np.zeros(parties.type.size, dtype=np.int32),
            np.zeros(accounts.type.size, dtype=np.uint8),
            np.zeros(instruments.type.size, dtype=np.uint8),
        )
        sums = _LinkSums(
            *_draw_links(
                first, devices.owner, devices.group, law.kernel, cut, company,
                (accounts.start, instruments.start), loads, rows,
            )
        )  # fmt: skip
        if sums.links >= 0:
            break
    n = sums.links
    return LinkShard(rows.device[:n], rows.role[:n], rows.target[:n]), sums


def _user_cuts(pack: PolicyPack) -> U64:
    """Thresholds of 2 … `max_users` users of a shared device, each further one half as likely.

    (groups, MAX_USERS − 1); a group without a rule has 2.
    """
    groups = pack.codes("device_group")
    shares = np.zeros((len(groups), MAX_USERS - 1))
    shares[:, 0] = 1.0
    for name, rule in pack.device_linkage_rules.sharing.items():
        p = 0.5 ** np.arange(rule.max_users - 1)
        shares[groups.index(name), : p.size] = p / p.sum()
    return thresholds(shares)


def _poisson_cuts(laws: dict[str, ZeroInflatedPoisson], groups: tuple[str, ...]) -> U64:
    """Thresholds of access counts, (groups, MAX_REACHED + 1); a group without a law has 0."""
    shares = np.zeros((len(groups), MAX_REACHED + 1))
    shares[:, 0] = 1.0
    for name, law in laws.items():
        p = zero_inflated_poisson(law.zero_share, law.mean, law.maximum)
        shares[groups.index(name), :] = 0.0
        shares[groups.index(name), : p.size] = p
    return thresholds(shares)
