"""Rows of a gateboard: one per metric, never an average, never a default."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from fraudworld.documents import JsonObject
from fraudworld.policy.validation import Threshold

Status = Literal["PASS", "FAIL", "INSUFFICIENT_EVIDENCE"]
Interval = tuple[float, float] | None

OWNERS = {
    "T1": "S2", "T2": "S2", "T3": "S4", "T4": "S4", "T5": "S4", "T6": "S5", "T7": "S5",
    "T8": "S5", "T9": "robustness review", "T10": "cross-layer review",
}  # fmt: skip
"""Who repairs a failing test: a state, or a review across states. The only such table."""


def owner_of(test_id: str) -> str:
    """The owner of a test: `S4` of `T5_IP_REUSE_TAIL_BOUNDS`."""
    return OWNERS[test_id.partition("_")[0]]


@dataclass(frozen=True)
class Row:
    """One metric of one test; `status` is about B, `pass_Bplus` about B+."""

    test_id: str
    metric_name: str
    value: float | None
    threshold_B: float  # noqa: N815 - binding field names
    threshold_Bplus: float  # noqa: N815
    pass_B: bool  # noqa: N815
    pass_Bplus: bool  # noqa: N815
    ci_low: float | None
    ci_high: float | None
    seed: int | None
    status: Status
    owner_state: str
    support: float
    details: JsonObject = field(default_factory=dict)

    def as_dict(self) -> JsonObject:
        """Plain data for the gateboard."""
        return {**self.__dict__}


@dataclass(frozen=True)
class Guard:
    """A property beside the tests; a guard that does not hold blocks B+."""

    guard_id: str
    holds: bool
    value: float | None
    bound: str
    details: JsonObject = field(default_factory=dict)

    def as_dict(self) -> JsonObject:
        """Plain data for the gateboard."""
        return {**self.__dict__}


def at_most(
    test: str, metric: str, value: float, bounds: Threshold, *, seed: int | None,
    support: float, interval: Interval = None, minimum_support: float = 1.0, **details: Any,
) -> Row:  # fmt: skip
    """A metric that must not exceed its thresholds."""
    return _row(
        test, metric, value, bounds, value <= bounds.B, value <= bounds.Bplus, seed,
        support, interval, minimum_support, details,
    )  # fmt: skip


def at_least(
    test: str, metric: str, value: float, bounds: Threshold, *, seed: int | None,
    support: float, interval: Interval = None, minimum_support: float = 1.0,
    floor_of_interval: float | None = None, **details: Any,
) -> Row:  # fmt: skip
    """A metric that must reach its thresholds, with its interval above a floor if one is given."""
    clear = floor_of_interval is None or (interval is not None and interval[0] > floor_of_interval)
    return _row(
        test, metric, value, bounds, clear and value >= bounds.B, clear and value >= bounds.Bplus,
        seed, support, interval, minimum_support, details,
    )  # fmt: skip


def _row(
    test: str, metric: str, value: float, bounds: Threshold, good: bool, better: bool,
    seed: int | None, support: float, interval: Interval, minimum: float, details: JsonObject,
) -> Row:  # fmt: skip
    known = math.isfinite(value) and support >= minimum
    details = {k: _finite(v) for k, v in details.items()}
    if not known:
        details = {**details, "why": f"support {support:g} of {minimum:g} needed"}
    status: Status = "INSUFFICIENT_EVIDENCE" if not known else "PASS" if good else "FAIL"
    low, high = interval if interval is not None else (None, None)
    return Row(
        test, metric, number_or_null(value), bounds.B, bounds.Bplus,
        known and good, known and better, low, high, seed, status, owner_of(test), support,
        {**details, "minimum_support": minimum},
    )  # fmt: skip


def number_or_null(value: float) -> float | None:
    """None for NaN and infinities, which are no evidence and which JSON cannot express."""
    return value if math.isfinite(value) else None


def _finite(value: Any) -> Any:
    """`number_or_null` of a float, or of the floats in a list; other values as they are."""
    if isinstance(value, float):
        return number_or_null(value)
    return [_finite(v) for v in value] if isinstance(value, list) else value
