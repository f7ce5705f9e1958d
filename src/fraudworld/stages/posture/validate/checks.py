"""S5's validation: what must hold in any world, judged on what its scans have counted.

Checks return records; nothing raises. A check whose figure cannot be computed does not
hold. REQUIRED checks that do not hold close the run's flag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.endpoints import node_shares
from fraudworld.stages.posture.role.assign import Roles, Scans
from fraudworld.stages.posture.role.roles import role_table

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Check:
    """One check: what was observed, what is allowed, and whether it holds."""

    check_id: str
    family: str  # key of validation_policy: severity
    severity: str
    where: str  # dataset that would have to change
    observed: float
    bound: str
    holds: bool

    def as_dict(self) -> dict[str, object]:
        """Plain data for the report; an observation that is no number becomes null."""
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
    """The world as the scans saw it."""

    rows: dict[str, int]  # by entity
    scans: Scans
    cells: dict[str, I64]  # by entity: (groups, tiers, raw roles, families)
    owner_correlation: dict[str, object]  # by entity; no number where it is unknown

    @classmethod
    def of(cls, rows: dict[str, int], scans: Scans, roles: dict[str, Roles]) -> Evidence:
        """Of the world and its roles by entity."""
        summaries = {e: r.diagnostics.get("owner_signal_correlation") for e, r in roles.items()}
        return cls(rows, scans, {e: r.cells for e, r in roles.items()}, summaries)


@dataclass(frozen=True)
class Finding:
    """A figure and its bounds, before the policy's severity is known."""

    check_id: str
    family: str
    where: str
    observed: float
    low: float = -math.inf
    high: float = math.inf


def none_of(check_id: str, family: str, where: str, count: float) -> Finding:
    """A count of violations, of which there may be none."""
    return Finding(check_id, family, where, float(count), high=0.0)


def run_checks(pack: PolicyPack, evidence: Evidence) -> tuple[Check, ...]:
    """All checks, in the order of `CHECKS`."""
    return tuple(_judge(pack, f) for check in CHECKS for f in check(pack, evidence))


def passed(checks: tuple[Check, ...]) -> bool:
    """Whether every REQUIRED check holds."""
    return all(c.holds for c in checks if c.severity == "REQUIRED")


def _judge(pack: PolicyPack, found: Finding) -> Check:
    low, high = found.low, found.high
    bound = (
        f"<= {high:g}"
        if math.isinf(low)
        else f">= {low:g}"
        if math.isinf(high)
        else f"{low:g} .. {high:g}"
    )
    # NaN compares false with everything: what is unknown does not hold.
    observed = float(found.observed)
    holds = low <= observed <= high
    severity = pack.validation_policy.severity[found.family]
    return Check(found.check_id, found.family, severity, found.where, observed, bound, holds)


def holdings(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Accounts under their K_max, of the owner's kind; instruments legal and complete."""
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
        yield none_of(name, "structure", where, count)
    yield none_of("holdings_above_kmax", "account_caps", accounts, s.holdings_above_kmax)
    limit = pack.validation_policy.linkage_checks.max_instruments_per_account
    yield Finding(
        "max_instruments_per_account", "linkage", instruments, s.most_instruments, high=limit
    )


def device_links(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """One owner or one merchant; company and access follow homes, firms and ownership."""
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
        yield none_of(name, "structure", where, count)
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
    """No double, no orphan, no border crossed; one typical endpoint per linked device."""
    s, where = evidence.scans.edges, "s4_ip_links_6A"
    for name, count in (
        ("ip_links_out_of_order", s.out_of_order),
        ("duplicate_ip_device_pairs", s.doubles),
        ("ip_link_orphans", s.orphans),
        ("links_across_countries", s.across_countries),
        ("merchant_roles_on_devices", s.merchant_roles),
        ("linked_devices_without_one_typical_ip", s.linked_without_one_typical),
    ):
        yield none_of(name, "structure", where, count)
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
    """One role a row, drawn from the policy's table; tiers exact; fractions in their bands."""
    taxonomy, policy = pack.fraud_role_taxonomy, pack.validation_policy.role_distribution_checks
    for entity, by_family in evidence.cells.items():
        where, table = f"s5_{entity}_fraud_roles_6A", role_table(pack, entity)
        cells = by_family.sum(axis=3)
        if entity != "merchant":
            missing = abs(evidence.rows[entity] - int(cells.sum()))
            yield none_of(f"{entity}_role_rows_missing", "structure", where, missing)
        stray = int(cells[table.shares <= 0.0].sum())
        yield none_of(f"{entity}_roles_outside_policy", "structure", where, stray)
        sizes = cells.sum(axis=2)
        plan = [largest_remainder(int(n), taxonomy.tier_shares) for n in sizes.sum(axis=1)]
        off = int(np.abs(sizes - np.array(plan)).sum()) // 2
        yield none_of(f"{entity}_tiers_off_plan", "structure", where, off)
        of_role = cells.sum(axis=(0, 1))
        if entity in policy.non_clean_fraction:
            band, vocabulary = policy.non_clean_fraction[entity], taxonomy.entities[entity]
            clean = [vocabulary.mapping[r] == vocabulary.clean_family for r in table.roles]
            yield Finding(
                f"{entity}_non_clean_fraction",
                "role_distribution",
                where,
                _share(of_role[~np.array(clean)].sum(), of_role.sum()),
                band.low,
                band.high,
            )
        if entity == "ip":
            risky = of_role[table.roles.index("HIGH_RISK_IP")]
            yield Finding(
                "ip_risky_fraction",
                "role_distribution",
                where,
                _share(risky, of_role.sum()),
                high=policy.ip_roles.max_risky_fraction,
            )
        if entity in ("account", "device"):
            correlation = evidence.owner_correlation[entity]
            yield Finding(
                f"{entity}_owner_score_correlation",
                "role_distribution",
                where,
                abs(correlation) if isinstance(correlation, float) else math.nan,
                high=policy.max_owner_asset_score_correlation,
            )


def role_mapping(pack: PolicyPack, evidence: Evidence) -> Iterator[Finding]:
    """Every raw role is reported under the family the taxonomy names, none unmapped."""
    policy = pack.validation_policy.role_distribution_checks
    unmapped = wrong = total = 0
    for entity, cells in evidence.cells.items():
        families = pack.codes(f"{entity}_family")
        mapping = pack.fraud_role_taxonomy.entities[entity].mapping
        pairs = cells.sum(axis=(0, 1))
        unmapped += int(pairs[:, families.index("UNMAPPED")].sum())
        right = [families.index(mapping[r]) for r in pack.codes(f"{entity}_raw_role")]
        wrong += int(pairs.sum() - pairs[np.arange(len(right)), right].sum())
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
    """Endpoint types on their prior, devices seen at all, a tail that ends."""
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
    """Largest |observed − prior| in percentage points, over rows that have anything."""
    totals = cells.sum(axis=1)
    seen = totals > 0
    if not seen.any():
        return math.nan
    return 100.0 * float(np.abs(cells[seen] / totals[seen, None] - prior[seen]).max())


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part) / float(whole) if whole > 0 else math.nan


CHECKS: tuple[Callable[[PolicyPack, Evidence], Iterator[Finding]], ...] = (
    holdings,
    device_links,
    ip_links,
    roles,
    role_mapping,
    distributions,
)
