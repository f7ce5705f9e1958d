"""Devices as S4's endpoints see them: whose they are and where each lives, in pieces.

Pieces are the shards, in order, and one more for the terminals. Homes are numbered through
all pieces: the household of a retail owner, premises of any other owner, in order of party;
then the premises of merchants. A home and its devices lie in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.jit import kernel
from fraudworld.kernels import offsets
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import (
    U8,
    Devices,
    DeviceShard,
    Parties,
    PartyShard,
    Terminals,
)

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
        offsets.from_counts(np.append(homes, premises.sum())),
        np.append(parties.first, parties.n),
    )


def places(source: list[Any]) -> Places:
    """The devices of one piece."""
    return _terminals(*source) if len(source) == 1 else _shard(*source)


def _shard(shard: Shard, region: int, parties: PartyShard, devices: DeviceShard) -> Places:
    n = devices.owner.size
    owner_type, of_region, of_country = (np.empty(n, dtype=np.uint8) for _ in range(3))
    home = np.empty(n, dtype=np.int32)
    homes = _at_homes(
        parties.household, parties.type, devices.owner, region, shard.country,
        owner_type, of_region, of_country, home,
    )  # fmt: skip
    return Places(devices.group, devices.owner, owner_type, of_region, of_country, home, homes)


def _terminals(terminals: Terminals) -> Places:
    of_merchant = np.bincount(terminals.merchant)
    within = np.arange(terminals.n) - offsets.from_counts(of_merchant)[terminals.merchant]
    premises = offsets.from_counts(-(-of_merchant // PREMISES))
    return Places(
        terminals.group,
        np.empty(0, dtype=np.uint32),
        np.full(terminals.n, NOBODY, dtype=np.uint8),
        terminals.region,
        terminals.country,
        (premises[terminals.merchant] + within // PREMISES).astype(np.int32),
        int(premises[-1]),
    )


@kernel
def _at_homes(  # type: ignore[no-untyped-def]
    household, party_type, owner, region, country, owner_type, of_region, of_country, home
):
    """Where every device is: homes are numbered in order of party. Returns how many there are."""
    # Of every household, and one place for those who have none.
    first_home = np.full(household.size + 1, -1, dtype=np.int32)
    of_party = np.empty(household.size, dtype=np.int32)
    homes = np.int32(0)
    for p in range(household.size):
        # No branches: nobody could predict them.
        alone = household[p] < 0
        h = np.uint32(household.size if alone else household[p])
        new = alone | (first_home[h] < 0)
        of_party[p] = homes if new else first_home[h]
        first_home[h] = of_party[p]
        homes += np.int32(new)
    for d in range(owner.size):
        owner_type[d] = party_type[owner[d]]
        of_region[d] = region
        of_country[d] = country
        home[d] = of_party[owner[d]]
    return homes
