"""Plain twin of endpoints and their links in `stages/network` (S4).

Nodes of every country and type, their devices and roles, and endpoints of merchants.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack
from reference.abroad import Stub, Unit, cross
from reference.demand import FAMILY, HOME, Demand
from reference.devices import Device, poisson_category
from reference.draws import U64, Draws, below, category, pick
from reference.parties import Row

NODES_SET_ASIDE = 2**32
"""Draws reserved per country for the degrees of one type."""

METRICS = ("device_ip_links", "devices", "ips", "linked_devices", "shared_devices")

Node = list[Stub]


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
    demand: list[Demand],
) -> list[Ip]:
    """All endpoints, in order of country, type, node.

    Every endpoint draws operator and IP version; every link that is not typical draws whether it is
    public access, by the share of its type.
    """
    units = nodes(pack, seed, geo, devices, demand)
    of_merchant = merchant_endpoints(pack, seed, merchants, units)
    attributes = Draws(seed, "s4/ip_attributes", "ip_attribute_sampling", 2)
    access = Draws(seed, "s4/public_access", FAMILY)
    priors, out, links = pack.ip_count_priors, list[Ip](), 0
    for (country, ip_type), members in units.items():
        public = pack.graph_linkage_rules.public_access_share.get(ip_type, 0.0)
        for n, node in enumerate(members):
            roles = []
            for device, typical in sorted(node):
                guest = category(access(links), (1.0 - public, public))
                recent = "SHARED_PUBLIC_WIFI" if guest else "RECENT_LOGIN_IP"
                roles.append((device, "TYPICAL_DEVICE_IP" if typical else recent))
                links += 1
            ipv6 = priors.ipv6_share[ip_type]
            asn = pick(attributes(len(out), 0), priors.asn_mix[ip_type], pack.codes("asn_class"))
            version = pick(
                attributes(len(out), 1), {"IPV4": 1 - ipv6, "IPV6": ipv6}, pack.codes("ip_version")
            )
            owners = tuple(sorted(of_merchant[country, ip_type, n]))
            out.append(Ip(ip_type, asn, version, country, tuple(roles), owners))
    return out


def nodes(
    pack: PolicyPack, seed: int, geo: Geography, devices: list[Device], demand: list[Demand]
) -> dict[Unit, list[Node]]:
    """Nodes of every country and type.

    Home links form home lines. All other links of a (country, type) are matched to nodes of drawn
    degrees, after countries exchanged some; links that found no node move to another type. In the
    unbounded baseline home links are matched like the others.
    """
    types, priors = pack.codes("ip_type"), pack.ip_count_priors
    stubs: dict[Unit, list[Stub]] = {(c, t): [] for c in range(len(geo.countries)) for t in types}
    for d, (device, links) in enumerate(zip(devices, demand, strict=True)):
        if links.typical and links.typical != HOME:
            stubs[device.country, links.typical].append((d, True))
        for ip_type in links.others:
            stubs[device.country, ip_type].append((d, False))
    cross(pack, seed, len(geo.countries), stubs)
    out: dict[Unit, list[Node]] = {}
    returned: dict[Unit, list[Stub]] = {}
    matched: Counter[str] = Counter()
    for (country, ip_type), stubs_of_unit in stubs.items():
        unit = country, ip_type
        out[unit], returned[unit] = [], []
        if ip_type == HOME:
            out[unit] = lines_of(pack, country, devices, demand)
            stubs_of_unit = sorted(stub for node in out[unit] for stub in node)
            if priors.degree_model == "truncated":
                continue
        if stubs_of_unit:
            degree = degrees(pack, seed, unit, stubs_of_unit)
            out[unit], returned[unit] = match_stubs(
                pack, seed, ip_type, matched[ip_type], stubs_of_unit, degree
            )
            matched[ip_type] += len(stubs_of_unit)
    rehouse(pack, devices, out, returned)
    return out


def lines_of(
    pack: PolicyPack, country: int, devices: list[Device], demand: list[Demand]
) -> list[Node]:
    """Lines of a country: of homes, by lease, then of circles; in equal parts up to the maximum."""
    at_home, at_circle = 0, 1
    lines: dict[tuple[int, int, int], list[Stub]] = defaultdict(list)
    for d, (device, links) in enumerate(zip(devices, demand, strict=True)):
        if device.country == country:
            for lease in links.leases:
                stub = d, lease == 1 and links.typical == HOME
                lines[at_home, device.home, lease].append(stub)
            if links.circle is not None:
                lines[at_circle, links.circle, 1].append((d, links.typical == HOME))
    most = {
        at_home: pack.ip_count_priors.homes.max_devices_per_lease,
        at_circle: pack.device_linkage_rules.circles.line.max_devices,
    }
    out = []
    for key in sorted(lines):
        parts = -(-len(lines[key]) // most[key[0]])
        remaining = iter(lines[key])
        size, longer = divmod(len(lines[key]), parts)
        out += [[next(remaining) for _ in range(size + (j < longer))] for j in range(parts)]
    return out


def degrees(pack: PolicyPack, seed: int, unit: Unit, stubs: list[Stub]) -> list[int]:
    """Devices per node, drawn from P(k) ∝ k^−α until all stubs are used.

    A degree exceeds neither the number of distinct devices nor, unless unbounded, the cap. The last
    degree is the remainder; if it is below the minimum, it is spread over the other nodes below the
    cap in turn, or kept if these have no room.
    """
    country, ip_type = unit
    priors = pack.ip_count_priors
    law, distinct = priors.degree_laws[ip_type], len({d for d, _ in stubs})
    cap = distinct if priors.degree_model == "unbounded" else min(priors.degree_cap, distinct)
    low = min(law.minimum, cap)
    mass = [float(k) ** -law.alpha for k in range(low, cap + 1)]
    total = sum(mass)
    shares = tuple(m / total for m in mass)
    draws = Draws(seed, f"s4/ip_degree/{ip_type}", "ip_count_realisation")
    out: list[int] = []
    while (remaining := len(stubs) - sum(out)) > 0:
        degree = low + category(draws(country * NODES_SET_ASIDE + len(out)), shares)
        out.append(min(degree, remaining))
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


def match_stubs(
    pack: PolicyPack, seed: int, ip_type: str, first_draw: int, stubs: list[Stub], degree: list[int]
) -> tuple[list[Node], list[Stub]]:
    """Matches shuffled stubs to nodes and swaps double edges away.

    The earlier slot of a double edge (never the typical one) swaps with a slot of another node such
    that neither node has a double edge: it tries `repair_attempts` places mixed from its draw, then
    all places in order. Returns the nodes, and the stubs without a partner.
    """
    draws = Draws(seed, f"s4/ip_matching/{ip_type}", FAMILY)
    slots: list[Any] = list(stubs)  # None: returned, without a node
    for i in range(len(slots) - 1, 0, -1):
        j = below(draws(first_draw + i), i + 1)
        slots[i], slots[j] = slots[j], slots[i]
    ends = list(accumulate(degree))
    spans = [range(end - k, end) for end, k in zip(ends, degree, strict=True)]
    for span in spans:
        slots[span.start : span.stop] = sorted(slots[span.start : span.stop])

    def has(node: int, device: int) -> bool:
        return any(stub and stub[0] == device for stub in (slots[i] for i in spans[node]))

    def fits(i: int, j: int) -> bool:
        node, other_node = bisect_right(ends, i), bisect_right(ends, j)
        stub, other_stub = slots[i], slots[j]
        if other_stub is None or node == other_node:
            return False
        return not has(other_node, stub[0]) and not has(node, other_stub[0])

    doubles = [i for span in spans for i in span[:-1] if slots[i][0] == slots[i + 1][0]]
    returned: list[Stub] = []
    for i in doubles:
        tries = _places(draws(first_draw + i), len(slots), pack.graph_linkage_rules.repair_attempts)
        j = next((j for j in tries if fits(i, j)), None)
        if j is None:
            returned.append(slots[i])
            slots[i] = None
        else:
            slots[i], slots[j] = slots[j], slots[i]
    matched = [[slots[i] for i in span if slots[i]] for span in spans]
    return [node for node in matched if node], sorted(returned)


def _places(draw: int, n: int, attempts: int) -> Iterator[int]:
    """Places to try for a partner: `attempts` mixed from a draw, then all."""
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
    """Moves returned stubs to nodes of another type of the country, largest types first.

    A stub takes the first node with room and without its device; else it is dropped. Devices of
    other countries move only to types that may cross borders.
    """
    rules, cap = pack.graph_linkage_rules.eligible_ip_types, pack.ip_count_priors.degree_cap
    abroad = pack.graph_linkage_rules.abroad
    for (country, ip_type), stubs in returned.items():
        for device, _ in stubs:
            ip_types = [t for t in rules[devices[device].group] if t not in (HOME, ip_type)]
            if devices[device].country != country:
                ip_types = [t for t in ip_types if abroad.get(t)]
            size = {t: sum(map(len, units[country, t])) for t in ip_types}
            fullest_first = sorted(ip_types, key=lambda t: -size[t])
            for node in (node for t in fullest_first for node in units[country, t]):
                if len(node) < cap and all(d != device for d, _ in node):
                    node.append((device, False))
                    break


def merchant_endpoints(
    pack: PolicyPack, seed: int, merchants: Merchants, units: dict[Unit, list[Node]]
) -> dict[tuple[int, str, int], list[int]]:
    """Merchants of every node: consecutive nodes of the merchant's country and drawn type.

    Where the country has no node of that type, another type that merchants use takes its place.
    """
    rules = pack.graph_linkage_rules
    draws = Draws(seed, "s4/merchant_endpoint", FAMILY, 3)
    out: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for m in range(merchants.n):
        country = int(merchants.home_country[m])
        ip_type = pick(draws(m, 1), rules.merchant_endpoint_types, pack.codes("ip_type"))
        for other in sorted(rules.merchant_endpoint_types):
            ip_type = ip_type if units[country, ip_type] else other
        room = len(units[country, ip_type])
        start = below(draws(m, 2), room)
        for k in range(min(poisson_category(draws(m, 0), rules.merchant_endpoints), room)):
            out[country, ip_type, (start + k) % room].append(m)
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
    """`s4_ip_links_6A`: the links of every endpoint, merchants before devices."""
    rows: list[Row] = []
    for number, ip in enumerate(ips, 1):
        targets: list[tuple[int | None, int | None, str]]
        targets = [(None, int(merchants.id[m]), "MERCHANT_ENDPOINT") for m in ip.merchants]
        targets += [(device + 1, None, role) for device, role in ip.links]
        rows += [
            {"ip_id": number, "device_id": device, "merchant_id": merchant, "link_role": role}
            for device, merchant, role in targets
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
        endpoints = [ip for ip in ips if regions[geo.region[ip.country]] == region]
        in_region = [d for d, device in enumerate(devices) if device.region == region]
        figures = {
            "device_ip_links": sum(len(ip.links) for ip in endpoints),
            "devices": len(in_region),
            "ips": len(endpoints),
            "linked_devices": sum(d in linked for d in in_region),
            "shared_devices": sum(devices[d].users > 1 for d in in_region),
        }
        rows += [{"region_id": region, "metric_id": m, "value": float(figures[m])} for m in METRICS]
    return rows
