"""Devices: means under caps, ownership limits, sharing, systems, dormancy."""

from __future__ import annotations

import math
from collections import defaultdict

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts, homes
from fraudworld.policy.rules.finding import Findings, fault
from fraudworld.policy.rules.vocabulary import MOBILE_SYSTEMS, owned_groups

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
    largest = homes.largest_home(pack)
    firms = pack.population_priors.households.business_group_size_shares
    limit = pack.validation_policy.linkage_checks.max_parties_per_device
    regions = pack.party_taxonomy.regions
    reach = {region: _with_company(pack, region) for region in regions}
    for group, rule in pack.device_linkage_rules.sharing.items():
        shares = {region: of[group] for region, of in reach.items() if group in of}
        if shares and rule.share > min(shares.values()):
            worst = min(shares, key=lambda r: shares[r])
            yield fault(
                "device_linkage_rules",
                f"sharing.{group}.share",
                f"too few owners in {worst} live or work with another party",
                figure=rule.share,
                bound=shares[worst],
                remedy="lower the share or raise household and firm sizes in population_priors",
            )
        most = min(limit, max(largest, len(firms)))
        if rule.max_users > most:
            yield fault(
                "device_linkage_rules",
                f"sharing.{group}.max_users",
                "more users than the largest home, or than validation allows",
                figure=float(rule.max_users),
                bound=float(most),
                remedy="lower it",
            )


def _with_company(pack: PolicyPack, region: str) -> dict[str, float]:
    """Device group → share of its devices whose owner's home or firm has another party."""
    firms = pack.population_priors.households.business_group_size_shares
    of_firms = 1.0 - firms[0] / math.fsum(n * share for n, share in enumerate(firms, start=1))
    of_homes = homes.company(pack, region)
    owned: dict[str, float] = defaultdict(float)
    shared: dict[str, float] = defaultdict(float)
    for segment, share in counts.segments_of(pack, region).items():
        owner = pack.party_taxonomy.segments[segment]
        company = of_homes[segment] if owner == homes.RETAIL else of_firms * (owner == "BUSINESS")
        for kind, mean in counts.device_lambdas(pack, segment).items():
            group = pack.device_taxonomy.device_types[kind].group
            owned[group] += share * mean
            shared[group] += share * mean * company
    return {group: shared[group] / number for group, number in owned.items() if number > 0}


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


def platforms_fit(pack: PolicyPack) -> Findings:
    """Types that follow their owner's mobile system run on one; wallets have devices that pay."""
    priors, types = pack.device_count_priors, pack.device_taxonomy.device_types
    rule, stem = priors.mobile_platform, "device_count_priors"
    for kind in rule.follow:
        other = math.fsum(v for o, v in priors.os_mix[kind].items() if o not in MOBILE_SYSTEMS)
        if other > 0:
            yield fault(
                stem,
                f"mobile_platform.follow.{kind}",
                "this type also runs on systems that are not mobile",
                figure=other,
                bound=0.0,
                remedy="take it out of follow, or change its os_mix",
            )
    pays = {t for t, d in types.items() if d.group == rule.wallet_group and d.owner == "PARTY"}
    for kind in sorted(pays - set(rule.follow)):
        yield fault(
            stem,
            f"mobile_platform.follow.{kind}",
            "a type of the wallet group without a share",
            figure=None,
            bound=f"a share for {kind}",
            remedy="add it; a holder's first device of the group is on the wallet's system",
        )
    if rule.market == "world":
        return
    for segment, owner in pack.party_taxonomy.segments.items():
        holders = math.fsum(
            counts.account_lambda(pack, product, segment) * _tokens(pack, product)
            for product, declared in pack.account_taxonomy.account_types.items()
            if declared.party_type == owner
        )
        devices = math.fsum(
            mean for t, mean in counts.device_lambdas(pack, segment).items() if t in pays
        )
        if holders > devices:
            yield fault(
                stem,
                "mobile_platform.wallet_group",
                f"{segment} may have more holders of tokens than devices that pay",
                figure=devices,
                bound=holders,
                remedy="raise the group's share of type_mix, or lower the shares of tokens",
            )


def _tokens(pack: PolicyPack, product: str) -> float:
    """Wallet tokens per account of a product."""
    mix, taxonomy = pack.instrument_mix_priors, pack.instrument_taxonomy.instrument_types
    shares = mix.shares[product].items()
    share = math.fsum(s for name, s in shares if taxonomy[name].family == "WALLET")
    return mix.lambda_per_account[product] * share


def schemes_remain(pack: PolicyPack) -> Findings:
    """Every instrument is issued by some scheme of every region and country."""
    mix = pack.instrument_mix_priors
    for kind, excluded in mix.scheme_exclusions.items():
        family = pack.instrument_taxonomy.instrument_types[kind].family
        places = mix.scheme_mix[family] | mix.scheme_country_overrides.get(family, {})
        for place, shares in places.items():
            if not any(share > 0 for name, share in shares.items() if name not in excluded):
                yield fault(
                    "instrument_mix_priors",
                    f"scheme_exclusions.{kind}",
                    f"no scheme of {place} issues it",
                    figure=", ".join(excluded),
                    bound=f"one of {', '.join(shares)} left",
                    remedy="exclude fewer schemes",
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
