"""Circles and frailty: sizes that can form, shares that add up, and the contrast they imply."""

from __future__ import annotations

import math

import numpy as np

from fraudworld.kernels import proportional
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.finding import Findings, fault
from fraudworld.policy.rules.pairs import role_shares

UNIT = 10**12
"""Parties are counted in units of 1 / UNIT: tables are fitted to whole numbers."""

PARTS = 2**32
"""Shares of circles are whole numbers of 1 / PARTS in the generator."""


def circles_can_form(pack: PolicyPack) -> Findings:
    """Sizes, mean and lines of circles agree with each other."""
    rule, stem = pack.device_linkage_rules.circles, "device_linkage_rules"
    if rule.largest < rule.smallest:
        yield fault(
            stem,
            "circles.largest",
            "below the smallest circle",
            figure=float(rule.largest),
            bound=float(rule.smallest),
            remedy="raise it",
        )
        return
    middle = (rule.smallest + rule.largest) / 2.0
    if not rule.smallest <= rule.mean_members <= middle:
        yield fault(
            stem,
            "circles.mean_members",
            "shares that fall with the size have a mean between the smallest and the middle size",
            figure=rule.mean_members,
            bound=middle if rule.mean_members > middle else float(rule.smallest),
            remedy="choose a mean inside, or change smallest and largest",
        )
    if rule.line.max_devices < rule.line.min_devices:
        yield fault(
            stem,
            "circles.line.max_devices",
            "below the fewest devices of a line",
            figure=float(rule.line.max_devices),
            bound=float(rule.line.min_devices),
            remedy="raise it",
        )
    highest = pack.ip_count_priors.degree_cap
    if rule.member_share and rule.line.max_devices > highest:
        yield fault(
            stem,
            "circles.line.max_devices",
            "above ip_count_priors.degree_cap, the largest endpoint",
            figure=float(rule.line.max_devices),
            bound=float(highest),
            remedy="lower it",
        )


def frailty_adds_up(pack: PolicyPack) -> Findings:
    """Bands of a kind of unit are shares of its units; roles are roles of parties, and no rest."""
    rule, stem = pack.risk_propagation_coeffs.frailty, "risk_propagation_coeffs"
    for unit in ("circle", "home", "firm"):
        total = math.fsum(band.share for band in getattr(rule, unit))
        if total > 1.0:
            yield fault(
                stem,
                f"frailty.{unit}",
                "the shares of the bands add up to more than all units",
                figure=total,
                bound=1.0,
                remedy="lower them",
            )
    rest = set(pack.party_role_priors.remainder.values())
    known = set(pack.fraud_role_taxonomy.entities["party"].mapping) - rest
    for role in sorted(set(rule.roles) - known):
        yield fault(
            stem,
            "frailty.roles",
            "not a role of parties, or one that takes what the others leave",
            figure=role,
            bound=", ".join(sorted(known)),
            remedy="name other roles",
        )


def contrast(pack: PolicyPack) -> float:
    """Odds ratio of risk between retail parties in circles of a band and all others; else NaN.

    Being beside a risky party tells less than this: it is the largest that a world transmits.
    """
    circles, rule = pack.device_linkage_rules.circles, pack.risk_propagation_coeffs.frailty
    bands = [(circles.member_share * band.share, band.odds_factor) for band in rule.circle]
    if not circles.member_share or not bands:
        return math.nan
    rows = [(1.0 - math.fsum(share for share, _ in bands), 1.0), *bands]
    roles = pack.codes("party_raw_role")
    raised = np.array([role in rule.roles for role in roles])
    factors = np.ones((len(rows), len(roles)))
    factors[:, raised] = np.array([[min(f, rule.max_odds_factor)] for _, f in rows])
    sizes = np.rint([UNIT * share for share, _ in rows]).astype(np.int64)
    risky = np.zeros(len(rows))
    tiers = pack.fraud_role_taxonomy.tier_shares
    for tier, shares in zip(tiers, role_shares(pack, "party", "RETAIL"), strict=True):
        fitted = np.empty(factors.shape)
        proportional.fit(shares, sizes, factors, fitted)
        risky += tier * fitted[:, raised].sum(axis=1)
    share = np.array([s for s, _ in rows])
    inside, outside = float(share[1:] @ risky[1:] / share[1:].sum()), float(risky[0])
    if not 0.0 < outside < 1.0 or not 0.0 < inside < 1.0:
        return math.nan
    return inside / (1.0 - inside) * (1.0 - outside) / outside


def frailty_within_guard(pack: PolicyPack) -> Findings:
    """Frailty of circles is strong enough to be found, and no proof."""
    implied, bounds = contrast(pack), pack.validation_policy.guards
    low, high = bounds.transmission_min_odds_ratio, bounds.transmission_max_odds_ratio
    if not math.isnan(implied) and not low <= implied <= high:
        yield fault(
            "risk_propagation_coeffs",
            "frailty.circle",
            "odds of risk in circles of a band over those elsewhere are outside the guard",
            figure=implied,
            bound=low if implied < low else high,
            remedy="raise the factors" if implied < low else "lower the factors or the shares",
        )
