"""One pass over the device–IP links of a country: violations, and features for scores.

Links come in order of endpoint, then device, and devices in order of owner. Visitors are devices
of other countries; what visits tell of a country's own devices comes in `Away` (`visits.py`).

The violations have no plain twin: tests/unit/stages/test_posture_checks.py breaks a world in every
way counted here. Twins of the features: tests/reference/posture.py:device_features, ip_features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import EndpointCountry

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]

NO_OWNER = np.uint32(0xFFFFFFFF)
"""Stands for the owner of a terminal, and of the device before the first."""

ANONYMOUS, TYPICAL, LOAD, DEGREE = (np.uint64(n) for n in (0, 1, 3, 13))
"""A device's record packs into one u32: whether an endpoint is an anonymiser in bit 0, typical
endpoints (0, 1, or 2 for more) in bits 1–2, endpoints in bits 3–12, and the degree of the busiest
endpoint in bits 13–31."""

MAX_TYPICAL, MAX_LOAD = np.uint64(2), np.uint64((1 << 10) - 1)
"""Where typical endpoints and endpoints of a device stop counting."""

MAX_DEGREE = (1 << 19) - 1
"""Largest degree that a record holds."""


class EdgesLaw(NamedTuple):
    """What a scan of device–IP links needs to know of the policy."""

    regions: int
    anonymiser: Bools  # whether an endpoint type is a proxy or hosting, (types,)
    abroad: Bools  # whether devices of other countries may use a type, (types,)
    top: int  # degrees above count as this
    typical: int  # role of a link to the device's typical endpoint
    merchant: int  # role of a link to a merchant, which no device may have

    @classmethod
    def of(cls, pack: PolicyPack) -> EdgesLaw:
        """The law of a policy."""
        roles = pack.codes("ip_link_role")
        return cls(
            len(pack.codes("region")),
            np.array([t in ("VPN_PROXY", "DATACENTRE") for t in pack.codes("ip_type")]),
            np.array(
                [pack.graph_linkage_rules.abroad.get(t, 0.0) > 0 for t in pack.codes("ip_type")]
            ),
            min(pack.ip_count_priors.degree_cap, MAX_DEGREE),
            roles.index("TYPICAL_DEVICE_IP"),
            roles.index("MERCHANT_ENDPOINT"),
        )


class CountryDevices(NamedTuple):
    """Devices of a country: party devices in order of owner, then terminals."""

    first: int  # number in the world of the first party device
    owner: U32  # party, counted from 0 in the world; (party devices,)
    region: int  # of the country
    terminal: I64  # number in the world, ascending; (terminals,)
    terminal_region: U8  # (terminals,)
    in_world: int  # devices of all countries


class Visitors(NamedTuple):
    """Devices of other countries that are seen in a country; both (visitors,)."""

    device: U32  # counted in the world, ascending
    owner: U32  # party, counted from 0 in the world; NO_OWNER of a terminal


class Away(NamedTuple):
    """Records of a country's devices from their visits to other countries."""

    device: I64  # counted in the country, once for every country visited
    record: U32  # as of DEGREE


class Features(NamedTuple):
    """What links tell of devices and endpoints."""

    context: NDArray[np.unsignedinteger]  # as `DeviceSignal` reads it, (devices,)
    untypical: U32  # links to devices with another typical endpoint, (endpoints,)
    owners: U32  # distinct owners of devices, a terminal being its own; (endpoints,)


class EdgesScan(NamedTuple):
    """Violations among device–IP links, and distributions that have bounds."""

    edge_cells: I64  # links by region of the device, (regions, types)
    node_cells: I64  # linked endpoints by region, (regions, types)
    degrees: I64  # endpoints by degree, 0 for degree 0; (degrees,)
    out_of_order: int
    doubles: int
    orphans: int  # links to a device that does not exist
    across_countries: int  # links to a device of another country, of a type that stays at home
    merchant_roles: int  # links with the role of a merchant's
    linked_without_one_typical: int  # devices
    most_ips_of_device: int
    linked_devices: int


class _Links(NamedTuple):
    """Columns of an `EndpointCountry`."""

    device: U32  # (links,)
    role: U8  # (links,)
    start: I64  # first link of every endpoint, (endpoints + 1,)
    type: U8  # (endpoints,)


class _Outputs(NamedTuple):
    """What `_scan_edges` fills."""

    record: U32  # as of DEGREE, zero before; (devices,)
    untypical: U32  # (endpoints,)
    owners: U32  # (endpoints,)
    edge_cells: I64  # zero before; (regions, types)
    node_cells: I64  # zero before; (regions, types)


@inlined
def add_link(record, anonymous, degree, is_typical):  # type: ignore[no-untyped-def]
    """A device's record with one more link.

    Parameters
    ----------
    record : uint64
    anonymous : uint64
        Bit ANONYMOUS of the endpoint.
    degree : uint64
        Degree of the endpoint, shifted left by DEGREE.
    is_typical : bool
    """
    # Branch-free: the counters saturate by adding a comparison.
    record |= anonymous
    record += np.uint64(record >> LOAD & MAX_LOAD < MAX_LOAD) << LOAD
    record += np.uint64(is_typical & (record >> TYPICAL & np.uint64(3) < MAX_TYPICAL)) << TYPICAL
    below_degree = (np.uint64(1) << DEGREE) - np.uint64(1)
    return max(record, record & below_degree | degree)


@inlined
def _count_neighbours(device):  # type: ignore[no-untyped-def]
    """Links whose device is below, and equal to, that of the link before: two numbers.

    device : uint32 (links,). Over all endpoints at once, as that compiles to vector instructions.
    """
    below = equal = 0
    for i in range(1, device.size):
        below += device[i] < device[i - 1]
        equal += device[i] == device[i - 1]
    return below, equal


@inlined
def index_of(sorted_, value):  # type: ignore[no-untyped-def]
    """Index of a value in an ascending array, or the length of the array where it is not there."""
    low, high = 0, sorted_.size
    while low < high:
        middle = (low + high) // 2
        if sorted_[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < sorted_.size and sorted_[low] == value else sorted_.size


@kernel
def _scan_edges(law, links, devices, visitors, outputs):  # type: ignore[no-untyped-def]
    """Scans the links of one country.

    Parameters
    ----------
    law : EdgesLaw
    links : _Links
    devices : CountryDevices
    visitors : Visitors
    outputs : _Outputs
        Filled, but for what visits tell.

    Returns
    -------
    (int, int, int, int)
        Links out of order, doubles, links to no device, and with the role of a merchant's.
    """
    anonymiser, top, typical, merchant = law.anonymiser, law.top, law.typical, law.merchant
    device, role, start, type_ = links
    first, owner, region, terminal, terminal_region, in_world = devices
    visitor, visitor_owner = visitors
    record, untypical, owners, edge_cells, node_cells = outputs
    disordered, doubles = _count_neighbours(device)
    orphans = merchants = 0
    for i in range(role.size):
        merchants += role[i] == merchant
    for p in range(start.size - 1):
        low, high = start[p], start[p + 1]
        untypical[p] = owners[p] = 0
        if low == high:
            continue
        if low:
            # The link before is another endpoint's.
            disordered -= device[low] < device[low - 1]
            doubles -= device[low] == device[low - 1]
        t = type_[p]
        degree = np.uint64(min(high - low, top)) << DEGREE
        anonymous = np.uint64(anonymiser[t]) << ANONYMOUS
        last = NO_OWNER
        others = n_owners = n_untypical = 0
        # Unsigned indices: signed ones are tested for being negative, link by link.
        for i in range(np.uint64(low), np.uint64(high)):
            # Devices of earlier countries wrap around, and so are no party devices of this one.
            d = np.uint64(device[i]) - np.uint64(first)
            is_typical = role[i] == typical
            n_untypical += not is_typical
            if d < np.uint64(owner.size):
                o = owner[d]
                n_owners += o != last
                last = o
                record[d] = add_link(np.uint64(record[d]), anonymous, degree, is_typical)
                continue
            others += 1
            k = index_of(terminal, device[i])
            if k < terminal.size:
                n_owners += 1
                last = NO_OWNER
                edge_cells[terminal_region[k], t] += 1
                d = np.uint64(owner.size + k)
                record[d] = add_link(np.uint64(record[d]), anonymous, degree, is_typical)
                continue
            orphans += device[i] >= in_world
            v = index_of(visitor, device[i])
            o = visitor_owner[v] if v < visitor.size else NO_OWNER
            n_owners += (o == NO_OWNER) | (o != last)
            last = o
        edge_cells[region, t] += high - low - others
        node_cells[region, t] += 1
        untypical[p] = n_untypical
        owners[p] = n_owners
    return disordered, doubles, orphans, merchants


@kernel
def _add_records(record, away):  # type: ignore[no-untyped-def]
    """Adds to the records of devices what their visits tell.

    Parameters
    ----------
    record : uint32 (devices,)
        Grows.
    away : Away
    """
    three = np.uint64(3)
    for i in range(away.device.size):
        a, b = np.uint64(record[away.device[i]]), np.uint64(away.record[i])
        anonymous = (a | b) & np.uint64(1)
        typical = min((a >> TYPICAL & three) + (b >> TYPICAL & three), MAX_TYPICAL)
        load = min((a >> LOAD & MAX_LOAD) + (b >> LOAD & MAX_LOAD), MAX_LOAD)
        degree = max(a >> DEGREE, b >> DEGREE)
        record[away.device[i]] = degree << DEGREE | load << LOAD | typical << TYPICAL | anonymous


@kernel
def _read_records(record, context):  # type: ignore[no-untyped-def]
    """Features and violations of devices from their records.

    Parameters
    ----------
    record : uint32 (devices,)
    context : unsigned integer (devices,)
        Filled: degree of the busiest endpoint · 2 + whether an endpoint is an anonymiser.

    Returns
    -------
    (int, int, int)
        Linked devices without one typical endpoint, most endpoints of one device, linked devices.
    """
    without_one = most = linked = np.int64(0)
    for d in range(record.size):
        r = np.uint64(record[d])
        context[d] = r >> DEGREE << np.uint64(1) | r >> ANONYMOUS & np.uint64(1)
        load = np.int64(r >> LOAD & MAX_LOAD)
        without_one += np.int64(r >> TYPICAL & np.uint64(3)) != (load > 0)
        most = max(most, load)
        linked += load > 0
    return without_one, most, linked


def scan_edges(
    law: EdgesLaw, of: EndpointCountry, devices: CountryDevices, visitors: Visitors, away: Away
) -> tuple[Features, EdgesScan]:
    """Scans the device–IP links of a country; `visits.Visits` counts those of visitors."""
    shape = (law.regions, law.anonymiser.size)
    outputs = _Outputs(
        record=np.zeros(devices.owner.size + devices.terminal.size, dtype=np.uint32),
        untypical=np.empty(of.type.size, dtype=np.uint32),
        owners=np.empty(of.type.size, dtype=np.uint32),
        edge_cells=np.zeros(shape, np.int64),
        node_cells=np.zeros(shape, np.int64),
    )
    links = _Links(of.device, of.role, of.start, of.type)
    disordered, doubles, orphans, merchants = _scan_edges(law, links, devices, visitors, outputs)
    _add_records(outputs.record, away)
    context = np.empty(outputs.record.size, dtype=np.min_scalar_type(2 * law.top + 1))
    without_one, most, linked = _read_records(outputs.record, context)
    degrees = np.bincount(np.diff(of.start), minlength=1)
    degrees[0] = 0  # endpoints that only merchants use
    return Features(context, outputs.untypical, outputs.owners), EdgesScan(
        edge_cells=outputs.edge_cells,
        node_cells=outputs.node_cells,
        degrees=degrees,
        out_of_order=disordered + abs(of.device.size - int(of.start[-1])),
        doubles=doubles,
        orphans=orphans,
        across_countries=0,
        merchant_roles=merchants,
        linked_without_one_typical=without_one,
        most_ips_of_device=most,
        linked_devices=linked,
    )


def total(scans: Iterable[EdgesScan]) -> EdgesScan:
    """The scan of the world from those of its countries, without visits."""
    countries = [*scans]
    degrees = np.zeros(max(s.degrees.size for s in countries), dtype=np.int64)
    for s in countries:
        degrees[: s.degrees.size] += s.degrees
    return EdgesScan(
        edge_cells=np.add.reduce([s.edge_cells for s in countries]),
        node_cells=np.add.reduce([s.node_cells for s in countries]),
        degrees=degrees,
        out_of_order=sum(s.out_of_order for s in countries),
        doubles=sum(s.doubles for s in countries),
        orphans=sum(s.orphans for s in countries),
        across_countries=sum(s.across_countries for s in countries),
        merchant_roles=sum(s.merchant_roles for s in countries),
        linked_without_one_typical=sum(s.linked_without_one_typical for s in countries),
        most_ips_of_device=max(s.most_ips_of_device for s in countries),
        linked_devices=sum(s.linked_devices for s in countries),
    )
