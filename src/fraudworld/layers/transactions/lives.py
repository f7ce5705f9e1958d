"""6B.S3: sizes, countries and hours of the campaigns of one type.

Campaigns are drawn over the whole horizon, whatever window is asked for. A campaign lives for
some days, is awake for a burst of hours each day, and takes a fixed share of the arrivals it can
use while awake.

Law: policy/campaigns_6B.v1.yaml. Twin: tests/reference/transactions/campaigns.py:Campaigns._lives.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrivals import WEEK, Arrivals, week_hour
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import MOST_VISITS
from fraudworld.policy.transactions import Campaigns as CampaignPolicy
from fraudworld.policy.transactions import CampaignType
from fraudworld.rng import Stream

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MOST_TIMES = 32
"""A small world, whose countries cannot hold large campaigns, has at most so many times more."""


class Lives(NamedTuple):
    """Campaigns of one type in the order drawn; arrays but `awake` have shape (campaigns,)."""

    country: I64
    first_hour: I64  # of the horizon; may be negative
    last_hour: I64  # first hour after it
    share: F64  # of the arrivals it can use in an hour awake
    planned: F64  # flows expected over its whole life
    inside: F64  # flows expected inside the horizon
    victims: I64  # accounts it may attack
    awake: I64  # rows (campaign, hour, visits) inside the horizon, (entries, 3)

    @property
    def n(self) -> int:
        return int(self.country.size)

    def head(self, n: int) -> Lives:
        """The first n campaigns."""
        return Lives(
            self.country[:n], self.first_hour[:n], self.last_hour[:n], self.share[:n],
            self.planned[:n], self.inside[:n], self.victims[:n],
            self.awake[self.awake[:, 0] < n],
        )  # fmt: skip


def draw_lives(
    policy: CampaignType,
    limits: CampaignPolicy,
    stream: Stream,
    arrivals: Arrivals,
    expected: F64,
) -> Lives:
    """Campaigns of one type, until their expected flows reach the type's share of all flows.

    A campaign that its country cannot hold is smaller than drawn, so a small world has more
    campaigns, up to MOST_TIMES as many as a large one. A share of 0 gives no campaigns.

    expected: arrivals the type can use, by country and UTC hour of the week, (countries, 168).
    """
    mean = policy.flows.median * math.exp(0.5 * policy.flows.sigma**2)
    wanted = policy.flow_share * float(arrivals.cells.weekly.sum()) * arrivals.days / 7
    n = least = math.ceil(wanted / mean)
    while True:
        lives = _lives(n, policy, limits, stream, arrivals, expected)
        reached = np.cumsum(lives.inside)
        if n == 0 or reached[-1] >= wanted or n >= MOST_TIMES * least:
            return lives.head(min(int(np.searchsorted(reached, wanted)) + 1, n))
        n *= 2


def _lives(
    n: int,
    policy: CampaignType,
    limits: CampaignPolicy,
    stream: Stream,
    arrivals: Arrivals,
    expected: F64,
) -> Lives:
    """The first n campaigns of one type.

    Draws of a campaign: 0 size, 1 country, 2 length, 3 start, 4 hour of the burst, 5 lateness.
    """
    draws = stream.draws(0, n)
    uniform = (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
    sizes = _sizes(policy, draws[:, 0])
    market = np.cumsum(expected.sum(axis=1))
    country = np.searchsorted(market, uniform[:, 1] * market[-1], side="right")
    first_day, days = _spans(policy, uniform[:, 2], uniform[:, 3], arrivals.days)
    campaign, hour = _burst_hours(policy, first_day, days, uniform[:, 4], draws[:, 5])
    usable = expected[country[campaign], (week_hour(0) + hour) % WEEK]
    total = np.bincount(campaign, usable, n).astype(np.float64)
    share = np.minimum(sizes / np.maximum(total, 1e-9), limits.max_hourly_share)
    flows = share[campaign] * usable
    visits = np.clip(np.rint(flows / limits.flows_per_visit), 1, MOST_VISITS).astype(np.int64)
    planned = share * total
    victims = np.maximum(np.rint(planned / policy.flows_per_victim), 1).astype(np.int64)
    inside = (hour >= 0) & (hour < 24 * arrivals.days)
    return Lives(
        country=country,
        first_hour=first_day * 24,
        last_hour=(first_day + days) * 24,
        share=share,
        planned=planned,
        inside=np.bincount(campaign[inside], flows[inside], n).astype(np.float64),
        victims=victims,
        awake=np.stack([campaign, hour, visits], axis=1)[inside],
    )


def _sizes(policy: CampaignType, draws: U64) -> F64:
    """Flows wanted of every campaign: log-normal."""
    law = policy.flows
    return np.array([law.median * normal.exp(law.sigma * normal.deviate(d)) for d in draws])


def _spans(policy: CampaignType, length: F64, start: F64, horizon: int) -> tuple[I64, I64]:
    """First day and number of days of every campaign, from uniforms in [0, 1).

    Starts are uniform over all that touch the horizon of `horizon` days, so that its first and
    last days have as many campaigns as others.
    """
    days = 1 + (length * min(policy.max_days, horizon)).astype(np.int64)
    return np.floor(start * (horizon + days - 1)).astype(np.int64) - (days - 1), days


def _burst_hours(
    policy: CampaignType, first_day: I64, days: I64, begin: F64, lateness: U64
) -> tuple[I64, I64]:
    """(campaign, hour of the horizon) of every hour of every daily burst, by campaign, then day.

    A day's burst begins zero to three hours after the campaign's hour of the day (`begin`, of 24
    hours): two bits of `lateness` for each day, used again after 32 days. Bursts of two days may
    overlap; an hour in both occurs twice.
    """
    campaign = np.repeat(np.arange(days.size), days)
    day = np.arange(campaign.size) - np.repeat(np.cumsum(days) - days, days)
    bits = lateness[campaign] >> (2 * (day % 32)).astype(np.uint64)
    late = (bits & np.uint64(3)).astype(np.int64)
    hour_of_day = (begin * 24).astype(np.int64)
    hour = (first_day[campaign] + day) * 24 + (hour_of_day[campaign] + late) % 24
    hour = (hour[:, None] + np.arange(policy.hours_per_day)).ravel()
    campaign = np.repeat(campaign, policy.hours_per_day)
    alive = hour < ((first_day + days) * 24)[campaign]
    return campaign[alive], hour[alive]
