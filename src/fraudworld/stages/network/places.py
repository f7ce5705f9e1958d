"""Devices as S4's endpoints see them: whose they are and where each lives, in pieces.

Pieces are the shards, in order, and one more for the terminals. Homes are numbered through
all pieces: the household of a retail owner, premises of any other owner, in order of party;
then the premises of merchants. A home and its devices lie in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.kernels import expand
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.world import U8, Devices, DeviceShard, Parties, PartyShard, Terminals

PREMISES = 12
"""Terminals that share one place of a merchant."""

NOBODY = 255
"""Owner type of a terminal."""


@dataclass(frozen=True)
class Places:
    """Devices of one piece."""

    group: U8
    owner: NDArray[np.uint32]  # party of the shard; empty for terminals
    owner_type: U8  # NOBODY for terminals
    region: U8
    country: U8
    home: NDArray[np.int32]  # counted from 0 in the piece
    homes: int


@dataclass(frozen=True)
class Pieces:
    """What `places` makes every piece of, and where pieces begin."""

    sources: list[list[Any]]  # [shard, region, PartyShard, DeviceShard], at last [Terminals]
    first: NDArray[np.int64]  # devices: (pieces + 1,)
    home_first: NDArray[np.int64]  # homes: (pieces + 1,)
    party_first: NDArray[np.int64]  # parties: (pieces + 1,)


def pieces_of(pack: PolicyPack, parties: Parties, devices: Devices) -> Pieces:
    """Shards and terminals."""
    retail = [pack.party_taxonomy.segments[s] == "RETAIL" for s in pack.codes("segment")]
    alone = parties.segments[:, np.logical_not(retail)].sum(axis=1)
    homes = np.diff(parties.household_first) + alone
    premises = -(-np.bincount(devices.terminals.merchant) // PREMISES)
    return Pieces(
        [
            *(
                [shard, int(region), *items]
                for shard, region, *items in zip(
                    parties.shards, parties.region, parties.items, devices.items, strict=True
                )
            ),
            [devices.terminals],
        ],
        np.append(devices.first, devices.n),
        expand.starts(np.append(homes, premises.sum())),
        np.append(parties.first, parties.n),
    )


def places(source: list[Any]) -> Places:
    """The devices of one piece."""
    return _terminals(*source) if len(source) == 1 else _shard(*source)


def _shard(shard: Shard, region: int, parties: PartyShard, devices: DeviceShard) -> Places:
    home = np.empty(shard.n, dtype=np.int32)
    homes = _number_homes(parties.household, home)
    n = devices.owner.size
    return Places(
        devices.group,
        devices.owner,
        parties.type[devices.owner],
        np.full(n, region, dtype=np.uint8),
        np.full(n, shard.country, dtype=np.uint8),
        home[devices.owner],
        homes,
    )


def _terminals(terminals: Terminals) -> Places:
    of_merchant = np.bincount(terminals.merchant)
    within = np.arange(terminals.n) - expand.starts(of_merchant)[terminals.merchant]
    premises = expand.starts(-(-of_merchant // PREMISES))
    return Places(
        terminals.group,
        np.empty(0, dtype=np.uint32),
        np.full(terminals.n, NOBODY, dtype=np.uint8),
        terminals.region,
        terminals.country,
        (premises[terminals.merchant] + within // PREMISES).astype(np.int32),
        int(premises[-1]),
    )


@njit(cache=True, nogil=True)
def _number_homes(household, home):  # type: ignore[no-untyped-def]
    """Home of every party, numbered in order of party; returns how many homes there are."""
    first_home = np.full(household.size + 1, -1, dtype=np.int32)
    homes = 0
    for p in range(household.size):
        h = household[p]
        if h < 0:
            home[p] = homes
            homes += 1
        elif first_home[h] < 0:
            first_home[h] = homes
            home[p] = homes
            homes += 1
        else:
            home[p] = first_home[h]
    return homes
