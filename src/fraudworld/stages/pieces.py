"""The world in pieces: what one stage hands to the next.

A stage sees *figures of the whole* (how many, where every shard begins) and *items*, the
columns of one shard or country, which stay with the engine. Inside an item positions count
from 0 at the shard's first party, account, …; `first[k]` is where shard k begins, so
position + first[k] + 1 is the published id. Whatever refers to another thing refers to one
of the same shard: homes, firms and what they share lie inside an atom. Only links between
devices and endpoints cross shards and countries, so there devices are counted in the world.

Codes are u8 positions in `PolicyPack.codes(…)`, countries u8 positions in the upstream's
sorted ISO list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.engine.tasks import Item

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class PartyShard:
    """S1, one shard."""

    type: U8
    segment: U8
    household: I32  # units counted from 0 in the shard, −1 for parties that are not retail
    business_group: I32  # the same for businesses


@dataclass(frozen=True)
class Parties:
    """S1."""

    shards: tuple[Shard, ...]
    items: Sequence[Item[PartyShard]]
    region: U8  # (shards,)
    household_first: I64  # (shards + 1,)
    business_group_first: I64  # (shards + 1,)
    segments: I64  # parties per shard and segment: (shards, segments)

    @property
    def n(self) -> int:
        return self.shards[-1].last if self.shards else 0

    @property
    def first(self) -> I64:
        """(shards + 1,)"""
        return np.array([*(s.first for s in self.shards), self.n], dtype=np.int64)

    def population(self, regions: int) -> I64:
        """Parties per region and segment."""
        out = np.zeros((regions, self.segments.shape[1]), dtype=np.int64)
        np.add.at(out, self.region, self.segments)
        return out

    def by_country(self, countries: int) -> I64:
        """Parties per country and segment."""
        out = np.zeros((countries, self.segments.shape[1]), dtype=np.int64)
        np.add.at(out, [s.country for s in self.shards], self.segments)
        return out


@dataclass(frozen=True)
class AccountShard:
    """S2, one shard, in order of owner, then product."""

    owner: U32
    type: U8
    start: I32  # first account of every party, (parties + 1,)


@dataclass(frozen=True)
class Accounts:
    """S2."""

    items: Sequence[Item[AccountShard]]
    first: I64  # (shards + 1,)
    types: I64  # accounts per shard and type: (shards, account types)

    @property
    def n(self) -> int:
        return int(self.first[-1])


@dataclass(frozen=True)
class InstrumentShard:
    """S3, one shard, in order of account."""

    account: U32
    type: U8
    scheme: U8
    start: I32  # first instrument of every account, (accounts + 1,)


@dataclass(frozen=True)
class Instruments:
    """S3."""

    items: Sequence[Item[InstrumentShard]]
    first: I64  # (shards + 1,)

    @property
    def n(self) -> int:
        return int(self.first[-1])


@dataclass(frozen=True)
class DeviceShard:
    """S4, party devices of one shard, in order of owner, then group; all (devices,)."""

    type: U8  # codes("device_type")
    group: U8  # codes("device_group")
    os: U8  # codes("os_family")
    ua: U8  # codes("ua_family"): the browser
    owner: U32  # party, counted from 0 in the shard; ascending


@dataclass(frozen=True)
class Terminals:
    """S4, devices of merchants, in order of merchant, after all party devices; all (terminals,)."""

    type: U8  # codes as in `DeviceShard`
    group: U8
    os: U8
    ua: U8
    merchant: I32  # position in the upstream's merchants
    country: U8
    region: U8

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Devices:
    """S4. Devices first[k] … first[k + 1] − 1 belong to shard k; then come the terminals."""

    items: Sequence[Item[DeviceShard]]  # per shard
    first: I64  # (shards + 1,)
    terminals: Terminals

    @property
    def n(self) -> int:
        return int(self.first[-1]) + self.terminals.n


@dataclass(frozen=True)
class CircleShard:
    """S4, circles of one shard, counted from 0 in it; all of its parties are of one country."""

    of: I32  # circle of a party, −1 for none; (parties,)
    start: I32  # first member of every circle, (circles + 1,)
    member: I32  # parties in order of circle, then party; (members,)


@dataclass(frozen=True)
class Circles:
    """S4."""

    items: Sequence[Item[CircleShard]]  # per shard
    first: I64  # first circle of every shard, (shards + 1,)
    member_first: I64  # first member of every shard, (shards + 1,)


@dataclass(frozen=True)
class LinkShard:
    """S4, links of one shard's devices, all (links,).

    In order of device, then role (owner, co-users, accounts, instruments), then target.
    """

    device: U32  # counted from 0 in the shard
    role: U8  # codes("device_link_role")
    target: U32  # party, account or instrument, by `role`; counted from 0 in the shard


@dataclass(frozen=True)
class DeviceLinks:
    """S4, links of party devices. Terminals have one link each, to their merchant: not here."""

    items: Sequence[Item[LinkShard]]  # per shard
    first: I64  # first link of every shard, (shards + 1,)


@dataclass(frozen=True)
class EndpointCountry:
    """S4, endpoints of one country, in order of type, node; links in order of endpoint, device."""

    type: U8  # codes("ip_type"), (endpoints,)
    asn: U8  # codes("asn_class"), (endpoints,)
    version: U8  # codes("ip_version"), (endpoints,)
    device: U32  # counted from 0 in the world, (links,)
    role: U8  # codes("ip_link_role"), (links,)
    start: I64  # first link of every endpoint, (endpoints + 1,)


@dataclass(frozen=True)
class MerchantEndpoints:
    """S4, endpoints that are a merchant's own, in order of endpoint, merchant; all (links,)."""

    ip: I64  # position in the world
    merchant: U32  # position in the upstream's merchants


@dataclass(frozen=True)
class Network:
    """S4."""

    circles: Circles
    devices: Devices
    links: DeviceLinks
    countries: Sequence[Item[EndpointCountry]]  # per country
    ip_first: I64  # first endpoint of every country, (countries + 1,)
    link_first: I64  # first device–IP link of every country, (countries + 1,)
    endpoints: MerchantEndpoints

    @property
    def ips(self) -> int:
        return int(self.ip_first[-1])
