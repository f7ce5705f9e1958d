"""The law of S4's endpoints, address side: nodes, degrees, matching, attributes.

Homes make residential endpoints, at most twelve devices a lease. Every other (country,
type) is one unit: degrees from a truncated discrete power law are drawn until they use up
the unit's stubs, stubs are dealt at random, doubles repaired by swaps (`kernels/matching`).
What cannot be repaired moves to another type of the country, and is counted. In the
published baseline (`degree_model: unbounded`) home lines are dealt like everything else.

Nothing here crosses a border, so a country is what a task works on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.jit import kernel
from fraudworld.kernels import offsets
from fraudworld.kernels.discrete import category, choices, thresholds, zero_inflated_poisson
from fraudworld.kernels.matching import draw_degrees, match_stubs
from fraudworld.policy.models import IpDegree
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.stages.network.demand import Asked, Demand, device_demand
from fraudworld.stages.network.places import pieces_of
from fraudworld.stages.pieces import Devices, EndpointCountry, MerchantEndpoints, Parties

NEVER = np.uint64(1 << 63)
"""A threshold no draw reaches."""

NODE_SPACE = 1 << 32
"""Draws set aside per country for the degrees of one type."""

ROLES = "RECENT_LOGIN_IP", "TYPICAL_DEVICE_IP", "SHARED_PUBLIC_WIFI"

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class IpOutcome:
    """Endpoints, their links, and what the construction had to count."""

    countries: Sequence[Item]  # EndpointCountry
    ip_first: I64  # (countries + 1,)
    link_first: I64  # (countries + 1,)
    endpoints: MerchantEndpoints
    linked_devices: I64  # devices seen on any endpoint, per country
    plans: dict[str, Any]
    rng: tuple[StreamUse, ...]


@dataclass
class _Unit:
    """Endpoints of one (country, type): devices per slot, first slot of every node."""

    slots: NDArray[np.int32]  # device · 2 + typical, devices counted in the country
    start: I64
    returned: NDArray[np.integer]
    swaps: int = 0
    kept_short: int = 0


@dataclass(frozen=True)
class _Law:
    """What every country needs of this law, made once; lists are by type."""

    home_type: int
    mixed: bool  # home lines are dealt like everything else
    degree: tuple[IpDegree | None, ...]
    cap: int  # of degrees
    nodes: tuple[Stream, ...]
    matching: tuple[Stream, ...]
    attempts: int  # swaps tried per double
    moves: tuple[tuple[int, ...], ...]  # by group of devices: types a link may move to
    roles: NDArray[np.uint8]  # of a link that is not typical, is, is public access
    public: U64  # threshold from which a link that is not typical is public access, or NEVER
    access: Stream
    asn: U64  # thresholds of operator classes, (types, classes)
    version: U64  # thresholds of IP versions, (types, versions)
    attributes: Stream

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> _Law:
        """The law of one policy and seed."""
        priors, rules = pack.ip_count_priors, pack.graph_linkage_rules
        types, roles = pack.codes("ip_type"), pack.codes("ip_link_role")
        asn, version = _attribute_tables(pack)
        return cls(
            home_type=types.index("RESIDENTIAL"),
            mixed=priors.degree_model == "unbounded",
            degree=tuple(priors.degree_laws.get(t) for t in types),
            cap=priors.degree_cap,
            nodes=tuple(registry.IP_DEGREE.of(seed, code=t) for t in types),
            matching=tuple(registry.IP_MATCHING.of(seed, code=t) for t in types),
            attempts=rules.repair_attempts,
            moves=tuple(
                tuple(types.index(t) for t in rules.eligible_ip_types[g] if t != "RESIDENTIAL")
                for g in pack.codes("device_group")
            ),
            roles=np.array([roles.index(r) for r in ROLES], dtype=np.uint8),
            public=np.array([_public(rules.public_access_share.get(t, 0.0)) for t in types]),
            access=registry.PUBLIC_ACCESS.of(seed),
            asn=asn,
            version=version,
            attributes=registry.IP_ATTRIBUTES.of(seed),
        )


@dataclass(frozen=True)
class Dealt:
    """Links of a country before they are numbered; units in order of type."""

    slots: NDArray[np.int32]
    start: I64  # first slot of every node
    nodes: I64  # (types,)
    links: I64  # (types,)


@dataclass(frozen=True)
class _DealtSummary:
    """What is known of a country once its links are dealt."""

    nodes: I64  # (types,)
    links: I64  # (types,)
    swaps: int
    kept_short: int
    moved: int
    lost: int
    uses: list[StreamUse]


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
    n_countries = len(geo.countries)
    demand = device_demand(pack, seed, pieces_of(pack, parties, devices), n_countries, engine)
    types, law = pack.codes("ip_type"), _Law.of(pack, seed)
    *asked, wanted = _sorted_by_country(law, parties, devices, demand, n_countries, engine)
    # The largest first, so that nobody waits for one at the end.
    order = np.argsort(-wanted.sum(axis=1), kind="stable")
    before = np.cumsum(wanted, axis=0) - wanted
    dealt, summaries = _in_order(
        engine, partial(_deal_country, law), order, range(n_countries), before, *asked
    )
    quotas, demand_uses = demand.quotas, demand.rng
    del demand, asked  # the stubs are dealt: their memory is needed

    nodes, links = np.stack([t.nodes for t in summaries]), np.stack([t.links for t in summaries])
    ip_first, link_first = (offsets.from_counts(n.sum(axis=1)) for n in (nodes, links))
    finished, linked = _in_order(
        engine, partial(_finish_country, law), order,
        ip_first[:-1].tolist(), link_first[:-1].tolist(), dealt,
    )  # fmt: skip
    endpoints, endpoint_use = _merchant_endpoints(pack, seed, merchants, nodes.ravel(), len(types))
    realised = np.zeros(quotas.shape, dtype=np.int64)
    np.add.at(realised, geo.region, links)
    plans = {
        "edge_quotas": quotas.tolist(),
        "edge_rows": realised.tolist(),
        "regions": list(pack.codes("region")),
        "types": list(types),
        "swaps": sum(t.swaps for t in summaries),
        "retyped": sum(t.moved for t in summaries),
        "unplaced": sum(t.lost for t in summaries),
        "degree_backoffs": sum(t.kept_short for t in summaries),
        "ips": int(ip_first[-1]),
        "rows": int(link_first[-1]),
    }
    uses = (
        *demand_uses,
        *(use for t in summaries for use in t.uses),
        law.access.use("links", 0, int(link_first[-1])),
        law.attributes.use("world", 0, int(ip_first[-1])),
        *endpoint_use,
    )
    return IpOutcome(finished, ip_first, link_first, endpoints, np.array(linked), plans, uses)


def _in_order(
    engine: Engine, task: Any, order: NDArray[np.integer], *columns: Sequence[Any] | NDArray[Any]
) -> tuple[list[Item], list[Any]]:
    """`engine.both`, rows started in `order`, results in that of the columns."""
    items, summaries = engine.run(task, *([column[i] for i in order] for column in columns))
    back = np.argsort(order)
    return [items[i] for i in back], [summaries[i] for i in back]


def _sorted_by_country(
    law: _Law,
    parties: Parties,
    devices: Devices,
    demand: Demand,
    n_countries: int,
    engine: Engine,
) -> tuple[list[list[Any]], list[list[int]], list[list[I64]], I64]:
    """What pieces ask for, per country: items, first device of each (counted in the country),
    stubs of each by type; and all links, (countries, types).

    The terminals' piece spans all countries: its share is cut out for each.
    """
    links = demand.stubs[-1].copy()
    links[:, law.home_type] += demand.slots[-1]
    pieces: list[list[Any]] = [[] for _ in range(n_countries)]
    first_devices: list[list[int]] = [[] for _ in range(n_countries)]
    stubs: list[list[I64]] = [[] for _ in range(n_countries)]
    so_far = np.zeros(n_countries, dtype=np.int64)
    for k, shard in enumerate(parties.shards):
        c = shard.country
        pieces[c].append(demand.items[k])
        first_devices[c].append(int(so_far[c]))
        stubs[c].append(demand.stubs[k][0])
        so_far[c] += devices.first[k + 1] - devices.first[k]
        links[c] += demand.stubs[k][0]
        links[c, law.home_type] += demand.slots[k][0]
    (asked,) = engine.fetch(demand.items[-1:])
    of_country = np.bincount(devices.terminals.country, minlength=n_countries)
    counts = (demand.stubs[-1].sum(axis=1), demand.slots[-1], demand.nodes[-1], of_country)
    ranges = [itertools.pairwise(offsets.from_counts(count)) for count in counts]
    for c, cuts in enumerate(zip(*ranges, strict=True)):
        arrays = (asked.stub, asked.slots, asked.nodes, asked.group)
        pieces[c].append(Asked(*(v[low:high] for v, (low, high) in zip(arrays, cuts, strict=True))))
        first_devices[c].append(int(so_far[c]))
        stubs[c].append(demand.stubs[-1][c])
    return pieces, first_devices, stubs, links


def _deal_country(
    law: _Law,
    country: int,
    before: I64,
    pieces: list[Asked],
    first_devices: list[int],
    stubs: list[I64],
) -> tuple[Dealt, _DealtSummary]:
    """Every type of one country, in order; homes as they are, unless mixed.

    before: links of earlier countries by type; first_devices: first device of each piece; stubs:
    those of each piece by type.
    """
    starts = [offsets.from_counts(s).tolist() for s in stubs]
    asked = [
        [p.slots if t == law.home_type else p.stub[s[t] : s[t + 1]]
         for p, s in zip(pieces, starts, strict=True)]
        for t in range(len(law.degree))
    ]  # fmt: skip
    # Dealt where they will stay: types lie one after the other.
    slots = np.empty(sum(part.size for parts in asked for part in parts), dtype=np.int32)
    units, uses = [], []
    end = 0
    for t, parts in enumerate(asked):
        begin = end
        for part, offset in zip(parts, first_devices, strict=True):
            np.add(part, np.int32(2 * offset), out=slots[end : end + part.size])
            end += part.size
        mine = slots[begin:end]
        if t == law.home_type and not law.mixed:
            nodes_of_homes = offsets.from_counts(np.concatenate([p.nodes for p in pieces]))
            units.append(_Unit(mine, nodes_of_homes, mine[:0]))
            continue
        if t == law.home_type:
            mine.sort()
        unit, used = _deal_unit(law, country, t, mine, int(before[t]))
        units.append(unit)
        uses += used
    moved = lost = 0
    if any(u.returned.size for u in units):
        moved, lost = _rehouse(law, np.concatenate([p.group for p in pieces]), units)
        slots = np.concatenate([u.slots for u in units])
    nodes = np.array([u.start.size - 1 for u in units])
    links = np.array([u.slots.size for u in units])
    first = offsets.from_counts(links)
    start = np.concatenate([u.start[:-1] + f for u, f in zip(units, first, strict=False)])
    dealt = Dealt(slots, np.append(start, slots.size), nodes, links)
    swaps, short = sum(u.swaps for u in units), sum(u.kept_short for u in units)
    return dealt, _DealtSummary(nodes, links, swaps, short, moved, lost, uses)


@kernel
def _devices_in(slots):  # type: ignore[no-untyped-def]
    """How many devices stubs in order are of; there is one at least."""
    n = 1
    for i in range(1, slots.size):
        n += slots[i] >> 1 != slots[i - 1] >> 1
    return n


def _deal_unit(
    law: _Law, country: int, t: int, mine: NDArray[np.int32], first: int
) -> tuple[_Unit, list[StreamUse]]:
    """Nodes of one (country, type); `first` is the place of its first stub in the world."""
    if mine.size == 0:
        return _Unit(mine, np.zeros(1, dtype=np.int64), mine), []
    laws = law.degree[t]
    assert laws is not None
    distinct = int(_devices_in(mine))
    cap = distinct if law.mixed else min(law.cap, distinct)
    minimum = min(laws.minimum, cap)
    nodes, matching, node = law.nodes[t], law.matching[t], country * NODE_SPACE
    cuts = _degree_cuts(minimum, cap, laws.alpha)
    degree, short = draw_degrees(*nodes.key, node, cuts, minimum, cap, mine.size)
    start, returned, swaps = match_stubs(mine, *matching.key, first, degree, law.attempts)
    cell = f"country {country}"
    used = [nodes.use(cell, node, degree.size), matching.use(cell, first, mine.size)]
    return _Unit(mine, start, returned, swaps, short), used


def _degree_cuts(minimum: int, cap: int, alpha: float) -> U64:
    """Thresholds of P(k) ∝ k^−alpha on minimum … cap: `thresholds` of shares known to be sound."""
    p = np.arange(minimum, cap + 1, dtype=np.float64) ** -alpha
    cuts: U64 = (np.minimum(np.cumsum(p / p.sum()), 1.0) * 2.0**63).astype(np.uint64)
    cuts[-1] = NEVER
    return cuts


def _rehouse(law: _Law, group_of: NDArray[np.uint8], units: list[_Unit]) -> tuple[int, int]:
    """Close the slots that were handed back; re-type their links where a node has room.

    Few by construction (small units only). group_of: of every device of the country. Returns
    (links re-typed, links given up).
    """
    waiting: list[tuple[int, int]] = []
    for own, unit in enumerate(units):
        if unit.returned.size == 0:
            continue
        keep = unit.slots >= 0
        degree = np.add.reduceat(keep.astype(np.int64), unit.start[:-1])
        unit.slots, unit.start = unit.slots[keep], offsets.from_counts(degree[degree > 0])
        waiting += [(own, int(s)) for s in np.sort(unit.returned)]
    moved = lost = 0
    for own, stub in waiting:
        device = stub >> 1
        others = [t for t in law.moves[group_of[device]] if t != own]
        others.sort(key=lambda t: -units[t].slots.size)
        if any(_insert(units[t], device, law.cap) for t in others):
            moved += 1
        else:
            lost += 1
    return moved, lost


def _insert(unit: _Unit, device: int, cap: int) -> bool:
    """Put a link of `device` on the first node of the unit that has room and lacks it."""
    open_ = unit.start[1:] - unit.start[:-1] < cap
    mine = (unit.slots >> 1 == device).nonzero()[0]
    open_[unit.start.searchsorted(mine, side="right") - 1] = False
    if not open_.any():
        return False
    node = int(open_.argmax())
    low, high = unit.start[node : node + 2]
    stub = np.array([device * 2], dtype=np.int32)
    at = low + unit.slots[low:high].searchsorted(stub[0])
    unit.slots = np.concatenate([unit.slots[:at], stub, unit.slots[at:]])
    unit.start[node + 1 :] += 1
    return True


@kernel
def _finish(slots, first_of, first_link, public, k0, k1, roles, device, role, seen):  # type: ignore[no-untyped-def]
    """Device and role of every link; returns how many devices there are, marked in `seen`.

    first_of: first link of every type; public: see `_Law`.
    """
    devices = 0
    for i in range(slots.size):
        d = slots[i] >> 1
        device[i] = d
        role[i] = roles[slots[i] & 1]
        devices += not seen[d]
        seen[d] = True
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for t in range(public.size):
        if public[t] == NEVER:
            continue
        for low in range(first_of[t], first_of[t + 1], philox.MANY):
            n = min(philox.MANY, first_of[t + 1] - low)
            philox.fill(k0, k1, np.uint64(first_link + low), draws[:n])
            for i in range(n):
                is_public = (draws[i] >> np.uint64(1) >= public[t]) & (slots[low + i] & 1 == 0)
                role[low + i] = roles[2] if is_public else role[low + i]
    return devices


@kernel
def _attributes(  # type: ignore[no-untyped-def]
    k0, k1, first, kind, asn_cuts, version_cuts, asn, version
):
    """Operator class and IP version of endpoints first, first + 1, …: two draws each."""
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, kind.size, philox.MANY // 2):
        n = min(philox.MANY // 2, kind.size - low)
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for j in range(n):
            k = kind[low + j]
            asn[low + j] = category(draws[2 * j], asn_cuts, k)
            version[low + j] = category(draws[2 * j + 1], version_cuts, k)


def _finish_country(
    law: _Law, ip_first: int, link_first: int, dealt: Dealt
) -> tuple[EndpointCountry, int]:
    """Roles of the links, public access by a draw per link; attributes per endpoint, given its
    type. Told: devices seen on any endpoint.
    """
    slots = dealt.slots
    device, role = np.empty(slots.size, dtype=np.uint32), np.empty(slots.size, dtype=np.uint8)
    seen = np.zeros((int(slots.max(initial=0)) >> 1) + 1, dtype=np.bool_)
    devices = _finish(
        slots, offsets.from_counts(dealt.links), link_first, law.public, *law.access.key, law.roles,
        device, role, seen,
    )  # fmt: skip
    kind = np.repeat(np.arange(law.public.size, dtype=np.uint8), dealt.nodes)
    asn, version = np.empty_like(kind), np.empty_like(kind)
    _attributes(*law.attributes.key, ip_first, kind, law.asn, law.version, asn, version)
    return EndpointCountry(kind, asn, version, device, role, dealt.start), int(devices)


def _public(share: float) -> np.uint64:
    """Threshold of a draw from which a link is public access; NEVER where none is."""
    return np.uint64(thresholds([1.0 - share, share])[0])


def _attribute_tables(pack: PolicyPack) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Thresholds of operator class and of IP version, by type."""
    priors = pack.ip_count_priors
    types, classes = pack.codes("ip_type"), pack.codes("asn_class")
    versions = pack.codes("ip_version")
    asn = thresholds([[priors.asn_mix[t].get(a, 0.0) for a in classes] for t in types])
    six = versions.index("IPV6")
    split = [
        [priors.ipv6_share[t] if v == six else 1 - priors.ipv6_share[t] for v in range(2)]
        for t in types
    ]
    return asn, thresholds(split)


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
    stream = registry.MERCHANT_ENDPOINT.of(seed)
    draws = stream.draws(0, merchants.n)
    nothing = np.zeros(merchants.n, dtype=np.uint8)
    cuts = thresholds([zero_inflated_poisson(law.zero_share, law.mean, law.maximum)])
    wanted = choices(np.ascontiguousarray(draws[:, 0]), nothing, cuts).astype(np.int64)
    shares = thresholds([[rules.merchant_endpoint_types.get(t, 0.0) for t in types]])
    kind = choices(np.ascontiguousarray(draws[:, 1]), nothing, shares).astype(np.int64)
    first_node = offsets.from_counts(sizes)
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
    within = np.arange(merchant.size) - offsets.from_counts(count)[merchant]
    node = (begin.astype(np.int64)[merchant] + within) % np.maximum(room[merchant], 1)
    ip = first_node[unit[merchant]] + node
    order = np.lexsort((merchant, ip))
    endpoints = MerchantEndpoints(ip[order], merchant[order].astype(np.uint32))
    return endpoints, (stream.use("merchants", 0, merchants.n),)
