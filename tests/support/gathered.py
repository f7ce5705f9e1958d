"""All shards of a world concatenated, with positions in the world instead of the shard."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Parties of S1; household and business group are −1 where there is none."""

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
class Holdings:
    """Accounts of S2 or instruments of S3: holder, type, and offsets (CSR) by holder."""

    holder: Array
    type: Array
    start: Array
    scheme: Array | None = None

    @property
    def n(self) -> int:
        return int(self.type.size)


@dataclass(frozen=True)
class Devices:
    """Devices of S4; terminals come last and have owner −1."""

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
    """Links of party devices of S4."""

    device: Array
    role: Array
    target: Array


def circles(shards: Sequence[pieces.CircleShard], first: Array) -> Array:
    """Circle of every party, −1 for none; first: first circle of every shard, (shards + 1,)."""
    numbers = [
        np.where(s.of >= 0, s.of + k, -1) for s, k in zip(shards, first.tolist(), strict=False)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *numbers])


def parties(engine: Engine, state: pieces.Parties, geo: Geography) -> Parties:
    """Parties of all shards."""
    shards = engine.fetch(state.items)
    country = np.repeat([s.country for s in state.shards], [s.n for s in state.shards])

    def unit(name: str, first: Array) -> Array:
        own = [getattr(g, name) for g in shards]
        return np.concatenate(
            [np.where(u >= 0, u + f, -1) for u, f in zip(own, first, strict=False)]
        )

    counts = np.bincount(country, minlength=len(geo.countries))
    return Parties(
        _joined(shards, "type"),
        _joined(shards, "segment"),
        country,
        geo.region[country],
        unit("household", state.household_first),
        unit("business_group", state.business_group_first),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def accounts(engine: Engine, state: pieces.Accounts, of: pieces.Parties) -> Holdings:
    """Accounts of all shards; holders are parties."""
    shards = engine.fetch(state.items)
    return Holdings(
        _global(shards, "owner", of.first),
        _joined(shards, "type"),
        np.append(_global([_Start(g.start[:-1]) for g in shards], "start", state.first), state.n),
    )


def instruments(engine: Engine, state: pieces.Instruments, of: pieces.Accounts) -> Holdings:
    """Instruments of all shards; holders are accounts."""
    shards = engine.fetch(state.items)
    return Holdings(
        _global(shards, "account", of.first),
        _joined(shards, "type"),
        np.append(_global([_Start(g.start[:-1]) for g in shards], "start", state.first), state.n),
        _joined(shards, "scheme"),
    )


def devices(engine: Engine, state: pieces.Devices, of: pieces.Parties) -> Devices:
    """Devices of all shards, then terminals."""
    shards = engine.fetch(state.items)
    terminals, n = state.terminals, state.terminals.n
    sizes = np.diff(state.first)
    country = np.repeat([s.country for s in of.shards], sizes)
    no_merchant, no_owner = np.full(int(state.first[-1]), -1), np.full(n, -1)
    return Devices(
        *(
            np.append(_joined(shards, c), getattr(terminals, c))
            for c in ("type", "group", "os", "ua")
        ),
        owner=np.append(_global(shards, "owner", of.first), no_owner),
        merchant=np.append(no_merchant, terminals.merchant),
        country=np.append(country, terminals.country),
        region=np.append(np.repeat(of.region, sizes), terminals.region),
    )


def links(
    engine: Engine,
    state: pieces.DeviceLinks,
    devices: pieces.Devices,
    targets: tuple[tuple[int, pieces.Parties | pieces.Accounts | pieces.Instruments], ...],
) -> Links:
    """Links of all party devices; targets: (role, the pieces its targets are in) of every role."""
    shards = engine.fetch(state.items)
    out = []
    for k, shard in enumerate(shards):
        target = shard.target.astype(np.int64)
        for role, of in targets:
            target[shard.role == role] += int(of.first[k])
        out.append(target)
    return Links(
        _global(shards, "device", devices.first), _joined(shards, "role"), np.concatenate(out)
    )


@dataclass(frozen=True)
class _Start:
    start: Array


def _joined(shards: list[Any], name: str) -> Array:
    return np.concatenate([getattr(g, name) for g in shards])


def _global(shards: list[Any], name: str, first: Array) -> Array:
    return np.concatenate(
        [getattr(g, name).astype(np.int64) + int(f) for g, f in zip(shards, first, strict=False)]
    )
