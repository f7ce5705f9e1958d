"""Home lines: mean devices per residential endpoint that the laws imply, against the nominal mean.

The laws are those of `stages/network/leases.py` and `home_lines.py`; every circle is taken to have
a line. Of a home, expectations use generating functions:
that of the devices on a lease is the product of those of the members' devices, evaluated on the
unit circle and inverted by a discrete Fourier transform. Terminals are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts, endpoints, homes
from fraudworld.policy.rules.finding import Findings, Severity, fault
from fraudworld.policy.rules.vocabulary import HOME

TOLERANCE = 0.05
"""Relative error of a nominal mean above which it is noted: the baseline's is 2.6 %."""

MOST = 256
"""Devices on one lease that expectations resolve; more are as good as impossible."""

CIRCLE = np.exp(2j * np.pi * np.arange(MOST) / MOST)
Complex = NDArray[np.complex128]


class _Chance(NamedTuple):
    """Chances of a device: on lease 1 of its home, and with a link to spare for one more lease."""

    first: float
    more: float


@dataclass(frozen=True)
class _Leases:
    """Devices of a party of a segment on the leases of its home.

    Expected ones on lease 1, open to one more lease, and on the line of a circle if the party is in
    one; and the generating functions of those on lease 1, those open, and both together.
    """

    first: float
    more: float
    shared: float
    on_first: Complex
    on_more: Complex
    on_both: Complex


def implied_means(pack: PolicyPack) -> dict[str, float]:
    """Region → mean devices per residential endpoint; regions without any are left out."""
    leases = {segment: _leases(pack, segment) for segment in pack.party_taxonomy.segments}
    means = {r: _implied_mean(pack, r, leases) for r in endpoints.regions_with_mix(pack)}
    return {region: mean for region, mean in means.items() if mean is not None}


def _implied_mean(pack: PolicyPack, region: str, leases: Mapping[str, _Leases]) -> float | None:
    priors, shares = pack.ip_count_priors, counts.segments_of(pack, region)
    edges = math.fsum(endpoints.edge_numbers(pack, region).values())
    first = math.fsum(share * leases[s].first for s, share in shares.items())
    more = math.fsum(share * leases[s].more for s, share in shares.items())
    # Homes in rank of a draw take second leases until the quota is met.
    room = priors.edge_shares[region][HOME] * edges - first
    second = min(max(room / more, 0.0), 1.0) if more > 0 else 0.0
    most, nodes = priors.homes.max_devices_per_lease, 0.0
    retail = pack.population_priors.party_type_mix[region][homes.RETAIL]
    for kind in homes.homes_of(pack, region).values():
        lease_1 = _lines(_of_home(kind, {s: of.on_first for s, of in leases.items()}), most)
        lease_2 = _lines(_of_home(kind, {s: of.on_more for s, of in leases.items()}), most)
        nodes += retail * kind.number * (lease_1 + second * lease_2)
    for s, share in shares.items():
        if pack.party_taxonomy.segments[s] != homes.RETAIL:
            # Premises of one party, whose devices share one lease.
            alone, whole = _lines(leases[s].on_first, most), _lines(leases[s].on_both, most)
            nodes += share * ((1.0 - second) * alone + second * whole)
    nodes += retail * _circle_lines(pack, leases, shares)
    return (first + second * more) / nodes if nodes > 0 else None


def _circle_lines(
    pack: PolicyPack, leases: Mapping[str, _Leases], shares: Mapping[str, float]
) -> float:
    """Lines of circles per retail party."""
    rule = pack.device_linkage_rules.circles
    retail = {s: n for s, n in shares.items() if pack.party_taxonomy.segments[s] == homes.RETAIL}
    if not rule.member_share or not retail:
        return 0.0
    # Half of what a member has at home, and half a device more where that is odd.
    devices = math.fsum(n * leases[s].shared for s, n in retail.items()) / math.fsum(
        retail.values()
    )
    per_line = max(math.ceil(rule.mean_members * devices / rule.line.max_devices), 1)
    return rule.member_share / rule.mean_members * per_line


def _leases(pack: PolicyPack, segment: str) -> _Leases:
    """Devices of a party of the segment on the leases of its home."""
    chances, numbers = _chances(pack, segment), _numbers(pack, segment)
    held = {g: math.fsum(n * share for n, share in enumerate(law)) for g, law in numbers.items()}
    on_first = _generating(numbers, {g: chance.first for g, chance in chances.items()})
    circles = pack.device_linkage_rules.circles
    members = circles.member_share if pack.party_taxonomy.segments[segment] == homes.RETAIL else 0.0
    at_home, shared = _halved(on_first)
    return _Leases(
        math.fsum(n * chances[g].first for g, n in held.items()),
        math.fsum(n * chances[g].more for g, n in held.items()),
        shared,
        (1.0 - members) * on_first + members * at_home,
        _generating(numbers, {g: chance.more for g, chance in chances.items()}),
        _generating(numbers, {g: chance.first + chance.more for g, chance in chances.items()}),
    )


def _chances(pack: PolicyPack, segment: str) -> dict[str, _Chance]:
    """Device group → chances of a device of the segment's parties."""
    rules, priors = pack.graph_linkage_rules, pack.ip_count_priors
    owner = pack.party_taxonomy.segments[segment]
    out = {}
    for group, typical in rules.typical_ip_shares[owner].items():
        linked = 1.0 - priors.device_ips[group].dormant_share
        home = typical.get(HOME, 0.0)
        may = float(HOME in rules.eligible_ip_types[group])
        second, third = (endpoints.at_least(pack, group, k) for k in (2, 3))
        if owner == homes.RETAIL:
            first = home + may * (1.0 - home) * second
            more = may * (home * second + (1.0 - home) * third)
        else:
            first, more = home, may * (1.0 - home) * second
        out[group] = _Chance(linked * first, linked * more)
    return out


def _numbers(pack: PolicyPack, segment: str) -> dict[str, tuple[float, ...]]:
    """Device group → share of the segment's parties with 0, 1, … devices of it."""
    means: dict[str, float] = {}
    for kind, mean in counts.device_lambdas(pack, segment).items():
        group = pack.device_taxonomy.device_types[kind].group
        means[group] = means.get(group, 0.0) + mean
    laws = pack.device_count_priors.counts
    return {g: counts.held(mean, laws[g], 0.0) for g, mean in means.items() if mean > 0}


def _halved(generating: Complex) -> tuple[Complex, float]:
    """Generating function of every second device, and how many the others are.

    Of 2 n or 2 n + 1 devices n stay at home.
    """
    mass = np.real(np.fft.fft(generating)) / MOST
    half = mass.reshape(-1, 2).sum(axis=1)
    at_home = np.polyval(half[::-1], CIRCLE)
    devices, stay = mass @ np.arange(MOST), half @ np.arange(MOST // 2)
    return np.asarray(at_home), float(devices - stay)


def _generating(numbers: Mapping[str, tuple[float, ...]], chance: Mapping[str, float]) -> Complex:
    """Generating function of a party's devices on a lease, on the unit circle, (MOST,)."""
    out = np.ones(MOST, dtype=np.complex128)
    for group, law in numbers.items():
        out *= np.polyval(law[::-1], 1.0 + chance[group] * (CIRCLE - 1.0))
    return out


def _of_home(kind: homes.Homes, of: Mapping[str, Complex]) -> Complex:
    """Generating function of a home's devices on a lease, by that of a party of each segment."""
    mixed = np.asarray(sum(share * of[s] for s, share in kind.mix.items()))
    heads = np.zeros(MOST, dtype=np.complex128)
    for n, share in kind.numbered:
        alike = sum(part * of[s] ** n for s, part in kind.alike.items())
        heads += share * (alike + kind.mixed * mixed**n)
    others = sum(expected * (of[s] - 1.0) for s, expected in kind.dependants.items())
    return np.asarray(heads * np.exp(others))


def _lines(generating: Complex, most: int) -> float:
    """Expected endpoints of a lease: none if empty, else the fewest of at most `most` devices."""
    mass = np.real(np.fft.fft(generating)) / MOST
    return float((mass * -(-np.arange(MOST) // most)).sum())


def home_lines_match(pack: PolicyPack) -> Findings:
    """Nominal means of home lines are those of the laws, at least as near as T3 needs."""
    priors = pack.ip_count_priors
    if priors.degree_model == "unbounded" or pack.device_linkage_rules.legacy_device_groups:
        return  # endpoints of the baseline are not those of homes: known defects
    bound = pack.validation_policy.gates["T3_max_abs_error_pp"].Bplus
    for region, implied in implied_means(pack).items():
        nominal, means = priors.homes.mean_devices[region], endpoints.mean_degrees(pack, region)
        expected = endpoints.shares_of_nodes(pack, region, {**means, HOME: implied})[HOME]
        error = 100 * abs(expected - endpoints.shares_of_nodes(pack, region, means)[HOME])
        if error > bound or abs(nominal / implied - 1.0) > TOLERANCE:
            yield fault(
                "ip_count_priors",
                f"homes.mean_devices.{region}",
                f"the laws of homes and devices give another mean; T3 is {error:.1f} pp off",
                figure=nominal,
                bound=implied,
                remedy="set it to the mean that the laws give",
                severity=Severity.ERROR if error > bound else Severity.NOTE,
            )
