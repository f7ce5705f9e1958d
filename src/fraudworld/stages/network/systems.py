"""Operating systems and browsers of devices.

A device draws its system from the shares of its type; a phone, watch or tablet of a party from
those of its country and segment. Most of them take the draw of their owner instead of their own,
so that one person's devices agree; a holder of wallet tokens has a draw within the system of its
wallet, and at least its first device of the wallet group takes it. The shares of phones, watches
and tablets are ordered alike (Android first), so a common draw puts them on one system.

Figures: device_count_priors_6A.v1.yaml. Twin of all kernels here:
tests/reference/platforms.py:Owners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrays import Geography
from fraudworld.jit import inlined, kernel
from fraudworld.kernels.discrete import guide, guided_category, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.stages import platforms
from fraudworld.stages.network.token_holders import NO_PLATFORM, ON_IOS
from fraudworld.stages.pieces import PartyShard

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

OWN_DRAW = np.uint64(0)
"""In place of a given draw: the device draws its system itself."""


class _Attributes(NamedTuple):
    """Group of a device by its type, system by its row, browser by its system."""

    key: tuple[np.uint64, np.uint64]  # of the stream with two draws per device
    systems: U64  # thresholds, (rows, systems)
    browsers: U64  # thresholds, (systems, browsers)
    system_guide: U8  # to `systems`, as in kernels/discrete.py
    browser_guide: U8  # to `browsers`
    group_of: U8  # (device types,)


class _Owners(NamedTuple):
    """How devices of one country follow the mobile system of their owner."""

    party: tuple[np.uint64, np.uint64]  # key of a stream of width 1, a draw a party
    device: tuple[np.uint64, np.uint64]  # the same, a draw a device
    android: U64  # where Android ends among phones, 63 bits, (segments,)
    follow: U64  # threshold of following, 63 bits, (device types,)
    wallet_group: int


@dataclass(frozen=True)
class SystemLaw:
    """Systems and browsers of the devices of one country, or of all terminals."""

    attributes: _Attributes
    owners: _Owners | None  # None: every device draws its own system
    types: int  # rows of a segment; 0 where rows are types

    def of_terminals(self, first: int, type_: U8) -> tuple[U8, U8, U8]:
        """Group, system and browser of devices first, first + 1, … of the world."""
        return self._drawn(first, type_, type_.astype(np.uint16), np.empty(0, dtype=np.uint64))

    def of_parties(
        self, first: tuple[int, int], type_: U8, owner: U32, parties: PartyShard, platform: U8
    ) -> tuple[U8, U8, U8]:
        """The same of the devices of a shard's parties.

        first: numbers in the world of device 0 and of party 0. type_, owner: (devices,).
        platform: of `TokenHolders`.
        """
        if self.owners is None:
            return self.of_terminals(first[0], type_)
        given = np.empty(type_.size, dtype=np.uint64)
        devices = type_, owner, self.attributes.group_of
        _follow(self.owners, first, devices, parties.segment, platform, given)
        row = parties.segment[owner].astype(np.uint16) * np.uint16(self.types) + type_
        return self._drawn(first[0], type_, row, given)

    def _drawn(self, first: int, type_: U8, row: U16, given: U64) -> tuple[U8, U8, U8]:
        group, os, ua = (np.empty(type_.size, dtype=np.uint8) for _ in range(3))
        _draw_attributes(self.attributes, first, type_, row, given, group, os, ua)
        return group, os, ua


@dataclass(frozen=True)
class SystemLaws:
    """The laws of all countries."""

    of_country: list[SystemLaw]
    of_terminals: SystemLaw
    streams: tuple[Stream, Stream, Stream]  # attributes, platform of a party, of a device

    def uses(self, parties: int, owned: int, devices: int) -> tuple[StreamUse, ...]:
        """Draws of a world with so many parties, devices of parties, and devices."""
        attributes, party, device = self.streams
        drawn = (attributes.use("world", 0, devices),)
        if self.of_country[0].owners is None:
            return drawn
        return (*drawn, party.use("world", 0, parties), device.use("world", 0, owned))


def system_laws(pack: PolicyPack, seed: int, geo: Geography, population: I64) -> SystemLaws:
    """The laws of a policy and seed. population: parties, (countries, segments)."""
    streams = (
        registry.DEVICE_ATTRIBUTES.of(seed),
        registry.PLATFORM.of(seed),
        registry.DEVICE_PLATFORM.of(seed),
    )
    world = SystemLaw(_attributes(pack, streams[0], _world_shares(pack)), None, 0)
    if not platforms.follows_country(pack):
        return SystemLaws([world] * len(geo.countries), world, streams)
    types, rule = pack.codes("device_type"), pack.device_count_priors.mobile_platform
    follow = np.array([rule.follow.get(t, 0.0) for t in types])
    ios = platforms.ios_shares(pack, geo, population)
    laws = []
    for of_segment, android in zip(ios, platforms.android_ends(ios), strict=True):
        shares = _market_shares(pack, of_segment).reshape(-1, len(pack.codes("os_family")))
        owners = _Owners(
            streams[1].key,
            streams[2].key,
            android,
            (follow * 2.0**63).astype(np.uint64),
            pack.codes("device_group").index(rule.wallet_group),
        )
        laws.append(SystemLaw(_attributes(pack, streams[0], shares), owners, len(types)))
    return SystemLaws(laws, world, streams)


def _world_shares(pack: PolicyPack) -> F64:
    """Shares of systems, (device types, systems)."""
    mix, systems = pack.device_count_priors.os_mix, pack.codes("os_family")
    return np.array([[mix[t].get(o, 0.0) for o in systems] for t in pack.codes("device_type")])


def _market_shares(pack: PolicyPack, ios: F64) -> F64:
    """Shares of systems in a country, (segments, device types, systems).

    ios: share of iOS among phones, (segments,). Types of the wallet group have it; other types
    that follow their owner differ from phones as their shares of the world do.
    """
    types, systems = pack.codes("device_type"), pack.codes("os_family")
    priors, taxonomy = pack.device_count_priors, pack.device_taxonomy.device_types
    rule = priors.mobile_platform
    out = np.tile(_world_shares(pack), (ios.size, 1, 1))
    of_phones = _ios_of_wallet_group(pack)
    for name in rule.follow:
        t, share = types.index(name), ios
        if taxonomy[name].group != rule.wallet_group:
            share = platforms.shifted(ios, priors.os_mix[name].get(platforms.IOS, 0.0), of_phones)
        out[:, t] = 0.0
        out[:, t, systems.index(platforms.ANDROID)] = 1.0 - share
        out[:, t, systems.index(platforms.IOS)] = share
    return out


def _ios_of_wallet_group(pack: PolicyPack) -> float:
    """Share of iOS in the world of the wallet group's most frequent type of retail parties."""
    priors, taxonomy = pack.device_count_priors, pack.device_taxonomy.device_types
    inside = [t for t in priors.mobile_platform.follow
              if taxonomy[t].group == priors.mobile_platform.wallet_group]  # fmt: skip
    phone = max(inside, key=lambda t: (priors.type_mix["RETAIL"].get(t, 0.0), t))
    return priors.os_mix[phone].get(platforms.IOS, 0.0)


def _attributes(pack: PolicyPack, stream: Stream, shares: F64) -> _Attributes:
    """shares: of systems, (rows, systems)."""
    priors = pack.device_count_priors
    types, systems, agents = (pack.codes(c) for c in ("device_type", "os_family", "ua_family"))
    groups = pack.codes("device_group")
    of_system = thresholds(shares)
    of_browser = thresholds([[priors.ua_mix[o].get(u, 0.0) for u in agents] for o in systems])
    group_of = [groups.index(pack.device_taxonomy.device_types[t].group) for t in types]
    return _Attributes(
        stream.key,
        of_system,
        of_browser,
        guide(of_system),
        guide(of_browser),
        np.array(group_of, dtype=np.uint8),
    )


@inlined
def _within(draw, android, platform):  # type: ignore[no-untyped-def]
    """A draw of a party on the system of its wallet, of the same distribution inside it.

    draw: uint64. android: where Android ends, 63 bits. platform: of `TokenHolders`.
    """
    high = draw >> np.uint64(32)
    if platform == NO_PLATFORM:
        return draw
    if platform == ON_IOS:
        rest = (np.uint64(1 << 63) - android) >> np.uint64(31)
        return (android << np.uint64(1)) + high * rest if rest > np.uint64(0) else draw
    return high * (android >> np.uint64(31))


@kernel
def _follow(law, first, devices, segment, platform, given):  # type: ignore[no-untyped-def]
    """The draw that a device takes from its owner.

    Parameters
    ----------
    law : _Owners
    first : (int, int)
        Numbers in the world of device 0 and of party 0.
    devices : uint8 (devices,), uint32 (devices,), uint8 (types,)
        Type and owner of every device, owners ascending; group of every type.
    segment, platform : uint8 (parties,)
    given : uint64 (devices,)
        Filled; OWN_DRAW where the device draws for itself.
    """
    type_, owner, group_of = devices
    first_device, first_party = first
    draws = np.empty(philox.MANY, dtype=np.uint64)
    last, settled = np.int64(-1), np.int64(-1)
    of_owner = OWN_DRAW
    for low in range(0, type_.size, philox.MANY):
        n = min(philox.MANY, type_.size - low)
        philox.fill(law.device[0], law.device[1], np.uint64(first_device + low), draws[:n])
        for j in range(n):
            p, t = np.int64(owner[low + j]), type_[low + j]
            # A holder's first device of the wallet group is on the wallet's system.
            must = platform[p] != NO_PLATFORM and group_of[t] == law.wallet_group and settled != p
            given[low + j] = OWN_DRAW
            if must or draws[j] >> np.uint64(1) < law.follow[t]:
                if p != last:
                    at = np.uint64(first_party + p)
                    lanes = philox.block(law.party[0], law.party[1], at >> np.uint64(2))
                    of_owner = _within(
                        philox.lane_of(lanes, at), law.android[segment[p]], platform[p]
                    )
                    last = p
                given[low + j] = of_owner
            if must:
                settled = p


@kernel
def _draw_attributes(law, first, type_, row, given, group, os, ua):  # type: ignore[no-untyped-def]
    """Operating system and browser of every device by a draw each; its group by its type.

    Parameters
    ----------
    law : _Attributes
    first : int
        Number in the world of the first device.
    type_, row : uint8, uint16 (devices,)
        Type, and row of its systems.
    given : uint64 (devices,) or (0,)
        Draw that replaces the device's own for its system; OWN_DRAW for none.
    group, os, ua : uint8 (devices,)
        Filled.
    """
    k0, k1 = law.key
    systems, browsers, group_of = law.systems, law.browsers, law.group_of
    to_system, to_browser = law.system_guide, law.browser_guide
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, type_.size, philox.MANY // 2):
        n = min(philox.MANY // 2, type_.size - low)
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for j in range(n):
            i = low + j
            draw = draws[2 * j]
            if given.size and given[i] != OWN_DRAW:
                draw = given[i]
            group[i] = group_of[type_[i]]
            os[i] = guided_category(draw, systems, to_system, row[i])
            ua[i] = guided_category(draws[2 * j + 1], browsers, to_browser, os[i])
