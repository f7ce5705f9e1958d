"""S4, endpoints: nodes of every country and type, who is on them, and in which role."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack
from reference.demand import FAMILY, HOME, Asked
from reference.devices import Device, poisson_category
from reference.draws import U64, Draws, below, category, pick
from reference.parties import Row

NODES_SET_ASIDE = 2**32
"""Draws every country has for the degrees of one type."""

METRICS = ("device_ip_links", "devices", "ips", "linked_devices", "shared_devices")

Stub = tuple[int, bool]
"""A device, and whether this is its typical endpoint."""

Node = list[Stub]
Unit = tuple[int, str]
"""Country and type."""


@dataclass(frozen=True)
class Ip:
    """One endpoint and the links of its devices: (device, role), in order of device."""

    type: str
    asn: str
    version: str
    country: int
    links: tuple[tuple[int, str], ...]
    merchants: tuple[int, ...]  # whose own endpoint it is


def make(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    devices: list[Device],
    asked: list[Asked],
) -> list[Ip]:
    """All endpoints, in order of country, type, node.

    Each draws its operator and version; each link that is not typical draws whether it is
    public access, as its type allows.
    """
    units = nodes(pack, seed, geo, devices, asked)
    of_merchant = merchant_endpoints(pack, seed, merchants, units)
    attributes = Draws(seed, "s4/ip_attributes", "ip_attribute_sampling", 2)
    access = Draws(seed, "s4/public_access", FAMILY)
    priors, out, links = pack.ip_count_priors, list[Ip](), 0
    for (country, kind), members in units.items():
        public = pack.graph_linkage_rules.public_access_share.get(kind, 0.0)
        for n, node in enumerate(members):
            roles = []
            for device, typical in sorted(node):
                guest = category(access(links), (1.0 - public, public))
                recent = "SHARED_PUBLIC_WIFI" if guest else "RECENT_LOGIN_IP"
                roles.append((device, "TYPICAL_DEVICE_IP" if typical else recent))
                links += 1
            six = priors.ipv6_share[kind]
            asn = pick(attributes(len(out), 0), priors.asn_mix[kind], pack.codes("asn_class"))
            version = pick(
                attributes(len(out), 1), {"IPV4": 1 - six, "IPV6": six}, pack.codes("ip_version")
            )
            own = tuple(sorted(of_merchant[country, kind, n]))
            out.append(Ip(kind, asn, version, country, tuple(roles), own))
    return out


def nodes(
    pack: PolicyPack, seed: int, geo: Geography, devices: list[Device], asked: list[Asked]
) -> dict[Unit, list[Node]]:
    """Nodes of every country and type.

    Homes are lines of their own. All other links of a (country, type) are dealt to nodes of
    drawn degrees; what was handed back looks for a node of another type. In the unbounded
    baseline home links are dealt like the others.
    """
    types, priors = pack.codes("ip_type"), pack.ip_count_priors
    stubs: dict[Unit, list[Stub]] = {(c, t): [] for c in range(len(geo.countries)) for t in types}
    for d, (device, one) in enumerate(zip(devices, asked, strict=True)):
        if one.typical and one.typical != HOME:
            stubs[device.country, one.typical].append((d, True))
        for kind in one.others:
            stubs[device.country, kind].append((d, False))
    out: dict[Unit, list[Node]] = {}
    returned: dict[Unit, list[Stub]] = {}
    taken: Counter[str] = Counter()
    for (country, kind), mine in stubs.items():
        unit = country, kind
        out[unit], returned[unit] = [], []
        if kind == HOME:
            out[unit] = lines(pack, country, devices, asked)
            mine = sorted(stub for node in out[unit] for stub in node)
            if priors.degree_model == "truncated":
                continue
        if mine:
            degree = degrees(pack, seed, unit, mine)
            out[unit], returned[unit] = deal(pack, seed, kind, taken[kind], mine, degree)
            taken[kind] += len(mine)
    rehouse(pack, devices, out, returned)
    return out


def lines(pack: PolicyPack, country: int, devices: list[Device], asked: list[Asked]) -> list[Node]:
    """Home lines of a country: every lease with its devices, cut into equal parts of ≤ 12."""
    leases: dict[tuple[int, int], list[Stub]] = defaultdict(list)
    for d, (device, one) in enumerate(zip(devices, asked, strict=True)):
        if device.country == country:
            for lease in one.leases:
                leases[device.home, lease].append((d, lease == 1 and one.typical == HOME))
    out = []
    for key in sorted(leases):
        parts = -(-len(leases[key]) // pack.ip_count_priors.homes.max_devices_per_lease)
        rest = iter(leases[key])
        size, longer = divmod(len(leases[key]), parts)
        out += [[next(rest) for _ in range(size + (j < longer))] for j in range(parts)]
    return out


def degrees(pack: PolicyPack, seed: int, unit: Unit, stubs: list[Stub]) -> list[int]:
    """Devices per node, drawn from P(k) ∝ k^−α until all stubs are used.

    No node has more devices than there are different ones, nor, unless unbounded, more than
    the cap. The last is cut short; if that leaves less than the minimum it is spread over the
    others below the cap in turn, and kept where they have no room.
    """
    country, kind = unit
    priors = pack.ip_count_priors
    law, distinct = priors.degree_laws[kind], len({d for d, _ in stubs})
    cap = distinct if priors.degree_model == "unbounded" else min(priors.degree_cap, distinct)
    low = min(law.minimum, cap)
    mass = [float(k) ** -law.alpha for k in range(low, cap + 1)]
    whole = sum(mass)
    shares = tuple(m / whole for m in mass)
    draws = Draws(seed, f"s4/ip_degree/{kind}", "ip_count_realisation")
    out: list[int] = []
    while (rest := len(stubs) - sum(out)) > 0:
        drawn = low + category(draws(country * NODES_SET_ASIDE + len(out)), shares)
        out.append(min(drawn, rest))
    last = out[-1]
    if len(out) > 1 and last < low and sum(cap - k for k in out[:-1]) >= last:
        out.pop()
        node = 0
        while last:
            if out[node] < cap:
                out[node] += 1
                last -= 1
            node = (node + 1) % len(out)
    return out


def deal(
    pack: PolicyPack, seed: int, kind: str, begin: int, stubs: list[Stub], degree: list[int]
) -> tuple[list[Node], list[Stub]]:
    """Stubs shuffled and dealt to nodes; a device twice on one node is swapped away.

    The earlier slot of a double (never the typical one) looks for a partner on another node
    such that neither ends up with a double: at places mixed from its draw, so many times, then
    everywhere in turn. Returns the nodes, and the stubs that found none.
    """
    draws = Draws(seed, f"s4/ip_matching/{kind}", FAMILY)
    slots: list[Any] = list(stubs)  # None: handed back
    for i in range(len(slots) - 1, 0, -1):
        j = below(draws(begin + i), i + 1)
        slots[i], slots[j] = slots[j], slots[i]
    ends = list(accumulate(degree))
    spans = [range(end - k, end) for end, k in zip(ends, degree, strict=True)]
    for span in spans:
        slots[span.start : span.stop] = sorted(slots[span.start : span.stop])

    def has(node: int, device: int) -> bool:
        return any(stub and stub[0] == device for stub in (slots[i] for i in spans[node]))

    def fits(i: int, j: int) -> bool:
        mine, theirs = bisect_right(ends, i), bisect_right(ends, j)
        one, other = slots[i], slots[j]
        if other is None or mine == theirs:
            return False
        return not has(theirs, one[0]) and not has(mine, other[0])

    doubles = [i for span in spans for i in span[:-1] if slots[i][0] == slots[i + 1][0]]
    returned: list[Stub] = []
    for i in doubles:
        tries = _places(draws(begin + i), len(slots), pack.graph_linkage_rules.repair_attempts)
        j = next((j for j in tries if fits(i, j)), None)
        if j is None:
            returned.append(slots[i])
            slots[i] = None
        else:
            slots[i], slots[j] = slots[j], slots[i]
    kept = [[slots[i] for i in span if slots[i]] for span in spans]
    return [node for node in kept if node], sorted(returned)


def _places(draw: int, n: int, attempts: int) -> Iterator[int]:
    """Where to look for a partner: `attempts` places mixed from a draw, then all."""
    for _ in range(attempts):
        draw = (draw ^ draw >> 31) * 0xD6E8FEB86659FD93 & U64
        yield below(draw, n)
    yield from range(n)


def rehouse(
    pack: PolicyPack,
    devices: list[Device],
    units: dict[Unit, list[Node]],
    returned: dict[Unit, list[Stub]],
) -> None:
    """Stubs handed back move to another type of the country, the fullest first.

    There they take the first node that has room and not that device; else they are given up.
    """
    rules, cap = pack.graph_linkage_rules.eligible_ip_types, pack.ip_count_priors.degree_cap
    for (country, own), stubs in returned.items():
        for device, _ in stubs:
            kinds = [t for t in rules[devices[device].group] if t not in (HOME, own)]
            size = {t: sum(map(len, units[country, t])) for t in kinds}
            fullest_first = sorted(kinds, key=lambda t: -size[t])
            for node in (node for t in fullest_first for node in units[country, t]):
                if len(node) < cap and all(d != device for d, _ in node):
                    node.append((device, False))
                    break


def merchant_endpoints(
    pack: PolicyPack, seed: int, merchants: Merchants, units: dict[Unit, list[Node]]
) -> dict[tuple[int, str, int], list[int]]:
    """Merchants of every node: neighbouring nodes of the merchant's country and drawn type.

    A country without nodes of that type lends those of another that merchants use.
    """
    rules = pack.graph_linkage_rules
    draws = Draws(seed, "s4/merchant_endpoint", FAMILY, 3)
    out: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for m in range(merchants.n):
        country = int(merchants.home_country[m])
        kind = pick(draws(m, 1), rules.merchant_endpoint_types, pack.codes("ip_type"))
        for other in sorted(rules.merchant_endpoint_types):
            kind = kind if units[country, kind] else other
        room = len(units[country, kind])
        begin = below(draws(m, 2), room)
        for k in range(min(poisson_category(draws(m, 0), rules.merchant_endpoints), room)):
            out[country, kind, (begin + k) % room].append(m)
    return out


def ip_base(pack: PolicyPack, geo: Geography, ips: list[Ip]) -> list[Row]:
    """`s4_ip_base_6A`: one row an endpoint."""
    return [
        {
            "ip_id": number,
            "ip_type": ip.type,
            "asn_class": ip.asn,
            "ip_version": ip.version,
            "region_id": pack.codes("region")[geo.region[ip.country]],
            "country_iso": geo.countries[ip.country],
        }
        for number, ip in enumerate(ips, 1)
    ]


def ip_links(merchants: Merchants, ips: list[Ip]) -> list[Row]:
    """`s4_ip_links_6A`: of every endpoint its merchants, then its devices."""
    rows: list[Row] = []
    for number, ip in enumerate(ips, 1):
        who: list[tuple[int | None, int | None, str]]
        who = [(None, int(merchants.id[m]), "MERCHANT_ENDPOINT") for m in ip.merchants]
        who += [(device + 1, None, role) for device, role in ip.links]
        rows += [
            {"ip_id": number, "device_id": device, "merchant_id": merchant, "link_role": role}
            for device, merchant, role in who
        ]
    return rows


def network_summary(
    pack: PolicyPack, geo: Geography, devices: list[Device], ips: list[Ip]
) -> list[Row]:
    """`s4_network_summary_6A`: five figures per region."""
    regions = pack.codes("region")
    linked = {device for ip in ips for device, _ in ip.links}
    rows: list[Row] = []
    for region in regions:
        here = [ip for ip in ips if regions[geo.region[ip.country]] == region]
        mine = [d for d, device in enumerate(devices) if device.region == region]
        figures = {
            "device_ip_links": sum(len(ip.links) for ip in here),
            "devices": len(mine),
            "ips": len(here),
            "linked_devices": sum(d in linked for d in mine),
            "shared_devices": sum(devices[d].users > 1 for d in mine),
        }
        rows += [{"region_id": region, "metric_id": m, "value": float(figures[m])} for m in METRICS]
    return rows
