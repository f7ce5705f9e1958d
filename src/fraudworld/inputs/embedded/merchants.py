"""Merchants of the embedded upstream: outlets, countries, classes, volumes.

Outlets and volumes are quantile functions through the published figures that
`embedded/shape.py` measures; they are not drawn. Places and classes are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.embedded.geography import Country
from fraudworld.kernels.apportion import largest_remainder

MERCHANTS = 1_238
OUTLETS = 31_257
WEEKLY_VOLUME = 9_590_000.0
HOME_ABROAD = 0.386
VIRTUAL = 0.03

OUTLET_QUANTILES = ((0.0, 1), (0.1, 6), (0.5, 16), (0.9, 36), (0.99, 165), (1.0, 2_546))
VOLUME_QUANTILES = (
    (0.0, 400), (0.5, 4_509), (0.9, 16_619), (0.99, 112_000), (1.0, 1_290_000),
)  # fmt: skip
"""(probability, value) of outlets and weekly volume per merchant: published figures, but for the
least volume, which is authored."""

COUNTRY_STEPS = ((0.52, 1), (0.68, 2), (0.79, 3), (0.86, 4), (0.92, 5), (0.95, 6), (0.97, 7),
                 (0.98, 8), (0.99, 9), (0.996, 10), (1.0, 11))  # fmt: skip
"""(probability, countries per merchant) of a quantile function: median, p90 and maximum are
published, the others authored."""

SPENDING = {
    "REGION_AFRICA": 0.5,
    "REGION_AMER": 2.2,
    "REGION_APAC": 0.8,
    "REGION_EMEA": 1.5,
    "REGION_LATAM": 0.8,
}
"""Card spending per head, relative to the world's (authored)."""

TRADES: tuple[tuple[str, str, float, tuple[int, ...]], ...] = (
    ("GENERAL_RETAIL", "consumer_daytime", 0.418, (5311, 5411, 5651, 5732, 5912)),
    ("GENERAL_RETAIL", "fuel_convenience", 0.142, (5499, 5541, 5542)),
    ("GENERAL_RETAIL", "bursty_promo", 0.020, (5651, 5732, 5945)),
    ("HOSPITALITY", "consumer_daytime", 0.125, (5811, 5812, 5814, 7011)),
    ("HOSPITALITY", "evening_weekend", 0.035, (5812, 5813)),
    ("TRAVEL", "consumer_daytime", 0.076, (4111, 4112, 4121, 7512)),
    ("TRAVEL", "travel_hospitality", 0.004, (4511, 4722)),
    ("DIGITAL_GOODS", "online_24h", 0.100, (5815, 5816, 5817, 5818)),
    ("HIGH_CHARGEBACK", "online_24h", 0.050, (5967, 7273, 7995)),
    ("MONEY_SERVICES", "consumer_daytime", 0.008, (6051,)),
    ("MONEY_SERVICES", "online_24h", 0.001, (6051,)),
    ("MONEY_SERVICES", "office_hours", 0.012, (6211,)),
    ("MONEY_SERVICES", "bills_utilities", 0.009, (4829,)),
)
"""Merchant class, demand class, share of merchants, ISO 18245 category codes.

The margins are given: merchant classes by the policy's mix, demand classes by the published
arrivals. The joint shares are authored.
"""


@dataclass(frozen=True)
class Portfolio:
    """Merchants in order of id; arrays (merchants,)."""

    home: NDArray[np.int64]  # position of the home country
    risk_class: NDArray[np.str_]
    mcc: NDArray[np.int64]  # ISO 18245
    demand_class: NDArray[np.str_]
    outlets: NDArray[np.int64]
    weekly_volume: NDArray[np.float64]  # arrivals a week at authority scale
    is_virtual: NDArray[np.bool_]
    legal: tuple[NDArray[np.int64], ...]  # countries served, one array a merchant
    legal_outlets: tuple[NDArray[np.int64], ...]  # outlets in each of them


def quantile_curve(
    points: tuple[tuple[float, float], ...], n: int, total: float, *, bent_from: float
) -> NDArray[np.float64]:
    """n ascending values through `points` of a quantile function, with sum `total`.

    points: (probability, value). The curve is log-linear between points below the probability
    `bent_from`; above, the exponent of t in log(low) + log(high / low)·t^exponent is fitted to the
    total by bisection.
    """
    probability, value = np.array(points).T
    u = np.arange(n) / (n - 1)
    segment = np.clip(np.searchsorted(probability, u, side="right") - 1, 0, probability.size - 2)
    start, end = probability[segment], probability[segment + 1]
    t = (u - start) / (end - start)
    low, high = np.log(value[segment]), np.log(value[segment + 1])

    def curve(exponent: float) -> NDArray[np.float64]:
        bent = np.where(start >= bent_from, t**exponent, t)
        return np.asarray(np.exp(low + (high - low) * bent))

    least, most = 0.05, 50.0
    for _ in range(60):
        middle = 0.5 * (least + most)
        if curve(middle).sum() > total:
            least = middle
        else:
            most = middle
    return curve(most)


def portfolio(places: tuple[Country, ...], random: np.random.Generator) -> Portfolio:
    """The merchants of the default bank; the order of draws from `random` is part of VERSION."""
    size = quantile_curve(OUTLET_QUANTILES, MERCHANTS, OUTLETS, bent_from=0.9)
    outlets = random.permutation(np.maximum(largest_remainder(OUTLETS, size), 1))
    # Volumes are ordered as outlets, with noise.
    rank = np.argsort(np.argsort(np.log(outlets) + random.normal(0.0, 0.6, MERCHANTS)))
    # Integer thousandths of an arrival: an exact total, and logarithms differ in the last bit
    # between machines.
    volume = quantile_curve(VOLUME_QUANTILES, MERCHANTS, WEEKLY_VOLUME, bent_from=0.5)
    weekly = largest_remainder(round(1_000 * WEEKLY_VOLUME), volume)[rank] / 1_000

    market = np.array([SPENDING[c.region] * float(c.population) ** 0.7 for c in places])
    home = random.choice(len(places), MERCHANTS, p=market / market.sum())
    steps, countries = np.array(COUNTRY_STEPS).T
    by_size = np.argsort(np.argsort(outlets + random.random(MERCHANTS)))
    served = countries.astype(np.int64)[np.searchsorted(steps, (by_size + 0.5) / MERCHANTS)]
    legal, legal_outlets = _footprints(home, outlets, np.minimum(served, outlets), market, random)

    trade = random.permutation(
        np.repeat(
            np.arange(len(TRADES)), largest_remainder(MERCHANTS, [share for *_, share, _ in TRADES])
        )
    )
    risk, demand = np.array([t[:2] for t in TRADES]).T
    mcc = np.zeros(MERCHANTS, dtype=np.int64)
    for number, (_, _, _, codes) in enumerate(TRADES):
        rows = trade == number
        mcc[rows] = random.choice(codes, int(rows.sum()))
    online = random.permutation(np.flatnonzero(demand[trade] == "online_24h"))
    return Portfolio(
        home=home,
        risk_class=risk[trade],
        mcc=mcc,
        demand_class=demand[trade],
        outlets=outlets,
        weekly_volume=weekly,
        is_virtual=np.isin(np.arange(MERCHANTS), online[: round(VIRTUAL * MERCHANTS)]),
        legal=legal,
        legal_outlets=legal_outlets,
    )


def _footprints(
    home: NDArray[np.int64],
    outlets: NDArray[np.int64],
    served: NDArray[np.int64],
    market: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.int64], ...]]:
    """`legal` and `legal_outlets` of a Portfolio; outlets abroad have the published share.

    A merchant of several countries has some 59 % of its outlets at home. Then merchants of one
    country are moved abroad, the largest first, as long as the share is not exceeded.

    home, outlets, served: home country, outlets and number of countries of every merchant;
    market: weight of every country.
    """
    legal, counts = [], []
    for h, n, k in zip(home, outlets, served, strict=True):
        weight = market.copy()
        weight[h] = 0.0
        others = random.choice(market.size, k - 1, replace=False, p=weight / weight.sum())
        countries = np.concatenate([[h], others]).astype(np.int64)
        share = np.concatenate([[1.0], np.full(k - 1, 0.7 / max(k - 1, 1))])
        split = np.maximum(largest_remainder(int(n), share), 1)
        split[0] -= split.sum() - n
        legal.append(countries)
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
