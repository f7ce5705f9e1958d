"""The world in memory: plain columns that one stage hands to the next.

Positions are 0-based (published id = position + 1); codes are u8 positions in
`PolicyPack.codes(…)`, countries u8 positions in the upstream's sorted ISO list. About
seven bytes a party and five an account: the whole authority world fits well under 1 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

AUTHORITY_WEEKLY_ARRIVALS = 9_590_000.0
"""Weekly arrivals of the authority profile, the scale at which the published figures hold."""


@dataclass(frozen=True)
class Parties:
    """S1. Parties of one country are contiguous; homes and firms lie inside one atom."""

    type: U8
    segment: U8
    country: U8
    region: U8
    household: I32  # dense, −1 for parties that are not retail
    business_group: I32  # dense, −1 for parties that are not businesses
    country_start: I64  # shape (countries + 1,)

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Accounts:
    """S2, in order of owner, then product; `start[p]` is the first account of party p."""

    owner: U32
    type: U8
    start: I64  # shape (parties + 1,)

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Instruments:
    """S3, in order of account; `start[a]` is the first instrument of account a."""

    account: U32
    type: U8
    scheme: U8
    start: I64  # shape (accounts + 1,)

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Devices:
    """S4. Party devices in order of owner (so by country), then all merchant terminals.

    `owner` is −1 for terminals and `merchant` −1 for the rest; `owner_type` is the owner's
    party type, 255 for terminals. `home` is the place a device lives at, dense from 0: the
    household of a retail owner, the premises of any other owner (both in order of party,
    so by country), then, after all of those, premises of merchants for their terminals.
    `users` counts party users, the owner included; 0 for terminals.
    """

    type: U8
    group: U8
    os: U8
    ua: U8
    owner: I32
    merchant: I32
    owner_type: U8
    country: U8
    region: U8
    home: I32
    users: U8
    homes: int

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class DeviceLinks:
    """S4, in order of device, then role (owner, co-users, accounts, instruments).

    `target` is a party, account, instrument or merchant position, as `role` says.
    """

    device: U32
    role: U8  # position in codes("device_link_role")
    target: U32


@dataclass(frozen=True)
class Ips:
    """S4, in order of country, type, node."""

    type: U8
    asn: U8
    version: U8
    country: U8

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class IpEdges:
    """S4, device–IP links in order of IP, then device; `start[i]` is the first of IP i."""

    ip: U32
    device: U32
    role: U8  # position in codes("ip_link_role")
    start: I64  # shape (ips + 1,)


@dataclass(frozen=True)
class MerchantEndpoints:
    """S4, IPs that are a merchant's own, in order of IP, then merchant."""

    ip: U32
    merchant: U32


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
