"""S4's links and endpoints as published rows."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

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

METRICS = (
    "devices",
    "linked_devices",
    "device_ip_links",
    "ips",
    "shared_devices",
)

I64 = NDArray[np.int64]

TARGETS = ("party_id", "account_id", "instrument_id", "merchant_id")
COLUMN_OF = {
    "PRIMARY_OWNER": "party_id",
    "SECONDARY_USER": "party_id",
    "ASSOCIATED_ACCOUNT_ACCESS": "account_id",
    "ASSOCIATED_INSTRUMENT_ACCESS": "instrument_id",
    "MERCHANT_TERMINAL": "merchant_id",
}


def device_links(
    pack: PolicyPack,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    linked: LinkOutcome,
    merchants: Merchants,
) -> Rows:
    """`s4_device_links_6A`, in order of device; one target column filled per row."""
    roles = pack.codes("device_link_role")
    place = np.array([TARGETS.index(COLUMN_OF[r]) for r in roles], dtype=np.uint8)
    # First device, party, account and instrument of every shard.
    firsts = np.stack([devices.first, parties.first, accounts.first, instruments.first], axis=1)
    terminals = devices.terminals
    return Rows(
        np.append(linked.links.first, linked.links.first[-1] + terminals.n),
        partial(_device_rows, place, roles.index("MERCHANT_TERMINAL"), merchants.id),
        (list(firsts), [*linked.links.items, terminals]),
    )


def _device_rows(
    place: NDArray[np.uint8],
    terminal: int,
    merchant_id: I64,
    firsts: I64,
    of: LinkShard | Terminals,
    low: int,
    high: int,
) -> Batch:
    if isinstance(of, Terminals):
        return {
            "device_id": ids(int(firsts[0]), low),
            **dict.fromkeys(TARGETS, same(0)),
            "merchant_id": merchant_id[of.merchant[low:high]],
            "link_role": same(terminal),
        }
    rows = slice(low, high)
    fill = partial(_targets, of.device[rows], of.role[rows], of.target[rows], place, firsts)
    return {("device_id", *TARGETS): fill, "link_role": of.role[rows]}


@kernel
def _targets(  # type: ignore[no-untyped-def]
    device, role, target, place, firsts, device_id, party, account, instrument, merchant
):
    """Write the id of every link's target into its own column, and 0 into the others; none is a
    merchant: those are linked to terminals.
    """
    for i in range(role.size):
        device_id[i] = firsts[0] + device[i] + 1
        p = place[role[i]]
        id_ = firsts[p + 1] + target[i] + 1
        party[i] = id_ * (p == 0)
        account[i] = id_ * (p == 1)
        instrument[i] = id_ * (p == 2)
        merchant[i] = 0


def ip_base(made: IpOutcome, geo: Geography) -> Rows:
    """`s4_ip_base_6A`, in order of country, type, node."""
    first = made.ip_first[:-1].tolist()
    countries = range(len(geo.countries))
    return Rows(made.ip_first, _ip_rows, (first, countries, geo.region, made.countries))


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


def ip_links(
    pack: PolicyPack, parties: Parties, devices: Devices, made: IpOutcome, merchants: Merchants
) -> Rows:
    """`s4_ip_links_6A`, in order of IP; an IP's merchants come before its devices."""
    countries = range(len(made.ip_first) - 1)
    shard_country = np.array([s.country for s in parties.shards])
    begin = np.searchsorted(shard_country, countries)
    end = np.searchsorted(shard_country, countries, side="right")
    own = np.searchsorted(made.endpoints.ip, made.ip_first)
    columns = []
    for c in countries:
        terminals = np.flatnonzero(devices.terminals.country == c)
        mine = slice(own[c], own[c + 1])
        columns.append(
            (
                int(made.ip_first[c]),
                (int(devices.first[begin[c]]), int(devices.first[end[c]])),
                devices.first[-1] + terminals,
                made.endpoints.ip[mine] - made.ip_first[c],
                merchants.id[made.endpoints.merchant[mine]],
            )
        )
    role = pack.codes("ip_link_role").index("MERCHANT_ENDPOINT")
    counts = np.diff(made.link_first) + np.diff(own)
    return Rows(
        offsets.from_counts(counts),
        partial(_link_rows, role),
        (*zip(*columns, strict=True), made.countries),
    )


def _link_rows(
    endpoint_role: int,
    ip_first: int,
    devices: tuple[int, int],
    terminals: I64,
    endpoint: I64,
    merchant: I64,
    of: EndpointCountry,
    low: int,
    high: int,
) -> Batch:
    # An endpoint's merchant stands before its devices, after all earlier links and merchants.
    rows = of.start[endpoint] + np.arange(endpoint.size)
    fill = partial(
        _merge, rows, endpoint, merchant, endpoint_role, of.start, of.device, of.role, ip_first,
        *devices, terminals, low,
    )  # fmt: skip
    return {("ip_id", "device_id", "merchant_id", "link_role"): fill}


@kernel
def _merge(  # type: ignore[no-untyped-def]
    rows, endpoint, merchant, endpoint_role, start, link_device, link_role, ip_first,
    first_device, last_device, terminals, low, ip, device, other, role,
):  # fmt: skip
    """Rows low, low + 1, … of a country's links and merchants, in published order."""
    own = last_device - first_device
    e = np.searchsorted(rows, low)
    link = low - e
    node = np.searchsorted(start, link, side="right") - 1
    for i in range(ip.size):
        if e < rows.size and rows[e] == low + i:
            ip[i] = ip_first + endpoint[e] + 1
            device[i], other[i] = 0, merchant[e]
            role[i] = endpoint_role
            e += 1
            continue
        while start[node + 1] <= link:
            node += 1
        d = np.int64(link_device[link])
        ip[i] = ip_first + node + 1
        device[i] = (first_device + d if d < own else terminals[d - own]) + 1
        other[i] = 0
        role[i] = link_role[link]
        link += 1


def network_summary(
    pack: PolicyPack,
    parties: Parties,
    devices: Devices,
    linked: LinkOutcome,
    made: IpOutcome,
    geo: Geography,
) -> Rows:
    """`s4_network_summary_6A`: METRICS per region, in order of region and metric."""
    regions = len(pack.codes("region"))

    def per_region(region: NDArray[np.uint8], counts: I64) -> I64:
        return np.bincount(region, counts, regions).astype(np.int64)

    of_parties = per_region(parties.region, np.diff(devices.first))
    # A device's endpoints are in its own country, and so in its region.
    measures = {
        "devices": of_parties + np.bincount(devices.terminals.region, minlength=regions),
        "linked_devices": per_region(geo.region, made.linked_devices),
        "device_ip_links": per_region(geo.region, np.diff(made.link_first)),
        "ips": per_region(geo.region, np.diff(made.ip_first)),
        "shared_devices": per_region(parties.region, linked.with_company),
    }
    names = sorted(METRICS)
    batch: Columns = {
        "region_id": np.repeat(np.arange(regions, dtype=np.uint8), len(names)),
        "metric_id": np.tile(np.arange(len(names), dtype=np.uint8), regions),
        "value": np.stack([measures[m] for m in names], axis=1).ravel().astype(np.float64),
    }
    return whole(batch)
