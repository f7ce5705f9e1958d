"""What the kernels of capped allocation are handed, and what they fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined
from fraudworld.rng.philox import Key

UNSETTLED = np.uint64(1 << 63)
"""Flag on the weight of an entry whose hurdle needs the exact key: bit 63."""

EXCLUDED = 65535
"""Count of an entry that its exact hurdle key excludes."""

WEIGHT_ONE = float(1 << 20)
"""A weight of 1, as an integer: 20 bits of resolution."""

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


KEPT_BITS = np.uint64(8)
KEPT = 1 << 8
"""All of a weight in `HurdleBands.kept`."""


@dataclass(frozen=True)
class ProductLaw:
    """How one product is held."""

    zero_share: float  # entities that the hurdle keeps out, 0 to 1
    sigma: float  # standard deviation of the log weights
    cap: int  # most holdings of an entity
    draws: Key  # stream of width 2: an entity's hurdle draw, then its weight draw
    slots: Key  # stream of width `cap`: a draw a slot


class CellLaws(NamedTuple):
    """The laws, cell by cell. An entity of code k has the cells start[k] … start[k + 1] − 1."""

    start: I64  # offsets of the cells of a code, (codes + 1,)
    keys: U64  # Philox keys of the draws, then of the slots: (cells, 4)
    sigma: F64  # (cells,)
    cap: I64  # (cells,)
    slot: U8  # the product's number in `Entities.floor`, (cells,)
    factor: U64  # key of the stream with an entity's hurdle factor and weight factor, (2,)
    correlation: float  # between products of one entity; 0 where they share no factor
    table: NDArray[np.float32]  # deviates, (hurdles.TABLE + 1,); empty at correlation 0


class Entities(NamedTuple):
    """Entities of a shard; entity e draws as entity first + e of the world."""

    first: int
    code: U8  # (entities,)
    open: NDArray[np.bool_]  # whether an entity takes part; empty where all do
    floor: U8  # `CellLaws.slot` of the product it holds one of, 255 for none; empty where none


class HurdleBands(NamedTuple):
    """Hurdle ranks between which the last entity that passes lies, cell by cell; all (cells,)."""

    active: NDArray[np.bool_]  # whether anybody passes
    low: F64  # a rank below passes for certain
    high: F64  # a rank above is excluded for certain
    kept: U64  # of its weight that an entity keeps which holds a floor, in units of 1 / KEPT


class Entries(NamedTuple):
    """Entities that passed the hurdle of a cell, and those that are not settled yet."""

    entity: U32  # counted from 0 in the shard
    cell: U16
    weight: U64  # mean 2**20; bit 63 is UNSETTLED
    unsettled: I64  # indices of the entries flagged UNSETTLED
    hurdle_key: U64  # their exact hurdle keys


class WeightSums(NamedTuple):
    """Sums over entries, cell by cell; all (cells,)."""

    settled: I64  # entries whose hurdle is settled
    total: U64  # of their weights
    largest: U64  # weight of any entry


class Apportionment(NamedTuple):
    """How the plans of a region are split, cell by cell; all (cells,)."""

    plan: U64
    total: U64  # of the weights
    bound: U64  # all remainders are below it
    shift: U64  # left shift that moves the bound's leading bit to bit 63
    hurdle_key: U64  # the last (key, position) that passes
    hurdle_position: I64


class Floors(NamedTuple):
    """The integer part of every entry's quota, and the rank of its remainder; all (entries,)."""

    floor: U16  # EXCLUDED where the hurdle excludes the entry
    digit: U16  # leading digit of the remainder's rank, below ranks.DIGITS


class Overflow(NamedTuple):
    """What the caps leave over, cell by cell; all (cells,)."""

    excess: I64  # holdings above the room
    slots: I64  # free slots
    worst: I64  # most above the room of any entity


class EdgeEntries(NamedTuple):
    """Entries whose remainder has the digit in which their cell's quota ends."""

    at: I64  # indices of entries
    key: U64  # rank of the remainder: small for a large one


class SlotDraws(NamedTuple):
    """Free slots whose draw is within the limit of their cell."""

    entry: U32
    draw: U64
    position: I64  # in the stream of slots


# Kernels unpack their named tuples before they loop: every access inside a loop would change the
# array's reference count, an atomic operation threads contend for.


@inlined
def room_for(cap, slot, floor, e, cell):  # type: ignore[no-untyped-def]
    """Holdings entity e can take in a cell: the cap, less the one its floor gave it."""
    if floor.size == 0:
        return cap[cell]
    return cap[cell] - (floor[e] == slot[cell])
