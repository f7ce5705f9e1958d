"""Typed shape of every file of the policy pack: frozen, closed, no default figures.

One class per file; field names are the YAML keys. A missing number or an unknown key fails the
load (`policy/loader.py`); `policy/lint.py` checks whether the numbers are satisfiable together.
Shares are fractions of one, not per cent; role figures are basis points at LOW, STANDARD,
ELEVATED, HIGH.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

ENTITIES = ("party", "account", "merchant", "device", "ip")
"""Entities whose fraud roles S5 draws."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Shares = dict[str, Share]
TierFigures = tuple[Positive, Positive, Positive, Positive]


class Model(BaseModel):
    """Frozen and closed: an unknown key is an error, a missing one too."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


# --- taxonomies -----------------------------------------------------------------------------


class PartyTaxonomy(Model):
    """`party_taxonomy_6A.v1`: regions, party types, segments."""

    regions: tuple[str, ...]
    party_types: tuple[str, ...]
    segments: dict[str, str]  # segment → party type


class AccountType(Model):
    party_type: str
    group: str  # role group of S5
    ledger: Literal["DEPOSIT", "SETTLEMENT", "REVOLVING", "INSTALMENT"]
    required: bool  # † : a party of this type is expected to hold one


class AccountTaxonomy(Model):
    """`account_taxonomy_6A.v1`: products, their role group and ledger class."""

    groups: tuple[str, ...]
    account_types: dict[str, AccountType]


class InstrumentType(Model):
    family: Literal["CARD", "BANK_DOMESTIC", "BANK_INTERNATIONAL", "WALLET"]
    form: Literal["PHYSICAL", "VIRTUAL", "HANDLE", "TOKEN"]
    ledgers: tuple[str, ...]  # ledger classes it may sit on
    needs_card: bool  # wallet tokens need a card on the same account


class InstrumentTaxonomy(Model):
    """`instrument_taxonomy_6A.v1`: instruments, where they may sit, schemes."""

    instrument_types: dict[str, InstrumentType]
    schemes: tuple[str, ...]


class DeviceType(Model):
    group: str
    owner: Literal["PARTY", "MERCHANT"]


class DeviceTaxonomy(Model):
    """`device_taxonomy_6A.v1`: devices, groups, systems, link roles."""

    groups: tuple[str, ...]
    device_types: dict[str, DeviceType]
    os_families: tuple[str, ...]
    ua_families: tuple[str, ...]
    link_roles: tuple[str, ...]


class IpTaxonomy(Model):
    """`ip_taxonomy_6A.v1`: endpoint types, operators, link roles."""

    ip_types: tuple[str, ...]
    asn_classes: tuple[str, ...]
    ip_versions: tuple[str, ...]
    link_roles: tuple[str, ...]


class RoleVocabulary(Model):
    """Raw roles of one entity and the family each maps to; total, no default."""

    clean_family: str
    mapping: dict[str, str]  # raw role → canonical family


class FraudRoleTaxonomy(Model):
    """`fraud_role_taxonomy_6A.v1`: tiers, vocabularies, merchant classes, IP groups."""

    risk_tiers: tuple[str, str, str, str]
    tier_shares: tuple[Share, Share, Share, Share]
    entities: dict[str, RoleVocabulary]  # of all ENTITIES
    ip_groups: dict[str, dict[str, str]]  # ip_type → asn_class → group; total

    @field_validator("entities")
    @classmethod
    def _of_all(cls, vocabularies: dict[str, RoleVocabulary]) -> dict[str, RoleVocabulary]:
        missing = [entity for entity in ENTITIES if entity not in vocabularies]
        if missing:
            raise ValueError(f"no vocabulary of {', '.join(missing)}")
        return vocabularies


# --- priors ---------------------------------------------------------------------------------


class ScaleDraw(Model):
    sigma: Positive
    low: Positive
    high: Positive


class CountryWeight(Model):
    outlet_offset: Positive
    outlet_exponent: Positive
    arrival_offset: Positive
    arrival_exponent: Positive


class CountryFloor(Model):
    parties_at_authority: Count
    minimum: Count


class Households(Model):
    size_shares: tuple[Share, ...]  # of homes, sizes 1, 2, …
    business_group_size_shares: tuple[Share, ...]  # of firms, sizes 1, 2, …


class PopulationPriors(Model):
    """`population_priors_6A.v1`: how many parties, where, in which homes."""

    arrivals_per_active_party: Positive
    active_share: Share
    scale_draw: ScaleDraw
    country_weight: CountryWeight
    country_floor: CountryFloor
    households: Households
    party_type_mix: dict[str, Shares]  # region → party type → share


class SegmentProfile(Model):
    income: Share
    digital: Share
    cash: Share
    cross_border: Share
    credit: Share
    stability: Share


class CountryModulation(Model):
    """Bounded log-tilts of a country's segment mix around its region's (P6.2)."""

    enabled: bool
    sigma: Annotated[float, Field(ge=0.0)]
    clip: Annotated[float, Field(ge=0.0)]
    max_tv: Share
    median_tv_low: Share
    median_tv_high: Share
    min_parties: Count


class SegmentationPriors(Model):
    """`segmentation_priors_6A.v1`: segment mixes and the profile of each segment."""

    segment_mix: dict[str, dict[str, Shares]]  # region → party type → segment → share
    profiles: dict[str, SegmentProfile]
    country_modulation: CountryModulation


class Tilt(Model):
    """λ = λ0 · exp(clip(Σ weight · (score − 0.5), ±clip))."""

    clip: Positive
    weights: dict[str, dict[str, float]]  # account type → profile score → weight


class ProductMixPriors(Model):
    """`product_mix_priors_6A.v1`: accounts expected per party, tilted by profile."""

    lambda_per_party: dict[str, Positive]  # account type → λ0
    tilt: Tilt
    max_total_lambda: dict[str, Positive]  # party type → Σλ cap
    required_coverage: dict[str, Share]  # account type → share of parties holding one


class HurdleCount(Model):
    """A count law: a hurdle keeps `zero_share` of holders at zero, the rest share by weight.

    `sigma` is the log-spread of the weights, `cap` the most one holder may have.
    """

    cap: Count
    zero_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    sigma: Annotated[float, Field(ge=0.0)]


class AccountConstraints(Model):
    cap_enforcement_mode: Literal["hard_global_postmerge", "warn"]
    max_allowed_kmax_violations: Annotated[int, Field(ge=0)]


class AccountPerPartyPriors(Model):
    """`account_per_party_priors_6A.v1`: the K_max of each product and its spread."""

    constraints: AccountConstraints
    party_factor_correlation: Share  # ρ between products of one party
    counts: dict[str, HurdleCount]  # account type


class InstrumentMixPriors(Model):
    """`instrument_mix_priors_6A.v1`: instruments per account, shares, schemes, floors."""

    lambda_per_account: dict[str, Positive]  # account type → λ_total
    shares: dict[str, Shares]  # account type → instrument type → share of λ_total
    floor: Literal["by_account_type", "universal", "none"]
    floors: dict[str, Shares]  # account type → floor instrument type → share; absent: none
    scheme_mix: dict[str, dict[str, Shares]]  # instrument family → region → scheme → share
    scheme_country_overrides: dict[str, dict[str, Shares]]  # family → country → scheme → share


class InstrumentPerAccountPriors(Model):
    """`instrument_per_account_priors_6A.v1`: caps and spread per account and instrument."""

    max_per_account: Count
    counts: dict[str, dict[str, HurdleCount]]  # account type → instrument type


class DeviceTilt(Model):
    clip: Positive
    weights: dict[str, float]  # profile score → weight


class DeviceCountPriors(Model):
    """`device_count_priors_6A.v1`: how many devices, of which type, group and system."""

    lambda_per_party: dict[str, Positive]  # party type
    density_multiplier: Positive
    tilt: DeviceTilt
    type_mix: dict[str, Shares]  # party type → device type → share
    type_tilt: dict[str, dict[str, float]]  # profile score → device type → weight
    counts: dict[str, HurdleCount]  # device group, per party
    max_owned_per_party: Count
    max_used_per_party: Count
    terminals_per_outlet: Positive
    terminal_mix: Shares
    os_mix: dict[str, Shares]  # device type → os family → share
    ua_mix: dict[str, Shares]  # os family → ua family → share


class IpDegree(Model):
    """P(k) ∝ k^−alpha on minimum … cap devices per endpoint."""

    minimum: Count
    alpha: Positive


class DeviceIps(Model):
    mean: Positive  # endpoints per linked device
    dormant_share: Share  # devices never seen on any endpoint


class Homes(Model):
    max_devices_per_lease: Count
    mean_devices: Positive  # nominal mean, used for the node prior of T3


class IpCountPriors(Model):
    """`ip_count_priors_6A.v1`: endpoints per device, edge shares, degree laws."""

    degree_model: Literal["truncated", "unbounded"]
    missing_region_mix: Literal["abort", "first_available"]
    edge_shares: dict[str, Shares]  # region → ip type → share of device–IP edges
    asn_mix: dict[str, Shares]  # ip type → asn class
    ipv6_share: dict[str, Share]  # ip type
    device_ips: dict[str, DeviceIps]  # device group; PERSONAL, SHARED, …
    dispersion: Positive  # of the negative binomial
    max_ips_per_device: Count
    degree_laws: dict[str, IpDegree]  # RESIDENTIAL only if unbounded
    degree_cap: Count
    homes: Homes
    linked_share_target: Share


class RolePriors(Model):
    """`<entity>_role_priors_6A.v1`: group → raw role → basis points per tier.

    What a tier leaves over takes the group's `remainder` role. `score` weighs features of
    the entity; `noise_sigma` is the entity's own.
    """

    roles: dict[str, dict[str, tuple[float, float, float, float]]]
    remainder: dict[str, str]  # group → raw role
    score: Score


class Score(Model):
    base: float
    weights: dict[str, float]  # feature → weight
    noise_sigma: Positive


class MerchantRolePriors(RolePriors):
    """Merchant figures, and the class of each MCC."""

    class_mix: Shares  # merchant class
    class_risk: dict[str, Share]


class DeviceRolePriors(RolePriors):
    """Device figures, and the relative weight of each device type in the score."""

    type_risk: dict[str, Share]


class IpRolePriors(RolePriors):
    """IP figures, and the relative risk of each endpoint type in the score."""

    type_risk: dict[str, Share]


# --- policies -------------------------------------------------------------------------------


class ZeroInflatedPoisson(Model):
    zero_share: Share
    mean: Positive
    maximum: Count


class SharingRule(Model):
    share: Share  # of the group's devices with more than one user
    max_users: Annotated[int, Field(ge=2)]


class DeviceLinkageRules(Model):
    """`device_linkage_rules_6A.v1`: sharing and access."""

    legacy_device_groups: bool
    sharing: dict[str, SharingRule]  # device group
    accounts_per_device: dict[str, ZeroInflatedPoisson]  # device group
    instruments_per_device: dict[str, ZeroInflatedPoisson]  # device group
    max_devices_per_account: Count
    max_devices_per_instrument: Count
    max_devices_per_merchant: Count


class GraphLinkageRules(Model):
    """`graph_linkage_rules_6A.v1`: who may be seen where."""

    eligible_ip_types: dict[str, tuple[str, ...]]  # device group → ip types
    typical_ip_shares: dict[str, dict[str, Shares]]  # party type or MERCHANT → group → ip type
    prone_party_share: Share  # parties that use proxies
    public_access_share: dict[str, Share]  # ip type → share of SHARED_PUBLIC_WIFI links
    merchant_endpoint_types: Shares
    merchant_endpoints: ZeroInflatedPoisson
    repair_attempts: Count


class Threshold(Model):
    """Bounds of one gate metric at B and at B+."""

    B: float
    Bplus: float


class FractionBand(Model):
    low: Share
    high: Share


class IpLinkChecks(Model):
    max_devices_per_ip: Count


class LinkageChecks(Model):
    max_devices_per_party: Count
    max_parties_per_device: Count
    max_ips_per_device: Count
    max_instruments_per_account: Count
    ip_links: IpLinkChecks


class IpRoleChecks(Model):
    max_risky_fraction: Share


class RoleDistributionChecks(Model):
    non_clean_fraction: dict[str, FractionBand]  # party, account, merchant, device
    ip_roles: IpRoleChecks
    min_mapped_fraction: Share
    max_unmapped_count: Annotated[int, Field(ge=0)]
    max_owner_asset_score_correlation: Share


class IpPriorAlignment(Model):
    max_abs_error_pp: Positive


class DeviceIpCoverage(Model):
    min_fraction: Share


class IpDegreeTail(Model):
    p99_max: Count
    max_max: Count


class DistributionChecks(Model):
    ip_prior_alignment: IpPriorAlignment
    device_ip_coverage: DeviceIpCoverage
    ip_degree_tail: IpDegreeTail


class GateSupport(Model):
    min_expected_per_category: Positive
    min_rows_per_region: Count
    min_expected_for_rate_ratio: Positive
    min_for_percentile: Count
    min_for_share: Count
    min_risky_owners: Count
    bootstrap_resamples: Annotated[int, Field(ge=1000)]
    confidence: Share


class GuardBounds(Model):
    separability_max_odds_ratio: Positive
    separability_max_auc: Share
    role_rate_ratio_low: Positive
    role_rate_ratio_high: Positive
    or_ip_min: Positive
    max_coverage: Share
    min_tail_ratio: Positive
    instrument_mean_tolerance: Share
    min_enrichment: Positive
    max_leakage_auc: Share


class Rebaseline(Model):
    """Why a pack has other bounds than those shipped, and who decided so."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    authority: Annotated[str, Field(min_length=1, max_length=200)]


class ValidationPolicy(Model):
    """`validation_policy_6A.v1`: structural checks of S5, thresholds of T1–T9, guards."""

    severity: dict[str, Literal["REQUIRED", "ADVISORY"]]  # check family → severity
    linkage_checks: LinkageChecks
    role_distribution_checks: RoleDistributionChecks
    distribution_checks: DistributionChecks
    gates: dict[str, Threshold]  # metric family → bounds
    support: GateSupport
    guards: GuardBounds
    # Left out of the resolved pack where there is none: it then has the hash it always had.
    rebaseline: Rebaseline | None = Field(default=None, exclude_if=lambda value: value is None)


class Coupling(Model):
    """Odds ratio aimed at along one edge; solved for, clamped at `max_abs_log_odds`."""

    target_odds_ratio: Positive


class IpCoupling(Model):
    risky_device_log_odds: float
    high_sharing_log_odds: float
    high_sharing_min_devices: Count


class RiskPropagationCoeffs(Model):
    """`risk_propagation_coeffs_6A.v1`: log-odds uplift along ownership and links."""

    propagation: Literal["on", "off"]
    max_abs_log_odds: Positive
    owner_to_account: Coupling
    owner_to_device: Coupling
    device_to_ip: IpCoupling
    role_mapping: Literal["total", "none"]


RolePriors.model_rebuild()
