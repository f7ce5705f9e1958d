"""Typed shape of every file of the policy pack: frozen, closed, no default figures.

One class per file; field names are the YAML keys. A missing number or an unknown key fails the
load (`policy/loader.py`); `policy/lint.py` checks whether the numbers are satisfiable together.
Shares are fractions of one, not per cent; role figures are basis points at LOW, STANDARD,
ELEVATED, HIGH.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fraudworld.policy.limits import (
    MOST_SIZES,
    ByCode,
    Codes,
    Crowd,
    Dispersion,
    Exponent,
    Held,
    Hurdle,
    Lanes,
    Mean,
    Noise,
    Ownership,
    Ratio,
    Rows,
    RowsOrNone,
    Share,
    Shares,
    Slope,
    Spread,
    Table,
    TierFigures,
)

ENTITIES = ("party", "account", "merchant", "device", "ip")
"""Entities whose fraud roles S5 draws."""


class Model(BaseModel):
    """Frozen and closed: an unknown key is an error, a missing one too."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


# --- taxonomies -----------------------------------------------------------------------------


class PartyTaxonomy(Model):
    """`party_taxonomy_6A.v1`: regions, party types, segments."""

    regions: Codes
    party_types: Codes
    segments: ByCode[str]  # segment → party type


class AccountType(Model):
    party_type: str
    group: str  # role group of S5
    ledger: Literal["DEPOSIT", "SETTLEMENT", "REVOLVING", "INSTALMENT"]
    required: bool  # † : a party of this type is expected to hold one


class AccountTaxonomy(Model):
    """`account_taxonomy_6A.v1`: products, their role group and ledger class."""

    groups: Codes
    account_types: ByCode[AccountType]


class InstrumentType(Model):
    family: Literal["CARD", "BANK_DOMESTIC", "BANK_INTERNATIONAL", "WALLET"]
    form: Literal["PHYSICAL", "VIRTUAL", "HANDLE", "TOKEN"]
    ledgers: Codes  # ledger classes it may sit on
    needs_card: bool  # wallet tokens need a card on the same account


class InstrumentTaxonomy(Model):
    """`instrument_taxonomy_6A.v1`: instruments, where they may sit, schemes."""

    instrument_types: ByCode[InstrumentType]
    schemes: Codes


class DeviceType(Model):
    group: str
    owner: Literal["PARTY", "MERCHANT"]


class DeviceTaxonomy(Model):
    """`device_taxonomy_6A.v1`: devices, groups, systems, link roles."""

    groups: Codes
    device_types: ByCode[DeviceType]
    os_families: Codes
    ua_families: Codes
    link_roles: Codes


class IpTaxonomy(Model):
    """`ip_taxonomy_6A.v1`: endpoint types, operators, link roles."""

    ip_types: Codes
    asn_classes: Codes
    ip_versions: Codes
    link_roles: Codes


class RoleVocabulary(Model):
    """Raw roles of one entity and the family each maps to; total, no default."""

    clean_family: str
    mapping: ByCode[str]  # raw role → canonical family


class FraudRoleTaxonomy(Model):
    """`fraud_role_taxonomy_6A.v1`: tiers, vocabularies, merchant classes, IP groups."""

    risk_tiers: tuple[str, str, str, str]
    tier_shares: tuple[Share, Share, Share, Share]
    entities: ByCode[RoleVocabulary]  # of all ENTITIES
    ip_groups: ByCode[ByCode[str]]  # ip_type → asn_class → group; total

    @field_validator("entities")
    @classmethod
    def _of_all(cls, vocabularies: dict[str, RoleVocabulary]) -> dict[str, RoleVocabulary]:
        missing = [entity for entity in ENTITIES if entity not in vocabularies]
        if missing:
            raise ValueError(f"no vocabulary of {', '.join(missing)}")
        return vocabularies


# --- priors ---------------------------------------------------------------------------------


class ScaleDraw(Model):
    sigma: Noise
    low: Mean
    high: Mean


class CountryWeight(Model):
    outlet_offset: Ratio
    outlet_exponent: Exponent
    arrival_offset: Ratio
    arrival_exponent: Exponent


class CountryFloor(Model):
    parties_at_authority: Rows
    minimum: Rows


Sizes = Annotated[tuple[Share, ...], Field(max_length=MOST_SIZES)]


class HomeKind(Model):
    """Homes of one kind: how many heads they have, and how alike these are."""

    heads: Sizes  # of homes, 1, 2, … heads
    same_segment: Share  # of heads, those who share a home with heads of their own segment


class Living(Model):
    """In which kinds of homes the parties of a segment live; both together are the whole."""

    heads: Shares  # kind of home → share
    dependants: Shares  # the same


class Households(Model):
    """Homes of retail parties and firms of business parties.

    composition: `by_kind` reads `kinds`, `living` and `max_members`; `independent` cuts the
    shuffled parties into homes of `size_shares`.
    """

    composition: Literal["independent", "by_kind"]
    size_shares: Sizes  # of homes, sizes 1, 2, …
    business_group_size_shares: Sizes  # of firms, sizes 1, 2, …
    max_members: Annotated[int, Field(ge=1, le=MOST_SIZES)]  # of a home
    kinds: ByCode[HomeKind]
    living: ByCode[ByCode[Living]]  # region → retail segment


class PopulationPriors(Model):
    """`population_priors_6A.v1`: how many parties, where, in which homes."""

    arrivals_per_active_party: Ratio
    active_share: Share
    scale_draw: ScaleDraw
    country_weight: CountryWeight
    country_floor: CountryFloor
    households: Households
    party_type_mix: ByCode[Shares]  # region → party type → share


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
    sigma: Spread
    clip: Spread
    max_tv: Share
    median_tv_low: Share
    median_tv_high: Share
    min_parties: Rows


class SegmentationPriors(Model):
    """`segmentation_priors_6A.v1`: segment mixes and the profile of each segment."""

    segment_mix: ByCode[ByCode[Shares]]  # region → party type → segment → share
    profiles: ByCode[SegmentProfile]
    seed_overdispersion: Dispersion  # of a region's segments between seeds
    country_modulation: CountryModulation


class Tilt(Model):
    """λ = λ0 · exp(clip(Σ weight · (score − 0.5), ±clip))."""

    clip: Exponent
    weights: ByCode[ByCode[Slope]]  # account type → profile score → weight


class CardOwnership(Model):
    """Share of adults with a credit card."""

    regions: ByCode[Ownership]  # of countries without a figure of their own
    countries: Table[Ownership]


class CountryRates(Model):
    """Rates of products by country around those of the region, whose totals are kept."""

    market: Literal["world", "country"]  # world: countries of a region are alike
    card_ownership: CardOwnership
    strength: ByCode[Slope]  # account type → exponent of a country's relative ownership
    clip: Exponent  # of the log factor


class ProductMixPriors(Model):
    """`product_mix_priors_6A.v1`: accounts expected per party, tilted by profile."""

    lambda_per_party: ByCode[Mean]  # account type → λ0
    tilt: Tilt
    max_total_lambda: ByCode[Mean]  # party type → Σλ cap
    required_coverage: Shares  # account type → share of parties holding one
    country_rates: CountryRates
    seed_overdispersion: Dispersion  # of a party type's products between seeds


class HurdleCount(Model):
    """A count law: a hurdle keeps `zero_share` of holders at zero, the rest share by weight.

    `sigma` is the log-spread of the weights, `cap` the most one holder may have.
    """

    cap: Held
    zero_share: Hurdle
    sigma: Spread


class AccountConstraints(Model):
    cap_enforcement_mode: Literal["hard_global_postmerge", "warn"]
    max_allowed_kmax_violations: RowsOrNone


class AccountPerPartyPriors(Model):
    """`account_per_party_priors_6A.v1`: the K_max of each product and its spread."""

    constraints: AccountConstraints
    party_factor_correlation: Share  # ρ between products of one party
    counts: ByCode[HurdleCount]  # account type


class InstrumentMixPriors(Model):
    """`instrument_mix_priors_6A.v1`: instruments per account, shares, schemes, floors."""

    lambda_per_account: ByCode[Mean]  # account type → λ_total
    shares: ByCode[Shares]  # account type → instrument type → share of λ_total
    floor: Literal["by_account_type", "universal", "none"]
    floors: ByCode[Shares]  # account type → floor instrument type → share; absent: none
    scheme_mix: ByCode[ByCode[Shares]]  # instrument family → region → scheme → share
    scheme_country_overrides: ByCode[Table[Shares]]  # family → country → scheme → share
    scheme_exclusions: ByCode[Codes]  # instrument type → schemes that do not issue it


class InstrumentPerAccountPriors(Model):
    """`instrument_per_account_priors_6A.v1`: caps and spread per account and instrument."""

    max_per_account: Held
    counts: ByCode[ByCode[HurdleCount]]  # account type → instrument type


class DeviceTilt(Model):
    clip: Exponent
    weights: ByCode[Slope]  # profile score → weight


class IosShares(Model):
    """Share of iOS among phones."""

    regions: Shares
    countries: Table[Share]  # those that differ from their region


class MobilePlatform(Model):
    """Which of the two mobile systems a party is on, and what goes with it."""

    market: Literal["world", "country"]  # world: `os_mix` alone decides, device by device
    ios_share: IosShares
    income_log_odds: Slope  # of iOS, per unit of the segment's income score
    follow: Shares  # device type → share of devices that are on their owner's system
    wallet_group: str  # device group of which every holder of a wallet token has a device
    wallets: ByCode[str]  # system → scheme of tokens


class DeviceCountPriors(Model):
    """`device_count_priors_6A.v1`: how many devices, of which type, group and system."""

    lambda_per_party: ByCode[Mean]  # party type
    density_multiplier: Mean
    tilt: DeviceTilt
    type_mix: ByCode[Shares]  # party type → device type → share
    type_tilt: ByCode[ByCode[Slope]]  # profile score → device type → weight
    counts: ByCode[HurdleCount]  # device group, per party
    party_factor_correlation: Share  # ρ with the factor of the party's accounts
    seed_overdispersion: Dispersion  # of device types between seeds
    max_owned_per_party: Held
    max_used_per_party: Held
    terminals_per_outlet: Ratio
    terminal_mix: Shares
    os_mix: ByCode[Shares]  # device type → os family → share
    mobile_platform: MobilePlatform
    ua_mix: ByCode[Shares]  # os family → ua family → share


class IpDegree(Model):
    """P(k) ∝ k^−alpha on minimum … cap devices per endpoint."""

    minimum: Crowd
    alpha: Exponent


class DeviceIps(Model):
    mean: Mean  # endpoints per linked device
    dormant_share: Share  # devices never seen on any endpoint


class Homes(Model):
    max_devices_per_lease: Held
    mean_devices: ByCode[Mean]  # region → nominal mean, used for the node prior of T3


class IpCountPriors(Model):
    """`ip_count_priors_6A.v1`: endpoints per device, edge shares, degree laws."""

    degree_model: Literal["truncated", "unbounded"]
    missing_region_mix: Literal["abort", "first_available"]
    edge_shares: ByCode[Shares]  # region → ip type → share of device–IP edges
    asn_mix: ByCode[Shares]  # ip type → asn class
    ipv6_share: Shares  # ip type
    device_ips: ByCode[DeviceIps]  # device group; PERSONAL, SHARED, …
    dispersion: Ratio  # of the negative binomial
    max_ips_per_device: Held
    degree_laws: ByCode[IpDegree]  # RESIDENTIAL only if unbounded
    degree_cap: Crowd
    homes: Homes
    linked_share_target: Share


class RolePriors(Model):
    """`<entity>_role_priors_6A.v1`: group → raw role → basis points per tier.

    What a tier leaves over takes the group's `remainder` role. `score` weighs features of
    the entity; `noise_sigma` is the entity's own.
    """

    roles: ByCode[ByCode[TierFigures]]
    remainder: ByCode[str]  # group → raw role
    score: Score


class Score(Model):
    base: Slope
    weights: ByCode[Slope]  # feature → weight
    noise_sigma: Noise


class MerchantRolePriors(RolePriors):
    """Merchant figures, and the class of each MCC."""

    class_mix: Shares  # merchant class
    class_risk: Shares


class DeviceRolePriors(RolePriors):
    """Device figures, and the relative weight of each device type in the score."""

    type_risk: Shares


class IpRolePriors(RolePriors):
    """IP figures, and the relative risk of each endpoint type in the score."""

    type_risk: Shares


# --- policies -------------------------------------------------------------------------------


class ZeroInflatedPoisson(Model):
    zero_share: Share
    mean: Mean
    maximum: Lanes


class MerchantEndpoints(ZeroInflatedPoisson):
    """Endpoints of a merchant: no lanes are drawn for them."""

    maximum: Held


class SharingRule(Model):
    share: Share  # of the group's devices with more than one user
    max_users: Annotated[Lanes, Field(ge=2)]


class CircleLine(Model):
    """Devices on the line that a circle shares."""

    min_devices: Held  # circles with fewer have no line of their own
    max_devices: Held  # longer lines are cut


class Circles(Model):
    """Groups of retail parties of several homes."""

    member_share: Share  # of retail parties; 0 for no circles
    smallest: Annotated[Held, Field(ge=2)]
    largest: Annotated[Held, Field(ge=2)]
    mean_members: Mean
    one_segment_share: Share
    co_user_share: Share  # of members' shared devices: those that circle mates use
    line: CircleLine


class DeviceLinkageRules(Model):
    """`device_linkage_rules_6A.v1`: circles, sharing and access."""

    legacy_device_groups: bool
    sharing: ByCode[SharingRule]  # device group
    accounts_per_device: ByCode[ZeroInflatedPoisson]  # device group
    instruments_per_device: ByCode[ZeroInflatedPoisson]  # device group
    max_devices_per_account: Held
    max_devices_per_instrument: Held
    max_devices_per_merchant: Crowd
    circles: Circles


class GraphLinkageRules(Model):
    """`graph_linkage_rules_6A.v1`: who may be seen where."""

    eligible_ip_types: ByCode[Codes]  # device group → ip types
    typical_ip_shares: ByCode[ByCode[Shares]]  # party type or MERCHANT → group → ip type
    prone_party_share: Share  # parties that use proxies
    segment_weights: ByCode[ByCode[Ratio]]  # ip type → segment → weight of its links; absent: 1
    public_access_share: Shares  # ip type → share of SHARED_PUBLIC_WIFI links
    merchant_endpoint_types: Shares
    merchant_endpoints: MerchantEndpoints
    repair_attempts: Held
    abroad: Shares  # ip type → share of a country's links on endpoints of other countries


RolePriors.model_rebuild()
