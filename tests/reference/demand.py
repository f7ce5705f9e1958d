"""S4, what devices ask of endpoints: how many links each has, and of which type.

A region's links of each type are an exact quota. Typical endpoints come first, then homes,
proxies, and at last everything else.
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
from reference.draws import ROUNDS, Draws, category, dealt, first, nearest, pick, place
from reference.parties import Party

HOME, PROXY = "RESIDENTIAL", "VPN_PROXY"
FAMILY = "ip_allocation_sampling"
NAMED_AS_BEFORE = ("COMPUTER_PORTABLE", "IOT_OTHER")
"""Device groups the published baseline found under the name it looked for."""


@dataclass
class Asked:
    """Links of one device: its typical type (None: dormant), leases at home, others in order."""

    typical: str | None = None
    spare: int = 0  # links not yet given a type
    leases: set[int] = field(default_factory=set)  # of 1 and 2
    others: list[str] = field(default_factory=list)  # neither typical nor at home


def make(pack: PolicyPack, seed: int, parties: list[Party], devices: list[Device]) -> list[Asked]:
    """What every device asks for, quotas filled to the last link."""
    draws = Draws(seed, "s4/ip_count", "ip_count_realisation", 3)
    asked = [
        _count(pack, draws.all_of(d), device, _owner_type(device, parties))
        for d, device in enumerate(devices)
    ]
    types = pack.codes("ip_type")
    for r, region in enumerate(pack.codes("region")):
        mine = [d for d, device in enumerate(devices) if device.region == region]
        awake = [d for d in mine if asked[d].typical]
        shares = _edge_shares(pack, region)
        links = sum(1 + asked[d].spare for d in awake)
        quota = largest_remainder(links, [shares.get(t, 0.0) for t in types])
        left = Counter(dict(zip(types, quota.tolist(), strict=True)))
        left.subtract(Counter(asked[d].typical or "" for d in awake))
        retail = {d for d in awake if _owner_type(devices[d], parties) == "RETAIL"}
        _homes(pack, seed, awake, retail, devices, asked, left)
        prone = _prone(pack, seed, [p for p, party in enumerate(parties) if party.region == region])
        _proxies(
            pack, seed, r, [d for d in awake if devices[d].owner in prone], devices, asked, left
        )
        _rest(pack, seed, r, awake, devices, asked, left)
    return asked


def _owner_type(device: Device, parties: list[Party]) -> str:
    return "MERCHANT" if device.owner is None else parties[device.owner].type


def _may(pack: PolicyPack, device: Device, kind: str) -> bool:
    return kind in pack.graph_linkage_rules.eligible_ip_types[device.group]


def _edge_shares(pack: PolicyPack, region: str) -> dict[str, float]:
    """A region's mix of link types; the baseline took the first there is where one is missing."""
    mixes = pack.ip_count_priors.edge_shares
    if region not in mixes:
        assert pack.ip_count_priors.missing_region_mix == "first_available"
    return mixes.get(region) or mixes[min(mixes)]


def _count(pack: PolicyPack, draws: list[int], device: Device, owner: str) -> Asked:
    """Three draws: dormant or not, links beyond the typical one, type of the typical one.

    Links beyond the first are negative binomial with the group's mean less one, cut off.
    """
    priors = pack.ip_count_priors
    law = priors.device_ips[device.group]
    legacy = pack.device_linkage_rules.legacy_device_groups
    dormant = 1.0 if legacy and device.group not in NAMED_AS_BEFORE else law.dormant_share
    if category(draws[0], (1.0 - dormant, dormant)):
        return Asked()
    r = priors.dispersion
    p = r / (r + law.mean - 1.0)
    mass = [p**r]
    for k in range(1, priors.max_ips_per_device):
        mass.append(mass[-1] * (r + k - 1) / k * (1.0 - p))
    whole, types = sum(mass), pack.codes("ip_type")
    shares = pack.graph_linkage_rules.typical_ip_shares.get(owner, {})
    typical = pick(draws[2], shares.get(device.group, {types[0]: 1.0}), types)
    return Asked(typical, category(draws[1], tuple(m / whole for m in mass)))


def _homes(
    pack: PolicyPack,
    seed: int,
    awake: list[int],
    retail: set[int],
    devices: list[Device],
    asked: list[Asked],
    left: Counter[str],
) -> None:
    """Leases at home, until the region's quota is met.

    Lease 1 has the devices whose typical endpoint it is, and retail devices that are typically
    elsewhere but have a link to spare. Then home by home, in rank of a draw, what has another
    link to spare: retail devices take lease 2, others their first. The last home takes part
    as far as the quota goes.
    """
    for d in awake:
        if asked[d].typical == HOME:
            asked[d].leases.add(1)
    able = [d for d in awake if _may(pack, devices[d], HOME) and asked[d].spare]
    roaming = [d for d in able if d in retail and asked[d].typical != HOME]
    for d in roaming[: max(left[HOME], 0)]:
        _take(asked[d], left, HOME)
        asked[d].leases.add(1)
    draws = Draws(seed, "s4/home_lease", FAMILY)
    members: dict[int, list[int]] = defaultdict(list)
    for d in able:
        if asked[d].spare and (d in retail or not asked[d].leases):
            members[devices[d].home].append(d)
    ranked = [d for home in sorted(members, key=lambda h: (draws(h), h)) for d in members[home]]
    for d in ranked[: max(left[HOME], 0)]:
        _take(asked[d], left, HOME)
        asked[d].leases.add(2 if d in retail else 1)


def _take(one: Asked, left: Counter[str], kind: str) -> None:
    one.spare -= 1
    left[kind] -= 1


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
    asked: list[Asked],
    left: Counter[str],
) -> None:
    """Proxy links of devices of prone owners: as many of their spare ones as the quota is."""
    keys = Draws(seed, "s4/proxy_place", FAMILY, ROUNDS).all_of(region)
    links = [d for d in prone if _may(pack, devices[d], PROXY) for _ in range(asked[d].spare)]
    quota = left[PROXY]
    for i, d in enumerate(links):
        if place(i, len(links), keys) < quota:
            _take(asked[d], left, PROXY)
            asked[d].others.append(PROXY)


def _rest(
    pack: PolicyPack,
    seed: int,
    region: int,
    awake: list[int],
    devices: list[Device],
    asked: list[Asked],
    left: Counter[str],
) -> None:
    """Types of all other links: a plan per group and type keeps what groups have and types want.

    Of a group's links each type gets exactly its number, at places a permutation gives them.
    """
    groups, types = pack.codes("device_group"), pack.codes("ip_type")
    spare: Counter[str] = Counter()
    for d in awake:
        spare[devices[d].group] += asked[d].spare
    open_to = pack.graph_linkage_rules.eligible_ip_types
    allowed = np.array(
        [[t in open_to[g] and t not in (HOME, PROXY) for t in types] for g in groups]
    )
    wanted = np.array([max(left[t], 0) for t in types]) * allowed.any(axis=0)
    plans = _transport(np.array([spare[g] for g in groups]), wanted, allowed)
    draws = Draws(seed, "s4/ip_type_place", FAMILY, ROUNDS)
    seen: Counter[str] = Counter()
    for d in awake:
        one, group = asked[d], devices[d].group
        g = groups.index(group)
        keys = draws.all_of(region * len(groups) + g)
        for _ in range(one.spare):
            one.others.append(types[dealt(seen[group], keys, plans[g].tolist())])
            seen[group] += 1


def _transport(rows: np.ndarray, wanted: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Whole numbers with these row sums, column sums as wanted, zero where not allowed.

    Columns give way where both cannot be had. A proportional fit is rounded down; a largest
    flow over the allowed cells adds what is missing; what no column wants goes along whatever
    the row is allowed.
    """
    columns = largest_remainder(int(rows.sum()), wanted if wanted.any() else allowed.any(axis=0))
    expected = fit(allowed * (columns > 0), rows, columns)
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
    """A largest flow from rows that have to columns that want: scipy's, whichever that is."""
    n, m = allowed.shape
    capacity = np.zeros((n + m + 2, n + m + 2), dtype=np.int32)
    capacity[0, 1 : n + 1] = rows
    capacity[1 : n + 1, n + 1 : -1] = allowed * rows.sum()
    capacity[n + 1 : -1, -1] = columns
    flow = maximum_flow(csr_array(capacity), 0, n + m + 1).flow.toarray()
    return flow[1 : n + 1, n + 1 : -1].astype(np.int64)
