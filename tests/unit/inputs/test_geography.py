"""The embedded geography: regions by UN M49, currencies in use, zones of the tz database."""

from __future__ import annotations

import zoneinfo
from collections import Counter

import pytest

from fraudworld.inputs.embedded.geography import Country, countries


@pytest.fixture(scope="module")
def places() -> dict[str, Country]:
    return {c.iso: c for c in countries()}


def test_there_are_77_countries_in_order(places: dict[str, Country]) -> None:
    assert len(places) == 77
    assert list(places) == sorted(places)


def test_countries_have_the_expected_regions(places: dict[str, Country]) -> None:
    assert Counter(c.region for c in places.values()) == {
        "REGION_AFRICA": 13,
        "REGION_AMER": 2,
        "REGION_APAC": 14,
        "REGION_EMEA": 36,
        "REGION_LATAM": 12,
    }
    for iso, region in {
        "US": "AMER", "CA": "AMER", "MX": "LATAM", "DO": "LATAM", "PA": "LATAM", "EG": "AFRICA",
        "TR": "EMEA", "CY": "EMEA", "IL": "EMEA", "KZ": "EMEA", "SA": "EMEA", "IN": "APAC",
    }.items():  # fmt: skip
        assert places[iso].region == f"REGION_{region}"


def test_currencies_are_in_use(places: dict[str, Country]) -> None:
    for iso, currency in {
        "DE": "EUR", "HR": "EUR", "BG": "BGN", "GB": "GBP", "US": "USD", "EC": "USD", "PA": "PAB",
        "CH": "CHF", "SN": "XOF", "TR": "TRY", "JP": "JPY",
    }.items():  # fmt: skip
        assert places[iso].currency == currency
    assert all(len(c.currency) == 3 and c.currency.isupper() for c in places.values())


def test_cities_have_time_zones_of_their_country(places: dict[str, Country]) -> None:
    known = zoneinfo.available_timezones()
    for place in places.values():
        assert place.cities
        assert set(place.zones) <= known
        assert {city.tzid for city in place.cities} <= set(place.zones)
        sizes = [city.population for city in place.cities]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 0
    assert len(places["US"].zones) == 29
