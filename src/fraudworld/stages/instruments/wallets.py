"""S3, shard by shard: the floor of every account, what is added to it, one row of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.kernels import philox
from fraudworld.kernels.capped import Entities
from fraudworld.kernels.discrete import category
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held
from fraudworld.stages.world import AccountShard, InstrumentShard

NO_SLOT = 255

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


class FloorLaw(NamedTuple):
    """The floor per account type: one slot, or one drawn from several."""

    single: U8  # (types,), NO_SLOT: none, or drawn
    drawn: NDArray[np.bool_]
    keys: U64  # of a stream of width 1, (types, 2)
    slot: U8  # of every drawn category, (types, slots)
    thresholds: U64
    slots: int


class SchemeLaw(NamedTuple):
    """Instruments of every slot, and the scheme thresholds of every instrument in a country."""

    table: U8  # (types, slots), 255: none
    key: tuple[np.uint64, np.uint64]
    thresholds: U64  # (instrument types, schemes)


@dataclass(frozen=True)
class Carried:
    """Accounts with their floors, open for tokens where a card is; and cards and handles."""

    entities: Entities
    held: Held
    slot: U8  # of what is held


def place_floors(law: FloorLaw, first: int, of: AccountShard) -> tuple[Entities, tuple[I64, I64]]:
    """Accounts with their floors.

    Told: floors per type and slot; and, per type, the first and last account in the world.
    """
    floor = np.empty(of.type.size, dtype=np.uint8)
    placed = np.zeros((law.single.size, law.slots), dtype=np.int64)
    ends = np.empty((law.single.size, 2), dtype=np.int64)
    ends[:, 0], ends[:, 1] = 2**62, -1
    _floors(law, first, of.type, floor, placed, ends)
    return Entities(first, of.type, allocation.NOTHING_OPEN, floor), (placed, ends)


@njit(cache=True, nogil=True)
def _floors(law, first, kind, floor, placed, ends):  # type: ignore[no-untyped-def]
    single, drawn, keys = law.single, law.drawn, law.keys
    slots, thresholds = law.slot, law.thresholds
    for a in range(kind.size):
        t = kind[a]
        slot = single[t]
        if drawn[t]:
            position = np.uint64(first + a)
            lanes = philox.block(keys[t, 0], keys[t, 1], position >> np.uint64(2))
            slot = slots[t, category(philox.lane_of(lanes, position), thresholds, t)]
        floor[a] = slot
        if slot != NO_SLOT:
            placed[t, slot] += 1
        ends[t, 0] = min(ends[t, 0], first + a)
        ends[t, 1] = first + a


def entities_of(of: Entities | Carried) -> Entities:
    """The accounts of a shard that a batch is allocated to."""
    return of.entities if isinstance(of, Carried) else of


def carry(is_card: NDArray[np.bool_], *piece: Any) -> tuple[Carried, tuple[I64, I64, I64]]:
    """Cards and handles of a shard. is_card: of every (type, slot).

    Told: counts per cell; and of accounts with a card, their number per type, and their
    floors per type and slot.
    """
    (entities, _), (held, per_cell) = piece[0], allocation.held(*piece)
    slot = piece[-1].terms.slot[held.cell]
    able = np.zeros(entities.code.size, dtype=np.bool_)
    sizes = np.zeros(len(is_card), dtype=np.int64)
    floors = np.zeros(is_card.shape, dtype=np.int64)
    _able(is_card, entities.code, entities.floor, held.entity, slot, able, sizes, floors)
    return Carried(entities._replace(open=able), held, slot), (per_cell, sizes, floors)


def add(*piece: Any) -> tuple[tuple[Held, U8], I64]:
    """Tokens of a shard and their slots; told: counts per cell."""
    held, per_cell = allocation.held(*piece)
    return (held, piece[-1].terms.slot[held.cell]), per_cell


@njit(cache=True, nogil=True)
def _able(is_card, kind, floor, account, slot, able, sizes, floors):  # type: ignore[no-untyped-def]
    for a in range(kind.size):
        able[a] = floor[a] != NO_SLOT and is_card[kind[a], floor[a]]
    for i in range(account.size):
        a = account[i]
        able[a] |= is_card[kind[a], slot[i]]
    for a in range(kind.size):
        if able[a]:
            sizes[kind[a]] += 1
            if floor[a] != NO_SLOT:
                floors[kind[a], floor[a]] += 1


def instruments(
    law: SchemeLaw, bounds: tuple[int, int], carried: Carried, tokens: tuple[Held, U8]
) -> InstrumentShard:
    """Instruments bounds[0] … bounds[1] − 1 of the world, those of one shard."""
    first, last = bounds
    entities, held = carried.entities, carried.held
    more, more_slot = tokens
    account = np.empty(last - first, dtype=np.uint32)
    kind, scheme = (np.empty(last - first, dtype=np.uint8) for _ in range(2))
    start = np.empty(entities.code.size + 1, dtype=np.int32)
    _rows(
        law.table, *law.key, law.thresholds, first, entities.code, entities.floor,
        held.entity, carried.slot, held.count, more.entity, more_slot, more.count,
        start, account, kind, scheme,
    )  # fmt: skip
    return InstrumentShard(account, kind, scheme, start)


@njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]
    table, k0, k1, thresholds, first, code, floor, account_1, slot_1, count_1, account_2, slot_2,
    count_2, start, account, kind, scheme,
):  # fmt: skip
    at, i, j = 0, 0, 0
    lanes = philox.block(k0, k1, np.uint64(first) >> np.uint64(2))
    for a in range(code.size):
        start[a] = at
        t = code[a]
        for s in range(table.shape[1]):
            n = np.int64(floor[a] == s)
            if i < account_1.size and account_1[i] == a and slot_1[i] == s:
                n += count_1[i]
                i += 1
            if j < account_2.size and account_2[j] == a and slot_2[j] == s:
                n += count_2[j]
                j += 1
            for _ in range(n):
                position = np.uint64(first + at)
                if position & np.uint64(3) == np.uint64(0):
                    lanes = philox.block(k0, k1, position >> np.uint64(2))
                account[at] = a
                kind[at] = table[t, s]
                scheme[at] = category(philox.lane_of(lanes, position), thresholds, table[t, s])
                at += 1
    start[code.size] = at
