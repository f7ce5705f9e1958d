"""What all states know of the outside world: countries, merchants, volumes.

Codes are u8 positions in `PolicyPack.codes(…)`, countries u8 positions in the upstream's
sorted ISO list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

AUTHORITY_WEEKLY_ARRIVALS = 9_590_000.0
"""Weekly arrivals of the authority profile, the scale at which the published figures hold."""


@dataclass(frozen=True)
class Merchants:
    """From the frozen upstream: what S4 and S5 know of a merchant."""

    id: I64
    home_country: U8
    risk_class: U8  # position in codes("merchant_class")
    outlets: I64
    cross_border: NDArray[np.float64]  # share of outlets outside the home country
    weekly_volume: NDArray[np.float64]

    @property
    def n(self) -> int:
        return int(self.id.size)


@dataclass(frozen=True)
class Geography:
    """Countries of the upstream, sorted; regions are positions in codes("region")."""

    countries: tuple[str, ...]
    region: U8
    currency: U8  # position in `currencies`
    currencies: tuple[str, ...]
    outlets: I64
    weekly_arrivals: NDArray[np.float64]

    @property
    def profile_scale(self) -> float:
        """Size of the upstream relative to the authority profile; country floors and the
        outlets a merchant's terminals stand for scale with it."""
        return float(self.weekly_arrivals.sum()) / AUTHORITY_WEEKLY_ARRIVALS
