"""Pieces of a world put together again, for tests that look at all of it: global positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.inputs.arrays import Geography
from fraudworld.stages import pieces

Array = NDArray[Any]


@dataclass(frozen=True)
class Parties:
    """S1; households and business groups are −1 where there is none."""

    type: Array
    segment: Array
    country: Array
    region: Array
    household: Array
    business_group: Array
    country_start: Array

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Held:
    """S2 or S3: the holder of every thing, its type, and where each holder's begin."""

    holder: Array
    type: Array
    start: Array
    scheme: Array | None = None

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Devices:
    """S4, terminals at the end with owner −1."""

    type: Array
    group: Array
    os: Array
    ua: Array
    owner: Array
    merchant: Array
    country: Array
    region: Array

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Links:
    """S4, links of party devices."""

    device: Array
    role: Array
    target: Array


def parties(engine: Engine, made: pieces.Parties, geo: Geography) -> Parties:
    """All parties."""
    got = engine.fetch(made.items)
    country = np.repeat([s.country for s in made.shards], [s.n for s in made.shards])

    def unit(name: str, first: Array) -> Array:
        own = [getattr(g, name) for g in got]
        return np.concatenate(
            [np.where(u >= 0, u + f, -1) for u, f in zip(own, first, strict=False)]
        )

    counts = np.bincount(country, minlength=len(geo.countries))
    return Parties(
        _joined(got, "type"),
        _joined(got, "segment"),
        country,
        geo.region[country],
        unit("household", made.household_first),
        unit("business_group", made.business_group_first),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def accounts(engine: Engine, made: pieces.Accounts, of: pieces.Parties) -> Held:
    """All accounts; holders are parties."""
    got = engine.fetch(made.items)
    return Held(
        _global(got, "owner", of.first),
        _joined(got, "type"),
        np.append(_global([_Start(g.start[:-1]) for g in got], "start", made.first), made.n),
    )


def instruments(engine: Engine, made: pieces.Instruments, of: pieces.Accounts) -> Held:
    """All instruments; holders are accounts."""
    got = engine.fetch(made.items)
    return Held(
        _global(got, "account", of.first),
        _joined(got, "type"),
        np.append(_global([_Start(g.start[:-1]) for g in got], "start", made.first), made.n),
        _joined(got, "scheme"),
    )


def devices(engine: Engine, made: pieces.Devices, of: pieces.Parties) -> Devices:
    """All devices."""
    got = engine.fetch(made.items)
    own, n = made.terminals, made.terminals.n
    sizes = np.diff(made.first)
    country = np.repeat([s.country for s in of.shards], sizes)
    none, alone = np.full(int(made.first[-1]), -1), np.full(n, -1)
    return Devices(
        *(np.append(_joined(got, c), getattr(own, c)) for c in ("type", "group", "os", "ua")),
        owner=np.append(_global(got, "owner", of.first), alone),
        merchant=np.append(none, own.merchant),
        country=np.append(country, own.country),
        region=np.append(np.repeat(of.region, sizes), own.region),
    )


def links(
    engine: Engine,
    made: pieces.DeviceLinks,
    devices: pieces.Devices,
    targets: tuple[tuple[int, pieces.Parties | pieces.Accounts | pieces.Instruments], ...],
) -> Links:
    """All links of party devices; targets: (role, what it refers to) of every role."""
    got = engine.fetch(made.items)
    out = []
    for k, shard in enumerate(got):
        target = shard.target.astype(np.int64)
        for role, of in targets:
            target[shard.role == role] += int(of.first[k])
        out.append(target)
    return Links(_global(got, "device", devices.first), _joined(got, "role"), np.concatenate(out))


@dataclass(frozen=True)
class _Start:
    start: Array


def _joined(got: list[Any], name: str) -> Array:
    return np.concatenate([getattr(g, name) for g in got])


def _global(got: list[Any], name: str, first: Array) -> Array:
    return np.concatenate(
        [getattr(g, name).astype(np.int64) + int(f) for g, f in zip(got, first, strict=False)]
    )
