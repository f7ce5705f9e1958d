"""Links across borders: whether shares abroad leave typical links at home and pass their guards."""

from __future__ import annotations

import math

from fraudworld.policy.borders import PROXIES, TRAVEL
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.endpoints import edge_numbers, regions_with_mix, typical_edges
from fraudworld.policy.rules.finding import Findings, fault


def abroad_beside_typical(pack: PolicyPack) -> Findings:
    """Links to typical endpoints, which stay at home, leave enough links of a type to go abroad."""
    for region in regions_with_mix(pack):
        edges = math.fsum(edge_numbers(pack, region).values())
        typical = typical_edges(pack, region)
        for name, share in pack.graph_linkage_rules.abroad.items():
            quota = pack.ip_count_priors.edge_shares[region].get(name, 0.0)
            fixed = math.fsum(n for (_, _, kind), n in typical.items() if kind == name) / edges
            most = 1.0 - fixed / quota if quota else 1.0
            if share > most:
                yield fault(
                    "graph_linkage_rules",
                    f"abroad.{name}",
                    f"typical endpoints stay at home and use more of the links in {region}",
                    figure=share,
                    bound=most,
                    remedy="lower the share, or lower the type in typical_ip_shares",
                )


def abroad_within_guards(pack: PolicyPack) -> Findings:
    """Shares abroad lie inside the bounds of the guards `foreign_edges_*`, in every region.

    A policy without links abroad replays the baseline, and fails these guards.
    """
    abroad, bounds = pack.graph_linkage_rules.abroad, pack.validation_policy.guards
    if not abroad:
        return
    for kinds, low, high in (
        (PROXIES, bounds.abroad_min_proxies, bounds.abroad_max_proxies),
        (TRAVEL, bounds.abroad_min_travel, bounds.abroad_max_travel),
    ):
        for region in regions_with_mix(pack):
            mix = pack.ip_count_priors.edge_shares[region]
            links = math.fsum(mix.get(t, 0.0) for t in kinds)
            crossing = math.fsum(mix.get(t, 0.0) * abroad.get(t, 0.0) for t in kinds)
            if links and not low <= crossing / links <= high:
                yield fault(
                    "graph_linkage_rules",
                    f"abroad.{kinds[0]}",
                    f"a guard foreign_edges would fail: {' and '.join(kinds)} in {region}",
                    figure=crossing / links,
                    bound=f"{low:g} to {high:g}",
                    remedy="move the shares abroad of these types inside",
                )
