"""Typed shape of `validation_policy`: checks of S5, thresholds of T1–T9, guards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fraudworld.policy.limits import (
    MOST_RESAMPLES,
    ByCode,
    Crowd,
    Figure,
    Held,
    Ratio,
    Rows,
    RowsOrNone,
    Share,
)
from fraudworld.policy.models import Model


class Threshold(Model):
    """Bounds of one gate metric at B and at B+."""

    B: Figure
    Bplus: Figure


class FractionBand(Model):
    """A share between two ends, both included."""

    low: Share
    high: Share


class IpLinkChecks(Model):
    """Limits of links of endpoints."""

    max_devices_per_ip: Rows


class LinkageChecks(Model):
    """Limits of links that no world may exceed."""

    max_devices_per_party: Held
    max_parties_per_device: Held
    max_ips_per_device: Held
    max_instruments_per_account: Held
    ip_links: IpLinkChecks


class IpRoleChecks(Model):
    """Limits of roles of endpoints."""

    max_risky_fraction: Share


class RoleDistributionChecks(Model):
    """Shares of roles that a world must keep to."""

    non_clean_fraction: ByCode[FractionBand]  # party, account, merchant, device
    ip_roles: IpRoleChecks
    min_mapped_fraction: Share
    max_unmapped_count: RowsOrNone
    max_owner_asset_score_correlation: Share


class IpPriorAlignment(Model):
    """Largest error of an endpoint type's share, in percentage points."""

    max_abs_error_pp: Ratio


class DeviceIpCoverage(Model):
    """Least share of devices with an endpoint."""

    min_fraction: Share


class IpDegreeTail(Model):
    """Largest 99th percentile and maximum of devices per endpoint."""

    p99_max: Rows
    max_max: Rows


class DistributionChecks(Model):
    """Limits of distributions of the network."""

    ip_prior_alignment: IpPriorAlignment
    device_ip_coverage: DeviceIpCoverage
    ip_degree_tail: IpDegreeTail


class GateSupport(Model):
    """Least evidence of a verdict, and how its interval is computed."""

    min_expected_per_category: Ratio
    min_rows_per_region: Rows
    min_expected_for_rate_ratio: Ratio
    min_for_percentile: Rows
    min_for_share: Rows
    min_risky_owners: Rows
    bootstrap_resamples: Annotated[int, Field(ge=1000, le=MOST_RESAMPLES)]
    confidence: Share


class GuardBounds(Model):
    """Bounds of the guards against worlds that pass by a shortcut."""

    separability_max_odds_ratio: Ratio
    separability_max_auc: Share
    role_rate_ratio_low: Ratio
    role_rate_ratio_high: Ratio
    or_ip_min: Ratio
    max_coverage: Share
    min_tail_ratio: Ratio
    instrument_mean_tolerance: Share
    min_enrichment: Ratio
    max_leakage_auc: Share
    market_min_phones: Rows
    market_tolerance: Share
    market_rate_tolerance: Share
    min_income_odds_ratio: Ratio
    min_wallet_device_share: Share
    engagement_low: Share
    engagement_high: Share
    household_max_family_alone: Share
    household_min_student_company: Share
    household_min_retired_company: Share
    household_min_partner_lift: Ratio
    household_size_tolerance: Share
    role_coherence_min_mule_owners: Share
    role_coherence_min_several_users: Share
    role_coherence_max_non_clean: Share
    transmission_min_odds_ratio: Ratio
    transmission_max_odds_ratio: Ratio
    transmission_max_degree: Crowd
    abroad_min_proxies: Share
    abroad_max_proxies: Share
    abroad_min_travel: Share
    abroad_max_travel: Share
    seed_variation_low: Ratio
    seed_variation_high: Ratio
    leakage_joined_max_auc: Share
    leakage_joined_min_party_auc: Share


class Rebaseline(Model):
    """Why a pack has other bounds than those shipped, and who decided so."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    authority: Annotated[str, Field(min_length=1, max_length=200)]


class ValidationPolicy(Model):
    """`validation_policy_6A.v1`: structural checks of S5, thresholds of T1–T9, guards."""

    severity: ByCode[Literal["REQUIRED", "ADVISORY"]]  # check family → severity
    linkage_checks: LinkageChecks
    role_distribution_checks: RoleDistributionChecks
    distribution_checks: DistributionChecks
    gates: ByCode[Threshold]  # metric family → bounds
    support: GateSupport
    guards: GuardBounds
    # Left out of the resolved pack where there is none: it then has the hash it always had.
    rebaseline: Rebaseline | None = Field(default=None, exclude_if=lambda value: value is None)
