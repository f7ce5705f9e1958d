"""Builds the embedded upstream: eight sealed segments, the same bytes every time."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.errors import FraudworldError, InputError
from fraudworld.inputs.embedded.geography import Country, countries
from fraudworld.inputs.embedded.merchants import Portfolio, portfolio
from fraudworld.store import bundle
from fraudworld.store.atomic import atomic_directory

SEGMENTS = ("1A", "1B", "2A", "2B", "3A", "3B", "5A", "5B")
VERSION = 2
"""Version of the embedded upstream; part of its folder's name in the cache."""

_KEY = 0x66726175_64776F72
"""Philox key of every draw here; all upstreams of one version share it."""

FIXED = {
    "1A": "00797808e4480b7716e0508c5678910e2bf888fc791cbf7dd04f660ad4b5a1c7",
    "1B": "1daeeb6cda6ea6adf667aa04342415c70a8b50a064359b006cde150d3b6b38fe",
    "2A": "ddafdd9436926dc7963d1c2e2773fe4f03e00949f9082874785639b075b18494",
    "2B": "f78ce73a7108dddb125e9a4de99778c6cd10dd00b8d97954fb4b6f02135da64e",
    "3A": "5ac32d4de98f4b20be5a174640b1745da15f66e568da709a74e03be5e77aaf6b",
    "3B": "b77cb48befba35818a068d388ceaed3a9bd07b83d9e02369bfce2c11964222e5",
}
"""Bundle digests of the segments that do not depend on the scale."""

SCALED = {
    "0.02849002849": {  # demo
        "5A": "a4e462309833ca01c6754b25422bb7f6458940d7482657d52eadd1e977311e7c",
        "5B": "a7639c34e2627c0aafc16e3c4f50f52158edb591c0de011d8761527bf60c33a5",
    },
    "0.0854700854701": {  # small
        "5A": "f85d980b8dc2b8aa6ecd67a35f5b97763f8271b1c85061460189afadd1d332ca",
        "5B": "4f770dc1075f6aa2e2de2f70d6b87d4db522efb3ffbde83d307d7fd8b52ea7b8",
    },
    "1": {  # authority
        "5A": "ff4b027b2bc2828d935a64d3cd1cb09550553e3c05bfbb963ee83349f9183341",
        "5B": "9e45d01deb8b09c6477ef12e46019f22dec30717705fb0aaac8658276bae2e67",
    },
}
"""Bundle digests of the other segments, by scale, of the shipped profiles."""

ARRIVAL_LAW = {
    "peak_hours_local": [11, 16],
    "weekend_share": 0.287,
    "dispersion": 8.0,
    "horizon_days": 90,
    "virtual_share": 0.023,
}
"""The hourly law of 5B, by which `inputs/arrivals.py` generates arrivals: arrival_law.json."""


def build(folder: Path, *, volume_scale: float) -> None:
    """Builds all segments into a new `folder`, which appears complete or not at all.

    volume_scale: on the expected volumes of 5A; 1 is 9.59 million arrivals a week. Merchants and
    outlets do not depend on it. Raises InputError `6A.S0.IO_WRITE_FAILED` where the folder exists
    or cannot be written, `6A.S0.VOLUME_SCALE_INVALID` for a scale that is not a positive number.
    """
    if not (math.isfinite(volume_scale) and volume_scale > 0):
        raise InputError(
            "6A.S0.VOLUME_SCALE_INVALID",
            f"the volume scale must be above 0, it is {volume_scale}",
            where="volume_scale",
            remedy="give a positive number; 1 is the authority volume",
        )
    if folder.exists() or folder.is_symlink():
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            "the folder exists already",
            where=str(folder),
            remedy="give a new folder; an upstream is never overwritten",
        )
    random = np.random.Generator(np.random.Philox(key=_KEY))
    places = countries()
    merchants = portfolio(places, random)
    segments = _segments(places, merchants, random, volume_scale)
    try:
        with atomic_directory(folder) as staged:
            for segment, tables in segments.items():
                _write(staged / segment, tables)
    except OSError as error:
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"cannot write the upstream: {error.strerror or error}",
            where=str(folder),
            remedy="choose a new, writable folder with 20 MB free",
        ) from error


def ensure_embedded(cache: Path, volume_scale: float) -> Path:
    """The folder of the embedded upstream of one scale, built below `cache` on first use.

    A cached copy is believed only where its digests are those of this version: the ones stated
    here for the shipped profiles, otherwise those of a build in a temporary folder. Its own seal
    proves nothing, as whoever can write to the cache can seal again. Any other copy is replaced.
    """
    place = cache / f"upstream-v{VERSION}-{_key(volume_scale)}"
    found = _digests(place)
    if found is not None and found == FIXED | SCALED.get(_key(volume_scale), {}):
        return place
    if found is None and not os.path.lexists(place):
        try:
            build(place, volume_scale=volume_scale)
        except InputError:
            # Another process may have built it meanwhile.
            if not os.path.lexists(place):
                raise
        else:
            return place
    # Also with other versions of the libraries that the default comes from (docs/upstream.md).
    with tempfile.TemporaryDirectory(prefix="fraudworld-upstream-") as temporary:
        fresh = Path(temporary) / "upstream"
        build(fresh, volume_scale=volume_scale)
        if _digests(place) != _digests(fresh):
            _replace(place, volume_scale)
    return place


def _key(volume_scale: float) -> str:
    return f"{volume_scale:.12g}"


def _digests(place: Path) -> dict[str, str] | None:
    """Bundle digests of all segments; None where a seal is broken."""
    try:
        return {segment: bundle.verify(place / segment, segment).digest for segment in SEGMENTS}
    except FraudworldError:
        return None


def _replace(place: Path, volume_scale: float) -> None:
    """Builds a copy anew; whatever was there is removed. No reader sees half an upstream."""
    damaged = place.with_name(f".{place.name}-damaged-{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            os.rename(place, damaged)
        if damaged.is_dir() and not damaged.is_symlink():
            shutil.rmtree(damaged)
        else:
            damaged.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"cannot replace the cached upstream: {error.strerror or error}",
            where=str(place),
            remedy="make the folder writable, or remove it",
        ) from error
    try:
        build(place, volume_scale=volume_scale)
    except InputError:
        # Another process may have repaired it meanwhile.
        if not os.path.lexists(place):
            raise


def _write(folder: Path, tables: dict[str, pa.Table]) -> None:
    """Writes and seals one segment."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd", store_schema=False)
    if "arrival_events_5B" in tables:
        # Not `documents.pretty_json`: these bytes are sealed, so they belong to VERSION.
        (folder / "arrival_law.json").write_text(json.dumps(ARRIVAL_LAW, sort_keys=True) + "\n")
    bundle.seal(folder, [p.name for p in folder.iterdir()])


def _segments(
    places: tuple[Country, ...],
    merchants: Portfolio,
    random: np.random.Generator,
    volume_scale: float,
) -> dict[str, dict[str, pa.Table]]:
    """All tables by segment and name; the order of draws from `random` is part of VERSION."""
    iso = np.array([c.iso for c in places])
    merchant_rows = np.repeat(np.arange(len(merchants.home)), [len(w) for w in merchants.legal])
    legal = np.concatenate(merchants.legal)
    legal_outlets = np.concatenate(merchants.legal_outlets)
    site_row = np.repeat(np.arange(legal.size), legal_outlets)
    merchant = merchant_rows[site_row]
    first = np.concatenate([[0], np.cumsum(legal_outlets)])
    order_in_country = np.arange(site_row.size) - first[site_row] + 1
    site_city = _cities(places, legal[site_row], random)
    latitude, longitude, tzid = _positions(places, legal[site_row], site_city, random)
    keys = {
        "merchant_id": merchant + 1,
        "legal_country_iso": iso[legal[site_row]],
        "site_order": order_in_country,
    }
    zones = _zones(places, merchant_rows, legal, site_row, tzid)
    volume = merchants.weekly_volume * volume_scale
    profile_volume = (volume[zones["merchant"]] * zones["share"]).round(6)
    served = zones["count"] > 0
    return {
        "1A": {
            "outlet_catalogue": pa.table(
                {
                    "merchant_id": merchant + 1,
                    "site_id": np.arange(1, site_row.size + 1),
                    "home_country_iso": iso[merchants.home[merchant]],
                    "legal_country_iso": iso[legal[site_row]],
                    "merchant_class": merchants.risk_class[merchant],
                    "mcc": merchants.mcc[merchant],
                    "final_country_outlet_count": legal_outlets[site_row],
                    "site_order": order_in_country,
                }
            ),
            "country_geography": pa.table(
                {
                    "country_iso": iso,
                    "region_id": [c.region for c in places],
                    "currency": [c.currency for c in places],
                }
            ),
        },
        "1B": {"site_locations": pa.table({**keys, "lat": latitude, "lon": longitude})},
        "2A": {"site_timezones": pa.table({**keys, "tzid": tzid})},
        "2B": {"day_effects": _day_effects(merchants, random)},
        "3A": {
            "zone_alloc": pa.table(
                {
                    "merchant_id": zones["merchant"] + 1,
                    "legal_country_iso": iso[zones["country"]],
                    "tzid": zones["tzid"],
                    "zone_site_count": zones["count"],
                }
            )
        },
        "3B": {
            "virtual_classification": pa.table(
                {
                    "merchant_id": np.arange(1, len(merchants.home) + 1),
                    "is_virtual": merchants.is_virtual,
                    "virtual_mode": np.where(merchants.is_virtual, "HYBRID", "NON_VIRTUAL"),
                }
            )
        },
        "5A": {
            "merchant_zone_profile_5A": pa.table(
                {
                    "merchant_id": zones["merchant"][served] + 1,
                    "legal_country_iso": iso[zones["country"][served]],
                    "tzid": zones["tzid"][served],
                    "demand_class": merchants.demand_class[zones["merchant"][served]],
                    "weekly_volume_expected": profile_volume[served],
                }
            )
        },
        "5B": {"arrival_events_5B": _arrival_sample(zones, merchants, profile_volume, random)},
    }


def _cities(
    places: tuple[Country, ...], country: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """City of every site as a position, drawn by population; country: of every site."""
    out = np.zeros(country.size, dtype=np.int64)
    for c, place in enumerate(places):
        sites = np.flatnonzero(country == c)
        weight = np.array([city.population for city in place.cities], dtype=np.float64)
        out[sites] = random.choice(weight.size, sites.size, p=weight / weight.sum())
    return out


def _positions(
    places: tuple[Country, ...],
    country: np.ndarray,
    city: np.ndarray,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude and longitude of every site, a few kilometres around its city, and its time zone."""
    cities = [places[c].cities[k] for c, k in zip(country, city, strict=True)]
    scatter = random.normal(0.0, 0.03, (2, country.size))
    latitude = np.clip(np.array([c.latitude for c in cities]) + scatter[0], -89.9, 89.9)
    longitude = np.array([c.longitude for c in cities]) + scatter[1]
    return latitude.round(6), longitude.round(6), np.array([c.tzid for c in cities])


def _zones(
    places: tuple[Country, ...],
    merchant_rows: np.ndarray,
    legal: np.ndarray,
    site_row: np.ndarray,
    site_tzid: np.ndarray,
) -> dict[str, np.ndarray]:
    """Every time zone of every country that a merchant serves, with its sites there.

    merchant_rows, legal: merchant and country of every pair (merchant, country served); site_row:
    the pair of every site. Columns: merchant, country, tzid, count (sites), share (of the
    merchant's sites).
    """
    sizes = np.array([len(place.zones) for place in places])[legal]
    first = np.cumsum(sizes) - sizes
    merchant = np.repeat(merchant_rows, sizes)
    tzid = np.concatenate([places[c].zones for c in legal])
    number = {(c, z): i for c, place in enumerate(places) for i, z in enumerate(place.zones)}
    within = [number[key] for key in zip(legal[site_row].tolist(), site_tzid.tolist(), strict=True)]
    count = np.bincount(first[site_row] + within, minlength=merchant.size)
    return {
        "merchant": merchant,
        "country": np.repeat(legal, sizes),
        "tzid": tzid,
        "count": count,
        "share": count / np.bincount(merchant, count)[merchant],
    }


def _day_effects(merchants: Portfolio, random: np.random.Generator) -> pa.Table:
    """Multiplicative day effects of every merchant over the horizon, mean one.

    Six digits, as exponentials differ in the last bit between machines.
    """
    days = int(str(ARRIVAL_LAW["horizon_days"]))
    n = len(merchants.home)
    effect = np.exp(random.normal(0.0, 0.08, (n, days)))
    effect /= effect.mean(axis=1, keepdims=True)
    return pa.table(
        {
            "merchant_id": np.repeat(np.arange(1, n + 1), days),
            "tz_group": np.zeros(n * days, dtype=np.int64),
            "day": np.tile(np.arange(1, days + 1), n),
            "effect": effect.ravel().round(6),
        }
    )


def _arrival_sample(
    zones: dict[str, np.ndarray],
    merchants: Portfolio,
    volume: np.ndarray,
    random: np.random.Generator,
) -> pa.Table:
    """The arrivals of one hour, as a sample: 6B generates arrivals itself.

    volume: expected arrivals a week of every row of `zones`.
    """
    rate = volume / (7 * 24)
    count = random.poisson(rate * random.gamma(8.0, 1 / 8.0, rate.size))
    count = np.minimum(count, 50)
    row = np.repeat(np.arange(rate.size), count)
    second = np.sort(random.integers(0, 3_600, row.size))
    merchant = zones["merchant"][row]
    online = merchants.demand_class[merchant] == "online_24h"
    return pa.table(
        {
            "scenario_id": np.full(row.size, "baseline"),
            "merchant_id": merchant + 1,
            "arrival_seq": np.arange(1, row.size + 1),
            "ts_utc": 1_767_225_600 + second,
            "tzid": zones["tzid"][row],
            "channel_group": np.where(online, "ONLINE", "POS"),
            "is_virtual": merchants.is_virtual[merchant],
        }
    )
