"""S3, shard by shard: the floor of every account, what is added to it, one row of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import guide
from fraudworld.kernels.capped import Entities
from fraudworld.kernels.discrete import category
from fraudworld.rng import philox
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held
from fraudworld.stages.pieces import AccountShard, InstrumentShard

NO_SLOT = 255
BLOCK = 256
"""Accounts whose slots, and instruments whose draws, are held at once."""

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
    guide: U8  # to them


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


@kernel
def _floors(law, first, kind, floor, placed, ends):  # type: ignore[no-untyped-def]
    single, drawn, keys = law.single, law.drawn, law.keys
    slots, thresholds = law.slot, law.thresholds
    drawing = np.empty(kind.size + 1, dtype=np.int64)
    n = 0
    for a in range(kind.size):
        t = kind[a]
        floor[a] = single[t]
        ends[t, 0] = min(ends[t, 0], first + a)
        ends[t, 1] = first + a
        # No branch: nobody could predict it.
        drawing[n] = a
        n += drawn[t]
    for a in drawing[:n]:
        t, position = kind[a], np.uint64(first + a)
        lanes = philox.block(keys[t, 0], keys[t, 1], position >> np.uint64(2))
        floor[a] = slots[t, category(philox.lane_of(lanes, position), thresholds, t)]
    for a in range(kind.size):
        has = floor[a] != NO_SLOT
        placed[kind[a], floor[a] if has else 0] += has


def entities_of(of: Entities | Carried) -> Entities:
    """The accounts of a shard that a batch is allocated to."""
    return of.entities if isinstance(of, Carried) else of


def carry(is_card: NDArray[np.bool_], *piece: Any) -> tuple[Carried, tuple[I64, I64, I64]]:
    """Cards and handles of a shard. is_card: of every (type, slot).

    Told: counts per cell; and of accounts with a card, their number per type, and their
    floors per type and slot.
    """
    (entities, _), (held, per_cell) = piece[0], allocation.held(*piece)
    slot = piece[-1].cell_laws.slot[held.cell]
    able = np.zeros(entities.code.size, dtype=np.bool_)
    sizes = np.zeros(len(is_card), dtype=np.int64)
    floors = np.zeros(is_card.shape, dtype=np.int64)
    _able(is_card, entities.code, entities.floor, held.entity, slot, able, sizes, floors)
    return Carried(entities._replace(open=able), held, slot), (per_cell, sizes, floors)


def add(*piece: Any) -> tuple[tuple[Held, U8], I64]:
    """Tokens of a shard and their slots; told: counts per cell."""
    held, per_cell = allocation.held(*piece)
    return (held, piece[-1].cell_laws.slot[held.cell]), per_cell


@kernel
def _able(is_card, kind, floor, account, slot, able, sizes, floors):  # type: ignore[no-untyped-def]
    # No branches: nobody could predict them.
    for a in range(kind.size):
        has = floor[a] != NO_SLOT
        able[a] = has & is_card[kind[a], floor[a] if has else 0]
    for i in range(account.size):
        a = account[i]
        able[a] |= is_card[kind[a], slot[i]]
    for a in range(kind.size):
        has = floor[a] != NO_SLOT
        sizes[kind[a]] += able[a]
        floors[kind[a], floor[a] if has else 0] += able[a] & has


def instruments(
    law: SchemeLaw, bounds: tuple[int, int], carried: Carried, tokens: tuple[Held, U8]
) -> InstrumentShard:
    """Instruments bounds[0] … bounds[1] − 1 of the world, those of one shard."""
    first, last = bounds
    entities, held = carried.entities, carried.held
    more, more_slot = tokens
    room = last - first + 1
    account = np.empty(room, dtype=np.uint32)
    kind, scheme = np.empty(room, dtype=np.uint8), np.empty(last - first, dtype=np.uint8)
    start = np.empty(entities.code.size + 1, dtype=np.int32)
    _rows(
        law.table, entities.code, entities.floor, held.entity, carried.slot, held.count,
        more.entity, more_slot, more.count, start, account, kind,
    )  # fmt: skip
    account, kind = account[: last - first], kind[: last - first]
    _schemes(law, first, kind, scheme)
    return InstrumentShard(account, kind, scheme, start)


@kernel
def _rows(  # type: ignore[no-untyped-def]
    table, code, floor, account_1, slot_1, count_1, account_2, slot_2, count_2, start, account, kind
):
    """One row of each instrument, in order of account and slot; account and kind have room for
    one more.
    """
    slots = table.shape[1]
    counts = np.empty((BLOCK, slots), dtype=np.int64)
    at, i, j = 0, 0, 0
    for low in range(0, code.size, BLOCK):
        high = min(low + BLOCK, code.size)
        counts[:] = 0
        for a in range(low, high):
            if floor[a] != NO_SLOT:
                counts[a - low, floor[a]] += 1
        while i < account_1.size and account_1[i] < high:
            counts[account_1[i] - low, slot_1[i]] += count_1[i]
            i += 1
        while j < account_2.size and account_2[j] < high:
            counts[account_2[j] - low, slot_2[j]] += count_2[j]
            j += 1
        for a in range(low, high):
            start[a] = at
            for s in range(slots):
                # The first row is written even where there is none: whether cannot be predicted.
                account[at] = a
                kind[at] = table[code[a], s]
                n = counts[a - low, s]
                for k in range(1, n):
                    account[at + k] = a
                    kind[at + k] = table[code[a], s]
                at += n
    start[code.size] = at


@kernel
def _schemes(law, first, kind, scheme):  # type: ignore[no-untyped-def]
    k0, k1 = law.key
    thresholds, to_scheme = law.thresholds, law.guide
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, kind.size, philox.MANY):
        n = min(philox.MANY, kind.size - low)
        philox.fill(k0, k1, np.uint64(first + low), draws[:n])
        for i in range(n):
            scheme[low + i] = guide.category(draws[i], thresholds, to_scheme, kind[low + i])
