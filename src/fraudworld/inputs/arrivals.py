"""The hourly law of 5B: arrivals of any window of the horizon, generated on demand.

A *cell* is one row of 5A: a merchant in a country and a time zone. Its arrivals in a UTC hour of
the horizon are Poisson with mean

    weekly volume × share of the local hour in the week × day effect of the merchant × G,

where G is gamma of mean one, with the sealed dispersion as its shape (a quarter of it for
`bursty_promo`), so hourly counts are over-dispersed. Moments are uniform over the milliseconds of
the hour. Every cell and hour has draws of its own, so a window has the same arrivals as the whole
horizon. Local time is UTC plus the zone's offset at noon UTC of the day.

Law: arrival_law.json of segment 5B (docs/transactions.md). Twin of all kernels here:
tests/reference/transactions/arrivals.py:Arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.documents import load_json
from fraudworld.errors import InputError
from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.rng import Stream, philox, registry

ORIGIN = 1_767_225_600
"""Start of the horizon, in seconds since 1970: 2026-01-01 00:00 UTC, as in the sealed sample."""

HOUR_MS = 3_600_000
WEEK = 168
"""Hours."""

LARGE_MEAN = 64.0
"""Above it a Poisson count is a rounded normal, within 1 % of the tail at 64."""

MOST_COUNT = 400
"""Bound of the search for a Poisson count of a mean up to LARGE_MEAN."""

BUCKET_BITS = 10
"""Moments of an hour are sorted in buckets of 2**10 ms."""

CHANNELS = ("BILL", "ONLINE", "POS")
MOST_DISPERSION = 63
MOST_DAYS = 3_660

_DAY = (1, 1, 1, 1, 1, 2, 4, 7, 10, 13, 16, 18, 18, 18, 17, 17, 16, 15, 13, 10, 7, 4, 2, 1)
_EVENING = (6, 4, 2, 1, 1, 1, 1, 2, 2, 3, 4, 6, 8, 8, 6, 5, 6, 9, 14, 18, 20, 19, 15, 10)
_ONLINE = (6, 4, 3, 3, 3, 4, 5, 7, 9, 11, 12, 13, 13, 13, 12, 12, 12, 12, 13, 14, 15, 15, 12, 9)
_OFFICE = (0, 0, 0, 0, 0, 0, 1, 4, 12, 18, 20, 19, 14, 16, 19, 18, 14, 8, 3, 1, 0, 0, 0, 0)
_FUEL = (2, 1, 1, 1, 2, 5, 10, 14, 13, 11, 11, 12, 13, 12, 12, 13, 15, 16, 14, 10, 8, 6, 4, 3)
SHAPES: dict[str, tuple[float, tuple[int, ...]]] = {
    "bills_utilities": (0.20, _OFFICE),
    "bursty_promo": (0.33, _ONLINE),
    "consumer_daytime": (0.285, _DAY),
    "evening_weekend": (0.40, _EVENING),
    "fuel_convenience": (0.28, _FUEL),
    "office_hours": (0.10, _OFFICE),
    "online_24h": (0.29, _ONLINE),
    "travel_hospitality": (0.33, _EVENING),
}
"""Demand class → share of the week on Saturday and Sunday, weights of the 24 local hours.

Authored so that the mix of classes has the sealed figures: a peak between 11 and 16, and .287 of
the week on the weekend.
"""


class Cells(NamedTuple):
    """Rows of 5A with volume: (merchant, country, zone), in their order; arrays (cells,)."""

    merchant: NDArray[np.int32]  # position: merchant_id − 1
    country: NDArray[np.uint8]  # position in the upstream's sorted countries
    channel: NDArray[np.uint8]  # position in CHANNELS
    weekly: NDArray[np.float64]  # expected arrivals a week
    demand: NDArray[np.uint8]  # demand class: row of `Rhythm.hours`
    zone: NDArray[np.int32]  # row of `Rhythm.offset`
    gamma_shape: NDArray[np.int64]  # 1 … MOST_DISPERSION


class Rhythm(NamedTuple):
    """How arrivals follow local time."""

    hours: NDArray[np.float64]  # share of the week, (demand classes, 168 from Monday)
    offset: NDArray[np.int64]  # whole hours ahead of UTC, (zones, days)
    effect: NDArray[np.float64]  # day effects, (merchants, days)


@dataclass(frozen=True)
class Arrivals:
    """The arrival law of one sealed upstream under one seed."""

    seed: int
    days: int  # of the horizon
    cells: Cells
    rhythm: Rhythm

    @cached_property
    def _width(self) -> int:
        """Draws of a cell and hour: gamma and count, padded to whole Philox blocks."""
        return 4 * -(-(int(self.cells.gamma_shape.max()) + 1) // 4)

    def counts(self, first: int, last: int) -> NDArray[np.int32]:
        """Arrivals of every cell in UTC hours first … last − 1, shape (hours, cells)."""
        out = np.empty((last - first, self.cells.merchant.size), dtype=np.int32)
        _counts(*self.count_stream.key, self._width, first, self.cells, self.rhythm, out)
        return out

    def hour(
        self, base: int, counts: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Millisecond in the hour and cell of every arrival of an hour, in order of time.

        base: arrivals of the horizon before this hour; counts: arrivals of the hour, (cells,).
        """
        n = int(counts.sum())
        moment, cell = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
        _moments(*self.moment_stream.key, base, counts, moment, cell)
        return moment, cell

    def expected_week(self, weight: NDArray[np.float64], countries: int) -> NDArray[np.float64]:
        """Weighted arrivals that a usual week expects, (countries, 168 UTC hours from Monday).

        weight: (cells,). Campaigns are planned with it, so it takes the time zones of the first
        day and leaves day effects out.
        """
        out = np.zeros((countries, WEEK))
        cells, hours = self.cells, self.rhythm.hours
        cell_offset = self.rhythm.offset[cells.zone, 0]
        hour = np.arange(WEEK)
        for offset in np.unique(self.rhythm.offset[:, 0]):
            for demand in range(len(hours)):
                rows = (cell_offset == offset) & (cells.demand == demand)
                if rows.any():
                    volume = np.bincount(
                        cells.country[rows], (cells.weekly * weight)[rows], countries
                    )
                    out += volume[:, None] * hours[demand, (hour + offset) % WEEK]
        return out

    @property
    def count_stream(self) -> Stream:
        """Draws of counts; entity: hour × cells + cell."""
        return registry.ARRIVAL_COUNTS.of(self.seed, width=self._width)

    @property
    def moment_stream(self) -> Stream:
        """Draws of moments; entity: number of the arrival, cell by cell inside the hour."""
        return registry.ARRIVAL_MOMENTS.of(self.seed)


def week_hour(hour: int) -> int:
    """Hour of the week in UTC, Monday 00:00 = 0, of an hour of the horizon."""
    moment = datetime.fromtimestamp(ORIGIN, UTC) + timedelta(hours=hour)
    return moment.weekday() * 24 + moment.hour


def load_arrivals(root: Path, seed: int, countries: tuple[str, ...]) -> Arrivals:
    """Reads the arrival law of a verified upstream.

    countries: the upstream's sorted ISO codes. Raises InputError `6B.S0.ARRIVAL_LAW_INVALID` where
    arrival_law.json is missing or out of range, merchants of 3B and 5A differ, or a demand class
    or time zone is unknown.
    """
    dispersion, days = _law(root / "5B/arrival_law.json")
    profile = _columns(root, "5A/merchant_zone_profile_5A", "merchant_id", "legal_country_iso",
                       "tzid", "demand_class", "weekly_volume_expected")  # fmt: skip
    served = profile["weekly_volume_expected"] > 0
    profile = {name: values[served] for name, values in profile.items()}
    classes = sorted(SHAPES)
    demand = profile["demand_class"].astype(str)
    unknown = sorted(set(demand.tolist()) - set(classes))
    if unknown:
        raise _invalid(
            f"demand class {', '.join(unknown)} has no hourly shape", root / "5A",
            f"use {', '.join(classes)}",
        )  # fmt: skip
    zones, zone = np.unique(profile["tzid"].astype(str), return_inverse=True)
    merchant = profile["merchant_id"].astype(np.int64)
    is_virtual = _virtual(root, int(merchant.max(initial=0)))
    channel = np.where(
        (demand == "online_24h") | is_virtual[merchant - 1],
        CHANNELS.index("ONLINE"),
        np.where(demand == "bills_utilities", CHANNELS.index("BILL"), CHANNELS.index("POS")),
    )
    burst_shape = max(dispersion // 4, 1)
    cells = Cells(
        merchant=(merchant - 1).astype(np.int32),
        country=np.searchsorted(countries, profile["legal_country_iso"].astype(str)).astype(
            np.uint8
        ),
        channel=channel.astype(np.uint8),
        weekly=profile["weekly_volume_expected"].astype(np.float64),
        demand=np.searchsorted(classes, demand).astype(np.uint8),
        zone=zone.astype(np.int32),
        gamma_shape=np.where(demand == "bursty_promo", burst_shape, dispersion).astype(np.int64),
    )
    rhythm = Rhythm(
        hours=np.stack([_week(*SHAPES[name]) for name in classes]),
        offset=_offsets(root, zones, days),
        effect=_effects(root, is_virtual.size, days),
    )
    return Arrivals(seed, days, cells, rhythm)


def _virtual(root: Path, highest: int) -> NDArray[np.bool_]:
    """Whether a merchant is virtual, (merchants,); highest: largest merchant id of 5A."""
    rows = _columns(root, "3B/virtual_classification", "merchant_id", "is_virtual")
    merchant = rows["merchant_id"]
    merchants = int(merchant.max(initial=0))
    if merchant.min(initial=1) < 1 or merchants > merchant.size or merchants < highest:
        raise _invalid("merchants of 3B are not those of 5A, numbered 1, 2, 3, …",
                       root / "3B", "give every merchant one row")  # fmt: skip
    virtual = np.zeros(merchants, dtype=bool)
    virtual[merchant - 1] = rows["is_virtual"]
    return virtual


def _law(path: Path) -> tuple[int, int]:
    """Dispersion and days of the horizon."""
    try:
        law = load_json(path)
        dispersion, days = float(law["dispersion"]), float(law["horizon_days"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(
            f"the arrival law cannot be read: {error}", path,
            "seal arrival_law.json with segment 5B (docs/transactions.md)",
        ) from error  # fmt: skip
    if not (dispersion.is_integer() and 1 <= dispersion <= MOST_DISPERSION):
        raise _invalid(
            f"dispersion {dispersion} is not a whole number from 1 to {MOST_DISPERSION}",
            path, "give such a number",
        )  # fmt: skip
    if not (days.is_integer() and 1 <= days <= MOST_DAYS):
        raise _invalid(f"horizon_days {days} is not a whole number from 1 to {MOST_DAYS}",
                       path, "give such a number")  # fmt: skip
    return int(dispersion), int(days)


def _week(weekend: float, hours: tuple[int, ...]) -> NDArray[np.float64]:
    """Share of each of the 168 local hours in the week, from Monday."""
    day = np.array(hours) / sum(hours)
    return np.concatenate([day * (1 - weekend) / 5] * 5 + [day * weekend / 2] * 2)


def _offsets(root: Path, zones: NDArray[np.str_], days: int) -> NDArray[np.int64]:
    """Whole hours ahead of UTC at noon UTC, rounded down, (zones, days)."""
    noon = datetime.fromtimestamp(ORIGIN, UTC) + timedelta(hours=12)
    out = np.zeros((zones.size, days), dtype=np.int64)
    for z, name in enumerate(zones):
        try:
            info = ZoneInfo(str(name))
        except (KeyError, ValueError, OSError) as error:
            raise _invalid(f"{str(name)[:80]!r} is not a time zone", root / "5A",
                           "use names of the tz database") from error  # fmt: skip
        for day in range(days):
            offset = (noon + timedelta(days=day)).astimezone(info).utcoffset() or timedelta()
            out[z, day] = offset // timedelta(hours=1)
    return out


def _effects(root: Path, merchants: int, days: int) -> NDArray[np.float64]:
    """Day effects, 1 where 2B has no row, (merchants, days)."""
    rows = _columns(root, "2B/day_effects", "merchant_id", "day", "effect")
    out = np.ones((merchants, days))
    if not (np.isfinite(rows["effect"]) & (rows["effect"] >= 0)).all():
        raise _invalid("a day effect is negative or not finite", root / "2B",
                       "give effects of 0 or more")  # fmt: skip
    inside = (rows["day"] >= 1) & (rows["day"] <= days)
    inside &= (rows["merchant_id"] >= 1) & (rows["merchant_id"] <= merchants)
    out[rows["merchant_id"][inside] - 1, rows["day"][inside] - 1] = rows["effect"][inside]
    return out


def _columns(root: Path, table: str, *names: str) -> dict[str, np.ndarray]:
    data = pq.read_table(root / f"{table}.parquet", columns=list(names))
    return {name: data[name].to_numpy() for name in names}


def _invalid(what: str, path: Path, remedy: str) -> InputError:
    return InputError("6B.S0.ARRIVAL_LAW_INVALID", what, where=str(path), remedy=remedy)


@kernel
def _counts(k0, k1, width, first, cells, rhythm, out):  # type: ignore[no-untyped-def]
    """Draws the arrivals of every hour and cell.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream.
    width : int
        Draws of a cell and hour.
    first : int
        First hour, counted from the start of the horizon.
    cells, rhythm : Cells, Rhythm
    out : int32 (hours, cells)
        Filled.
    """
    weekly, demand, zone, merchant = cells.weekly, cells.demand, cells.zone, cells.merchant
    gamma_shape = cells.gamma_shape
    hours, offset, effect = rhythm.hours, rhythm.offset, rhythm.effect
    n = weekly.size
    # 2026-01-01 is a Thursday: three days into a week that begins on Monday.
    start = 3 * 24 + first
    for h in range(out.shape[0]):
        day = (first + h) // 24
        for c in range(n):
            local = (start + h + offset[zone[c], day]) % WEEK
            mean = weekly[c] * hours[demand[c], local] * effect[merchant[c], day]
            at = np.uint64((first + h) * n + c) * np.uint64(width)
            out[h, c] = _count(k0, k1, at, gamma_shape[c], mean) if mean > 0.0 else 0


@kernel
def _count(k0, k1, at, gamma_shape, mean):  # type: ignore[no-untyped-def]
    """A Poisson count whose mean is gamma distributed.

    The gamma is −Σ log u / shape over `gamma_shape` uniforms; logarithms are taken of the product
    of a Philox block. The count inverts the cumulative probability, or is a rounded normal above
    LARGE_MEAN.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream.
    at : u64
        Position of the first draw, a multiple of 4: `gamma_shape` draws for the gamma, one for
        the count.
    gamma_shape : int
    mean : float
        Of the gamma.
    """
    product = 1.0
    total = 0.0
    lanes = philox.block(k0, k1, at >> np.uint64(2))
    for i in range(gamma_shape):
        position = at + np.uint64(i)
        if i > 0 and position & np.uint64(3) == 0:
            lanes = philox.block(k0, k1, position >> np.uint64(2))
            total -= normal.log(product)
            product = 1.0
        product *= normal.unit(philox.lane_of(lanes, position))
    total -= normal.log(product)
    mean *= total / gamma_shape
    position = at + np.uint64(gamma_shape)
    u = philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)
    if mean > LARGE_MEAN:
        return max(0, np.int64(np.floor(mean + np.sqrt(mean) * normal.deviate(u) + 0.5)))
    p = normal.exp(-mean)
    cumulative = p
    target = normal.unit(u)
    k = 0
    while target > cumulative and k < MOST_COUNT:
        k += 1
        p *= mean / k
        cumulative += p
    return k


@kernel
def _moments(k0, k1, base, counts, moment, cell):  # type: ignore[no-untyped-def]
    """Draws the moments of an hour's arrivals and sorts them: bucket sort, insertion inside.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream: one draw an arrival.
    base : int
        Number of the hour's first arrival.
    counts : int32 (cells,)
    moment, cell : int32 (arrivals,)
        Filled, in order of (moment, cell).
    """
    n = moment.size
    drawn = np.empty(n, dtype=np.uint64)
    philox.fill(k0, k1, np.uint64(base), drawn)
    start = np.zeros((HOUR_MS >> BUCKET_BITS) + 2, dtype=np.int64)
    for i in range(n):
        drawn[i] = philox.mul_high(drawn[i], np.uint64(HOUR_MS))
        start[(drawn[i] >> np.uint64(BUCKET_BITS)) + np.uint64(1)] += 1
    for b in range(1, start.size):
        start[b] += start[b - 1]
    filled = start.copy()
    i = 0
    for c in range(counts.size):
        for _ in range(counts[c]):
            ms = np.int32(drawn[i])
            bucket = ms >> BUCKET_BITS
            at = filled[bucket]
            while at > start[bucket] and moment[at - 1] > ms:
                moment[at] = moment[at - 1]
                cell[at] = cell[at - 1]
                at -= 1
            moment[at] = ms
            cell[at] = c
            filled[bucket] += 1
            i += 1
