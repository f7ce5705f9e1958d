"""Device links, endpoints and their links as published rows.

Twin: tests/reference/devices.py:device_links, tests/reference/endpoints.py:ip_base, ip_links and
network_summary.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.network import METRICS
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.jit import kernel
from fraudworld.kernels import offsets
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.batches import Batch, Columns, Rows, ids, same, whole
from fraudworld.stages.network.endpoints import IpOutcome
from fraudworld.stages.network.links import LinkOutcome
from fraudworld.stages.pieces import (
    Accounts,
    Devices,
    EndpointCountry,
    Instruments,
    LinkShard,
    Parties,
    Terminals,
)

I64 = NDArray[np.int64]

TARGETS = ("party_id", "account_id", "instrument_id", "merchant_id")
"""Columns for the target of a device link."""

COLUMN_OF = {
    "PRIMARY_OWNER": "party_id",
    "SECONDARY_USER": "party_id",
    "ASSOCIATED_ACCOUNT_ACCESS": "account_id",
    "ASSOCIATED_INSTRUMENT_ACCESS": "instrument_id",
    "MERCHANT_TERMINAL": "merchant_id",
}
"""Column of a link's target, by its role."""


def device_links(
    pack: PolicyPack,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    linked: LinkOutcome,
    merchants: Merchants,
) -> Rows:
    """`s4_device_links_6A`, in order of device; a row has its target in the column of its role."""
    roles = pack.codes("device_link_role")
    column = np.array([TARGETS.index(COLUMN_OF[r]) for r in roles], dtype=np.uint8)
    # First device, party, account and instrument of every shard.
    firsts = np.stack([devices.first, parties.first, accounts.first, instruments.first], axis=1)
    terminals = devices.terminals
    return Rows(
        np.append(linked.links.first, linked.links.first[-1] + terminals.n),
        partial(_device_rows, column, roles.index("MERCHANT_TERMINAL"), merchants.id),
        (list(firsts), [*linked.links.items, terminals]),
    )


class _Links(NamedTuple):
    """Columns of a `LinkShard`, all (rows,)."""

    device: NDArray[np.uint32]
    role: NDArray[np.uint8]
    target: NDArray[np.uint32]


def _device_rows(
    column: NDArray[np.uint8],
    terminal: int,
    merchant_id: I64,
    firsts: I64,
    of: LinkShard | Terminals,
    low: int,
    high: int,
) -> Batch:
    """Rows of one piece. column: index in TARGETS by role; terminal: role of terminals."""
    if isinstance(of, Terminals):
        return {
            "device_id": ids(int(firsts[0]), low),
            **dict.fromkeys(TARGETS, same(0)),
            "merchant_id": merchant_id[of.merchant[low:high]],
            "link_role": same(terminal),
        }
    links = _Links(of.device[low:high], of.role[low:high], of.target[low:high])
    fill = partial(_fill_targets, links, column, firsts)
    return {("device_id", *TARGETS): fill, "link_role": links.role}


@kernel
def _fill_targets(links, column, firsts, device_id, party, account, instrument, merchant):  # type: ignore[no-untyped-def]
    """Writes the id of every link's target into its own column, and 0 into the others.

    Parameters
    ----------
    links : _Links
    column : uint8 (roles,)
        Index in TARGETS of the target's column.
    firsts : int64 (4,)
        Number in the world of the shard's first device, party, account and instrument.
    device_id, party, account, instrument, merchant : int64 (rows,)
        Filled. No target is a merchant: merchants are linked to terminals.
    """
    device, role, target = links
    for i in range(role.size):
        device_id[i] = firsts[0] + device[i] + 1
        c = column[role[i]]
        id_ = firsts[c + 1] + target[i] + 1
        party[i] = id_ * (c == 0)
        account[i] = id_ * (c == 1)
        instrument[i] = id_ * (c == 2)
        merchant[i] = 0


def ip_base(ips: IpOutcome, geo: Geography) -> Rows:
    """`s4_ip_base_6A`, in order of country, type, node."""
    first = ips.ip_first[:-1].tolist()
    countries = range(len(geo.countries))
    return Rows(ips.ip_first, _ip_rows, (first, countries, geo.region, ips.countries))


def _ip_rows(
    first: int, country: int, region: int, of: EndpointCountry, low: int, high: int
) -> Batch:
    rows = slice(low, high)
    return {
        "ip_id": ids(first, low),
        "ip_type": of.type[rows],
        "asn_class": of.asn[rows],
        "ip_version": of.version[rows],
        "region_id": same(region),
        "country_iso": same(country),
    }


class _MerchantLinks(NamedTuple):
    """Endpoints of a country that are a merchant's own, in order of endpoint, then merchant."""

    endpoint: I64  # counted from 0 in the country
    merchant: I64  # published id


class _MerchantRows(NamedTuple):
    """`_MerchantLinks` with their place in the table."""

    row: I64  # counted from 0 in the country, ascending
    endpoint: I64
    merchant: I64
    role: int  # the role of all these links


class _CountryLinks(NamedTuple):
    """Columns of an `EndpointCountry`, and the number in the world of its first endpoint."""

    ip_first: int
    start: I64
    device: NDArray[np.uint32]
    role: NDArray[np.uint8]


def ip_links(pack: PolicyPack, ips: IpOutcome, merchants: Merchants) -> Rows:
    """`s4_ip_links_6A`, in order of IP; an IP's merchants come before its devices."""
    first = ips.ip_first[:-1].tolist()
    own = np.searchsorted(ips.endpoints.ip, ips.ip_first)
    merchant_links = []
    for c, ip_first in enumerate(first):
        of_country = slice(own[c], own[c + 1])
        merchant_links.append(
            _MerchantLinks(
                ips.endpoints.ip[of_country] - ip_first,
                merchants.id[ips.endpoints.merchant[of_country]],
            )
        )
    role = pack.codes("ip_link_role").index("MERCHANT_ENDPOINT")
    counts = np.diff(ips.link_first) + np.diff(own)
    return Rows(
        offsets.from_counts(counts),
        partial(_link_rows, role),
        (first, merchant_links, ips.countries),
    )


def _link_rows(
    role: int, ip_first: int, own: _MerchantLinks, of: EndpointCountry, low: int, high: int
) -> Batch:
    """Rows of one country. role: of `own`. ip_first: number in the world of its first endpoint."""
    # Before a merchant's row are all links of earlier endpoints, and all earlier merchants' rows.
    row = of.start[own.endpoint] + np.arange(own.endpoint.size)
    fill = partial(
        _merge_rows,
        _MerchantRows(row, own.endpoint, own.merchant, role),
        _CountryLinks(ip_first, of.start, of.device, of.role),
        low,
    )
    return {("ip_id", "device_id", "merchant_id", "link_role"): fill}


@kernel
def _merge_rows(own, links, low, ip_id, device_id, merchant_id, link_role):  # type: ignore[no-untyped-def]
    """Rows low, low + 1, … of a country: links of devices and of merchants, in order of endpoint.

    Parameters
    ----------
    own : _MerchantRows
    links : _CountryLinks
    low : int
    ip_id, device_id, merchant_id : int64 (rows,)
        Filled; 0 is null.
    link_role : uint8 (rows,)
        Filled.
    """
    own_row, own_endpoint, own_merchant, own_role = own
    ip_first, start, device, role = links
    e = np.searchsorted(own_row, low)
    link = low - e
    node = np.searchsorted(start, link, side="right") - 1
    for i in range(ip_id.size):
        if e < own_row.size and own_row[e] == low + i:
            ip_id[i] = ip_first + own_endpoint[e] + 1
            device_id[i], merchant_id[i] = 0, own_merchant[e]
            link_role[i] = own_role
            e += 1
            continue
        while start[node + 1] <= link:
            node += 1
        ip_id[i] = ip_first + node + 1
        device_id[i] = np.int64(device[link]) + 1
        merchant_id[i] = 0
        link_role[i] = role[link]
        link += 1


def network_summary(
    pack: PolicyPack,
    parties: Parties,
    devices: Devices,
    linked: LinkOutcome,
    ips: IpOutcome,
    geo: Geography,
) -> Rows:
    """`s4_network_summary_6A`: METRICS per region, in order of region and metric."""
    regions = len(pack.codes("region"))

    def per_region(region: NDArray[np.uint8], counts: I64) -> I64:
        return np.bincount(region, counts, regions).astype(np.int64)

    of_parties = per_region(parties.region, np.diff(devices.first))
    # Links are counted by region of the endpoint.
    measures = {
        "devices": of_parties + np.bincount(devices.terminals.region, minlength=regions),
        "linked_devices": per_region(geo.region, ips.linked_devices),
        "device_ip_links": per_region(geo.region, np.diff(ips.link_first)),
        "ips": per_region(geo.region, np.diff(ips.ip_first)),
        "shared_devices": per_region(parties.region, linked.with_company),
    }
    names = sorted(METRICS)
    batch: Columns = {
        "region_id": np.repeat(np.arange(regions, dtype=np.uint8), len(names)),
        "metric_id": np.tile(np.arange(len(names), dtype=np.uint8), regions),
        "value": np.stack([measures[m] for m in names], axis=1).ravel().astype(np.float64),
    }
    return whole(batch)
