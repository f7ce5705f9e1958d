"""The validation checks of S5: bounds on the counts of the scans and on the roles.

Structure is checked against fixed bounds, all else against `validation_policy_6A.v1`. Checks are
returned, not raised. A check whose figure is NaN fails. A run with a failed REQUIRED check gets no
passed flag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.endpoints import node_shares
from fraudworld.stages.posture.role.results import Roles, Scans
from fraudworld.stages.posture.role.roles import role_table

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Check:
    """One figure of the world, its bounds, and whether it is within them."""

    check_id: str
    family: str  # key of `severity` in validation_policy
    severity: str  # REQUIRED or ADVISORY
    where: str  # dataset that is wrong if the check fails
    observed: float
    bound: str
    holds: bool

    def as_dict(self) -> dict[str, object]:
        """JSON data for the report; NaN becomes null."""
        return {
            "check_id": self.check_id,
            "family": self.family,
            "severity": self.severity,
            "where": self.where,
            "observed": None if math.isnan(self.observed) else self.observed,
            "bound": self.bound,
            "status": "PASS" if self.holds else "FAIL",
        }


@dataclass(frozen=True)
class Evidence:
    """What the checks read; dictionaries are by entity."""

    rows: dict[str, int]  # number of entities
    scans: Scans
    cells: dict[str, I64]  # entities by (group, tier, raw role, family)
    owner_correlation: dict[str, float]  # of signals of assets and owners; NaN if unknown

    @classmethod
    def of(cls, rows: dict[str, int], scans: Scans, roles: Mapping[str, Roles[object]]) -> Evidence:
        """The evidence of a world, from its numbers of entities, scans and roles."""
        stated = {e: r.diagnostics.get("owner_signal_correlation") for e, r in roles.items()}
        correlation = {e: r if isinstance(r, float) else math.nan for e, r in stated.items()}
        return cls(rows, scans, {e: r.cells for e, r in roles.items()}, correlation)


@dataclass(frozen=True)
class Finding:
    """A figure and its bounds, low and high included; `Check` adds the severity."""

    check_id: str
    family: str
    where: str
    observed: float
    low: float = -math.inf
    high: float = math.inf


def must_be_zero(check_id: str, family: str, where: str, count: float) -> Finding:
    """A count of violations, which must be 0."""
    return Finding(check_id, family, where, float(count), high=0.0)


def run_checks(pack: PolicyPack, evidence: Evidence) -> tuple[Check, ...]:
    """All checks, in the order of `CHECKS`."""
    return tuple(_judge(pack, f) for check in CHECKS for f in check(pack, evidence))


def passed(checks: tuple[Check, ...]) -> bool:
    """Whether every REQUIRED check holds."""
    return all(c.holds for c in checks if c.severity == "REQUIRED")


def _judge(pack: PolicyPack, finding: Finding) -> Check:
    low, high = finding.low, finding.high
    bound = (
        f"<= {high:g}"
        if math.isinf(low)
        else f">= {low:g}"
        if math.isinf(high)
        else f"{low:g} .. {high:g}"
    )
    observed = float(finding.observed)
    holds = low <= observed <= high  # NaN fails: it compares false with any number
    severity = pack.validation_policy.severity[finding.family]
    return Check(finding.check_id, finding.family, severity, finding.where, observed, bound, holds)


def holdings(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Accounts within K_max and of the owner's party type; instruments legal and complete."""
    s = evidence.scans.holdings
    accounts, instruments = "s2_account_base_6A", "s3_instrument_base_6A"
    for name, where, count in (
        ("accounts_out_of_order", accounts, s.accounts_out_of_order),
        ("products_of_another_party_type", accounts, s.products_of_another_party_type),
        ("instruments_out_of_order", instruments, s.instruments_out_of_order),
        ("illegal_instruments", instruments, s.illegal_instruments),
        ("instruments_above_cap", instruments, s.instruments_above_cap),
        ("tokens_without_card", instruments, s.tokens_without_card),
        ("accounts_without_floor", instruments, s.accounts_without_floor),
    ):
        yield must_be_zero(name, "structure", where, count)
    yield must_be_zero("holdings_above_kmax", "account_caps", accounts, s.holdings_above_kmax)
    limit = pack.validation_policy.linkage_checks.max_instruments_per_account
    yield Finding(
        "max_instruments_per_account", "linkage", instruments, s.most_instruments, high=limit
    )


def device_links(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """One owner or merchant per device; co-users, accounts and instruments linked to the owner."""
    s, where = evidence.scans.links, "s4_device_links_6A"
    for name, count in (
        ("device_links_out_of_order", s.out_of_order),
        ("duplicate_device_links", s.doubles),
        ("device_link_orphans", s.orphans),
        ("devices_without_one_owner", s.devices_without_one_owner),
        ("terminals_without_one_merchant", s.terminals_without_one_merchant),
        ("co_users_from_elsewhere", s.co_users_from_elsewhere),
        ("accounts_of_strangers", s.accounts_of_strangers),
        ("instruments_not_reached", s.instruments_not_reached),
        ("users_misstated", s.users_misstated),
    ):
        yield must_be_zero(name, "structure", where, count)
    limits, rules = pack.validation_policy.linkage_checks, pack.device_linkage_rules
    for name, value, bound in (
        ("max_devices_per_party", s.most_devices_of_party, limits.max_devices_per_party),
        ("max_parties_per_device", s.most_parties, limits.max_parties_per_device),
        ("max_devices_per_account", s.most_devices_of_account, rules.max_devices_per_account),
        (
            "max_devices_per_instrument",
            s.most_devices_of_instrument,
            rules.max_devices_per_instrument,
        ),
        ("max_devices_per_merchant", s.most_devices_of_merchant, rules.max_devices_per_merchant),
    ):
        yield Finding(name, "linkage", where, value, high=bound)


def ip_links(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Links once, to devices of the country; one typical endpoint per linked device."""
    s, where = evidence.scans.edges, "s4_ip_links_6A"
    for name, count in (
        ("ip_links_out_of_order", s.out_of_order),
        ("duplicate_ip_device_pairs", s.doubles),
        ("ip_link_orphans", s.orphans),
        ("links_across_countries", s.across_countries),
        ("merchant_roles_on_devices", s.merchant_roles),
        ("linked_devices_without_one_typical_ip", s.linked_without_one_typical),
    ):
        yield must_be_zero(name, "structure", where, count)
    limits = pack.validation_policy.linkage_checks
    yield Finding(
        "max_ips_per_device",
        "linkage",
        where,
        s.most_ips_of_device,
        high=limits.max_ips_per_device,
    )
    yield Finding(
        "max_devices_per_ip",
        "linkage",
        where,
        s.degrees.size - 1,
        high=limits.ip_links.max_devices_per_ip,
    )


def roles(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Roles from the policy's table, exact tiers, fractions within their bands."""
    limit = pack.validation_policy.role_distribution_checks.max_owner_asset_score_correlation
    for entity, cells in evidence.cells.items():
        by_role = cells.sum(axis=3)
        yield from _role_structure(pack, entity, by_role, evidence.rows[entity])
        yield from _role_fractions(pack, entity, by_role.sum(axis=(0, 1)))
        if entity in ("account", "device"):
            yield Finding(
                f"{entity}_owner_score_correlation",
                "role_distribution",
                f"s5_{entity}_fraud_roles_6A",
                abs(evidence.owner_correlation[entity]),
                high=limit,
            )


def _role_structure(pack: PolicyPack, entity: str, cells: I64, rows: int) -> Iterator[Finding]:
    """Violations of one entity. cells: entities, (groups, tiers, raw roles); rows: entities."""
    where = f"s5_{entity}_fraud_roles_6A"
    if entity != "merchant":
        missing = abs(rows - int(cells.sum()))
        yield must_be_zero(f"{entity}_role_rows_missing", "structure", where, missing)
    outside = int(cells[role_table(pack, entity).shares <= 0.0].sum())
    yield must_be_zero(f"{entity}_roles_outside_policy", "structure", where, outside)
    sizes, shares = cells.sum(axis=2), pack.fraud_role_taxonomy.tier_shares
    plan = [largest_remainder(int(n), shares) for n in sizes.sum(axis=1)]
    # An entity in the wrong tier is missing in one and surplus in another.
    off = int(np.abs(sizes - np.array(plan)).sum()) // 2
    yield must_be_zero(f"{entity}_tiers_off_plan", "structure", where, off)


def _role_fractions(pack: PolicyPack, entity: str, of_role: I64) -> Iterator[Finding]:
    """Bands of one entity's fractions. of_role: entities, (raw roles,)."""
    where, family = f"s5_{entity}_fraud_roles_6A", "role_distribution"
    policy, names = pack.validation_policy.role_distribution_checks, role_table(pack, entity).roles
    if entity in policy.non_clean_fraction:
        band = policy.non_clean_fraction[entity]
        vocabulary = pack.fraud_role_taxonomy.entities[entity]
        clean = [vocabulary.mapping[r] == vocabulary.clean_family for r in names]
        fraction = _share(of_role[~np.array(clean)].sum(), of_role.sum())
        yield Finding(f"{entity}_non_clean_fraction", family, where, fraction, band.low, band.high)
    if entity == "ip":
        fraction = _share(of_role[names.index("HIGH_RISK_IP")], of_role.sum())
        high = policy.ip_roles.max_risky_fraction
        yield Finding("ip_risky_fraction", family, where, fraction, high=high)


def role_mapping(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Every raw role has the canonical family of the taxonomy."""
    policy = pack.validation_policy.role_distribution_checks
    unmapped = wrong = total = 0
    for entity, cells in evidence.cells.items():
        families = pack.codes(f"{entity}_family")
        mapping = pack.fraud_role_taxonomy.entities[entity].mapping
        pairs = cells.sum(axis=(0, 1))
        unmapped += int(pairs[:, families.index("UNMAPPED")].sum())
        family = [families.index(mapping[r]) for r in pack.codes(f"{entity}_raw_role")]
        wrong += int(pairs.sum() - pairs[np.arange(len(family)), family].sum())
        total += int(pairs.sum())
    where = "s5_*_fraud_roles_6A"
    yield Finding("unmapped_roles", "role_mapping", where, unmapped, high=policy.max_unmapped_count)
    yield Finding(
        "mapped_fraction",
        "role_mapping",
        where,
        _share(total - wrong, total),
        policy.min_mapped_fraction,
        1.0,
    )


def distributions(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Shares of endpoint types, linked devices, and the tail of endpoint degrees."""
    s, where = evidence.scans.edges, "s4_ip_links_6A"
    bounds = pack.validation_policy.distribution_checks
    edge_prior, node_prior = np.zeros(s.edge_cells.shape), np.zeros(s.edge_cells.shape)
    types, priors = pack.codes("ip_type"), pack.ip_count_priors
    for r, region in enumerate(pack.codes("region")):
        if region in priors.edge_shares:
            nodes = node_shares(pack, region)
            edge_prior[r] = [priors.edge_shares[region].get(t, 0.0) for t in types]
            node_prior[r] = [nodes.get(t, 0.0) for t in types]
    family, limit = "ip_prior_alignment", bounds.ip_prior_alignment.max_abs_error_pp
    for name, base, cells, prior in (
        ("ip_type_error_pp_links", where, s.edge_cells, edge_prior),
        ("ip_type_error_pp_ips", "s4_ip_base_6A", s.node_cells, node_prior),
    ):
        yield Finding(name, family, base, _worst_error(cells, prior), high=limit)
    yield Finding(
        "linked_device_fraction",
        "device_ip_coverage",
        where,
        _share(s.linked_devices, evidence.rows["device"]),
        low=bounds.device_ip_coverage.min_fraction,
    )
    running = np.cumsum(s.degrees)
    p99 = float(np.searchsorted(running, 0.99 * running[-1])) if running.any() else math.nan
    tail = bounds.ip_degree_tail
    yield Finding("p99_devices_per_ip", "ip_degree_tail", where, p99, high=tail.p99_max)
    worst = s.degrees.size - 1
    yield Finding("worst_devices_per_ip", "ip_degree_tail", where, worst, high=tail.max_max)


def _worst_error(cells: I64, prior: NDArray[np.float64]) -> float:
    """Largest |observed − prior| share in percentage points; NaN if there are no counts.

    cells, prior: counts and shares, (regions, types). Regions without counts are left out.
    """
    totals = cells.sum(axis=1)
    counted = totals > 0
    if not counted.any():
        return math.nan
    return 100.0 * float(np.abs(cells[counted] / totals[counted, None] - prior[counted]).max())


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    """part / whole; NaN if the whole is 0."""
    return float(part) / float(whole) if whole > 0 else math.nan


CHECKS: tuple[Callable[[PolicyPack, Evidence], Iterator[Finding]], ...] = (
    holdings,
    device_links,
    ip_links,
    roles,
    role_mapping,
    distributions,
)
