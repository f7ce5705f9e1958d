"""Merchants of the default upstream: how many outlets, where, of which class, how busy.

Sizes follow quantile functions through published shape figures, not draws, so the shape is
the same in every build; what is drawn (places, classes) comes from one fixed Philox key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels.apportion import largest_remainder
from fraudworld.upstream.geography import Country

MERCHANTS = 1_238
OUTLETS = 31_257
WEEKLY_VOLUME = 9_590_000.0
HOME_ABROAD = 0.386
VIRTUAL = 0.03

OUTLET_QUANTILES = ((0.0, 1), (0.1, 6), (0.5, 16), (0.9, 36), (0.99, 165), (1.0, 2_546))
VOLUME_QUANTILES = (
    (0.0, 300), (0.1, 1_150), (0.5, 4_509), (0.9, 16_619), (0.99, 112_000), (1.0, 1_290_000),
)  # fmt: skip
COUNTRY_STEPS = ((0.52, 1), (0.68, 2), (0.79, 3), (0.86, 4), (0.92, 5), (0.95, 6), (0.97, 7),
                 (0.98, 8), (0.99, 9), (0.996, 10), (1.0, 11))  # fmt: skip

CLASS_SHARES = {
    "GENERAL_RETAIL": 0.58,
    "HOSPITALITY": 0.16,
    "TRAVEL": 0.08,
    "DIGITAL_GOODS": 0.10,
    "HIGH_CHARGEBACK": 0.05,
    "MONEY_SERVICES": 0.03,
}
MCC = {
    "GENERAL_RETAIL": (5311, 5411, 5541, 5651, 5732, 5912),
    "HOSPITALITY": (5812, 5813, 5814, 7011),
    "TRAVEL": (4111, 4511, 4722, 7512),
    "DIGITAL_GOODS": (5815, 5816, 5817, 5818),
    "HIGH_CHARGEBACK": (5967, 7273, 7995),
    "MONEY_SERVICES": (4829, 6051, 6211),
}
"""ISO 18245 merchant category codes of each class."""

DEMAND_SHARES = {
    "consumer_daytime": 0.627,
    "online_24h": 0.151,
    "fuel_convenience": 0.142,
    "evening_weekend": 0.035,
    "travel_hospitality": 0.004,
    "office_hours": 0.012,
    "bills_utilities": 0.009,
    "bursty_promo": 0.020,
}


@dataclass(frozen=True)
class Portfolio:
    """One row per merchant, ids 1 … n in array order."""

    home: NDArray[np.int64]  # country position
    risk_class: NDArray[np.str_]
    mcc: NDArray[np.int64]
    demand_class: NDArray[np.str_]
    outlets: NDArray[np.int64]
    weekly_volume: NDArray[np.float64]
    is_virtual: NDArray[np.bool_]
    legal: tuple[NDArray[np.int64], ...]  # countries served, per merchant
    legal_outlets: tuple[NDArray[np.int64], ...]  # outlets in each


def quantile_curve(
    points: tuple[tuple[float, float], ...], n: int, total: float
) -> NDArray[np.float64]:
    """n ascending values through `points` of a quantile function, summing to `total`.

    Log-linear between the points up to the ninth decile; above it log-convex, with the one
    exponent that meets the total. Points keep their places whatever the total is.
    """
    at, value = np.array(points).T
    u = (np.arange(n) + 0.5) / n
    u[-1] = 1.0
    segment = np.clip(np.searchsorted(at, u, side="right") - 1, 0, at.size - 2)
    t = (u - at[segment]) / (at[segment + 1] - at[segment])
    low, high = np.log(value[segment]), np.log(value[segment + 1])

    def curve(bend: float) -> NDArray[np.float64]:
        shape = np.where(at[segment] >= 0.9, t**bend, t)
        return np.asarray(np.exp(low + (high - low) * shape))

    flat, steep = 0.05, 50.0
    for _ in range(60):
        middle = 0.5 * (flat + steep)
        if curve(middle).sum() > total:
            flat = middle
        else:
            steep = middle
    return curve(steep)


def portfolio(places: tuple[Country, ...], random: np.random.Generator) -> Portfolio:
    """The merchants of the default bank."""
    size = quantile_curve(OUTLET_QUANTILES, MERCHANTS, OUTLETS)
    sorted_outlets = np.maximum(largest_remainder(OUTLETS, size), 1)
    order = random.permutation(MERCHANTS)
    outlets = sorted_outlets[order]
    # Volume follows size, loosely: ranks of outlets disturbed by noise.
    rank = np.argsort(np.argsort(np.log(outlets) + random.normal(0.0, 0.6, MERCHANTS)))
    curve = quantile_curve(VOLUME_QUANTILES, MERCHANTS, WEEKLY_VOLUME)
    volume = (curve * (WEEKLY_VOLUME / curve.sum()))[rank]

    market = np.array([float(c.population) ** 0.7 for c in places])
    home = random.choice(len(places), MERCHANTS, p=market / market.sum())
    steps = np.array([s for s, _ in COUNTRY_STEPS])
    reach = np.array([k for _, k in COUNTRY_STEPS])[
        np.searchsorted(
            steps, (np.argsort(np.argsort(outlets + random.random(MERCHANTS))) + 0.5) / MERCHANTS
        )
    ]
    reach = np.minimum(reach, outlets)
    risk = _exact(CLASS_SHARES, MERCHANTS, random)
    legal, legal_outlets = _footprints(home, outlets, reach, market, random)
    return Portfolio(
        home=home,
        risk_class=risk,
        mcc=np.array(
            [
                MCC[c][i]
                for c, i in zip(risk, (random.integers(len(MCC[c])) for c in risk), strict=True)
            ]
        ),
        demand_class=_exact(DEMAND_SHARES, MERCHANTS, random),
        outlets=outlets,
        weekly_volume=volume,
        is_virtual=np.isin(
            np.arange(MERCHANTS), random.permutation(MERCHANTS)[: round(VIRTUAL * MERCHANTS)]
        ),
        legal=legal,
        legal_outlets=legal_outlets,
    )


def _exact(shares: dict[str, float], n: int, random: np.random.Generator) -> NDArray[np.str_]:
    counts = largest_remainder(n, list(shares.values()))
    return random.permutation(np.repeat(list(shares), counts))


def _footprints(
    home: NDArray[np.int64],
    outlets: NDArray[np.int64],
    reach: NDArray[np.int64],
    market: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.int64], ...]]:
    """Countries served and outlets in each; outlets abroad add up to the published share.

    Merchants of several countries keep a varying part at home. Then merchants of one
    country are moved abroad whole (a legal seat away from home), smallest last, until the
    share is met.
    """
    legal, counts = [], []
    for h, n, k in zip(home, outlets, reach, strict=True):
        weight = market.copy()
        weight[h] = 0.0
        others = random.choice(market.size, k - 1, replace=False, p=weight / weight.sum())
        where = np.concatenate([[h], others]).astype(np.int64)
        share = np.concatenate([[1.0], np.full(k - 1, 0.7 / max(k - 1, 1))])
        split = np.maximum(largest_remainder(int(n), share), 1)
        split[0] -= split.sum() - n
        legal.append(where)
        counts.append(split)
    abroad = sum(int(c[1:].sum()) for c in counts)
    wanted = round(HOME_ABROAD * float(outlets.sum()))
    for m in np.argsort(-outlets, kind="stable"):
        if len(legal[m]) == 1 and abroad + outlets[m] <= wanted:
            weight = market.copy()
            weight[home[m]] = 0.0
            legal[m] = np.array([random.choice(market.size, p=weight / weight.sum())])
            abroad += int(outlets[m])
    return tuple(legal), tuple(counts)
