"""Typed shape of the files of segment 6B: attachment, amounts, campaigns, bank view, witness.

Weights are integers of which only the ratios matter; shares are fractions of one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fraudworld.policy.models import Count, Model, Positive, Share, Shares

Weight = Annotated[int, Field(ge=0, le=1000)]
Weights = dict[str, Weight]
FlowsPerVisit = Annotated[float, Field(ge=0.5, le=10.0)]


class LogNormal(Model):
    """A log-normal law by its median and the spread of its logarithm."""

    median: Positive
    sigma: Positive


class Attachment(Model):
    """`attachment_6B.v1`: party, account, instrument, device and endpoint of an arrival."""

    home_share: Shares  # channel → arrivals made by customers of the outlet's country
    flows_per_visit: FlowsPerVisit
    activity_sigma: Positive  # log-spread of a party's activity
    segment_activity: dict[str, Positive]  # segment → activity relative to others
    account_use: Weights  # account type
    instrument_use: dict[str, Weights]  # channel → instrument type
    device_use: Weights  # device type
    household_device_share: Share  # visits through a device of someone at the same home
    typical_endpoint_share: Share  # visits from the device's typical endpoint


class SpendClass(Model):
    """Amounts of one merchant class, in US dollars."""

    median: Positive
    sigma: Positive
    price_point_share: Share  # amounts that are a shelf price
    refund_share: Share  # of cleared flows


class FlowAmounts(Model):
    """`flow_amounts_6B.v1`: money, authorisation, events."""

    classes: dict[str, SpendClass]  # merchant class
    income_elasticity: Positive  # amount × exp(elasticity × (segment income − 0.5))
    price_points: tuple[Positive, ...]  # dollars, ascending
    units_per_dollar: dict[str, Positive]  # currency → local units of one dollar
    latency_ms: dict[str, LogNormal]  # channel
    declined_share: Shares  # channel, legitimate flows
    clearing_hours: dict[str, LogNormal]  # channel
    refund_days: LogNormal


class CampaignType(Model):
    """One kind of attack: size, rhythm, targets, tactics."""

    flow_share: Share  # of all flows, over the horizon
    flows: LogNormal  # flows of one campaign
    max_days: Count
    hours_per_day: Annotated[int, Field(ge=1, le=24)]  # length of the daily burst
    flows_per_victim: Positive
    channels: Shares  # relative appetite per channel
    merchant_classes: Shares  # relative appetite per class
    merchant_roles: tuple[str, ...]  # only these canonical families; empty: any
    exposed_party_weight: Annotated[int, Field(ge=1, le=16)]  # a party with a risky asset
    account_roles: dict[str, Annotated[float, Field(ge=0.25, le=4.0)]]
    device_swap: Share
    ip_swap: Share
    amount_factor: Positive  # on the amount's median
    declined_share: Share
    refund_share: Share


class Kit(Model):
    """What a campaign brings along: devices and endpoints drawn from its country."""

    devices: Annotated[int, Field(ge=1, le=16)]
    endpoints: Annotated[int, Field(ge=1, le=16)]
    device_roles: dict[str, Annotated[int, Field(ge=1, le=16)]]  # raw role → weight
    shared_device_weight: Annotated[int, Field(ge=1, le=16)]  # several users
    anonymiser_types: tuple[str, ...]  # ip types
    anonymiser_weight: Annotated[int, Field(ge=1, le=16)]
    risky_endpoint_weight: Annotated[int, Field(ge=1, le=16)]  # family HIGH_RISK_IP
    on_risky_device_weight: Annotated[int, Field(ge=1, le=16)]


class Posture(Model):
    """Chance that a flow outside any campaign is fraud, added up over its assets' roles."""

    account: Shares
    device: Shares
    ip: Shares
    merchant: Shares
    cap: Share


class Campaigns(Model):
    """`campaigns_6B.v1`: attacks, and fraud outside attacks."""

    types: dict[str, CampaignType]
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

    sensing: dict[str, Sensing]  # truth subtype
    alert_hours: LogNormal
    dispute_days: LogNormal
    chargeback_share: Share  # of disputes
    chargeback_days: LogNormal
    closing_days: LogNormal
    confirmed_if_bad: Share
    confirmed_if_legit: Share


class Range(Model):
    """What a figure must lie in, ends included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is inside; NaN never is."""
        return self.low <= value <= self.high


class Effect(Model):
    """A rate ratio: least value at B and B+, least lower end of its interval, largest value."""

    B: Positive
    Bplus: Positive
    ci_low: Positive
    most: Positive


class DownstreamWitness(Model):
    """`downstream_witness_6B.v1`: every bound of T10; names follow the measures."""

    flows: Count  # of every arm
    # N2 … N6
    prevalence: Range
    prevalence_to_baseline: Range
    campaign_types: Count
    flows_per_type: Count  # at `full_flows`; proportionally fewer in a shorter stream
    full_flows: Count
    transacting_share: Share
    transacting_loss: Share  # of it, against the baseline
    attachable_distance: Share
    # S1 … S9
    account: Effect
    device: Effect
    owner_over_baseline: Positive
    role_model: Range
    role_model_leak: Share
    role_model_over_permuted: Share
    single_feature: Share
    crowded: Positive
    endpoint_missing: Share
    struck_again: Range
    # Controls and guards
    confidence: Share
    control_confidence: Share  # of intervals that must hold 1
    unmoved: Share  # change of S1 when rewired, its whole interval
    observable_leak: Share
    min_exposed_events: Count
