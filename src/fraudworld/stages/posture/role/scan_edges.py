"""One pass over device–IP links: what is wrong, what endpoints show of devices, and what
devices show of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import EndpointCountry

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]

NOBODY = np.uint32(0xFFFFFFFF)
"""Owner of a terminal, and of what no device comes before."""


ANONYMOUS, TYPICAL, LOAD, DEGREE = (np.uint64(n) for n in (0, 1, 3, 13))
"""Where fields of a device's record of 32 bits begin: whether an endpoint hides it, typical
endpoints (0, 1, more), endpoints, devices on the busiest."""
MOST_DEGREE = (1 << 19) - 1
MOST_LOAD = np.uint64((1 << 10) - 1)
"""Highest degree and load that are told apart."""


@kernel
def _scan_edges(  # type: ignore[no-untyped-def]
    device,
    role,
    start,
    kind,
    owner,
    world_devices,
    region,
    terminal_region,
    hidden,
    top,
    typical,
    endpoint,
    record,
    passing,
    parties,
    edge_cells,
    node_cells,
    found,
):
    """Links of one country in order of endpoint, then device; counts into `found` and cells.

    region: of the country's party devices; terminals follow them. record: per device, all 0;
    degrees count up to `top`. passing, parties: per endpoint, links that are not typical and
    distinct owners (devices are in order of owner). edge_cells: (region of the device, type)
    links; node_cells: the same for linked endpoints, in the region of their first device.
    found: rows out of order, doubles, rows to nobody, links to devices of no such country,
    rows with a merchant's role.
    """
    one = np.uint64(1)
    under_degree = (one << DEGREE) - one
    # Of neighbouring links; those of two endpoints are taken back below.
    disordered = doubles = merchants = 0
    for i in range(1, device.size):
        disordered += device[i] < device[i - 1]
        doubles += device[i] == device[i - 1]
    for i in range(role.size):
        merchants += role[i] == endpoint
    for p in range(start.size - 1):
        low, high = start[p], start[p + 1]
        passing[p] = parties[p] = 0
        if low == high:
            continue
        if low:
            disordered -= device[low] < device[low - 1]
            doubles -= device[low] == device[low - 1]
        k = kind[p]
        degree = np.uint64(min(high - low, top)) << DEGREE
        hides = np.uint64(hidden[k]) << ANONYMOUS
        last = NOBODY
        elsewhere = owners = passed = 0
        # Unsigned: no place from the end is to be told from others, link by link.
        for i in range(np.uint64(low), np.uint64(high)):
            d = device[i]
            is_typical = role[i] == typical
            passed += not is_typical
            if d < owner.size:
                o = owner[d]
                owners += o != last
                last = o
            else:
                owners += 1
                elsewhere += 1
                if d >= record.size:
                    # No device of the country: of another one, or of none.
                    found[3 if d < world_devices else 2] += 1
                    continue
                last = NOBODY
                edge_cells[terminal_region[d - owner.size], k] += 1
            r = np.uint64(record[d]) | hides
            r += np.uint64(r >> LOAD & MOST_LOAD < MOST_LOAD) << LOAD
            r += np.uint64(is_typical & (r >> TYPICAL & np.uint64(3) < np.uint64(2))) << TYPICAL
            record[d] = max(r, r & under_degree | degree)
        edge_cells[region, k] += high - low - elsewhere
        if device[low] < record.size:
            own = device[low] < owner.size
            of = region if own else terminal_region[device[low] - owner.size]
            node_cells[of, k] += 1
        passing[p] = passed
        parties[p] = owners
    found[0] += disordered
    found[1] += doubles
    found[4] += merchants


@kernel
def _read_records(record, context, found):  # type: ignore[no-untyped-def]
    """context: busiest endpoint · 2 + whether anonymous; found: devices linked without one
    typical endpoint, most endpoints of one device, devices linked.
    """
    unlike = most = linked = np.int64(0)
    for d in range(record.size):
        r = np.uint64(record[d])
        context[d] = r >> DEGREE << np.uint64(1) | r >> ANONYMOUS & np.uint64(1)
        load = np.int64(r >> LOAD & MOST_LOAD)
        unlike += np.int64(r >> TYPICAL & np.uint64(3)) != (load > 0)
        most = max(most, load)
        linked += load > 0
    found[0], found[1], found[2] = unlike, most, linked


@dataclass(frozen=True)
class EdgesScan:
    """Violations among device–IP links, and what the distribution checks read."""

    edge_cells: I64  # (regions, ip types)
    node_cells: I64  # (regions, ip types)
    degrees: I64  # linked IPs by devices on them: position is the degree
    out_of_order: int
    doubles: int
    orphans: int
    across_countries: int
    merchant_roles: int
    linked_without_one_typical: int
    most_ips_of_device: int
    linked_devices: int


@dataclass(frozen=True)
class EdgesLaw:
    """What a scan of links has to know of the policy."""

    regions: int
    hidden: Bools  # by endpoint type: proxies and hosting
    top: int  # degrees count up to here
    typical: int
    endpoint: int

    @classmethod
    def of(cls, pack: PolicyPack) -> EdgesLaw:
        """The policy's."""
        roles = pack.codes("ip_link_role")
        return cls(
            len(pack.codes("region")),
            np.array([k in ("VPN_PROXY", "DATACENTRE") for k in pack.codes("ip_type")]),
            min(pack.ip_count_priors.degree_cap, MOST_DEGREE),
            roles.index("TYPICAL_DEVICE_IP"),
            roles.index("MERCHANT_ENDPOINT"),
        )


def scan_edges(
    law: EdgesLaw,
    of: EndpointCountry,
    owner: U32,
    region: int,
    terminal_region: U8,
    world_devices: int,
) -> tuple[NDArray[np.unsignedinteger], U32, U32, EdgesScan]:
    """One pass over the links of a country.

    owner: of every party device of the country, counted in it from 0. Returns the context of
    every device (busiest endpoint · 2 + whether anonymous), of every endpoint the links that
    pass by and the owners, and the scan.
    """
    shape = (law.regions, law.hidden.size)
    edge_cells, node_cells = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    record = np.zeros(owner.size + terminal_region.size, dtype=np.uint32)
    passing, parties = (np.empty(of.type.size, dtype=np.uint32) for _ in range(2))
    found, seen = np.zeros(5, dtype=np.int64), np.zeros(3, dtype=np.int64)
    _scan_edges(
        of.device,
        of.role,
        of.start,
        of.type,
        owner,
        world_devices,
        region,
        terminal_region,
        law.hidden,
        law.top,
        law.typical,
        law.endpoint,
        record,
        passing,
        parties,
        edge_cells,
        node_cells,
        found,
    )
    context = np.empty(record.size, dtype=np.min_scalar_type(2 * law.top + 1))
    _read_records(record, context, seen)
    found[0] += abs(of.device.size - int(of.start[-1]))
    degrees = np.bincount(np.diff(of.start), minlength=1)
    degrees[0] = 0  # endpoints only merchants use have no degree
    counts = [*found.tolist(), *seen.tolist()]
    return context, passing, parties, EdgesScan(edge_cells, node_cells, degrees, *counts)


def total(scans: Iterable[EdgesScan]) -> EdgesScan:
    """The scan of all countries."""
    all_ = [*scans]
    counts = np.array(
        [
            (s.out_of_order, s.doubles, s.orphans, s.across_countries, s.merchant_roles,
             s.linked_without_one_typical, s.most_ips_of_device, s.linked_devices)
            for s in all_
        ]
    )  # fmt: skip
    total = counts.sum(axis=0)
    total[6] = counts[:, 6].max()
    degrees = np.zeros(max(s.degrees.size for s in all_), dtype=np.int64)
    for s in all_:
        degrees[: s.degrees.size] += s.degrees
    return EdgesScan(
        np.add.reduce([s.edge_cells for s in all_]),
        np.add.reduce([s.node_cells for s in all_]),
        degrees,
        *total.tolist(),
    )
