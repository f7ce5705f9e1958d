"""Fused scans of S5's validation: each table is read once, whatever is checked on it.

A scan counts violations; it judges nothing. Rows that point outside their parent table are
counted and then skipped, so that a broken world is measured, not followed into memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.columns import (
    Accounts,
    DeviceLinks,
    Devices,
    Instruments,
    IpEdges,
    Ips,
    Parties,
)

I64 = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _scan_holdings(  # type: ignore[no-untyped-def]
    party_type,
    owner,
    kind,
    start,
    kmax,
    party_type_of,
    instrument_account,
    instrument_kind,
    instrument_start,
    legal,
    caps,
    floor,
    is_card,
    needs_card,
    found,
):
    """Accounts in order of owner and the instruments on them; counts into `found`.

    kmax, party_type_of: per account type; legal, caps, floor: (account type, instrument
    type). found: rows out of order, holdings above K_max, products of another party type,
    instruments out of order, illegal ones, pairs above their cap, tokens without a card,
    accounts without their floor, most instruments on one account.
    """
    held = np.zeros(caps.shape[1], dtype=np.int64)
    for p in range(start.size - 1):
        run = 0
        for a in range(start[p], start[p + 1]):
            k = kind[a]
            if owner[a] != p:
                found[0] += 1
            if a > start[p] and kind[a - 1] > k:
                found[0] += 1
            run = run + 1 if a > start[p] and kind[a - 1] == k else 1
            if run == kmax[k] + 1:
                found[1] += 1
            if party_type_of[k] != party_type[p]:
                found[2] += 1
    for a in range(instrument_start.size - 1):
        k = kind[a]
        held[:] = 0
        cards = tokens = floors = 0
        needs_floor = False
        for i in range(instrument_start[a], instrument_start[a + 1]):
            m = instrument_kind[i]
            held[m] += 1
            if instrument_account[i] != a:
                found[3] += 1
            if not legal[k, m]:
                found[4] += 1
            if held[m] == caps[k, m] + 1:
                found[5] += 1
            cards += is_card[m]
            tokens += needs_card[m]
            floors += floor[k, m]
        for m in range(caps.shape[1]):
            needs_floor |= floor[k, m]
        if tokens > 0 and cards == 0:
            found[6] += 1
        if needs_floor and floors == 0:
            found[7] += 1
        found[8] = max(found[8], instrument_start[a + 1] - instrument_start[a])


@njit(cache=True, nogil=True)
def _scan_links(  # type: ignore[no-untyped-def]
    device,
    role,
    target,
    owner,
    merchant,
    users,
    home,
    firm,
    account_owner,
    instrument_account,
    codes,
    party_load,
    account_load,
    instrument_load,
    merchant_load,
    found,
):
    """Device links in order of device; counts into `found`, links per target into *_load.

    codes: positions of PRIMARY_OWNER, SECONDARY_USER, ASSOCIATED_ACCOUNT_ACCESS,
    ASSOCIATED_INSTRUMENT_ACCESS, MERCHANT_TERMINAL. found: rows out of order, doubles, rows
    to nobody, devices without their one owner, terminals without their one merchant,
    co-users from elsewhere, accounts of strangers, instruments of accounts not reached,
    devices whose stated users are not their links, most parties on one device.
    """
    at = 0
    for d in range(owner.size):
        first = at
        while at < device.size and device[at] == d:
            at += 1
        owners = parties = terminals = 0
        for i in range(first, at):
            r = role[i]
            t = np.int64(target[i])
            for j in range(first, i):
                if role[j] == r and target[j] == target[i]:
                    found[1] += 1
            if r == codes[0] or r == codes[1]:
                if t >= party_load.size:
                    found[2] += 1
                    continue
                parties += 1
                party_load[t] += 1
                o = owner[d]
                if r == codes[0]:
                    owners += 1 if t == o else 2
                elif (
                    o < 0
                    or t == o
                    or not (
                        (home[t] >= 0 and home[t] == home[o])
                        or (firm[t] >= 0 and firm[t] == firm[o])
                    )
                ):
                    found[5] += 1
            elif r == codes[2]:
                if t >= account_load.size:
                    found[2] += 1
                    continue
                account_load[t] += 1
                known = False
                for j in range(first, at):
                    user = role[j] == codes[0] or role[j] == codes[1]
                    known |= user and target[j] == account_owner[t]
                found[6] += not known
            elif r == codes[3]:
                if t >= instrument_load.size:
                    found[2] += 1
                    continue
                instrument_load[t] += 1
                known = False
                for j in range(first, at):
                    known |= role[j] == codes[2] and target[j] == instrument_account[t]
                found[7] += not known
            else:
                if t >= merchant_load.size:
                    found[2] += 1
                    continue
                merchant_load[t] += 1
                terminals += 1 if t == merchant[d] else 2
        found[3] += owners != (1 if owner[d] >= 0 else 0)
        found[4] += terminals != (1 if merchant[d] >= 0 else 0)
        found[8] += parties != users[d]
        found[9] = max(found[9], parties)
    found[0] += device.size - at


@njit(cache=True, nogil=True)
def _scan_edges(  # type: ignore[no-untyped-def]
    ip,
    device,
    role,
    start,
    ip_country,
    ip_kind,
    device_country,
    device_region,
    typical,
    endpoint,
    device_load,
    typical_load,
    edge_cells,
    node_cells,
    found,
):
    """Device–IP links in order of IP, then device; counts into `found` and the cells.

    edge_cells: (region of the device, ip type) links; node_cells: the same for linked IPs,
    in the region of their first device. found: rows out of order, doubles, rows to nobody,
    links across countries, rows with a merchant's role.
    """
    for p in range(start.size - 1):
        for i in range(start[p], start[p + 1]):
            d = np.int64(device[i])
            if ip[i] != p or (i > start[p] and device[i - 1] > device[i]):
                found[0] += 1
            if i > start[p] and device[i - 1] == device[i]:
                found[1] += 1
            if d >= device_load.size:
                found[2] += 1
                continue
            if device_country[d] != ip_country[p]:
                found[3] += 1
            if role[i] == endpoint:
                found[4] += 1
            device_load[d] += 1
            typical_load[d] += role[i] == typical
            edge_cells[device_region[d], ip_kind[p]] += 1
            if i == start[p]:
                node_cells[device_region[d], ip_kind[p]] += 1


@dataclass(frozen=True)
class HoldingsScan:
    """Violations among accounts and instruments; the last field is a maximum."""

    accounts_out_of_order: int
    holdings_above_kmax: int
    products_of_another_party_type: int
    instruments_out_of_order: int
    illegal_instruments: int
    instruments_above_cap: int
    tokens_without_card: int
    accounts_without_floor: int
    most_instruments: int


def scan_holdings(
    pack: PolicyPack, parties: Parties, accounts: Accounts, instruments: Instruments
) -> HoldingsScan:
    """One pass over accounts and one over instruments."""
    products, kinds = pack.codes("account_type"), pack.codes("instrument_type")
    types = pack.codes("party_type")
    declared, forms = pack.account_taxonomy.account_types, pack.instrument_taxonomy.instrument_types
    counts, priors = pack.instrument_per_account_priors.counts, pack.instrument_mix_priors
    shape = (len(products), len(kinds))
    legal, floor = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    caps = np.zeros(shape, np.int64)
    for a, product in enumerate(products):
        for k, kind in enumerate(kinds):
            legal[a, k] = declared[product].ledger in forms[kind].ledgers
            if kind in counts.get(product, {}):
                caps[a, k] = counts[product][kind].cap
            if priors.floor != "none":
                floor[a, k] = priors.floors.get(product, {}).get(kind, 0.0) > 0.0
    found = np.zeros(9, dtype=np.int64)
    _scan_holdings(
        parties.type,
        accounts.owner,
        accounts.type,
        accounts.start,
        np.array([pack.account_per_party_priors.counts[p].cap for p in products]),
        np.array([types.index(declared[p].party_type) for p in products], dtype=np.uint8),
        instruments.account,
        instruments.type,
        instruments.start,
        legal,
        caps,
        floor,
        np.array([forms[k].family == "CARD" for k in kinds]),
        np.array([forms[k].needs_card for k in kinds]),
        found,
    )
    beyond = abs(accounts.n - int(accounts.start[-1]))
    found[0] += beyond
    found[3] += abs(instruments.n - int(instruments.start[-1]))
    return HoldingsScan(*(int(v) for v in found))


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


def scan_links(
    pack: PolicyPack,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    links: DeviceLinks,
    n_merchants: int,
) -> LinksScan:
    """One pass over device links."""
    names = (
        "PRIMARY_OWNER",
        "SECONDARY_USER",
        "ASSOCIATED_ACCOUNT_ACCESS",
        "ASSOCIATED_INSTRUMENT_ACCESS",
        "MERCHANT_TERMINAL",
    )
    roles = pack.codes("device_link_role")
    sizes = (parties.n, accounts.n, instruments.n, n_merchants)
    loads = [np.zeros(n, dtype=np.uint32) for n in sizes]
    found = np.zeros(10, dtype=np.int64)
    _scan_links(
        links.device,
        links.role,
        links.target,
        devices.owner,
        devices.merchant,
        devices.users,
        parties.household,
        parties.business_group,
        accounts.owner,
        instruments.account,
        np.array([roles.index(n) for n in names], dtype=np.uint8),
        loads[0],
        loads[1],
        loads[2],
        loads[3],
        found,
    )
    return LinksScan(*(int(v) for v in found), *(int(load.max(initial=0)) for load in loads))


@dataclass(frozen=True)
class EdgesScan:
    """Violations among device–IP links, and what the distribution checks read."""

    out_of_order: int
    doubles: int
    orphans: int
    across_countries: int
    merchant_roles: int
    linked_without_one_typical: int
    most_ips_of_device: int
    linked_devices: int
    edge_cells: I64  # (regions, ip types)
    node_cells: I64  # (regions, ip types)
    degrees: I64  # linked IPs by devices on them: position is the degree


def scan_edges(pack: PolicyPack, devices: Devices, ips: Ips, edges: IpEdges) -> EdgesScan:
    """One pass over device–IP links."""
    roles = pack.codes("ip_link_role")
    shape = (len(pack.codes("region")), len(pack.codes("ip_type")))
    edge_cells, node_cells = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    device_load = np.zeros(devices.n, dtype=np.uint32)
    typical_load = np.zeros(devices.n, dtype=np.uint32)
    found = np.zeros(5, dtype=np.int64)
    _scan_edges(
        edges.ip,
        edges.device,
        edges.role,
        edges.start,
        ips.country,
        ips.type,
        devices.country,
        devices.region,
        roles.index("TYPICAL_DEVICE_IP"),
        roles.index("MERCHANT_ENDPOINT"),
        device_load,
        typical_load,
        edge_cells,
        node_cells,
        found,
    )
    found[0] += abs(edges.ip.size - int(edges.start[-1]))
    degrees = np.bincount(np.diff(edges.start))
    degrees[:1] = 0  # endpoints only merchants use have no degree
    linked = device_load > 0
    order, doubles, orphans, across, merchant_roles = (int(v) for v in found)
    return EdgesScan(
        order,
        doubles,
        orphans,
        across,
        merchant_roles,
        int((typical_load != linked).sum()),
        int(device_load.max(initial=0)),
        int(linked.sum()),
        edge_cells,
        node_cells,
        degrees,
    )
