"""Shares of one whole sum to one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.finding import Findings, fault

TOLERANCE = 1e-12


def shares_add_up(pack: PolicyPack) -> Findings:
    """Shares of one whole sum to one within 1e-12."""
    for stem, key, shares in _share_tables(pack):
        total = math.fsum(shares)
        if abs(total - 1.0) > TOLERANCE:
            yield fault(
                stem,
                key,
                "shares do not sum to one",
                figure=total,
                bound=1.0,
                remedy=f"change the shares by {1.0 - total:+.6g} in all",
            )


def _share_tables(pack: PolicyPack) -> Iterator[tuple[str, str, list[float]]]:
    """Every table whose values are parts of one whole."""
    homes = pack.population_priors.households
    yield "fraud_role_taxonomy", "tier_shares", list(pack.fraud_role_taxonomy.tier_shares)
    yield "population_priors", "households.size_shares", list(homes.size_shares)
    firms = list(homes.business_group_size_shares)
    yield "population_priors", "households.business_group_size_shares", firms
    for name, kind in homes.kinds.items():
        yield "population_priors", f"households.kinds.{name}.heads", list(kind.heads)
    for region, segments in homes.living.items():
        for segment, living in segments.items():
            both = [*living.heads.values(), *living.dependants.values()]
            yield "population_priors", f"households.living.{region}.{segment}", both
    one: list[tuple[str, str, Mapping[str, float]]] = [
        ("device_count_priors", "terminal_mix", pack.device_count_priors.terminal_mix),
        ("merchant_role_priors", "class_mix", pack.merchant_role_priors.class_mix),
        (
            "graph_linkage_rules",
            "merchant_endpoint_types",
            pack.graph_linkage_rules.merchant_endpoint_types,
        ),
    ]
    two: list[tuple[str, str, Mapping[str, Mapping[str, float]]]] = [
        ("population_priors", "party_type_mix", pack.population_priors.party_type_mix),
        ("instrument_mix_priors", "shares", pack.instrument_mix_priors.shares),
        ("instrument_mix_priors", "floors", pack.instrument_mix_priors.floors),
        ("device_count_priors", "type_mix", pack.device_count_priors.type_mix),
        ("device_count_priors", "os_mix", pack.device_count_priors.os_mix),
        ("device_count_priors", "ua_mix", pack.device_count_priors.ua_mix),
        ("ip_count_priors", "edge_shares", pack.ip_count_priors.edge_shares),
        ("ip_count_priors", "asn_mix", pack.ip_count_priors.asn_mix),
    ]
    three: list[tuple[str, str, Mapping[str, Mapping[str, Mapping[str, float]]]]] = [
        ("segmentation_priors", "segment_mix", pack.segmentation_priors.segment_mix),
        ("instrument_mix_priors", "scheme_mix", pack.instrument_mix_priors.scheme_mix),
        (
            "instrument_mix_priors",
            "scheme_country_overrides",
            pack.instrument_mix_priors.scheme_country_overrides,
        ),
        ("graph_linkage_rules", "typical_ip_shares", pack.graph_linkage_rules.typical_ip_shares),
    ]
    for stem, key, deep in three:
        two += [(stem, f"{key}.{name}", table) for name, table in deep.items()]
    for stem, key, table in two:
        one += [(stem, f"{key}.{name}", shares) for name, shares in table.items()]
    for stem, key, shares in one:
        yield stem, key, list(shares.values())
