"""Typed shape of `risk_propagation_coeffs`: how risk reaches accounts, devices and endpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fraudworld.policy.limits import (
    ByCode,
    Codes,
    Crowd,
    Exponent,
    Factor,
    FrailtyFactor,
    Held,
    Ratio,
    Share,
    Slope,
)
from fraudworld.policy.models import Model


class Coupling(Model):
    """Odds ratio aimed at along one edge; solved for, clamped at `max_abs_log_odds`.

    Used by `propagation_by: risk` only.
    """

    target_odds_ratio: Ratio


class RatioBand(Model):
    """An odds ratio between two ends, both included."""

    low: Ratio
    high: Ratio


class RolePairs(Model):
    """Factors on the odds of an asset's role, against its clean role, by the role of its owner.

    Clean owners and clean asset roles have no entry: their factor is 1.
    """

    nominal_odds_ratio: RatioBand  # of a non-clean asset given a non-clean owner; lint computes it
    factors: ByCode[ByCode[Factor]]  # owner role → asset role → factor


class UsersFactor(Model):
    """Factors on the odds of a device role for devices of one user, and of several."""

    one: Factor
    several: Factor


class DeviceRolePairs(RolePairs):
    """Role pairs of devices, whose number of users counts too."""

    users: ByCode[UsersFactor]  # device role


class RolePairTables(Model):
    """Role pairs of the assets of a party."""

    account: RolePairs
    device: DeviceRolePairs


class IpCoupling(Model):
    """Log-odds that endpoints gain by a risky device, and by many devices."""

    risky_device_log_odds: Slope
    high_sharing_log_odds: Slope
    high_sharing_min_devices: Crowd


class FrailtyBand(Model):
    """A share of the units of a kind, and the factor on the odds of their members."""

    share: Share
    odds_factor: FrailtyFactor


Bands = Annotated[tuple[FrailtyBand, ...], Field(max_length=4)]
"""Bands of a kind of unit; all other units have factor 1."""


class Frailty(Model):
    """What the members of a circle, home or firm have in common: a random effect of the unit."""

    roles: Codes  # party roles whose odds it raises
    max_odds_factor: FrailtyFactor  # products of the factors of circle and home are limited to it
    circle: Bands
    home: Bands
    firm: Bands
    organiser_min_members: Held  # circles of a band with fewer members need no organiser


class RiskPropagationCoeffs(Model):
    """`risk_propagation_coeffs_6A.v1`: log-odds uplift along ownership and links."""

    propagation: Literal["on", "off"]
    propagation_by: Literal["risk", "role_pair"]  # how risk reaches the assets of an owner
    max_abs_log_odds: Exponent  # by risk, and of endpoints
    max_odds_factor: Factor  # by role pair: products of factors stay within 1 / it … it
    owner_to_account: Coupling
    owner_to_device: Coupling
    role_pairs: RolePairTables
    frailty: Frailty
    device_to_ip: IpCoupling
    role_mapping: Literal["total", "none"]
