"""Plain twin of `stages/network/demand.py` (S4): endpoint links per device, by type.

Links of each type are an exact quota per region. Typical endpoints are placed first, then homes,
proxies, and all other types.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from fraudworld.kernels.apportion import fit, largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference.devices import Device
from reference.draws import ROUNDS, Draws, category, first, nearest, pick, place, quota_category
from reference.parties import Party

HOME, PROXY = "RESIDENTIAL", "VPN_PROXY"
FAMILY = "ip_allocation_sampling"
NAMED_AS_BEFORE = ("COMPUTER_PORTABLE", "IOT_OTHER")
"""Device groups whose names the published baseline knew; the others were dormant."""


@dataclass
class Demand:
    """Links of one device: type of its typical endpoint (None: dormant), home leases, others."""

    typical: str | None = None
    spare: int = 0  # links not yet given a type
    leases: set[int] = field(default_factory=set)  # of 1 and 2
    circle: int | None = None  # on whose line it is, instead of lease 1
    others: list[str] = field(default_factory=list)  # neither typical nor at home


def make(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    circles: list[list[int]],
    devices: list[Device],
) -> list[Demand]:
    """Links of every device, with exact quotas per region and type."""
    draws = Draws(seed, "s4/ip_count", "ip_count_realisation", 3)
    demand = [
        _count(pack, draws.all_of(d), device, _owner_type(device, parties))
        for d, device in enumerate(devices)
    ]
    types = pack.codes("ip_type")
    for r, region in enumerate(pack.codes("region")):
        in_region = [d for d, device in enumerate(devices) if device.region == region]
        active = [d for d in in_region if demand[d].typical]
        shares = _edge_shares(pack, region)
        links = sum(1 + demand[d].spare for d in active)
        quota = largest_remainder(links, [shares.get(t, 0.0) for t in types])
        quota_left = Counter(dict(zip(types, quota.tolist(), strict=True)))
        quota_left.subtract(Counter(demand[d].typical or "" for d in active))
        retail = {d for d in active if _owner_type(devices[d], parties) == "RETAIL"}
        _homes(pack, seed, active, retail, devices, demand, quota_left)
        prone = _prone(pack, seed, [p for p, party in enumerate(parties) if party.region == region])
        _proxies(
            pack,
            seed,
            r,
            [d for d in active if devices[d].owner in prone],
            devices,
            demand,
            quota_left,
        )
        _rest(pack, seed, r, active, devices, parties, demand, quota_left)
    _share_lines(pack, circles, devices, demand)
    return demand


def _share_lines(
    pack: PolicyPack, circles: list[list[int]], devices: list[Device], demand: list[Demand]
) -> None:
    """Moves every second device on lease 1 of a circle's members to the circle's line."""
    on_first: dict[int | None, list[int]] = defaultdict(list)
    for d, device in enumerate(devices):
        if 1 in demand[d].leases:
            on_first[device.owner].append(d)
    for c, members in enumerate(circles):
        line = [d for p in members for d in on_first[p][::2]]
        if len(line) >= pack.device_linkage_rules.circles.line.min_devices:
            for d in line:
                demand[d].leases.remove(1)
                demand[d].circle = c


def _owner_type(device: Device, parties: list[Party]) -> str:
    return "MERCHANT" if device.owner is None else parties[device.owner].type


def _may(pack: PolicyPack, device: Device, ip_type: str) -> bool:
    return ip_type in pack.graph_linkage_rules.eligible_ip_types[device.group]


def _edge_shares(pack: PolicyPack, region: str) -> dict[str, float]:
    """Mix of link types of a region; the baseline takes the first mix for a missing one."""
    mixes = pack.ip_count_priors.edge_shares
    if region not in mixes:
        assert pack.ip_count_priors.missing_region_mix == "first_available"
    return mixes.get(region) or mixes[min(mixes)]


def _count(pack: PolicyPack, draws: list[int], device: Device, owner: str) -> Demand:
    """Three draws: dormant or not, links beyond the typical one, type of the typical one.

    Links beyond the first are negative binomial with mean μ − 1, truncated.
    """
    priors = pack.ip_count_priors
    law = priors.device_ips[device.group]
    legacy = pack.device_linkage_rules.legacy_device_groups
    dormant = 1.0 if legacy and device.group not in NAMED_AS_BEFORE else law.dormant_share
    if category(draws[0], (1.0 - dormant, dormant)):
        return Demand()
    r = priors.dispersion
    p = r / (r + law.mean - 1.0)
    mass = [p**r]
    for k in range(1, priors.max_ips_per_device):
        mass.append(mass[-1] * (r + k - 1) / k * (1.0 - p))
    total, types = sum(mass), pack.codes("ip_type")
    shares = pack.graph_linkage_rules.typical_ip_shares.get(owner, {})
    typical = pick(draws[2], shares.get(device.group, {types[0]: 1.0}), types)
    return Demand(typical, category(draws[1], tuple(m / total for m in mass)))


def _homes(
    pack: PolicyPack,
    seed: int,
    active: list[int],
    retail: set[int],
    devices: list[Device],
    demand: list[Demand],
    quota_left: Counter[str],
) -> None:
    """Home leases, up to the quota of the region.

    Lease 1 serves devices whose typical endpoint is the home, and retail devices with a spare link
    that are typically elsewhere. Then, home by home in rank of a draw, devices with a spare link
    follow: retail devices on lease 2, others on lease 1. The quota may end inside the last home.
    """
    for d in active:
        if demand[d].typical == HOME:
            demand[d].leases.add(1)
    able = [d for d in active if _may(pack, devices[d], HOME) and demand[d].spare]
    roaming = [d for d in able if d in retail and demand[d].typical != HOME]
    for d in roaming[: max(quota_left[HOME], 0)]:
        _take(demand[d], quota_left, HOME)
        demand[d].leases.add(1)
    draws = Draws(seed, "s4/home_lease", FAMILY)
    members: dict[int, list[int]] = defaultdict(list)
    for d in able:
        if demand[d].spare and (d in retail or not demand[d].leases):
            members[devices[d].home].append(d)
    ranked = [d for home in sorted(members, key=lambda h: (draws(h), h)) for d in members[home]]
    for d in ranked[: max(quota_left[HOME], 0)]:
        _take(demand[d], quota_left, HOME)
        demand[d].leases.add(2 if d in retail else 1)


def _take(links: Demand, quota_left: Counter[str], ip_type: str) -> None:
    links.spare -= 1
    quota_left[ip_type] -= 1


def _prone(pack: PolicyPack, seed: int, parties: list[int]) -> set[int]:
    """Parties of a region that use proxies: an exact share, by rank of a draw."""
    share = pack.graph_linkage_rules.prone_party_share
    draws = Draws(seed, "s4/proxy_prone", FAMILY)
    return set(first(nearest(len(parties) * share), parties, draws))


def _proxies(
    pack: PolicyPack,
    seed: int,
    region: int,
    prone: list[int],
    devices: list[Device],
    demand: list[Demand],
    quota_left: Counter[str],
) -> None:
    """Proxy links on spare links of devices of prone owners, up to the quota."""
    keys = Draws(seed, "s4/proxy_place", FAMILY, ROUNDS).all_of(region)
    links = [d for d in prone if _may(pack, devices[d], PROXY) for _ in range(demand[d].spare)]
    quota = quota_left[PROXY]
    for i, d in enumerate(links):
        if place(i, len(links), keys) < quota:
            _take(demand[d], quota_left, PROXY)
            demand[d].others.append(PROXY)


def _rest(
    pack: PolicyPack,
    seed: int,
    region: int,
    active: list[int],
    devices: list[Device],
    parties: list[Party],
    demand: list[Demand],
    quota_left: Counter[str],
) -> None:
    """Types of all other links: an integer plan per (row, type) with given row and column sums.

    A row is a class of segments and a device group; terminals are in the first class, as are
    segments whose weights are all 1. Links of a row get exactly the planned number of each type, at
    places of a permutation.
    """
    groups, types = pack.codes("device_group"), pack.codes("ip_type")
    classes = _classes(pack)
    number = {segment: i for i, members in enumerate(classes) for segment in members}

    def row_of(d: int) -> int:
        owner = devices[d].owner
        of_segment = 0 if owner is None else number.get(parties[owner].segment, 0)
        return of_segment * len(groups) + groups.index(devices[d].group)

    open_to = pack.graph_linkage_rules.eligible_ip_types
    of_type = pack.graph_linkage_rules.segment_weights
    weights = np.array(
        [
            [
                (of_type.get(t, {}).get(members[0], 1.0) if members else 1.0)
                if t in open_to[g] and t not in (HOME, PROXY)
                else 0.0
                for t in types
            ]
            for members in classes
            for g in groups
        ]
    )
    spare: Counter[int] = Counter()
    for d in active:
        spare[row_of(d)] += demand[d].spare
    quota = np.array([max(quota_left[t], 0) for t in types]) * weights.any(axis=0)
    plans = transport(np.array([spare[r] for r in range(len(weights))]), quota, weights)
    draws = Draws(seed, "s4/ip_type_place", FAMILY, ROUNDS)
    placed: Counter[int] = Counter()
    for d in active:
        links, row = demand[d], row_of(d)
        keys = draws.all_of(region * len(weights) + row)
        for _ in range(links.spare):
            links.others.append(types[quota_category(placed[row], keys, plans[row].tolist())])
            placed[row] += 1


def _classes(pack: PolicyPack) -> list[list[str]]:
    """Nobody in particular, then every segment that has weights of its own."""
    of_type = pack.graph_linkage_rules.segment_weights
    own = [
        s
        for s in pack.codes("segment")
        if any(weights.get(s, 1.0) != 1.0 for weights in of_type.values())
    ]
    return [[], *([s] for s in own)]


def transport(rows: np.ndarray, column_targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Integers with these row sums, column sums close to the targets, zero where weights are.

    Row sums win where both cannot hold. A proportional fit is rounded down; a maximum flow over the
    allowed cells adds the missing units; what exceeds all columns is shared over the allowed cells.
    """
    allowed = weights > 0
    columns = largest_remainder(
        int(rows.sum()), column_targets if column_targets.any() else allowed.any(axis=0)
    )
    expected = fit(weights * (columns > 0), rows, columns)
    out = np.where(allowed, np.floor(expected + 1e-9), 0).astype(np.int64)
    for row, n in zip(out, rows, strict=True):
        for c in np.argsort(-row, kind="stable")[: max(row.sum() - n, 0)]:
            row[c] -= 1
    out += _flow(rows - out.sum(axis=1), np.maximum(columns - out.sum(axis=0), 0), allowed)
    for r, row in enumerate(out):
        if row.sum() < rows[r]:
            row += largest_remainder(int(rows[r] - row.sum()), allowed[r])
    return out


def _flow(rows: np.ndarray, columns: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """A maximum flow from rows to columns over the allowed cells, by SciPy."""
    n, m = allowed.shape
    capacity = np.zeros((n + m + 2, n + m + 2), dtype=np.int32)
    capacity[0, 1 : n + 1] = rows
    capacity[1 : n + 1, n + 1 : -1] = allowed * rows.sum()
    capacity[n + 1 : -1, -1] = columns
    flow = maximum_flow(csr_array(capacity), 0, n + m + 1).flow.toarray()
    return flow[1 : n + 1, n + 1 : -1].astype(np.int64)
