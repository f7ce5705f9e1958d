"""Bounds of the witness, the figures of page 5, section 2."""

from __future__ import annotations

from fraudworld.policy.models import Model


class Range(Model):
    """What a figure must lie in, ends included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is inside; NaN never is."""
        return self.low <= value <= self.high


class Effect(Model):
    """A rate ratio: least value at B and B+, least lower end of its interval, largest value."""

    B: float
    Bplus: float
    ci_low: float
    most: float


class Bounds(Model):
    """Every bound of T10; names follow the measures."""

    # N2 … N6
    prevalence: Range = Range(low=0.02, high=0.10)
    prevalence_to_baseline: Range = Range(low=0.8, high=1.25)
    campaign_types: int = 5
    flows_per_type: int = 200  # at `full_flows`; proportionally fewer in a shorter stream
    full_flows: int = 2_000_000
    transacting_share: float = 0.60
    attachable_distance: float = 0.05
    # S1 … S9
    account: Effect = Effect(B=1.5, Bplus=2.0, ci_low=1.2, most=6.0)
    device: Effect = Effect(B=1.4, Bplus=2.0, ci_low=1.15, most=6.0)
    owner_over_baseline: float = 1.2
    role_model: Range = Range(low=0.58, high=0.85)
    role_model_leak: float = 0.90
    role_model_over_permuted: float = 0.03
    single_feature: float = 0.75
    crowded: float = 2.5
    endpoint_missing: float = 0.02
    struck_again: Range = Range(low=0.10, high=0.60)
    # Controls and guards
    confidence: float = 0.95
    control_confidence: float = 0.95  # of intervals that must hold 1
    unmoved: float = 0.05  # change of S1 when rewired, its whole interval
    observable_leak: float = 0.80
    min_exposed_events: int = 100


PAGE_FIVE = Bounds()
"""The first proposals of page 5."""
