"""Small inputs of laws in memory: a few countries and merchants."""

from __future__ import annotations

import numpy as np

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack

COUNTRIES = {
    "AE": ("REGION_EMEA", "AED"),
    "AU": ("REGION_APAC", "AUD"),
    "BR": ("REGION_LATAM", "BRL"),
    "DE": ("REGION_EMEA", "EUR"),
    "GB": ("REGION_EMEA", "GBP"),
    "KE": ("REGION_AFRICA", "KES"),
    "MT": ("REGION_EMEA", "EUR"),
    "US": ("REGION_AMER", "USD"),
    "ZA": ("REGION_AFRICA", "ZAR"),
}


def geography(pack: PolicyPack, parties: int = 20_000) -> Geography:
    """Nine countries of different size whose arrivals give about `parties` parties."""
    regions = pack.codes("region")
    currencies = tuple(sorted({currency for _, currency in COUNTRIES.values()}))
    outlets = np.array([60, 900, 1_500, 4_000, 5_000, 120, 10, 12_000, 400], dtype=np.int64)
    priors = pack.population_priors
    arrivals = parties * priors.arrivals_per_active_party * priors.active_share
    return Geography(
        countries=tuple(COUNTRIES),
        region=np.array([regions.index(r) for r, _ in COUNTRIES.values()], dtype=np.uint8),
        currency=np.array([currencies.index(c) for _, c in COUNTRIES.values()], dtype=np.uint8),
        currencies=currencies,
        outlets=outlets,
        weekly_arrivals=arrivals * outlets / outlets.sum(),
    )


def merchants(pack: PolicyPack, count: int = 60) -> Merchants:
    """Merchants of every class, spread over the countries."""
    classes = len(pack.codes("merchant_class"))
    at = np.arange(count)
    return Merchants(
        id=at.astype(np.int64) + 1,
        home_country=(at % len(COUNTRIES)).astype(np.uint8),
        risk_class=(at % classes).astype(np.uint8),
        outlets=(at % 13 + 1).astype(np.int64),
        cross_border=(at % 7) / 10.0,
        weekly_volume=1_000.0 + 37.0 * at,
    )
