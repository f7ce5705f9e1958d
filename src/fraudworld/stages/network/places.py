"""Owner, home, region and country of every device, for the laws of endpoints.

Devices are processed in *pieces*: the shards, in order, then one piece of all terminals. A *home*
is the household of a retail owner, or the premises of any other owner or of a merchant. Homes are
numbered through all pieces: in order of party, then of merchant. All devices of a home lie in one
piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.engine.tasks import Item
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
"""Terminals that share one premises of a merchant."""

NOBODY = 255
"""Owner type of a terminal."""

Source = tuple[Shard, int, PartyShard, DeviceShard] | tuple[Terminals]
"""What describes the devices of a piece: a shard, its region and its columns; or the terminals."""

SourceItems = tuple[Shard, int, Item[PartyShard], Item[DeviceShard]] | tuple[Terminals]
"""A `Source` as an argument of an engine; the task receives a `Source`."""


class PieceDevices(NamedTuple):
    """Devices of one piece; arrays are (devices,) unless stated."""

    group: U8
    owner: NDArray[np.uint32]  # party, counted from 0 in the shard; (0,) for terminals
    owner_type: U8  # party type of the owner, NOBODY for terminals
    segment: U8  # of the owner, NOBODY for terminals
    region: U8
    country: U8
    home: NDArray[np.int32]  # counted from 0 in the piece
    homes: int  # in the piece


@dataclass(frozen=True)
class Pieces:
    """Sources of all pieces, and the number in the world of the first thing in every piece."""

    sources: list[SourceItems]
    first: NDArray[np.int64]  # devices, (pieces + 1,)
    home_first: NDArray[np.int64]  # homes, (pieces + 1,)
    party_first: NDArray[np.int64]  # parties, (pieces + 1,)


def pieces_of(pack: PolicyPack, parties: Parties, devices: Devices) -> Pieces:
    """The pieces of a world: its shards, then its terminals."""
    retail = [pack.party_taxonomy.segments[s] == "RETAIL" for s in pack.codes("segment")]
    not_retail = parties.segments[:, np.logical_not(retail)].sum(axis=1)
    homes = np.diff(parties.household_first) + not_retail
    premises = -(-np.bincount(devices.terminals.merchant) // PREMISES)
    shards = zip(parties.shards, parties.region.tolist(), parties.items, devices.items, strict=True)
    return Pieces(
        [*shards, (devices.terminals,)],
        np.append(devices.first, devices.n),
        offsets.from_counts(np.append(homes, premises.sum())),
        np.append(parties.first, parties.n),
    )


def parties_of(source: Source) -> tuple[int, int]:
    """Number of parties of a piece, and their region; (0, 0) for the terminals."""
    if len(source) == 1:
        return 0, 0
    shard, region, *_ = source
    return shard.n, region


def devices_of(source: Source) -> PieceDevices:
    """The devices of one piece."""
    return _of_terminals(*source) if len(source) == 1 else _of_shard(*source)


def _of_shard(shard: Shard, region: int, parties: PartyShard, devices: DeviceShard) -> PieceDevices:
    n = devices.owner.size
    owner_type, segment, of_region, of_country = (np.empty(n, dtype=np.uint8) for _ in range(4))
    home = np.empty(n, dtype=np.int32)
    homes = _locate(
        parties.household, parties.type, parties.segment, devices.owner, (region, shard.country),
        (owner_type, segment, of_region, of_country), home,
    )  # fmt: skip
    return PieceDevices(
        devices.group, devices.owner, owner_type, segment, of_region, of_country, home, homes
    )


def _of_terminals(terminals: Terminals) -> PieceDevices:
    of_merchant = np.bincount(terminals.merchant)
    within = np.arange(terminals.n) - offsets.from_counts(of_merchant)[terminals.merchant]
    premises = offsets.from_counts(-(-of_merchant // PREMISES))
    return PieceDevices(
        terminals.group,
        np.empty(0, dtype=np.uint32),
        np.full(terminals.n, NOBODY, dtype=np.uint8),
        np.full(terminals.n, NOBODY, dtype=np.uint8),
        terminals.region,
        terminals.country,
        (premises[terminals.merchant] + within // PREMISES).astype(np.int32),
        int(premises[-1]),
    )


@kernel
def _locate(household, party_type, segment, owner, place, columns, home):  # type: ignore[no-untyped-def]
    """Fills the columns of a shard's devices, and numbers its homes in order of party.

    Twin: tests/reference/devices.py:homes.

    Parameters
    ----------
    household : int32 (parties,)
        Household of every party, negative for parties that are not retail.
    party_type, segment : uint8 (parties,)
    owner : uint32 (devices,)
    place : (int, int)
        Region and country of the shard.
    columns : four times uint8 (devices,)
        Filled: party type and segment of the owner, region, country.
    home : int32 (devices,)
        Filled: home of every device's owner, counted from 0.

    Returns
    -------
    int
        Homes of the shard.
    """
    owner_type, of_segment, of_region, of_country = columns
    # Of every household; the last element absorbs the stores of parties that have none.
    first_home = np.full(household.size + 1, -1, dtype=np.int32)
    of_party = np.empty(household.size, dtype=np.int32)
    homes = np.int32(0)
    for p in range(household.size):
        # Branch-free: a branch would mispredict.
        alone = household[p] < 0
        h = np.uint32(household.size if alone else household[p])
        new = alone | (first_home[h] < 0)
        of_party[p] = homes if new else first_home[h]
        first_home[h] = of_party[p]
        homes += np.int32(new)
    for d in range(owner.size):
        owner_type[d] = party_type[owner[d]]
        of_segment[d] = segment[owner[d]]
        of_region[d], of_country[d] = place
        home[d] = of_party[owner[d]]
    return homes
