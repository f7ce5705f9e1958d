"""One pass over device links: what is wrong, and how many users every device has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import (
    AccountShard,
    DeviceShard,
    InstrumentShard,
    LinkShard,
    PartyShard,
    Terminals,
)
from fraudworld.stages.posture.score.scores import USERS

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]


DEVICE = np.uint64(32)
"""What a record says of a party, account or instrument: the last device that was linked to it
(counted from 1) in the bits left of here, and how many were in those right of it."""


@kernel
def _scan_links(  # type: ignore[no-untyped-def]
    device,
    role,
    target,
    owner,
    home,
    firm,
    account_owner,
    instrument_account,
    n_merchants,
    codes,
    party,
    account,
    instrument,
    users,
    found,
):
    """Device links in order of device; counts into `found`.

    codes: positions of PRIMARY_OWNER, SECONDARY_USER, ASSOCIATED_ACCOUNT_ACCESS,
    ASSOCIATED_INSTRUMENT_ACCESS in the link roles; every other one is a terminal's. party,
    account, instrument: a record each, see DEVICE, all 0. users: parties that a device's links
    begin with, USERS at most. found: rows out of order, doubles, rows to nobody, devices
    without their one owner, with a merchant, co-users from elsewhere, accounts of strangers,
    instruments of accounts not reached, devices whose users are not all of their parties, most
    parties on one device, links of a terminal. Users are looked for before accounts, and
    accounts before instruments, as they are in order.
    """
    # Unsigned: no place is counted from the end, so none has to be looked at for that.
    one, rows = np.uint64(1), np.uint64(device.size)
    at = np.uint64(0)
    for d in range(owner.size):
        first = at
        o = owner[d]
        mark = np.uint64(d + 1)
        owners = parties = terminals = leading = 0
        while at < rows and device[at] == d:
            r = role[at]
            t = target[at]
            if r == codes[2]:
                if t < account.size:
                    seen = account[t]
                    found[1] += seen >> DEVICE == mark
                    account[t] = mark << DEVICE | np.uint64(np.uint32(seen)) + one
                    of = account_owner[t]
                    found[6] += of >= party.size or party[of] >> DEVICE != mark
                else:
                    found[2] += 1
            elif r == codes[3]:
                if t < instrument.size:
                    seen = instrument[t]
                    found[1] += seen >> DEVICE == mark
                    instrument[t] = mark << DEVICE | np.uint64(np.uint32(seen)) + one
                    of = instrument_account[t]
                    found[7] += of >= account.size or account[of] >> DEVICE != mark
                else:
                    found[2] += 1
            elif r == codes[0] or r == codes[1]:
                leading += leading == at - first
                if t < party.size:
                    seen = party[t]
                    if seen >> DEVICE == mark:
                        for j in range(first, at):
                            found[1] += role[j] == r and target[j] == target[at]
                    party[t] = mark << DEVICE | np.uint64(np.uint32(seen)) + one
                    parties += 1
                    if r == codes[0]:
                        owners += 1 if t == o else 2
                    elif (
                        t == o
                        or o >= home.size
                        or not (
                            (home[t] >= 0 and home[t] == home[o])
                            or (firm[t] >= 0 and firm[t] == firm[o])
                        )
                    ):
                        found[5] += 1
                else:
                    found[2] += 1
            else:
                found[10] += 1
                found[2] += t >= n_merchants
                terminals += 1
            at += one
        found[3] += owners != 1
        found[4] += terminals != 0
        found[8] += parties != leading
        found[9] = max(found[9], parties)
        users[d] = min(leading, USERS)
    found[0] += np.int64(rows - at)


@kernel
def _most(records):  # type: ignore[no-untyped-def]
    """Most devices linked to one."""
    most = np.uint32(0)
    for i in range(records.size):
        most = max(most, np.uint32(records[i]))
    return most


@dataclass(frozen=True)
class LinksScan:
    """Violations among device links; fields from `most_parties` on are maxima."""

    out_of_order: int
    doubles: int
    orphans: int
    devices_without_one_owner: int
    terminals_without_one_merchant: int
    co_users_from_elsewhere: int
    accounts_of_strangers: int
    instruments_not_reached: int
    users_misstated: int
    most_parties: int
    most_devices_of_party: int
    most_devices_of_account: int
    most_devices_of_instrument: int
    most_devices_of_merchant: int


@dataclass(frozen=True)
class LinksLaw:
    """What a scan of device links has to know."""

    codes: U8  # roles of owners, co-users, accounts and instruments
    n_merchants: int

    @classmethod
    def of(cls, pack: PolicyPack, n_merchants: int) -> LinksLaw:
        """The policy's."""
        names = (
            "PRIMARY_OWNER",
            "SECONDARY_USER",
            "ASSOCIATED_ACCOUNT_ACCESS",
            "ASSOCIATED_INSTRUMENT_ACCESS",
        )
        roles = pack.codes("device_link_role")
        return cls(np.array([roles.index(n) for n in names], dtype=np.uint8), n_merchants)


def scan_links(
    law: LinksLaw,
    parties: PartyShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
    links: LinkShard,
) -> tuple[U8, I64, U32]:
    """One pass over device links of a shard.

    Returns the users of every device (USERS at most), the counts in order of LinksScan but
    for its last, and the merchants of links that only a terminal may have.
    """
    sizes = (parties.type.size, accounts.type.size, instruments.type.size)
    records = [np.zeros(n, dtype=np.uint64) for n in sizes]
    users = np.empty(devices.owner.size, dtype=np.uint8)
    found = np.zeros(11, dtype=np.int64)
    _scan_links(
        links.device,
        links.role,
        links.target,
        devices.owner,
        parties.household,
        parties.business_group,
        accounts.owner,
        instruments.account,
        law.n_merchants,
        law.codes,
        records[0],
        records[1],
        records[2],
        users,
        found,
    )
    stray = links.target[~np.isin(links.role, law.codes)] if found[10] else links.target[:0]
    return users, np.array([*found[:10], *(_most(r) for r in records)]), stray


def total(
    found: Iterable[I64], stray: Iterable[U32], terminals: Terminals, n_merchants: int
) -> LinksScan:
    """The scan of all shards, and of the terminals: each has one link, to its merchant."""
    all_ = np.stack([*found])
    counts = all_.sum(axis=0)
    merchant = terminals.merchant
    homeless = int(((merchant < 0) | (merchant >= n_merchants)).sum())
    counts[0] += int((np.diff(merchant) < 0).sum())
    counts[2] += homeless
    counts[4] += homeless
    of = np.concatenate([merchant, *stray]).astype(np.int64)
    load = np.bincount(of[(of >= 0) & (of < n_merchants)], minlength=1)
    most = [*all_[:, 9:].max(axis=0).tolist(), int(load.max())]
    return LinksScan(*[*counts[:9].tolist(), *most])
