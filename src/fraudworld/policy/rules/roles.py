"""Fraud posture: role figures, implied fractions, propagation, and the baseline's defects."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from fraudworld.policy import models as m
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts
from fraudworld.policy.rules.devices import device_numbers
from fraudworld.policy.rules.endpoints import node_shares, regions_with_mix
from fraudworld.policy.rules.finding import Findings, Severity, fault
from fraudworld.policy.rules.vocabulary import role_priors

WHOLE = 10_000.0  # basis points
RISKY_IP_ROLE = "HIGH_RISK_IP"

# Defects of the published system: file, dotted key, value. Only a baseline replay may have them.
DEFECTS: tuple[tuple[str, str, object], ...] = (
    ("account_per_party_priors", "constraints.cap_enforcement_mode", "warn"),
    ("ip_count_priors", "missing_region_mix", "first_available"),
    ("ip_count_priors", "degree_model", "unbounded"),
    ("device_linkage_rules", "legacy_device_groups", True),
    ("instrument_mix_priors", "floor", "universal"),
    ("risk_propagation_coeffs", "propagation", "off"),
    ("risk_propagation_coeffs", "role_mapping", "none"),
)


def defects_need_posture(pack: PolicyPack) -> Findings:
    """Values that replay the failing world need the posture for it, and are always reported."""
    replay = pack.posture == "baseline_replay"
    advisory = [
        ("validation_policy", f"severity.{family}", "ADVISORY")
        for family, level in pack.validation_policy.severity.items()
        if level == "ADVISORY"
    ]
    for stem, key, value in (*DEFECTS, *advisory):
        found: object = getattr(pack, stem)
        for part in key.split("."):
            found = found[part] if isinstance(found, Mapping) else getattr(found, part)
        if found == value:
            yield fault(
                stem,
                key,
                "a known defect of the published baseline",
                figure=str(value),
                bound="the certifiable value of the shipped pack",
                remedy="replayed on purpose"
                if replay
                else "change it, or set posture: baseline_replay",
                severity=Severity.KNOWN_DEFECT if replay else Severity.ERROR,
            )


def role_figures_fit(pack: PolicyPack) -> Findings:
    """Figures of a group and tier leave room for the remainder."""
    tiers = pack.fraud_role_taxonomy.risk_tiers
    for entity, priors in role_priors(pack).items():
        for group, roles in priors.roles.items():
            for i, tier in enumerate(tiers):
                figures = [f[i] for f in roles.values()]
                total = math.fsum(figures)
                if total > WHOLE or any(f < 0 for f in figures):
                    yield fault(
                        f"{entity}_role_priors",
                        f"roles.{group}",
                        f"basis points at {tier} are negative or exceed the whole",
                        figure=total,
                        bound=WHOLE,
                        remedy="lower the figures of this tier",
                    )


def group_shares(pack: PolicyPack, region: str) -> dict[str, dict[str, float]]:
    """Entity → group → share of the region's entities, as the priors imply it."""
    accounts: dict[str, float] = defaultdict(float)
    for segment, share in counts.segments_of(pack, region).items():
        owner = pack.party_taxonomy.segments[segment]
        for product, a in pack.account_taxonomy.account_types.items():
            if a.party_type == owner:
                accounts[a.group] += share * counts.account_lambda(pack, product, segment)
    devices: dict[str, float] = defaultdict(float)
    for (_, group), number in device_numbers(pack, region).items():
        devices[group] += number
    ips: dict[str, float] = defaultdict(float)
    for kind, share in (
        node_shares(pack, region).items() if region in regions_with_mix(pack) else ()
    ):
        for asn, part in pack.ip_count_priors.asn_mix[kind].items():
            ips[pack.fraud_role_taxonomy.ip_groups[kind][asn]] += share * part
    raw: dict[str, Mapping[str, float]] = {
        "party": pack.population_priors.party_type_mix[region],
        "account": accounts,
        "merchant": pack.merchant_role_priors.class_mix,
        "device": devices,
        "ip": ips,
    }
    return {
        entity: {g: v / math.fsum(groups.values()) for g, v in groups.items()}
        for entity, groups in raw.items()
    }


def role_shares(pack: PolicyPack, entity: str, groups: Mapping[str, float]) -> dict[str, float]:
    """Raw role → share of entities: Σ group share × tier share × figure; no remainder."""
    out: dict[str, float] = defaultdict(float)
    tiers = pack.fraud_role_taxonomy.tier_shares
    for group, share in groups.items():
        for role, figures in role_priors(pack)[entity].roles[group].items():
            out[role] += (
                share * math.fsum(t * f for t, f in zip(tiers, figures, strict=True)) / WHOLE
            )
    return dict(out)


def fractions_within_bands(pack: PolicyPack) -> Findings:
    """Implied non-clean fractions lie in the validation bands, risky endpoints under their cap."""
    checks = pack.validation_policy.role_distribution_checks
    for region in regions_with_mix(pack):
        shares = group_shares(pack, region)
        for entity, band in checks.non_clean_fraction.items():
            vocabulary = pack.fraud_role_taxonomy.entities[entity]
            found = math.fsum(
                share
                for role, share in role_shares(pack, entity, shares[entity]).items()
                if vocabulary.mapping[role] != vocabulary.clean_family
            )
            if not band.low <= found <= band.high:
                yield fault(
                    f"{entity}_role_priors",
                    "roles",
                    f"the non-clean fraction implied in {region} is outside validation's band",
                    figure=found,
                    bound=f"{band.low} to {band.high}",
                    remedy="change the figures, or the band in validation_policy",
                )
        risky = role_shares(pack, "ip", shares["ip"]).get(RISKY_IP_ROLE, 0.0)
        if risky > checks.ip_roles.max_risky_fraction:
            yield fault(
                "ip_role_priors",
                "roles",
                f"implied {RISKY_IP_ROLE} share of {region} exceeds its cap",
                figure=risky,
                bound=checks.ip_roles.max_risky_fraction,
                remedy="lower the figures",
            )


def propagation_reachable(pack: PolicyPack) -> Findings:
    """The target odds ratio is within clamp, guard and gate T7."""
    rules = pack.risk_propagation_coeffs
    gate = pack.validation_policy.gates["T7_odds_ratio"]
    guard = pack.validation_policy.guards.separability_max_odds_ratio
    stem = "risk_propagation_coeffs"
    region = pack.party_taxonomy.regions[0]
    for entity, coupling in (
        ("account", rules.owner_to_account),
        ("device", rules.owner_to_device),
    ):
        if rules.propagation_by != "risk":
            break  # the targets are not used; rules/pairs.py has what is
        key, target = f"owner_to_{entity}.target_odds_ratio", coupling.target_odds_ratio
        reach = _largest_odds_ratio(pack, entity, group_shares(pack, region)[entity])
        if target > min(reach, guard):
            yield fault(
                stem,
                key,
                "beyond the clamp of log-odds or the separability guard",
                figure=target,
                bound=min(reach, guard),
                remedy="lower the target or raise max_abs_log_odds",
            )
        if rules.propagation == "on" and target < gate.Bplus:
            low, replay = target < gate.B, pack.posture == "baseline_replay"
            # A replay may aim too low on purpose: T10's half dose does.
            graded = Severity.KNOWN_DEFECT if replay else Severity.ERROR
            yield fault(
                stem,
                key,
                "below T7 at B" if low else "enough for B, not for B+",
                figure=target,
                bound=gate.B if low else gate.Bplus,
                remedy="raise the target",
                severity=graded if low else Severity.NOTE,
            )
    largest = abs(rules.device_to_ip.risky_device_log_odds) + abs(
        rules.device_to_ip.high_sharing_log_odds
    )
    if largest > rules.max_abs_log_odds:
        yield fault(
            stem,
            "device_to_ip",
            "both uplifts together exceed the clamp",
            figure=largest,
            bound=rules.max_abs_log_odds,
            remedy="lower one of them",
        )
    if rules.device_to_ip.high_sharing_min_devices > pack.ip_count_priors.degree_cap:
        yield fault(
            stem,
            "device_to_ip.high_sharing_min_devices",
            "no endpoint has that many devices",
            figure=float(rules.device_to_ip.high_sharing_min_devices),
            bound=float(pack.ip_count_priors.degree_cap),
            remedy="lower it",
        )


def _largest_odds_ratio(pack: PolicyPack, entity: str, groups: Mapping[str, float]) -> float:
    """Crude odds ratio at the clamp, with every stratum's prior kept.

    Owners are taken as independent of group and tier, and risky at the retail party share.
    """
    parties = pack.population_priors.party_type_mix[pack.party_taxonomy.regions[0]]
    owners = math.fsum(role_shares(pack, "party", parties).values())
    uplift = math.exp(pack.risk_propagation_coeffs.max_abs_log_odds)
    priors: m.RolePriors = role_priors(pack)[entity]
    cells = []  # mass, non-clean rate
    for group, share in groups.items():
        for i, tier in enumerate(pack.fraud_role_taxonomy.tier_shares):
            rate = math.fsum(f[i] for f in priors.roles[group].values()) / WHOLE
            cells.append((share * tier, rate))
    clean = risky = 0.0
    for mass, rate in cells:
        base = _base_rate(rate, owners, uplift)
        clean += mass * base
        risky += mass * _raised(base, uplift)
    return risky / (1 - risky) / (clean / (1 - clean)) if 0 < clean < 1 and risky < 1 else uplift


def _raised(rate: float, factor: float) -> float:
    """The rate whose odds are `factor` times those of `rate`."""
    return rate * factor / (1 - rate + rate * factor)


def _base_rate(rate: float, owners: float, factor: float) -> float:
    """Rate under clean owners such that the mixture with risky ones is `rate` (bisection)."""
    low, high = 0.0, rate
    for _ in range(60):
        middle = 0.5 * (low + high)
        mixed = (1 - owners) * middle + owners * _raised(middle, factor)
        low, high = (middle, high) if mixed < rate else (low, middle)
    return 0.5 * (low + high)


def country_modulation_bounded(pack: PolicyPack) -> Findings:
    """The band of country differences is ordered and inside its hard bound."""
    rule = pack.segmentation_priors.country_modulation
    if not rule.median_tv_low <= rule.median_tv_high <= rule.max_tv:
        yield fault(
            "segmentation_priors",
            "country_modulation",
            "bounds are not in order",
            figure=f"{rule.median_tv_low}, {rule.median_tv_high}, {rule.max_tv}",
            bound="median_tv_low ≤ median_tv_high ≤ max_tv",
            remedy="reorder the bounds",
        )
    if rule.enabled and not (rule.sigma > 0 and rule.clip > 0):
        yield fault(
            "segmentation_priors",
            "country_modulation.sigma",
            "enabled without any tilt",
            figure=rule.sigma,
            bound="above 0",
            remedy="raise sigma and clip, or disable it",
        )
    draw = pack.population_priors.scale_draw
    if not draw.low <= 1.0 <= draw.high:
        yield fault(
            "population_priors",
            "scale_draw",
            "the nominal size lies outside the clip",
            figure=f"{draw.low} to {draw.high}",
            bound="low ≤ 1 ≤ high",
            remedy="widen the clip",
        )
