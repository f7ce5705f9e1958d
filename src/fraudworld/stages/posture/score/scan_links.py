"""One pass over device links: violations, and the number of users of every device.

Links come in order of device, then role (owner, co-users, accounts, instruments), then target. So
the users of a device are known before its accounts, and its accounts before its instruments, and
one pass can check that an account belongs to a user and an instrument to an account.

The violations have no plain twin: tests/unit/stages/test_posture_checks.py breaks a world in every
way counted here. Twin of the users: `Device.users` of tests/reference/devices.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import (
    AccountShard,
    CircleShard,
    DeviceShard,
    InstrumentShard,
    LinkShard,
    PartyShard,
    Terminals,
)
from fraudworld.stages.posture.score.scores import FULL_USERS

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

LAST_DEVICE = np.uint64(32)
"""A target's record packs into one u64: how many devices are linked to it in bits 0–31, and the
last of these, counted from 1, in bits 32–63."""

OWNER, CO_USER, ACCOUNT, INSTRUMENT = range(4)
"""Indices in `LinksLaw.codes`."""

(
    OUT_OF_ORDER,
    DOUBLES,
    ORPHANS,
    WITHOUT_ONE_OWNER,
    WITH_MERCHANT,
    FROM_ELSEWHERE,
    OF_STRANGERS,
    NOT_REACHED,
    MISSTATED,
    MOST_PARTIES,
    MERCHANT_LINKS,
) = range(11)
"""Counts of `_scan_links`, in order of `LinksScan` up to MOST_PARTIES; then links to merchants."""


class LinksLaw(NamedTuple):
    """What a scan of device links needs to know."""

    codes: U8  # link roles by OWNER, CO_USER, …, (4,); any other role is of a terminal's merchant
    n_merchants: int

    @classmethod
    def of(cls, pack: PolicyPack, n_merchants: int) -> LinksLaw:
        """The law of a policy."""
        names = (
            "PRIMARY_OWNER",
            "SECONDARY_USER",
            "ASSOCIATED_ACCOUNT_ACCESS",
            "ASSOCIATED_INSTRUMENT_ACCESS",
        )
        roles = pack.codes("device_link_role")
        return cls(np.array([roles.index(n) for n in names], dtype=np.uint8), n_merchants)


class LinksScan(NamedTuple):
    """Violations among device links; sums over shards, but maxima from `most_parties` on."""

    out_of_order: int
    doubles: int
    orphans: int  # links to a target that does not exist
    devices_without_one_owner: int
    terminals_without_one_merchant: int
    co_users_from_elsewhere: int  # not of the owner's home, firm or circle
    accounts_of_strangers: int  # whose owner does not use the device
    instruments_not_reached: int  # whose account is not linked to the device
    users_misstated: int  # devices whose links do not begin with all of their users
    most_parties: int  # on one device
    most_devices_of_party: int
    most_devices_of_account: int
    most_devices_of_instrument: int
    most_devices_of_merchant: int = 0  # known of the world only


class _Links(NamedTuple):
    """Columns of a `LinkShard`, all (links,)."""

    device: U32
    role: U8
    target: U32


class _Parties(NamedTuple):
    """Units and circles of the parties of a shard, −1 for none; all (parties,)."""

    home: I32
    firm: I32
    circle: I32


class _Holders(NamedTuple):
    """Who holds an account, and which account an instrument is on."""

    owner: U32  # party of every account, (accounts,)
    account: U32  # account of every instrument, (instruments,)


class _Records(NamedTuple):
    """Records as of LAST_DEVICE; zero before the scan."""

    party: U64  # (parties,)
    account: U64  # (accounts,)
    instrument: U64  # (instruments,)


@inlined
def _link(records, target, number):  # type: ignore[no-untyped-def]
    """Links a device to a target, and returns whether it was linked before.

    records : uint64 (targets,), grows; target : integer, below the targets; number : uint64, of
    the device, from 1.
    """
    record = records[target]
    records[target] = number << LAST_DEVICE | np.uint64(np.uint32(record)) + np.uint64(1)
    return record >> LAST_DEVICE == number


@inlined
def _same_unit(a, b):  # type: ignore[no-untyped-def]
    """Whether the homes, firms or circles of two parties are one; a, b : int32, −1 for none."""
    return a >= 0 and a == b


@inlined
def _count_equal(role, target, first, at):  # type: ignore[no-untyped-def]
    """Number of links first … at − 1 with the role and target of link `at`.

    role, target : uint8, uint32 (links,); first, at : uint64.
    """
    n = 0
    for j in range(first, at):
        n += role[j] == role[at] and target[j] == target[at]
    return n


@kernel
def _scan_links(links, owner, parties, holders, law, records, users, counts):  # type: ignore[no-untyped-def]
    """Scans the device links of a shard.

    Parameters
    ----------
    links : _Links
    owner : uint32 (devices,)
    parties : _Parties
    holders : _Holders
    law : LinksLaw
    records : _Records
        Grow.
    users : uint8 (devices,)
        Filled: parties that the links of a device begin with, at most FULL_USERS.
    counts : int64 (11,), zero before
        Filled: OUT_OF_ORDER, DOUBLES, …
    """
    device, role, target = links
    party, account, instrument = records
    (home, firm, circle), (account_owner, instrument_account) = parties, holders
    codes, n_merchants = law.codes, law.n_merchants
    # Unsigned indices: signed ones are tested for being negative, link by link.
    rows, at = np.uint64(device.size), np.uint64(0)
    for d in range(owner.size):
        first, number, o = at, np.uint64(d + 1), owner[d]
        owners = n_parties = to_merchants = leading = 0
        while at < rows and device[at] == d:
            r, t = role[at], target[at]
            if r == codes[ACCOUNT]:
                if t < account.size:
                    counts[DOUBLES] += _link(account, t, number)
                    of = account_owner[t]
                    counts[OF_STRANGERS] += of >= party.size or party[of] >> LAST_DEVICE != number
                else:
                    counts[ORPHANS] += 1
            elif r == codes[INSTRUMENT]:
                if t < instrument.size:
                    counts[DOUBLES] += _link(instrument, t, number)
                    of = instrument_account[t]
                    counts[NOT_REACHED] += (
                        of >= account.size or account[of] >> LAST_DEVICE != number
                    )
                else:
                    counts[ORPHANS] += 1
            elif r == codes[OWNER] or r == codes[CO_USER]:
                leading += leading == at - first
                if t < party.size:
                    # A party may be linked twice, but not in the same role.
                    if _link(party, t, number):
                        counts[DOUBLES] += _count_equal(role, target, first, at)
                    n_parties += 1
                    if r == codes[OWNER]:
                        # Another party than the owner counts as two, which is an error, too.
                        owners += 1 if t == o else 2
                    elif (
                        t == o
                        or o >= party.size
                        or not (
                            _same_unit(home[t], home[o])
                            or _same_unit(firm[t], firm[o])
                            or _same_unit(circle[t], circle[o])
                        )
                    ):
                        counts[FROM_ELSEWHERE] += 1
                else:
                    counts[ORPHANS] += 1
            else:
                counts[MERCHANT_LINKS] += 1
                counts[ORPHANS] += t >= n_merchants
                to_merchants += 1
            at += np.uint64(1)
        counts[WITHOUT_ONE_OWNER] += owners != 1
        counts[WITH_MERCHANT] += to_merchants != 0
        counts[MISSTATED] += n_parties != leading
        counts[MOST_PARTIES] = max(counts[MOST_PARTIES], n_parties)
        users[d] = min(leading, FULL_USERS)
    # A link out of order is never passed: it and all after it are counted.
    counts[OUT_OF_ORDER] += np.int64(rows - at)


@kernel
def _most_devices(records):  # type: ignore[no-untyped-def]
    """Most devices linked to one target; records : uint64 (targets,), as of LAST_DEVICE."""
    most = np.uint32(0)
    for i in range(records.size):
        most = max(most, np.uint32(records[i]))
    return most


def scan_links(
    law: LinksLaw,
    parties: PartyShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
    links: LinkShard,
    circles: CircleShard,
) -> tuple[U8, LinksScan, U32]:
    """Scans the device links of a shard.

    Returns the users of every device (at most FULL_USERS, (devices,)), the scan, and the
    merchants that devices of the shard are linked to, although only terminals may be.
    """
    sizes = (parties.type.size, accounts.type.size, instruments.type.size)
    records = _Records(*(np.zeros(n, dtype=np.uint64) for n in sizes))
    users = np.empty(devices.owner.size, dtype=np.uint8)
    counts = np.zeros(11, dtype=np.int64)
    _scan_links(
        _Links(links.device, links.role, links.target),
        devices.owner,
        _Parties(parties.household, parties.business_group, circles.of),
        _Holders(accounts.owner, instruments.account),
        law,
        records,
        users,
        counts,
    )
    of_merchants = ~np.isin(links.role, law.codes) if counts[MERCHANT_LINKS] else slice(0)
    maxima = (int(_most_devices(r)) for r in records)
    scan = LinksScan(*counts[:MERCHANT_LINKS].tolist(), *maxima)
    return users, scan, links.target[of_merchants]


def total(
    scans: Iterable[LinksScan], merchants: Iterable[U32], terminals: Terminals, n_merchants: int
) -> LinksScan:
    """The scan of the world: of its shards, and of terminals, which have one merchant each.

    merchants: linked to devices of every shard, as of `scan_links`.
    """
    per_shard = np.array([*scans])
    merchant = terminals.merchant
    orphans = int(((merchant < 0) | (merchant >= n_merchants)).sum())
    linked = np.concatenate([merchant, *merchants]).astype(np.int64)
    devices = np.bincount(linked[(linked >= 0) & (linked < n_merchants)], minlength=1)
    counts = LinksScan(
        *per_shard[:, :MOST_PARTIES].sum(axis=0).tolist(),
        *per_shard[:, MOST_PARTIES:].max(axis=0).tolist(),
    )
    return counts._replace(
        out_of_order=counts.out_of_order + int((np.diff(merchant) < 0).sum()),
        orphans=counts.orphans + orphans,
        terminals_without_one_merchant=counts.terminals_without_one_merchant + orphans,
        most_devices_of_merchant=int(devices.max()),
    )
