"""One pass over device–IP links: what is wrong, what endpoints show of devices, and what
devices show of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.world import EndpointCountry

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]

NOBODY = np.uint32(0xFFFFFFFF)
"""Owner of a terminal."""


ANONYMOUS, TYPICAL, LOAD, DEGREE = (np.uint64(n) for n in (32, 33, 35, 45))
"""Where fields of a device's record begin, right of which its owner is: whether an endpoint
hides it, typical endpoints (0, 1, more), endpoints (10 bits), devices on the busiest."""

MOST_DEGREE = (1 << 19) - 1
MOST_LOAD = np.uint64((1 << 10) - 1)
"""Highest degree and load that are told apart."""


@njit(cache=True, nogil=True)
def _scan_edges(  # type: ignore[no-untyped-def]
    device,
    role,
    start,
    kind,
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

    region: of the country's party devices; terminals follow them. record: per device, with
    its owner, NOBODY for terminals; degrees count up to `top`. passing, parties: per endpoint,
    links that are not typical and distinct owners (devices are in order of owner). edge_cells:
    (region of the device, type) links; node_cells: the same for linked endpoints, in the
    region of their first device. found: rows out of order, doubles, rows to nobody, links to
    devices of no such country, rows with a merchant's role.
    """
    one = np.uint64(1)
    under_degree = (one << DEGREE) - one
    own = record.size - terminal_region.size
    for p in range(start.size - 1):
        k = kind[p]
        low, high = start[p], start[p + 1]
        degree = np.uint64(min(high - low, top))
        added = one << LOAD
        hides = np.uint64(hidden[k]) << ANONYMOUS
        before = np.int64(-1)
        last = NOBODY
        inside = owners = passed = 0
        for i in range(low, high):
            d = np.int64(device[i])
            found[0] += d < before
            found[1] += d == before
            before = d
            is_typical = role[i] == typical
            passed += not is_typical
            found[4] += role[i] == endpoint
            if d >= record.size:
                # No device of the country: of another one, or of none.
                found[3 if d < world_devices else 2] += 1
                owners += 1
                continue
            r = record[d]
            o = np.uint32(r)
            owners += o != last or o == NOBODY
            last = o
            if r >> LOAD & MOST_LOAD < MOST_LOAD:
                r += added
            r += np.uint64(is_typical and r >> TYPICAL & np.uint64(3) < np.uint64(2)) << TYPICAL
            most = max(r >> DEGREE, degree)
            record[d] = r & under_degree | hides | most << DEGREE
            if d < own:
                inside += 1
            else:
                edge_cells[terminal_region[d - own], k] += 1
        edge_cells[region, k] += inside
        if low < high and device[low] < record.size:
            of = region if device[low] < own else terminal_region[device[low] - own]
            node_cells[of, k] += 1
        passing[p] = passed
        parties[p] = owners


@njit(cache=True, nogil=True)
def _read_records(record, context, found):  # type: ignore[no-untyped-def]
    """context: busiest endpoint · 2 + whether anonymous; found: devices linked without one
    typical endpoint, most endpoints of one device, devices linked.
    """
    for d in range(record.size):
        r = record[d]
        context[d] = r >> DEGREE << np.uint64(1) | r >> ANONYMOUS & np.uint64(1)
        load = np.int64(r >> LOAD & MOST_LOAD)
        found[0] += np.int64(r >> TYPICAL & np.uint64(3)) != (load > 0)
        found[1] = max(found[1], load)
        found[2] += load > 0


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
    record = np.empty(owner.size + terminal_region.size, dtype=np.uint64)
    record[: owner.size] = owner
    record[owner.size :] = NOBODY
    passing, parties = (np.empty(of.type.size, dtype=np.uint32) for _ in range(2))
    found, seen = np.zeros(5, dtype=np.int64), np.zeros(3, dtype=np.int64)
    _scan_edges(
        of.device,
        of.role,
        of.start,
        of.type,
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
