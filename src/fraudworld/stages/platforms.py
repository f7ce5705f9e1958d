"""The mobile system of a party, Android or iOS, by country and segment.

S3 draws it for holders of wallet tokens, whose tokens it decides; S4 draws the systems of devices
by the same shares, and keeps holders of tokens on the system of their wallet. Figures:
device_count_priors_6A.v1.yaml, `mobile_platform`.

Twin: tests/reference/platforms.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels.propagate import intercept, sigmoid
from fraudworld.policy.pack import PolicyPack

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

ANDROID, IOS = "ANDROID", "IOS"

CERTAIN = np.uint64(1 << 63)
"""A threshold above every draw of 63 bits."""


def follows_country(pack: PolicyPack) -> bool:
    """Whether parties have a mobile system; otherwise every device draws its own."""
    return pack.device_count_priors.mobile_platform.market == "country"


def ios_share(pack: PolicyPack, country: str, region: str) -> float:
    """The policy's share of iOS in a country: its own, or that of its region."""
    shares = pack.device_count_priors.mobile_platform.ios_share
    return shares.countries.get(country, shares.regions[region])


def ios_shares(pack: PolicyPack, geo: Geography, population: I64) -> F64:
    """Share of parties on iOS, (countries, segments).

    The odds rise with the income score of the segment; the intercept of every country is solved,
    so that all its parties together have the policy's share. population: parties, (countries,
    segments).
    """
    rule, regions = pack.device_count_priors.mobile_platform, pack.codes("region")
    profiles = pack.segmentation_priors.profiles
    tilt = np.array(
        [rule.income_log_odds * (profiles[s].income - 0.5) for s in pack.codes("segment")]
    )
    out = np.zeros(population.shape)
    for c, country in enumerate(geo.countries):
        share = ios_share(pack, country, regions[geo.region[c]])
        if 0.0 < share < 1.0:
            b = intercept(share, population[c], tilt)
            out[c] = [sigmoid(b + t) for t in tilt]
        else:
            out[c] = share
    return out


def shifted(shares: F64, to: float, base: float) -> F64:
    """Shares whose odds differ from `shares` as those of `to` differ from those of `base`."""
    if not (0.0 < to < 1.0 and 0.0 < base < 1.0):
        return np.full(shares.shape, to)
    ratio = to / (1.0 - to) * (1.0 - base) / base
    return shares * ratio / (1.0 - shares + shares * ratio)


def android_ends(ios: F64) -> U64:
    """Where Android ends among the 63 leading bits of a draw, in the shape of `ios`."""
    ends: U64 = ((1.0 - ios) * 2.0**63).astype(np.uint64)
    ends[ios <= 0.0] = CERTAIN
    return ends
