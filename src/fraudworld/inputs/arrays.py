"""Countries and merchants of the upstream, as arrays that all stages read.

Codes are u8 positions in `PolicyPack.codes(…)`; countries are u8 positions in the upstream's
sorted list of ISO codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

AUTHORITY_WEEKLY_ARRIVALS = 9_590_000.0
"""Weekly arrivals of the authority profile; published figures hold at this scale."""


@dataclass(frozen=True)
class Merchants:
    """Merchants of the upstream, in order of id; arrays (merchants,)."""

    id: I64  # 1, 2, 3, …
    home_country: U8
    risk_class: U8  # position in codes("merchant_class")
    outlets: I64
    cross_border: NDArray[np.float64]  # share of outlets outside the home country
    weekly_volume: NDArray[np.float64]  # expected arrivals a week

    @property
    def n(self) -> int:
        return int(self.id.size)


@dataclass(frozen=True)
class Geography:
    """Countries of the upstream; arrays (countries,)."""

    countries: tuple[str, ...]  # ISO 3166-1 alpha-2, sorted
    region: U8  # position in codes("region")
    currency: U8  # position in `currencies`
    currencies: tuple[str, ...]  # ISO 4217, sorted
    outlets: I64
    weekly_arrivals: NDArray[np.float64]  # expected

    @property
    def profile_scale(self) -> float:
        """Weekly arrivals relative to the authority profile.

        Least parties of a country and terminals per outlet scale with it.
        """
        return float(self.weekly_arrivals.sum()) / AUTHORITY_WEEKLY_ARRIVALS
