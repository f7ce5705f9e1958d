"""The law of S4's endpoints, address side: nodes, degrees, matching, attributes.

Homes make residential endpoints, at most twelve devices a lease. Every other (country,
type) is one unit: degrees from a truncated discrete power law are drawn until they use up
the unit's stubs, stubs are dealt at random, doubles repaired by swaps (`kernels/matching`).
What cannot be repaired moves to another type of the country, and is counted. In the
published baseline (`degree_model: unbounded`) home lines are dealt like everything else.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.local import Engine
from fraudworld.kernels import expand, philox
from fraudworld.kernels.discrete import choices, thresholds, zero_inflated_poisson
from fraudworld.kernels.matching import deal, degrees, grouped, sort_nodes
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import (
    Devices,
    Geography,
    IpEdges,
    Ips,
    MerchantEndpoints,
    Merchants,
    Parties,
)
from fraudworld.stages.network.demand import Demand, device_demand, home_slots

COUNTS = "ip_count_realisation"
ALLOCATION = "ip_allocation_sampling"
ATTRIBUTES = "ip_attribute_sampling"
NEVER = np.uint64(1 << 63)
"""A threshold no draw reaches."""

NODE_SPACE = 1 << 32
"""Draws set aside per country for the degrees of one type."""


@dataclass(frozen=True)
class IpOutcome:
    """Endpoints, their links, and what the construction had to count."""

    ips: Ips
    edges: IpEdges
    endpoints: MerchantEndpoints
    plans: dict[str, Any]
    rng: tuple[StreamUse, ...]


@dataclass
class _Unit:
    """Endpoints of one (country, type): devices per slot, first slot of every node."""

    slots: NDArray[np.int32]  # device · 2 + typical
    start: NDArray[np.int64]
    returned: NDArray[np.integer]
    swaps: int = 0
    kept_short: int = 0


def build_ips(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    parties: Parties,
    devices: Devices,
    engine: Engine,
) -> IpOutcome:
    """All endpoints and device–IP links of a world."""
    demand = device_demand(pack, seed, parties, devices, engine)
    types = pack.codes("ip_type")
    n_countries, n_types = len(geo.countries), len(types)

    homes = _home_units(pack, devices, demand, n_countries)
    units, uses = _deal_units(pack, seed, devices, demand, homes, engine)
    moved, lost = _rehouse(pack, devices, units, n_types)

    sizes = np.array([u.start.size - 1 for u in units])
    country = np.repeat(np.repeat(np.arange(n_countries, dtype=np.uint8), n_types), sizes)
    kind = np.repeat(np.tile(np.arange(n_types, dtype=np.uint8), n_countries), sizes)
    edges, role_use = _edges(pack, seed, units, engine)
    ips, attribute_use = _attributes(pack, seed, kind, country)
    endpoints, endpoint_use = _merchant_endpoints(pack, seed, merchants, sizes, n_types)

    placed = np.array([u.slots.size for u in units]).reshape(n_countries, n_types)
    realised = np.zeros(demand.quotas.shape, dtype=np.int64)
    np.add.at(realised, geo.region, placed)
    plans = {
        "edge_quotas": demand.quotas.tolist(),
        "edge_rows": realised.tolist(),
        "regions": list(pack.codes("region")),
        "types": list(types),
        "swaps": sum(u.swaps for u in units),
        "retyped": moved,
        "unplaced": lost,
        "degree_backoffs": sum(u.kept_short for u in units),
        "ips": ips.n,
        "rows": int(placed.sum()),
    }
    return IpOutcome(
        ips, edges, endpoints, plans, (*demand.rng, *uses, role_use, attribute_use, *endpoint_use)
    )


def _degree_cuts(minimum: int, cap: int, alpha: float) -> NDArray[np.uint64]:
    """Thresholds of P(k) ∝ k^−alpha on minimum … cap."""
    p = np.arange(minimum, cap + 1, dtype=np.float64) ** -alpha
    return thresholds(p / p.sum())


def _deal_units(
    pack: PolicyPack,
    seed: int,
    devices: Devices,
    demand: Demand,
    homes: list[_Unit],
    engine: Engine,
) -> tuple[list[_Unit], list[StreamUse]]:
    """Every (country, type), in order of country, then type; homes as they are, unless mixed."""
    priors = pack.ip_count_priors
    types = pack.codes("ip_type")
    n_types, n_countries = len(types), len(homes)
    home_type, mixed = types.index("RESIDENTIAL"), priors.degree_model == "unbounded"
    stub, start = grouped(demand.stub, demand.stub_type, devices.country, n_types, n_countries)
    size = np.diff(start).reshape(n_countries, n_types)
    size[:, home_type] = [home.slots.size for home in homes]
    before = np.cumsum(size, axis=0) - size  # stubs of the type in earlier countries

    def one(unit: int) -> tuple[_Unit, list[StreamUse]]:
        country, t = divmod(unit, n_types)
        mine = stub[start[unit] : start[unit + 1]]
        if t == home_type:
            if not mixed:
                return homes[country], []
            mine = np.sort(homes[country].slots)
        if mine.size == 0:
            return _Unit(mine, np.zeros(1, dtype=np.int64), mine), []
        law = priors.degree_laws[types[t]]
        distinct = 1 + int((np.diff(mine >> 1) != 0).sum())
        cap = distinct if mixed else min(priors.degree_cap, distinct)
        minimum = min(law.minimum, cap)
        nodes = Stream(seed, f"s4/ip_degree/{types[t]}", COUNTS)
        degree, short = degrees(
            *nodes.key,
            country * NODE_SPACE,
            _degree_cuts(minimum, cap, law.alpha),
            minimum,
            cap,
            mine.size,
        )
        matching = Stream(seed, f"s4/ip_matching/{types[t]}", ALLOCATION)
        first = int(before[country, t])
        slot_start, returned, swaps = deal(
            mine, *matching.key, first, degree, pack.graph_linkage_rules.repair_attempts
        )
        cell = f"country {country}"
        used = [
            nodes.use(cell, country * NODE_SPACE, degree.size),
            matching.use(cell, first, mine.size),
        ]
        return _Unit(mine, slot_start, returned, swaps, short), used

    results = engine.map(one, range(n_countries * n_types))
    return [u for u, _ in results], [use for _, used in results for use in used]


@njit(cache=True, nogil=True)
def _cut_leases(size, most, home_country, degree, country):  # type: ignore[no-untyped-def]
    """Balanced nodes of every lease; returns how many nodes there are."""
    n = 0
    for lease in range(size.size):
        chunks = -(-size[lease] // most)
        for j in range(chunks):
            degree[n] = size[lease] // chunks + (j < size[lease] % chunks)
            country[n] = home_country[lease // 2]
            n += 1
    return n


def _home_units(
    pack: PolicyPack, devices: Devices, demand: Demand, n_countries: int
) -> list[_Unit]:
    """Residential endpoints per country: leases cut into balanced nodes of ≤ 12 devices."""
    most = pack.ip_count_priors.homes.max_devices_per_lease
    home_country = np.zeros(devices.homes, dtype=np.uint8)
    home_country[devices.home] = devices.country
    slots, size, ordered_country = home_slots(devices, demand, home_country)
    degree = np.empty(int((-(-size // most)).sum()), dtype=np.int64)
    node_country = np.empty(degree.size, dtype=np.uint8)
    _cut_leases(size, most, ordered_country, degree, node_country)
    node_start = expand.starts(degree)
    bounds = np.searchsorted(node_country, np.arange(n_countries + 1))
    nothing = np.empty(0, dtype=np.int32)
    return [
        _Unit(
            slots[node_start[low] : node_start[high]],
            node_start[low : high + 1] - node_start[low],
            nothing,
        )
        for low, high in itertools.pairwise(bounds)
    ]


def _rehouse(
    pack: PolicyPack, devices: Devices, units: list[_Unit], n_types: int
) -> tuple[int, int]:
    """Close the slots that were handed back; re-type their links where a node has room.

    Few by construction (small units only). Returns (links re-typed, links given up).
    """
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    rules = pack.graph_linkage_rules.eligible_ip_types
    cap = pack.ip_count_priors.degree_cap
    waiting: list[tuple[int, int]] = []
    for number, unit in enumerate(units):
        if unit.returned.size == 0:
            continue
        keep = unit.slots >= 0
        degree = np.add.reduceat(keep.astype(np.int64), unit.start[:-1])
        unit.slots, unit.start = unit.slots[keep], expand.starts(degree[degree > 0])
        waiting += [(number, int(s)) for s in np.sort(unit.returned)]
    moved = lost = 0
    for number, stub in waiting:
        country, own = divmod(number, n_types)
        device = stub >> 1
        choices_ = [
            types.index(t)
            for t in rules[groups[devices.group[device]]]
            if t != "RESIDENTIAL" and types.index(t) != own
        ]
        choices_.sort(key=lambda t: -units[country * n_types + t].slots.size)
        if any(_insert(units[country * n_types + t], device, cap) for t in choices_):
            moved += 1
        else:
            lost += 1
    return moved, lost


def _insert(unit: _Unit, device: int, cap: int) -> bool:
    """Put a link of `device` on the first node of the unit that has room and lacks it."""
    degree = np.diff(unit.start)
    node_of = np.repeat(np.arange(degree.size), degree)
    open_ = degree < cap
    open_[node_of[unit.slots >> 1 == device]] = False
    if not open_.any():
        return False
    node = int(np.argmax(open_))
    unit.slots = np.insert(unit.slots, unit.start[node], device * 2)
    unit.start = unit.start + (np.arange(unit.start.size) > node)
    return True


@njit(cache=True, nogil=True)
def _finish(  # type: ignore[no-untyped-def]
    slots, start, first_ip, first_edge, public, k0, k1, roles, ip, device, role
):
    """Links of one unit, in order of IP and device, each with its role.

    public: threshold (63 bits) from which a link that is not typical is public access.
    """
    sort_nodes(slots, start)
    at = first_edge
    for node in range(start.size - 1):
        for i in range(start[node], start[node + 1]):
            ip[at] = first_ip + node
            device[at] = slots[i] >> 1
            role[at] = roles[slots[i] & 1]
            if public != NEVER and slots[i] & 1 == 0:
                position = np.uint64(at)
                draw = philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)
                if draw >> np.uint64(1) >= public:
                    role[at] = roles[2]
            at += 1


def _edges(
    pack: PolicyPack, seed: int, units: list[_Unit], engine: Engine
) -> tuple[IpEdges, StreamUse]:
    """Links of all units in published order; public access by a draw per link."""
    codes, types = pack.codes("ip_link_role"), pack.codes("ip_type")
    roles = np.array(
        [codes.index(r) for r in ("RECENT_LOGIN_IP", "TYPICAL_DEVICE_IP", "SHARED_PUBLIC_WIFI")],
        dtype=np.uint8,
    )
    shares = [pack.graph_linkage_rules.public_access_share.get(t, 0.0) for t in types]
    public = [thresholds([1.0 - p, p])[0] for p in shares]
    first_ip = expand.starts(np.array([u.start.size - 1 for u in units]))
    first_edge = expand.starts(np.array([u.slots.size for u in units]))
    stream = Stream(seed, "s4/public_access", ALLOCATION)
    n = int(first_edge[-1])
    ip, device = np.empty(n, dtype=np.uint32), np.empty(n, dtype=np.uint32)
    role = np.empty(n, dtype=np.uint8)
    start = np.append(np.empty(int(first_ip[-1]), dtype=np.int64), n)

    def one(number: int) -> None:
        unit = units[number]
        start[first_ip[number] : first_ip[number + 1]] = unit.start[:-1] + first_edge[number]
        _finish(
            unit.slots, unit.start, first_ip[number], first_edge[number],
            public[number % len(types)], *stream.key, roles, ip, device, role,
        )  # fmt: skip

    engine.map(one, range(len(units)))
    return IpEdges(ip, device, role, start), stream.use("links", 0, n)


def _attributes(
    pack: PolicyPack, seed: int, kind: NDArray[np.uint8], country: NDArray[np.uint8]
) -> tuple[Ips, StreamUse]:
    """Operator class and IP version, drawn per endpoint given its type."""
    priors = pack.ip_count_priors
    types, classes = pack.codes("ip_type"), pack.codes("asn_class")
    versions = pack.codes("ip_version")
    asn = thresholds([[priors.asn_mix[t].get(a, 0.0) for a in classes] for t in types])
    six = versions.index("IPV6")
    split = [
        [priors.ipv6_share[t] if v == six else 1 - priors.ipv6_share[t] for v in range(2)]
        for t in types
    ]
    stream = Stream(seed, "s4/ip_attributes", ATTRIBUTES, 2)
    ips = Ips(
        kind,
        stream.choices(0, kind, asn),
        stream.choices(0, kind, thresholds(split), index=1),
        country,
    )
    return ips, stream.use("world", 0, kind.size)


def _merchant_endpoints(
    pack: PolicyPack,
    seed: int,
    merchants: Merchants,
    sizes: NDArray[np.int64],
    n_types: int,
) -> tuple[MerchantEndpoints, tuple[StreamUse, ...]]:
    """Endpoints that are a merchant's own: neighbours on corporate or data-centre nodes."""
    rules = pack.graph_linkage_rules
    types = pack.codes("ip_type")
    law = rules.merchant_endpoints
    stream = Stream(seed, "s4/merchant_endpoint", ALLOCATION, 3)
    draws = stream.draws(0, merchants.n)
    nothing = np.zeros(merchants.n, dtype=np.uint8)
    cuts = thresholds([zero_inflated_poisson(law.zero_share, law.mean, law.maximum)])
    wanted = choices(np.ascontiguousarray(draws[:, 0]), nothing, cuts).astype(np.int64)
    shares = thresholds([[rules.merchant_endpoint_types.get(t, 0.0) for t in types]])
    kind = choices(np.ascontiguousarray(draws[:, 1]), nothing, shares).astype(np.int64)
    first_node = expand.starts(sizes)
    unit = merchants.home_country.astype(np.int64) * n_types + kind
    room = sizes[unit]
    # A country without nodes of the drawn type lends those of the other one.
    names = sorted(rules.merchant_endpoint_types)
    for name in names:
        other = merchants.home_country.astype(np.int64) * n_types + types.index(name)
        unit = np.where(room == 0, other, unit)
        room = sizes[unit]
    count = np.minimum(wanted, room)
    begin = ((draws[:, 2] >> np.uint64(32)) * room.astype(np.uint64)) >> np.uint64(32)
    merchant = np.repeat(np.arange(merchants.n), count)
    within = np.arange(merchant.size) - expand.starts(count)[merchant]
    node = (begin.astype(np.int64)[merchant] + within) % np.maximum(room[merchant], 1)
    ip = first_node[unit[merchant]] + node
    order = np.lexsort((merchant, ip))
    endpoints = MerchantEndpoints(ip[order].astype(np.uint32), merchant[order].astype(np.uint32))
    return endpoints, (stream.use("merchants", 0, merchants.n),)
