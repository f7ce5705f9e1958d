"""The hourly law of 5B: arrivals of any window of the horizon, generated on demand.

A *cell* is one row of 5A: a merchant in a country and a time zone. In UTC hour h of the
horizon its arrivals are Poisson with mean

    weekly volume × share of the local hour in the week × day effect of the merchant × G,

where G is gamma of mean one and the sealed dispersion as its shape (a quarter of it for
`bursty_promo`): hourly counts are over-dispersed. Moments fall uniformly inside the hour.
Every cell and hour draws by its own number, so any window gives the rows the whole horizon
would give. Local time follows each zone's offset at noon of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
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
"""First second of the horizon: 2026-01-01 00:00 UTC, the hour the sealed sample shows."""

HOUR_MS = 3_600_000
WEEK = 168
LARGE_MEAN = 64.0
"""Above it a Poisson count is a rounded normal, within 1 % of the tail at 64."""

CHANNELS = ("BILL", "ONLINE", "POS")
MOST_DISPERSION = 63

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
"""Demand class → share of the week on Saturday and Sunday, weights of the local hours.

Authored within the published frame: the peak lies between 11 and 16 and the weekend carries
.287 of the week at the published mix of classes.
"""


@dataclass(frozen=True)
class Cells:
    """One row per (merchant, country, zone) with volume, in the order of 5A."""

    merchant: NDArray[np.int32]  # position: merchant_id − 1
    country: NDArray[np.uint8]  # position in the upstream's sorted countries
    channel: NDArray[np.uint8]  # position in CHANNELS
    weekly: NDArray[np.float64]
    shape: NDArray[np.uint8]  # row of the hour table
    zone: NDArray[np.int32]  # row of the offset table
    gamma_shape: NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """The arrival law of one sealed upstream under one seed.

    `hours`: share of every local hour in the week, shape (classes, 168), Monday first.
    `offset`: hours ahead of UTC per zone and day. `effect`: per merchant and day.
    """

    seed: int
    days: int
    cells: Cells
    hours: NDArray[np.float64]
    offset: NDArray[np.int64]
    effect: NDArray[np.float64]

    @cached_property
    def _width(self) -> int:
        return 4 * -(-(int(self.cells.gamma_shape.max()) + 1) // 4)

    def counts(self, first: int, last: int) -> NDArray[np.int32]:
        """Arrivals of every cell in UTC hours first … last − 1, shape (hours, cells)."""
        cells = self.cells
        out = np.empty((last - first, cells.merchant.size), dtype=np.int32)
        _counts(
            *self.count_stream.key, self._width, first, cells.weekly, cells.shape, cells.zone,
            cells.merchant, cells.gamma_shape, self.hours, self.offset, self.effect, out,
        )  # fmt: skip
        return out

    def hour(
        self, base: int, counts: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Arrivals of one hour in order of time: millisecond in the hour, and cell.

        base: arrivals of the horizon before this hour; counts: those of the hour by cell.
        """
        n = int(counts.sum())
        moment, cell = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
        _moments(*self.moment_stream.key, base, counts, moment, cell)
        return moment, cell

    def expected_week(self, weight: NDArray[np.float64], countries: int) -> NDArray[np.float64]:
        """Weighted arrivals expected per country and UTC hour of the week.

        weight: one per cell. Shape (countries, 168), Monday first; offsets of the first day,
        day effects left out. Plans are made with it.
        """
        out = np.zeros((countries, WEEK))
        cells = self.cells
        hour = np.arange(WEEK)
        for ahead in np.unique(self.offset[:, 0]):
            for shape in range(len(self.hours)):
                mine = (self.offset[cells.zone, 0] == ahead) & (cells.shape == shape)
                if mine.any():
                    volume = np.bincount(
                        cells.country[mine], (cells.weekly * weight)[mine], countries
                    )
                    out += volume[:, None] * self.hours[shape, (hour + ahead) % WEEK]
        return out

    @property
    def count_stream(self) -> Stream:
        """Draws of counts: entity = hour × cells + cell."""
        return registry.ARRIVAL_COUNTS.of(self.seed, width=self._width)

    @property
    def moment_stream(self) -> Stream:
        """Draws of moments: entity = arrivals before it, cell by cell inside the hour."""
        return registry.ARRIVAL_MOMENTS.of(self.seed)


def week_hour(hour: int) -> int:
    """UTC hour of the week, Monday 00:00 = 0, of hour `hour` of the horizon."""
    moment = datetime.fromtimestamp(ORIGIN, UTC) + timedelta(hours=hour)
    return moment.weekday() * 24 + moment.hour


def load_arrivals(root: Path, seed: int, countries: tuple[str, ...]) -> Arrivals:
    """The law out of a verified upstream at `root`.

    countries: the upstream's sorted ISO codes. Raises InputError where the law of 5B is
    missing or beyond what is understood here, or a demand class has no shape.
    """
    law = _law(root / "5B/arrival_law.json")
    profile = _columns(root, "5A/merchant_zone_profile_5A", "merchant_id", "legal_country_iso",
                       "tzid", "demand_class", "weekly_volume_expected")  # fmt: skip
    virtual = _columns(root, "3B/virtual_classification", "merchant_id", "is_virtual")
    days = int(law["horizon_days"])
    served = profile["weekly_volume_expected"] > 0
    profile = {name: values[served] for name, values in profile.items()}
    names = sorted(SHAPES)
    demand = profile["demand_class"].astype(str)
    strange = sorted(set(demand.tolist()) - set(names))
    if strange:
        raise _invalid(
            f"demand class {', '.join(strange)} has no hourly shape", root / "5A",
            f"use {', '.join(names)}",
        )  # fmt: skip
    zones, zone = np.unique(profile["tzid"].astype(str), return_inverse=True)
    merchants = int(virtual["merchant_id"].max(initial=0))
    least = int(virtual["merchant_id"].min(initial=1))
    if least < 1 or merchants > virtual["merchant_id"].size or merchants < _highest(profile):
        raise _invalid("merchants of 3B are not those of 5A, numbered 1, 2, 3, …",
                       root / "3B", "give every merchant one row")  # fmt: skip
    is_virtual = np.zeros(merchants + 1, dtype=bool)
    is_virtual[virtual["merchant_id"]] = virtual["is_virtual"]
    merchant = profile["merchant_id"].astype(np.int64)
    channel = np.where(
        (demand == "online_24h") | is_virtual[merchant],
        CHANNELS.index("ONLINE"),
        np.where(demand == "bills_utilities", CHANNELS.index("BILL"), CHANNELS.index("POS")),
    )
    shape = int(law["dispersion"])
    return Arrivals(
        seed,
        days,
        Cells(
            (merchant - 1).astype(np.int32),
            np.searchsorted(countries, profile["legal_country_iso"].astype(str)).astype(np.uint8),
            channel.astype(np.uint8),
            profile["weekly_volume_expected"].astype(np.float64),
            np.searchsorted(names, demand).astype(np.uint8),
            zone.astype(np.int32),
            np.where(demand == "bursty_promo", max(shape // 4, 1), shape).astype(np.int64),
        ),
        np.stack([_week(*SHAPES[name]) for name in names]),
        _offsets(root, zones, days),
        _effects(root, merchants, days),
    )


def _highest(profile: dict[str, np.ndarray]) -> int:
    """The largest merchant id of a profile; 0 where it has no rows."""
    return int(profile["merchant_id"].max(initial=0))


def _law(path: Path) -> dict[str, float]:
    try:
        law = load_json(path)
        dispersion, days = float(law["dispersion"]), float(law["horizon_days"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(
            f"the arrival law cannot be read: {error}", path,
            "seal arrival_law.json with segment 5B (docs/transactions.md)",
        ) from error  # fmt: skip
    if not (dispersion.is_integer() and 1 <= dispersion <= MOST_DISPERSION):
        raise _invalid(f"dispersion {dispersion} is no whole number from 1 to {MOST_DISPERSION}",
                       path, "round it")  # fmt: skip
    if not (days.is_integer() and 1 <= days <= 3_660):
        raise _invalid(f"horizon_days {days} is no whole number from 1 to 3660", path, "mend it")
    return {"dispersion": dispersion, "horizon_days": days}


def _week(weekend: float, hours: tuple[int, ...]) -> NDArray[np.float64]:
    """Share of each of the 168 hours, Monday first."""
    day = np.array(hours) / sum(hours)
    return np.concatenate([day * (1 - weekend) / 5] * 5 + [day * weekend / 2] * 2)


def _offsets(root: Path, zones: NDArray[np.str_], days: int) -> NDArray[np.int64]:
    """Whole hours ahead of UTC, rounded down, per zone and day."""
    noon = datetime.fromtimestamp(ORIGIN, UTC) + timedelta(hours=12)
    out = np.zeros((zones.size, days), dtype=np.int64)
    for z, name in enumerate(zones):
        try:
            place = ZoneInfo(str(name))
        except (KeyError, ValueError, OSError) as error:
            raise _invalid(f"{str(name)[:80]!r} is no time zone", root / "5A",
                           "use names of the tz database") from error  # fmt: skip
        for day in range(days):
            ahead = (noon + timedelta(days=day)).astimezone(place).utcoffset() or timedelta()
            out[z, day] = ahead // timedelta(hours=1)
    return out


def _effects(root: Path, merchants: int, days: int) -> NDArray[np.float64]:
    """Day effects, one where 2B says nothing; shape (merchants, days)."""
    rows = _columns(root, "2B/day_effects", "merchant_id", "day", "effect")
    out = np.ones((merchants, days))
    if not (np.isfinite(rows["effect"]) & (rows["effect"] >= 0)).all():
        raise _invalid("an effect of a day is negative or no number", root / "2B", "mend it")
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
def _counts(  # type: ignore[no-untyped-def]
    k0, k1, width, first, weekly, shape, zone, merchant, gamma_shape, hours, offset, effect, out
):
    cells = weekly.size
    # 2026-01-01 is a Thursday: three days into a week that begins on Monday.
    start = 3 * 24 + first
    for h in range(out.shape[0]):
        day = (first + h) // 24
        for c in range(cells):
            local = (start + h + offset[zone[c], day]) % 168
            mean = weekly[c] * hours[shape[c], local] * effect[merchant[c], day]
            at = np.uint64((first + h) * cells + c) * np.uint64(width)
            out[h, c] = _count(k0, k1, at, gamma_shape[c], mean) if mean > 0.0 else 0


@kernel
def _count(k0, k1, at, gamma_shape, mean):  # type: ignore[no-untyped-def]
    """Poisson of a gamma mean: `gamma_shape` draws for the gamma, one for the count."""
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
    below = p
    target = normal.unit(u)
    k = 0
    while target > below and k < 400:
        k += 1
        p *= mean / k
        below += p
    return k


@kernel
def _moments(k0, k1, base, counts, moment, cell):  # type: ignore[no-untyped-def]
    """Draw a moment per arrival, then put them in order: by bucket, insertion inside."""
    n = moment.size
    drawn = np.empty(n, dtype=np.uint64)
    philox.fill(k0, k1, np.uint64(base), drawn)
    start = np.zeros(3_600_000 // 1024 + 2, dtype=np.int64)
    for i in range(n):
        drawn[i] = philox.mul_high(drawn[i], np.uint64(3_600_000))
        start[(drawn[i] >> np.uint64(10)) + np.uint64(1)] += 1
    for b in range(1, start.size):
        start[b] += start[b - 1]
    filled = start.copy()
    i = 0
    for c in range(counts.size):
        for _ in range(counts[c]):
            ms = np.int32(drawn[i])
            bucket = ms >> 10
            at = filled[bucket]
            while at > start[bucket] and moment[at - 1] > ms:
                moment[at] = moment[at - 1]
                cell[at] = cell[at - 1]
                at -= 1
            moment[at] = ms
            cell[at] = c
            filled[bucket] += 1
            i += 1
