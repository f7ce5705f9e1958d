"""Builds the rows of T10: a value, its bounds and the grade that requires it."""

from __future__ import annotations

import math
from typing import Any, Literal

from fraudworld.gates.gate import Interval, Row, Status, number_or_null, owner_of
from fraudworld.policy.transactions import Range
from fraudworld.t10.estimators import Ratio

TEST = "T10_DOWNSTREAM_COMPAT_6B"
OWNER = owner_of(TEST)
Grade = Literal["B", "B+"]


def row(
    metric: str, value: float, holds: bool, bound: float, *, seed: int | None, support: float,
    bound_plus: float | None = None, better: bool | None = None, counts_for: Grade = "B",
    interval: Interval = None, known: bool = True, why: str = "", **details: Any,
) -> Row:  # fmt: skip
    """Builds the row of one metric.

    Parameters
    ----------
    holds : whether the value meets `bound`, the threshold of grade B
    bound_plus, better : the threshold of B+ and whether it is met; by default those of B
    counts_for : the lowest grade that requires the metric; one that only B+ requires passes
        for B whenever it is known, and so does its status, which is about B
    known : whether there is enough evidence; an unknown or non-finite value passes for no
        grade, and `why` names what was lacking
    details : further figures of the row, as JSON values
    """
    known = known and math.isfinite(value)
    passes_b = holds or counts_for == "B+"
    status: Status = "PASS" if passes_b else "FAIL"
    if not known:
        status = "INSUFFICIENT_EVIDENCE"
        details = {"why": why or "nothing to compute it from", **details}
    finite = interval is not None and all(math.isfinite(x) for x in interval)
    low, high = interval if finite and interval is not None else (None, None)
    if low is None:
        why_none = "not enough evidence" if interval else "an exact figure of these streams"
        details = {"no_interval": why_none, **details}
    passed = holds if better is None else holds and better
    return Row(
        TEST, metric, number_or_null(value), bound,
        bound if bound_plus is None else bound_plus,
        known and passes_b, known and passed, low, high, seed, status,
        OWNER, support, {"counts_for": counts_for, **details},
    )  # fmt: skip


def within(
    metric: str, value: float, bounds: Range, *, seed: int | None, support: float,
    counts_for: Grade = "B", interval: Interval = None, known: bool = True, **details: Any,
) -> Row:  # fmt: skip
    """Builds the row of a metric that must lie in a range; its threshold is the nearer end."""
    nearer = bounds.low if abs(value - bounds.low) <= abs(value - bounds.high) else bounds.high
    return row(
        metric, value, bounds.holds(value), nearer, seed=seed, support=support,
        counts_for=counts_for, interval=interval, known=known,
        range=[bounds.low, bounds.high], **details,
    )  # fmt: skip


def holds_one(
    metric: str, control: Ratio, effect: Ratio, confidence: float, *, seed: int | None,
    power_of: Ratio | None = None, counts_for: Grade = "B", **details: Any,
) -> Row:  # fmt: skip
    """Builds the row of a negative control: a ratio whose interval must contain 1.

    effect: what the candidate shows and the control must not. The standard error of the
    control, or of `power_of`, must be small enough to detect an effect of that size: a control
    without power is no evidence (docs/decisions/0011-power-of-the-dose-control.md).
    """
    low, high = control.interval(confidence)
    powers = [r.detectable(confidence) for r in (control, power_of) if r is not None]
    least = min((d for d in powers if math.isfinite(d)), default=math.nan)
    excluded = effect.value
    size = min(excluded, 1 / excluded) if excluded > 0 else math.nan
    return row(
        metric, control.value, low <= 1.0 <= high, 1.0, seed=seed, support=control.support,
        counts_for=counts_for, interval=(low, high), known=1 / least >= size,
        why=f"detects ratios from {least:.3g}; the effect to exclude is {excluded:.3g}",
        detectable=number_or_null(least), confidence=confidence, **details,
    )  # fmt: skip
