"""6P.P1: what a customer is expected to spend on cards, from the laws of 5B and 6B.

The arrivals that the upstream expects in a country, times the share of its own customers, are split
by the activity that 6B gives its parties; the amount of an arrival is the mean of the merchant
classes there, tilted by the income of the segment, at the price level of the country.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrivals import CHANNELS, Arrivals
from fraudworld.layers.profiles.choose import exp
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import SCALE, World
from fraudworld.policy.profiles.models import Money

F64 = NDArray[np.float64]

WEEKS_PER_MONTH = 365.2425 / 12 / 7


@dataclass(frozen=True)
class Markets:
    """Money by country and segment."""

    median_spending: F64  # minor units a month on cards, (countries, segments)
    sigma: float  # of the log of spending, beside its median


def minor_units(policy: Money, currency: str) -> float:
    """Minor units of one unit of a currency."""
    if currency in policy.zero_digit_currencies:
        return 1.0
    return 1000.0 if currency in policy.three_digit_currencies else 100.0


def load_markets(inputs: Inputs, world: World, arrivals: Arrivals, policy: Money) -> Markets:
    """Median spending from the laws, at least `least_visits` of the mean in every country."""
    pack, geo, cells = inputs.pack, inputs.geo, arrivals.cells
    countries = len(geo.countries)
    home = np.array([pack.attachment.home_share[channel] for channel in CHANNELS])
    weekly = np.bincount(cells.country, cells.weekly * home[cells.channel], countries)
    classes = [pack.flow_amounts.classes[name] for name in inputs.codes("merchant_class")]
    spread = exp(np.array([0.5 * of.sigma**2 for of in classes]))
    mean = np.array([of.median for of in classes]) * spread
    paid = mean[inputs.merchant_class[cells.merchant]]
    spent = np.bincount(cells.country, cells.weekly * paid, countries)
    arrived = np.bincount(cells.country, cells.weekly, countries)
    amount = np.where(arrived > 0, spent / np.maximum(arrived, 1e-9), fsum(spent) / fsum(arrived))
    activity = np.diff(world.activity[world.country_party]).astype(np.float64)
    visits = np.where(activity > 0, weekly / np.maximum(activity, 1.0), 0.0)
    usual = fsum(weekly) / max(fsum(activity), 1.0)
    visits = np.maximum(visits, policy.least_visits * usual)
    level = np.array([pack.attachment.segment_activity[s] for s in inputs.codes("segment")])
    income = np.array([p.income for _, p in sorted(inputs.profiles.items())])
    tilt = exp(pack.flow_amounts.income_elasticity * (income - 0.5))
    currency = [geo.currencies[c] for c in geo.currency]
    ppp = np.array([policy.ppp_units_per_dollar[iso] for iso in geo.countries])
    # ppp is price level × units of a dollar, so it turns dollars of the laws into local units.
    minor = ppp * np.array([minor_units(policy, name) for name in currency])
    by_country = visits * WEEKS_PER_MONTH * SCALE * amount * minor
    return Markets(by_country[:, None] * (level * tilt)[None, :], pack.attachment.activity_sigma)
