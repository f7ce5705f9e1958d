"""5B: how many arrivals every merchant has in every hour, and at which moments.

A cell is a row of 5A with volume: a merchant in a country and a time zone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from fraudworld.kernels import normal
from reference.draws import Draws, deviate, nearest
from reference.parties import Row
from reference.transactions.choices import HOUR_MS, below, unit

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
"""First moment of the horizon, a Thursday: the hour that the sealed sample of 5B shows."""

ORIGIN_MS = int(ORIGIN.timestamp()) * 1_000
WEEK = 168
LARGE_MEAN = 64.0
MOST_COUNT = 400

_DAYTIME = (1, 1, 1, 1, 1, 2, 4, 7, 10, 13, 16, 18, 18, 18, 17, 17, 16, 15, 13, 10, 7, 4, 2, 1)
_EVENING = (6, 4, 2, 1, 1, 1, 1, 2, 2, 3, 4, 6, 8, 8, 6, 5, 6, 9, 14, 18, 20, 19, 15, 10)
_ONLINE = (6, 4, 3, 3, 3, 4, 5, 7, 9, 11, 12, 13, 13, 13, 12, 12, 12, 12, 13, 14, 15, 15, 12, 9)
_OFFICE = (0, 0, 0, 0, 0, 0, 1, 4, 12, 18, 20, 19, 14, 16, 19, 18, 14, 8, 3, 1, 0, 0, 0, 0)
_FUEL = (2, 1, 1, 1, 2, 5, 10, 14, 13, 11, 11, 12, 13, 12, 12, 13, 15, 16, 14, 10, 8, 6, 4, 3)
CURVES: dict[str, tuple[float, tuple[int, ...]]] = {
    "bills_utilities": (0.20, _OFFICE),
    "bursty_promo": (0.33, _ONLINE),
    "consumer_daytime": (0.285, _DAYTIME),
    "evening_weekend": (0.40, _EVENING),
    "fuel_convenience": (0.28, _FUEL),
    "office_hours": (0.10, _OFFICE),
    "online_24h": (0.29, _ONLINE),
    "travel_hospitality": (0.33, _EVENING),
}
"""Demand class → share of the week on Saturday and Sunday, weights of the 24 local hours."""


@dataclass(frozen=True)
class Upstream:
    """Rows of the upstream tables that 6B reads, and the sealed law of 5B."""

    places: list[Row]  # 1A/country_geography
    sites: list[Row]  # 1A/outlet_catalogue
    effects: list[Row]  # 2B/day_effects
    virtual: list[Row]  # 3B/virtual_classification
    profile: list[Row]  # 5A/merchant_zone_profile_5A
    law: Mapping[str, float]  # 5B/arrival_law.json


@dataclass(frozen=True)
class Cell:
    """A merchant in a country and a time zone; `weekly` is its expected volume."""

    merchant: int
    country: str
    zone: str
    demand: str
    channel: str
    weekly: float
    gamma_shape: int


@dataclass(frozen=True)
class Arrival:
    """One arrival: `number` counts from the horizon's start, `moment` is ms since 1970 UTC."""

    number: int
    moment: int
    cell: Cell


class Arrivals:
    """The arrival law of one upstream under one seed."""

    def __init__(self, upstream: Upstream, seed: int) -> None:
        self.days = int(upstream.law["horizon_days"])
        self.cells = _cells(upstream)
        self._effect = {(row["merchant_id"] - 1, row["day"] - 1): row["effect"]
                        for row in upstream.effects}  # fmt: skip
        # A cell and hour own their gamma and their Poisson draws, padded to whole Philox blocks.
        width = 4 * math.ceil((max(cell.gamma_shape for cell in self.cells) + 1) / 4)
        family = "arrival_realisation"
        self._count_draws = Draws(seed, "5B/arrival_counts", family, width)
        self._moment_draws = Draws(seed, "5B/arrival_moments", family)

    def counts(self, hour: int) -> list[int]:
        """Arrivals of every cell in a UTC hour of the horizon."""
        return [self._count(hour, c) for c in range(len(self.cells))]

    def hour(self, hour: int, before: int) -> list[Arrival]:
        """Arrivals of a UTC hour in order of time, ties in order of cell.

        before: arrivals of the horizon before the hour. Moments are uniform over the
        milliseconds of the hour; the draw's entity counts arrivals cell by cell.
        """
        drawn = [
            (below(self._moment_draws(before + i), HOUR_MS), cell)
            for i, cell in enumerate(
                cell
                for cell, count in zip(self.cells, self.counts(hour), strict=True)
                for _ in range(count)
            )
        ]
        drawn.sort(key=lambda d: d[0])
        start = ORIGIN_MS + hour * HOUR_MS
        return [Arrival(before + i, start + ms, cell) for i, (ms, cell) in enumerate(drawn)]

    def _count(self, hour: int, c: int) -> int:
        """Poisson with mean weekly volume × share of the local hour × day effect × gamma.

        The gamma has mean one and a whole shape k, −Σ log u / k, so that hourly counts are
        over-dispersed. Logarithms are taken of the product of four uniforms. Above LARGE_MEAN
        the count is a rounded normal, below it the cumulative probability is inverted.
        """
        cell, day, entity = self.cells[c], hour // 24, hour * len(self.cells) + c
        local = (week_hour(hour) + hours_ahead(cell.zone, day)) % WEEK
        mean = cell.weekly * week_shares(cell.demand)[local]
        mean *= self._effect.get((cell.merchant, day), 1.0)
        if mean <= 0.0:
            return 0
        uniforms = [unit(self._count_draws(entity, i)) for i in range(cell.gamma_shape)]
        gamma = 0.0
        for i in range(0, cell.gamma_shape, 4):
            gamma -= normal.log(math.prod(uniforms[i : i + 4]))
        mean *= gamma / cell.gamma_shape
        draw = self._count_draws(entity, cell.gamma_shape)
        if mean > LARGE_MEAN:
            return max(0, nearest(mean + math.sqrt(mean) * deviate(draw)))
        count, probability = 0, normal.exp(-mean)
        cumulative = probability
        while unit(draw) > cumulative and count < MOST_COUNT:
            count += 1
            probability *= mean / count
            cumulative += probability
        return count

    def expected_week(self, liking: Callable[[Cell], float]) -> dict[str, list[float]]:
        """Arrivals a week expects, each counted as much as `liking` says: per country and UTC hour.

        Hours count from Monday. Time zones are those of the first day, day effects are left out:
        campaigns are planned with it, and need no more than the usual week.
        """
        volume: dict[tuple[int, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for cell in self.cells:
            group = hours_ahead(cell.zone, 0), cell.demand
            volume[group][cell.country] += cell.weekly * liking(cell)
        out: dict[str, list[float]] = defaultdict(lambda: [0.0] * WEEK)
        for ahead, demand in sorted(volume):
            for country, total in volume[ahead, demand].items():
                for hour in range(WEEK):
                    out[country][hour] += total * week_shares(demand)[(hour + ahead) % WEEK]
        return out


def _cells(upstream: Upstream) -> list[Cell]:
    """Rows of 5A with volume, in their order.

    A virtual merchant is online whatever its class. Promotions come in bursts: a quarter of the
    sealed dispersion as their gamma shape.
    """
    virtual = {row["merchant_id"] for row in upstream.virtual if row["is_virtual"]}
    shape = int(upstream.law["dispersion"])
    out = []
    for row in upstream.profile:
        demand = row["demand_class"]
        channel = "BILL" if demand == "bills_utilities" else "POS"
        if demand == "online_24h" or row["merchant_id"] in virtual:
            channel = "ONLINE"
        if row["weekly_volume_expected"] > 0:
            out.append(
                Cell(
                    row["merchant_id"] - 1,
                    row["legal_country_iso"],
                    row["tzid"],
                    demand,
                    channel,
                    row["weekly_volume_expected"],
                    max(shape // 4, 1) if demand == "bursty_promo" else shape,
                )
            )
    return out


def week_hour(hour: int) -> int:
    """UTC hour of the week, Monday 00:00 = 0, of an hour of the horizon."""
    return (ORIGIN.weekday() * 24 + hour) % WEEK


@cache
def week_shares(demand: str) -> Sequence[float]:
    """Share of each of the 168 local hours in the week of a demand class, Monday first."""
    weekend, curve = CURVES[demand]
    day = [weight / sum(curve) for weight in curve]
    return [s * (1 - weekend) / 5 for s in day] * 5 + [s * weekend / 2 for s in day] * 2


@cache
def hours_ahead(zone: str, day: int) -> int:
    """Whole hours that a zone is ahead of UTC at noon UTC of a day, rounded down."""
    noon = ORIGIN + timedelta(days=day, hours=12)
    return (noon.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()) // timedelta(hours=1)
