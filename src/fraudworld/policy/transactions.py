"""Typed shape of the files of segment 6B: attachment, amounts, campaigns, bank view, witness.

Weights are integers of which only the ratios matter; shares are fractions of one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fraudworld.policy.limits import (
    MOST_FLOWS,
    MOST_PRICES,
    WIDEST_AMOUNT,
    WIDEST_DELAY,
    ByCode,
    Codes,
    Figure,
    Mean,
    Ratio,
    Rows,
    Share,
    Shares,
    Table,
)
from fraudworld.policy.models import Model

Weight = Annotated[int, Field(ge=0, le=1000)]
Weights = ByCode[Weight]
SmallWeight = Annotated[int, Field(ge=1, le=16)]
Flows = Annotated[int, Field(ge=1, le=MOST_FLOWS)]
AmountSpread = Annotated[float, Field(gt=0.0, le=WIDEST_AMOUNT)]
FlowsPerVisit = Annotated[float, Field(ge=0.5, le=10.0)]


class LogNormal(Model):
    """A log-normal law by its median and the spread of its logarithm."""

    median: Annotated[float, Field(gt=0.0, le=1e5)]
    sigma: Annotated[float, Field(gt=0.0, le=WIDEST_DELAY)]


class Days(LogNormal):
    """A delay in days; the sum of three stays inside 64 bits of milliseconds."""

    median: Mean


class CampaignSize(LogNormal):
    """Flows of one campaign; a median below one flow would make a campaign for every arrival."""

    median: Annotated[float, Field(ge=1.0, le=1e5)]


Activity = Annotated[float, Field(gt=0.0, le=100.0)]
"""Times the propensity to travel, and 8.3 sigma, it stays inside 64 bits."""


class Attachment(Model):
    """`attachment_6B.v1`: party, account, instrument, device and endpoint of an arrival."""

    home_share: Shares  # channel → arrivals made by customers of the outlet's country
    flows_per_visit: FlowsPerVisit
    activity_sigma: AmountSpread  # log-spread of a party's activity
    segment_activity: ByCode[Activity]  # segment → activity relative to others
    account_use: Weights  # account type
    instrument_use: ByCode[Weights]  # channel → instrument type
    device_use: Weights  # device type
    household_device_share: Share  # visits through a device of someone at the same home
    typical_endpoint_share: Share  # visits from the device's typical endpoint


class SpendClass(Model):
    """Amounts of one merchant class, in US dollars."""

    median: Ratio
    sigma: AmountSpread
    price_point_share: Share  # amounts that are a shelf price
    refund_share: Share  # of cleared flows


class FlowAmounts(Model):
    """`flow_amounts_6B.v1`: money, authorisation, events."""

    classes: ByCode[SpendClass]  # merchant class
    income_elasticity: AmountSpread  # amount × exp(elasticity × (segment income − 0.5))
    price_points: Annotated[tuple[Ratio, ...], Field(max_length=MOST_PRICES)]  # dollars, ascending
    units_per_dollar: Table[Ratio]  # currency → local units of one dollar
    latency_ms: ByCode[LogNormal]  # channel
    declined_share: Shares  # channel, legitimate flows
    clearing_hours: ByCode[LogNormal]  # channel
    refund_days: Days


class CampaignType(Model):
    """One kind of attack: size, rhythm, targets, tactics."""

    flow_share: Share  # of all flows, over the horizon
    flows: CampaignSize  # flows of one campaign
    max_days: Annotated[int, Field(ge=1, le=366)]
    hours_per_day: Annotated[int, Field(ge=1, le=24)]  # length of the daily burst
    flows_per_victim: Mean
    channels: Shares  # relative appetite per channel
    merchant_classes: Shares  # relative appetite per class
    merchant_roles: Codes  # only these canonical families; empty: any
    exposed_party_weight: SmallWeight  # a party with a risky asset
    account_roles: ByCode[Annotated[float, Field(ge=0.25, le=4.0)]]
    device_swap: Share
    ip_swap: Share
    amount_factor: Annotated[float, Field(gt=0.0, le=100.0)]  # on the amount's median
    declined_share: Share
    refund_share: Share


class Kit(Model):
    """What a campaign brings along: devices and endpoints drawn from its country."""

    devices: SmallWeight
    endpoints: SmallWeight
    device_roles: ByCode[SmallWeight]  # raw role → weight
    shared_device_weight: SmallWeight  # several users
    anonymiser_types: Codes  # ip types
    anonymiser_weight: SmallWeight
    risky_endpoint_weight: SmallWeight  # family HIGH_RISK_IP
    on_risky_device_weight: SmallWeight


class Posture(Model):
    """Chance that a flow outside any campaign is fraud, added up over its assets' roles."""

    account: Shares
    device: Shares
    ip: Shares
    merchant: Shares
    cap: Share


class Campaigns(Model):
    """`campaigns_6B.v1`: attacks, and fraud outside attacks."""

    types: ByCode[CampaignType]
    kit: Kit
    posture: Posture
    background_share: Share
    abuse_share_outside: Share  # of fraud outside campaigns, first-party abuse
    collateral_share: Share  # visits that strike a neighbour of the victim
    flows_per_visit: FlowsPerVisit
    victims_abroad_share: Share
    max_hourly_share: Share  # of the arrivals a campaign can take in an hour


class Sensing(Model):
    """What becomes known of one kind of flow."""

    alert: Share
    dispute: Share  # approved flows only


class BankView(Model):
    """`bank_view_6B.v1`: detection, disputes, chargebacks, cases."""

    sensing: ByCode[Sensing]  # truth subtype
    alert_hours: LogNormal
    dispute_days: Days
    chargeback_share: Share  # of disputes
    chargeback_days: Days
    closing_days: Days
    confirmed_if_bad: Share
    confirmed_if_legit: Share


class Range(Model):
    """What a figure must lie in, ends included."""

    low: Figure
    high: Figure

    def holds(self, value: float) -> bool:
        """Whether a value is inside; NaN never is."""
        return self.low <= value <= self.high


class Effect(Model):
    """A rate ratio: least value at B and B+, least lower end of its interval, largest value."""

    B: Ratio
    Bplus: Ratio
    ci_low: Ratio
    most: Ratio


class DownstreamWitness(Model):
    """`downstream_witness_6B.v1`: every bound of T10; names follow the measures."""

    flows: Flows  # of every arm
    # N2 … N6
    prevalence: Range
    prevalence_to_baseline: Range
    campaign_types: Rows
    flows_per_type: Flows  # at `full_flows`; proportionally fewer in a shorter stream
    full_flows: Flows
    transacting_share: Share
    transacting_loss: Share  # of it, against the baseline
    attachable_distance: Share
    # S1 … S9
    account: Effect
    device: Effect
    owner_over_baseline: Ratio
    role_model: Range
    role_model_leak: Share
    role_model_over_permuted: Share
    single_feature: Share
    crowded: Ratio
    endpoint_missing: Share
    struck_again: Range
    # Controls and guards
    confidence: Share
    control_confidence: Share  # of intervals that must hold 1
    unmoved: Share  # change of S1 when rewired, its whole interval
    observable_leak: Share
    min_exposed_events: Flows
