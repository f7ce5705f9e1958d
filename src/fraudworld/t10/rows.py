"""Rows of T10: a figure, its bounds, what it counts for."""

from __future__ import annotations

import math
from typing import Any, Literal

from fraudworld.gates.gate import Interval, Row, Status
from fraudworld.policy.transactions import Range
from fraudworld.t10.estimators import Ratio

TEST = "T10_DOWNSTREAM_COMPAT_6B"
OWNER = "cross-layer review"
Grade = Literal["B", "B+"]


def row(
    metric: str, value: float, holds: bool, bound: float, *, seed: int | None, support: float,
    bound_plus: float | None = None, better: bool | None = None, counts_for: Grade = "B",
    interval: Interval = None, known: bool = True, why: str = "", **details: Any,
) -> Row:  # fmt: skip
    """One metric. counts_for B+ leaves pass_B to whether there is evidence at all.

    bound: the B threshold; bound_plus: that of B+, the same if left out, with `better` its
    verdict. A value that is no number, or `known=False`, is no evidence and passes nothing;
    `why` says what was lacking.
    """
    known = known and math.isfinite(value)
    status: Status = "PASS" if holds else "FAIL"
    if not known:
        status = "INSUFFICIENT_EVIDENCE"
        details = {"why": why or "nothing to compute it from", **details}
    finite = interval is not None and all(math.isfinite(x) for x in interval)
    low, high = interval if finite and interval is not None else (None, None)
    passed = holds if better is None else holds and better
    return Row(
        TEST, metric, value if math.isfinite(value) else None, bound,
        bound if bound_plus is None else bound_plus,
        known and (holds or counts_for == "B+"), known and passed, low, high, seed, status,
        OWNER, support, {"counts_for": counts_for, **details},
    )  # fmt: skip


def within(
    metric: str, value: float, bounds: Range, *, seed: int | None, support: float,
    counts_for: Grade = "B", interval: Interval = None, known: bool = True, **details: Any,
) -> Row:  # fmt: skip
    """A metric that must lie in a range; the threshold shown is the nearer end."""
    nearer = bounds.low if abs(value - bounds.low) <= abs(value - bounds.high) else bounds.high
    return row(
        metric, value, bounds.holds(value), nearer, seed=seed, support=support,
        counts_for=counts_for, interval=interval, known=known,
        range=[bounds.low, bounds.high], **details,
    )  # fmt: skip


def holds_one(
    metric: str, control: Ratio, effect: Ratio, confidence: float, *, seed: int | None,
    told_by: Ratio | None = None, counts_for: Grade = "B", **details: Any,
) -> Row:  # fmt: skip
    """A control: its interval contains 1, and the effect it denies could have been told.

    effect: what the candidate shows and the control should not; the control's own error, or
    that of `told_by`, must be small enough to tell it. Arms that could not tell as much are
    no evidence, however wide the control's interval.
    """
    low, high = control.interval(confidence)
    able = [r.detectable(confidence) for r in (control, told_by) if r is not None]
    least = min((d for d in able if math.isfinite(d)), default=math.nan)
    denied = effect.value
    size = min(denied, 1 / denied) if denied > 0 else math.nan
    return row(
        metric, control.value, low <= 1.0 <= high, 1.0, seed=seed, support=control.support,
        counts_for=counts_for, interval=(low, high), known=1 / least >= size,
        why=f"its arms tell ratios from {least:.3g} on; the effect it should deny is {denied:.3g}",
        detectable=_finite(least), confidence=confidence, **details,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
