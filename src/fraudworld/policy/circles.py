"""The law of the members of a circle, from `device_linkage_rules.circles`."""

from __future__ import annotations

import math

from fraudworld.policy.models import Circles

HALVINGS = 100
"""Bisections of the ratio: it is then exact to the last bit."""


def size_shares(rule: Circles) -> tuple[float, ...]:
    """Shares of circles with smallest, smallest + 1, …, largest members.

    P(k) ∝ q^k on smallest … largest, with the q ≤ 1 of which the mean is `mean_members`. Only
    + × ÷: every machine finds the same bits.
    """
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        ratio = (low + high) / 2.0
        shares = _geometric(rule, ratio)
        mean = math.fsum((rule.smallest + i) * share for i, share in enumerate(shares))
        low, high = (ratio, high) if mean < rule.mean_members else (low, ratio)
    return _geometric(rule, low)


def _geometric(rule: Circles, ratio: float) -> tuple[float, ...]:
    weights = [1.0]
    for _ in range(rule.largest - rule.smallest):
        weights.append(weights[-1] * ratio)
    whole = math.fsum(weights)
    return tuple(w / whole for w in weights)
