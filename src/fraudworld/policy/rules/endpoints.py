"""Endpoints: whether edges, types, homes, proxies and degrees are satisfiable together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.devices import device_numbers
from fraudworld.policy.rules.finding import Findings, fault
from fraudworld.policy.rules.vocabulary import HOME, PROXY

MAX_HOME_EDGES = 2  # leases of a home, hence residential edges of one device


@lru_cache(maxsize=64)
def endpoint_numbers(mean: float, dispersion: float, maximum: int) -> tuple[float, ...]:
    """P(K = 1 … maximum) of 1 + negative binomial with this mean, cut off and renormalised."""
    extra = mean - 1.0
    if extra <= 0:
        return (1.0, *([0.0] * (maximum - 1)))
    p = dispersion / (dispersion + extra)
    out = [p**dispersion]
    for k in range(1, maximum):
        out.append(out[-1] * (dispersion + k - 1) / k * (1 - p))
    whole = math.fsum(out)
    return tuple(v / whole for v in out)


def degree_law(
    minimum: int, alpha: float, cap: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Degrees minimum … cap and P(k) ∝ k^−alpha over them."""
    k = np.arange(min(minimum, cap), cap + 1, dtype=np.int64)
    mass = k.astype(np.float64) ** -alpha
    return k, mass / mass.sum()


def mean_degrees(pack: PolicyPack, region: str) -> dict[str, float]:
    """Mean devices per endpoint of a region by type; home lines at their nominal mean."""
    priors = pack.ip_count_priors
    out = {HOME: priors.homes.mean_devices[region]}
    for name, law in priors.degree_laws.items():
        k, mass = degree_law(law.minimum, law.alpha, priors.degree_cap)
        out[name] = float((k * mass).sum())
    return out


def node_shares(pack: PolicyPack, region: str) -> dict[str, float]:
    """Share of the region's endpoints by type: edge share over mean degree, normalised."""
    return shares_of_nodes(pack, region, mean_degrees(pack, region))


def shares_of_nodes(pack: PolicyPack, region: str, means: Mapping[str, float]) -> dict[str, float]:
    """`node_shares` for mean degrees of any kind."""
    nodes = {t: s / means[t] for t, s in pack.ip_count_priors.edge_shares[region].items()}
    whole = math.fsum(nodes.values())
    return {t: n / whole for t, n in nodes.items()}


def edge_numbers(pack: PolicyPack, region: str) -> dict[tuple[str, str], float]:
    """(party type, group) → device–endpoint edges per party of the region."""
    priors = pack.ip_count_priors
    out = {}
    for (owner, group), number in device_numbers(pack, region).items():
        law = priors.device_ips[group]
        k = endpoint_numbers(law.mean, priors.dispersion, priors.max_ips_per_device)
        mean = math.fsum(p * (i + 1) for i, p in enumerate(k))
        out[owner, group] = number * (1.0 - law.dormant_share) * mean
    return out


def at_least(pack: PolicyPack, group: str, k: int) -> float:
    """Share of the linked devices of a group that have at least k endpoints."""
    priors = pack.ip_count_priors
    law = endpoint_numbers(
        priors.device_ips[group].mean, priors.dispersion, priors.max_ips_per_device
    )
    return math.fsum(law[k - 1 :])


def typical_edges(pack: PolicyPack, region: str) -> dict[tuple[str, str, str], float]:
    """(party type, group, endpoint type) → typical edges per party."""
    out = {}
    for (owner, group), number in device_numbers(pack, region).items():
        linked = number * (1.0 - pack.ip_count_priors.device_ips[group].dormant_share)
        for kind, share in pack.graph_linkage_rules.typical_ip_shares[owner].get(group, {}).items():
            out[owner, group, kind] = linked * share
    return out


def regions_with_mix(pack: PolicyPack) -> list[str]:
    """Regions that have an edge mix of their own (all, unless the baseline is replayed)."""
    return [r for r in pack.party_taxonomy.regions if r in pack.ip_count_priors.edge_shares]


def endpoint_counts_fit(pack: PolicyPack) -> Findings:
    """Mean endpoints per device lie between one and the cap; the cap within validation."""
    priors = pack.ip_count_priors
    for group, law in priors.device_ips.items():
        if not 1.0 <= law.mean <= priors.max_ips_per_device:
            yield fault(
                "ip_count_priors",
                f"device_ips.{group}.mean",
                "not a mean of 1 + a count",
                figure=law.mean,
                bound=f"1 to {priors.max_ips_per_device}",
                remedy="choose a mean inside",
            )
    hard = pack.validation_policy.linkage_checks.max_ips_per_device
    if priors.max_ips_per_device > hard:
        yield fault(
            "ip_count_priors",
            "max_ips_per_device",
            "above the limit of validation_policy",
            figure=float(priors.max_ips_per_device),
            bound=float(hard),
            remedy="lower it",
        )


def typical_within_quota(pack: PolicyPack) -> Findings:
    """Typical endpoints alone use no more edges of a type than the region has."""
    for region in regions_with_mix(pack):
        edges = math.fsum(edge_numbers(pack, region).values())
        used: dict[str, float] = defaultdict(float)
        for (_, _, kind), number in typical_edges(pack, region).items():
            used[kind] += number / edges
        for kind, share in used.items():
            quota = pack.ip_count_priors.edge_shares[region][kind]
            if kind != HOME and share > quota:
                yield fault(
                    "ip_count_priors",
                    f"edge_shares.{region}.{kind}",
                    "typical endpoints need a larger share of edges",
                    figure=quota,
                    bound=share,
                    remedy="raise the share or lower it in graph_linkage_rules: typical_ip_shares",
                )


def homes_reachable(pack: PolicyPack) -> Findings:
    """The residential share lies between what first leases force and what two allow."""
    for region in regions_with_mix(pack):
        edges = math.fsum(edge_numbers(pack, region).values())
        least = most = 0.0
        for (owner, group), number in device_numbers(pack, region).items():
            if HOME not in pack.graph_linkage_rules.eligible_ip_types[group]:
                continue
            linked = number * (1.0 - pack.ip_count_priors.device_ips[group].dormant_share)
            home = pack.graph_linkage_rules.typical_ip_shares[owner].get(group, {}).get(HOME, 0.0)
            second, third = at_least(pack, group, 2), at_least(pack, group, 3)
            # Retail homes have two leases; a device at work or on the move spends a stub there.
            if owner == "RETAIL":
                least += linked * (home + (1 - home) * second)
                most += linked * (home * (1 + second) + (1 - home) * (second + third))
            else:
                most += linked * (home * (1 + second) + (1 - home) * second)
        share = pack.ip_count_priors.edge_shares[region][HOME]
        if not least / edges <= share <= most / edges:
            yield fault(
                "ip_count_priors",
                f"edge_shares.{region}.{HOME}",
                f"homes cannot carry this share with {MAX_HOME_EDGES} leases each",
                figure=share,
                bound=f"{least / edges:.3f} to {most / edges:.3f}",
                remedy="move the share inside, or change typical_ip_shares or device_ips means",
            )


def types_reachable(pack: PolicyPack) -> Findings:
    """Every set of endpoint types finds enough edges of groups that may use one of them."""
    eligible = pack.graph_linkage_rules.eligible_ip_types
    for region in regions_with_mix(pack):
        numbers: dict[str, float] = defaultdict(float)
        for (_, group), edges in edge_numbers(pack, region).items():
            numbers[group] += edges
        whole = math.fsum(numbers.values())
        quota = pack.ip_count_priors.edge_shares[region]
        tight = _tightest(quota, {g: n / whole for g, n in numbers.items()}, eligible)
        if tight is not None:
            kinds, asked, there = tight
            yield fault(
                "graph_linkage_rules",
                "eligible_ip_types",
                f"too few edges in {region} may be on {' or '.join(kinds)}",
                figure=asked,
                bound=there,
                remedy="let more groups use these types or lower their edge_shares",
            )


def _tightest(
    quota: dict[str, float], supply: dict[str, float], eligible: dict[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], float, float] | None:
    """The set of types with the largest shortage (Hall's condition); None where there is none."""
    worst: tuple[tuple[str, ...], float, float] | None = None
    for size in range(1, len(quota) + 1):
        for kinds in combinations(sorted(quota), size):
            asked = math.fsum(quota[k] for k in kinds)
            there = math.fsum(n for g, n in supply.items() if set(kinds) & set(eligible[g]))
            if asked > there + 1e-9 and (worst is None or asked - there > worst[1] - worst[2]):
                worst = kinds, asked, there
    return worst


def proxies_concentrated(pack: PolicyPack) -> Findings:
    """Prone parties have enough edges, beyond homes and typical places, for the proxy share."""
    prone = pack.graph_linkage_rules.prone_party_share
    eligible = pack.graph_linkage_rules.eligible_ip_types
    for region in regions_with_mix(pack):
        edges = edge_numbers(pack, region)
        whole = math.fsum(edges.values())
        usable = math.fsum(n for (_, g), n in edges.items() if PROXY in eligible[g]) / whole
        fixed = (
            math.fsum(
                n
                for (_, g, kind), n in typical_edges(pack, region).items()
                if kind != HOME and PROXY in eligible[g]
            )
            / whole
        )
        quota = pack.ip_count_priors.edge_shares[region]
        spare = usable - quota[HOME] - fixed
        needed = quota.get(PROXY, 0.0) / spare if spare > 0 else math.inf
        if needed > prone:
            yield fault(
                "graph_linkage_rules",
                "prone_party_share",
                f"prone parties of {region} have too few spare edges for the {PROXY} share",
                figure=prone,
                bound=needed,
                remedy="raise prone_party_share or lower the edge share",
            )


def degrees_within_gates(pack: PolicyPack) -> Findings:
    """Degree laws, mixed over types, keep p99 and maximum inside T5 at B+, and have a tail."""
    priors, gates = pack.ip_count_priors, pack.validation_policy.gates
    for name, law in priors.degree_laws.items():
        if law.minimum >= priors.degree_cap:
            yield fault(
                "ip_count_priors",
                f"degree_laws.{name}.minimum",
                "not below degree_cap",
                figure=float(law.minimum),
                bound=float(priors.degree_cap),
                remedy="lower it",
            )
            return
    if priors.degree_model == "unbounded":
        return  # reported as a known defect
    highest = min(
        gates["T5_max_devices_per_ip"].Bplus,
        float(pack.validation_policy.linkage_checks.ip_links.max_devices_per_ip),
    )
    if priors.degree_cap > highest:
        yield fault(
            "ip_count_priors",
            "degree_cap",
            "the largest endpoint may exceed T5",
            figure=float(priors.degree_cap),
            bound=highest,
            remedy="lower it",
        )
    for region, mean in priors.homes.mean_devices.items():
        if not 1.0 <= mean <= priors.homes.max_devices_per_lease:
            yield fault(
                "ip_count_priors",
                f"homes.mean_devices.{region}",
                "not a mean of 1 … max_devices_per_lease",
                figure=mean,
                bound=float(priors.homes.max_devices_per_lease),
                remedy="choose a mean inside",
            )
    for region in regions_with_mix(pack):
        p99, p999 = (degree_quantile(pack, region, q) for q in (0.99, 0.999))
        bound = gates["T5_p99_devices_per_ip"].Bplus
        if p99 > bound:
            yield fault(
                "ip_count_priors",
                "degree_laws",
                f"p99 of devices per endpoint in {region} exceeds T5",
                figure=float(p99),
                bound=bound,
                remedy="raise alpha or lower minimum of the crowded types",
            )
        ratio = pack.validation_policy.guards.min_tail_ratio
        least = ratio * priors.homes.mean_devices[region]
        if p999 < least:
            yield fault(
                "ip_count_priors",
                "degree_laws",
                f"p99.9 in {region} is not a tail over a home's mean",
                figure=float(p999),
                bound=least,
                remedy="lower alpha of the crowded types or raise degree_cap",
            )


def degree_quantile(pack: PolicyPack, region: str, level: float) -> int:
    """Quantile of devices per endpoint over the region's endpoints (homes count as ≤ 12)."""
    priors, nodes = pack.ip_count_priors, node_shares(pack, region)
    mass = np.zeros(priors.degree_cap + 1)
    mass[min(priors.homes.max_devices_per_lease, priors.degree_cap)] = nodes[HOME]
    for name, law in priors.degree_laws.items():
        k, part = degree_law(law.minimum, law.alpha, priors.degree_cap)
        mass[k] += nodes.get(name, 0.0) * part
    return int(np.searchsorted(np.cumsum(mass), level))
