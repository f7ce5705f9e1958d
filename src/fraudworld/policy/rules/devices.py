"""Devices: means under caps, ownership limits, sharing, systems, dormancy."""

from __future__ import annotations

import math
from collections import defaultdict

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts
from fraudworld.policy.rules.finding import Findings, fault
from fraudworld.policy.rules.vocabulary import owned_groups

COVERAGE_TOLERANCE = 0.005


def device_numbers(pack: PolicyPack, region: str) -> dict[tuple[str, str], float]:
    """(party type, group) → party devices per party of the region, owned by that type."""
    out: dict[tuple[str, str], float] = defaultdict(float)
    for segment, share in counts.segments_of(pack, region).items():
        owner = pack.party_taxonomy.segments[segment]
        for kind, mean in counts.device_lambdas(pack, segment).items():
            out[owner, pack.device_taxonomy.device_types[kind].group] += share * mean
    return dict(out)


def device_means_fit(pack: PolicyPack) -> Findings:
    """Devices of a group expected per party of any segment fit cap and hurdle."""
    for group, law in pack.device_count_priors.counts.items():
        room = law.cap * (1.0 - law.zero_share)
        means = {
            segment: math.fsum(
                mean
                for t, mean in counts.device_lambdas(pack, segment).items()
                if pack.device_taxonomy.device_types[t].group == group
            )
            for segment in pack.party_taxonomy.segments
        }
        worst = max(means, key=lambda s: means[s])
        if means[worst] > room:
            yield fault(
                "device_count_priors",
                f"counts.{group}",
                f"{worst} expects more {group} devices per party than cap and hurdle allow",
                figure=means[worst],
                bound=room,
                remedy="raise cap, lower zero_share, or lower lambda_per_party or the group's mix",
            )


def ownership_caps_fit(pack: PolicyPack) -> Findings:
    """Group caps of any party type add up within max_owned ≤ max_used ≤ the hard limit."""
    priors = pack.device_count_priors
    for owner in priors.type_mix:
        total = sum(priors.counts[g].cap for g in owned_groups(pack, owner))
        if total > priors.max_owned_per_party:
            yield fault(
                "device_count_priors",
                "max_owned_per_party",
                f"caps of the groups a {owner} party can own add up above it",
                figure=float(total),
                bound=float(priors.max_owned_per_party),
                remedy="lower a group's cap",
            )
    hard = pack.validation_policy.linkage_checks.max_devices_per_party
    chain = (
        ("max_owned_per_party", priors.max_owned_per_party, priors.max_used_per_party),
        ("max_used_per_party", priors.max_used_per_party, hard),
    )
    for key, value, limit in chain:
        if value > limit:
            yield fault(
                "device_count_priors",
                key,
                "above the limit it must stay within",
                figure=float(value),
                bound=float(limit),
                remedy="lower it",
            )


def sharing_reachable(pack: PolicyPack) -> Findings:
    """Shared devices do not exceed those whose owner lives or works with another party."""
    homes = pack.population_priors.households
    company = {
        "RETAIL": _with_company(homes.size_shares),
        "BUSINESS": _with_company(homes.business_group_size_shares),
    }
    limit = pack.validation_policy.linkage_checks.max_parties_per_device
    for group, rule in pack.device_linkage_rules.sharing.items():
        reach = {}
        for region in pack.party_taxonomy.regions:
            number = {o: n for (o, g), n in device_numbers(pack, region).items() if g == group}
            whole = math.fsum(number.values())
            if whole > 0:
                reach[region] = (
                    math.fsum(n * company.get(o, 0.0) for o, n in number.items()) / whole
                )
        if reach and rule.share > min(reach.values()):
            worst = min(reach, key=lambda r: reach[r])
            yield fault(
                "device_linkage_rules",
                f"sharing.{group}.share",
                f"too few owners in {worst} live or work with another party",
                figure=rule.share,
                bound=reach[worst],
                remedy="lower the share or raise household and firm sizes in population_priors",
            )
        most = min(limit, max(len(homes.size_shares), len(homes.business_group_size_shares)))
        if rule.max_users > most:
            yield fault(
                "device_linkage_rules",
                f"sharing.{group}.max_users",
                "more users than the largest home, or than validation allows",
                figure=float(rule.max_users),
                bound=float(most),
                remedy="lower it",
            )


def _with_company(size_shares: tuple[float, ...]) -> float:
    """Share of members (not of homes) whose home has another member."""
    members = [share * size for size, share in enumerate(size_shares, start=1)]
    return 1.0 - members[0] / math.fsum(members)


def browsers_fit_systems(pack: PolicyPack) -> Findings:
    """Safari runs on Apple's systems only."""
    for system, mix in pack.device_count_priors.ua_mix.items():
        if system not in ("IOS", "MACOS") and mix.get("SAFARI", 0.0) > 0:
            yield fault(
                "device_count_priors",
                f"ua_mix.{system}.SAFARI",
                "a browser this system does not have",
                figure=mix["SAFARI"],
                bound=0.0,
                remedy="move the share to another browser",
            )


def linked_share_matches(pack: PolicyPack) -> Findings:
    """Dormant shares leave the target share of linked devices."""
    if pack.device_linkage_rules.legacy_device_groups:
        return  # the baseline's own coverage is reported by rules.roles.defects
    target = pack.ip_count_priors.linked_share_target
    for region in pack.party_taxonomy.regions:
        number = device_numbers(pack, region)
        linked = math.fsum(
            n * (1.0 - pack.ip_count_priors.device_ips[g].dormant_share)
            for (_, g), n in number.items()
        ) / math.fsum(number.values())
        if abs(linked - target) > COVERAGE_TOLERANCE:
            yield fault(
                "ip_count_priors",
                "linked_share_target",
                f"dormant shares miss the target share of linked devices in {region}",
                figure=linked,
                bound=target,
                remedy="change dormant_share of a group, or the target",
            )
    guard = pack.validation_policy.guards.max_coverage
    least = pack.validation_policy.gates["T4_linked_device_fraction"].Bplus
    if not least <= target <= guard:
        yield fault(
            "ip_count_priors",
            "linked_share_target",
            "outside what T4 and its guard accept",
            figure=target,
            bound=f"{least} to {guard}",
            remedy="choose a share between the two",
        )
