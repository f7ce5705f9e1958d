"""S3 per shard: the floor of every account, cards, handles and tokens beside it, one row each.

Twin of all kernels here: tests/reference/instruments.py:make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.jit import kernel
from fraudworld.kernels.capped import Entities, SlotDraws
from fraudworld.kernels.discrete import category, guided_category
from fraudworld.rng import philox
from fraudworld.stages import allocation
from fraudworld.stages.allocation import Held, Quotas, Settlement, ShardEntries
from fraudworld.stages.pieces import AccountShard, InstrumentShard, PartyShard

NO_SLOT = 255
"""No instrument: of a floor, or of a slot in `SchemeLaw.table`."""

BLOCK = 256
"""Accounts whose counts by slot are buffered at once."""

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


class FloorLaw(NamedTuple):
    """The floor of an account type: one slot, or one drawn from several."""

    single: U8  # (types,); NO_SLOT: none, or drawn
    drawn: NDArray[np.bool_]  # (types,)
    keys: U64  # of a stream of width 1, (types, 2)
    slot: U8  # of every category of the draw, (types, slots)
    thresholds: U64  # of the categories, 63 bits, (types, slots)
    slots: int  # of an account type, at most


class SchemeLaw(NamedTuple):
    """Instruments of the slots, and the schemes of every instrument in one country."""

    table: U8  # (types, slots); NO_SLOT: none
    key: tuple[np.uint64, np.uint64]  # of a stream of width 1
    thresholds: U64  # 63 bits, (instrument types, schemes)
    guide: U8  # of `thresholds`, (instrument types, 256)


class PlatformLaw(NamedTuple):
    """Wallets of the parties of one country, by their mobile system."""

    key: tuple[np.uint64, np.uint64]  # of a stream of width 1, a draw a party
    android: U64  # where Android ends in 63 bits, (segments,)
    is_wallet: NDArray[np.bool_]  # (instrument types,)
    schemes: U8  # of Android, of iOS


@dataclass(frozen=True)
class Carried:
    """Accounts with their floors, cards and handles."""

    entities: Entities  # open: accounts that hold a card, so that they may hold tokens
    held: Held  # cards and handles beyond the floors
    slot: U8  # of `held`


class Tokens(NamedTuple):
    """Tokens of a shard's accounts."""

    held: Held
    slot: U8


class HeldRows(NamedTuple):
    """Instruments beyond the floors, in order of account, then slot."""

    account: NDArray[np.uint32]
    slot: U8
    number: NDArray[np.uint16]


class FloorCounts(NamedTuple):
    """Floors of a shard."""

    floors: I64  # (types, slots)
    ends: I64  # first and last account of a type, in the world, (types, 2)


class CardCounts(NamedTuple):
    """Cards and handles of a shard."""

    rows: I64  # instruments, (cells,)
    accounts: I64  # accounts that hold a card, (types,)
    floors: I64  # floors of these, (types, slots)


def place_floors(law: FloorLaw, first: int, of: AccountShard) -> tuple[Entities, FloorCounts]:
    """Task: the accounts of a shard with their floors. first: number in the world of account 0."""
    floor = np.empty(of.type.size, dtype=np.uint8)
    placed = np.zeros((law.single.size, law.slots), dtype=np.int64)
    ends = np.empty((law.single.size, 2), dtype=np.int64)
    ends[:, 0], ends[:, 1] = 2**62, -1
    _floors(law, first, of.type, floor, placed, ends)
    return Entities(first, of.type, allocation.NOTHING_OPEN, floor), FloorCounts(placed, ends)


@kernel
def _floors(law, first, account_type, floor, placed, ends):  # type: ignore[no-untyped-def]
    """Sets the floor of every account, and counts floors.

    Parameters
    ----------
    law : FloorLaw
    first : int
        Number in the world of account 0.
    account_type, floor : uint8 (n,)
        `floor` is filled with slots.
    placed : int64 (types, slots)
        Grows by the floors.
    ends : int64 (types, 2)
        First and last account of a type, updated.
    """
    single, drawn, keys = law.single, law.drawn, law.keys
    slots, thresholds = law.slot, law.thresholds
    drawing = np.empty(account_type.size + 1, dtype=np.int64)
    n = 0
    for a in range(account_type.size):
        t = account_type[a]
        floor[a] = single[t]
        ends[t, 0] = min(ends[t, 0], first + a)
        ends[t, 1] = first + a
        # Branch-free: a branch would mispredict.
        drawing[n] = a
        n += drawn[t]
    for a in drawing[:n]:
        t, position = account_type[a], np.uint64(first + a)
        lanes = philox.block(keys[t, 0], keys[t, 1], position >> np.uint64(2))
        floor[a] = slots[t, category(philox.lane_of(lanes, position), thresholds, t)]
    for a in range(account_type.size):
        has = floor[a] != NO_SLOT
        placed[account_type[a], floor[a] if has else 0] += has


def entities_of(of: Entities | Carried) -> Entities:
    """The accounts of a shard, as entities of the next allocation."""
    return of.entities if isinstance(of, Carried) else of


def carry(
    is_card: NDArray[np.bool_],
    of: ShardEntries,
    quotas: Quotas,
    slots: SlotDraws | None,
    settled: Settlement,
) -> tuple[Carried, CardCounts]:
    """Task over the values of an `allocation.Piece`: cards and handles of a shard.

    is_card: of every (type, slot).
    """
    entities, _ = of
    held, per_cell = allocation.held(of, quotas, slots, settled)
    slot = settled.cell_laws.slot[held.cell]
    able = np.zeros(entities.code.size, dtype=np.bool_)
    sizes = np.zeros(len(is_card), dtype=np.int64)
    floors = np.zeros(is_card.shape, dtype=np.int64)
    rows = HeldRows(held.entity, slot, held.count)
    _find_card_holders(is_card, entities.code, entities.floor, rows, able, sizes, floors)
    carried = Carried(entities._replace(open=able), held, slot)
    return carried, CardCounts(per_cell, sizes, floors)


def add(
    of: ShardEntries, quotas: Quotas, slots: SlotDraws | None, settled: Settlement
) -> tuple[Tokens, I64]:
    """Task over the values of an `allocation.Piece`: tokens of a shard, and counts per cell."""
    held, per_cell = allocation.held(of, quotas, slots, settled)
    return Tokens(held, settled.cell_laws.slot[held.cell]), per_cell


@kernel
def _find_card_holders(is_card, account_type, floor, held, able, sizes, floors):  # type: ignore[no-untyped-def]
    """Flags accounts that hold a card, as floor or beyond it.

    Parameters
    ----------
    is_card : bool (types, slots)
    account_type, floor : uint8 (n,)
    held : HeldRows
    able : bool (n,)
        Filled.
    sizes : int64 (types,)
        Grows: flagged accounts.
    floors : int64 (types, slots)
        Grows: floors of flagged accounts.
    """
    account, slot = held.account, held.slot
    # Branch-free: branches would mispredict.
    for a in range(account_type.size):
        has = floor[a] != NO_SLOT
        able[a] = has & is_card[account_type[a], floor[a] if has else 0]
    for i in range(account.size):
        a = account[i]
        able[a] |= is_card[account_type[a], slot[i]]
    for a in range(account_type.size):
        has = floor[a] != NO_SLOT
        sizes[account_type[a]] += able[a]
        floors[account_type[a], floor[a] if has else 0] += able[a] & has


def instruments(
    law: SchemeLaw,
    platforms: PlatformLaw | None,
    bounds: tuple[int, int],
    shard: Shard,
    parties: PartyShard,
    accounts: AccountShard,
    carried: Carried,
    tokens: Tokens,
) -> InstrumentShard:
    """Task: the instruments of a shard, which are bounds[0] … bounds[1] − 1 of the world.

    platforms: of the country; None where every token draws its own wallet.
    """
    first, last = bounds
    entities, held = carried.entities, carried.held
    room = last - first + 1
    account = np.empty(room, dtype=np.uint32)
    instrument_type, scheme = np.empty(room, dtype=np.uint8), np.empty(last - first, dtype=np.uint8)
    start = np.empty(entities.code.size + 1, dtype=np.int32)
    cards = HeldRows(held.entity, carried.slot, held.count)
    more = HeldRows(tokens.held.entity, tokens.slot, tokens.held.count)
    _rows(law.table, entities.code, entities.floor, cards, more, start, account, instrument_type)
    account, instrument_type = account[: last - first], instrument_type[: last - first]
    _schemes(law, first, instrument_type, scheme)
    if platforms is not None:
        party = accounts.owner[account]
        _wallets(platforms, shard.first, party, parties.segment, instrument_type, scheme)
    return InstrumentShard(account, instrument_type, scheme, start)


@kernel
def _rows(table, code, floor, cards, tokens, start, account, instrument_type):  # type: ignore[no-untyped-def]
    """Writes one row an instrument, in order of account, then slot.

    Parameters
    ----------
    table : uint8 (types, slots)
        Instrument of every slot.
    code, floor : uint8 (accounts,)
        Type and floor of every account.
    cards, tokens : HeldRows
        Instruments beyond the floors.
    start : int32 (accounts + 1,)
        Filled: first row of every account.
    account, instrument_type : uint32, uint8 (rows + 1,)
        Filled; one row longer than needed.
    """
    account_1, slot_1, count_1 = cards.account, cards.slot, cards.number
    account_2, slot_2, count_2 = tokens.account, tokens.slot, tokens.number
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
                # Writes the first row even where there is none: a test would mispredict.
                account[at] = a
                instrument_type[at] = table[code[a], s]
                n = counts[a - low, s]
                for k in range(1, n):
                    account[at + k] = a
                    instrument_type[at + k] = table[code[a], s]
                at += n
    start[code.size] = at


@kernel
def _schemes(law, first, instrument_type, scheme):  # type: ignore[no-untyped-def]
    """Draws the scheme of every instrument.

    law : SchemeLaw; first : number in the world of instrument 0; instrument_type, scheme :
    uint8 (n,), `scheme` filled.
    """
    k0, k1 = law.key
    thresholds, to_scheme = law.thresholds, law.guide
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, instrument_type.size, philox.MANY):
        n = min(philox.MANY, instrument_type.size - low)
        philox.fill(k0, k1, np.uint64(first + low), draws[:n])
        for i in range(n):
            row = instrument_type[low + i]
            scheme[low + i] = guided_category(draws[i], thresholds, to_scheme, row)


@kernel
def _wallets(law, first, party, segment, instrument_type, scheme):  # type: ignore[no-untyped-def]
    """Puts every token into the wallet of its owner's mobile system.

    Parameters
    ----------
    law : PlatformLaw
    first : int
        Number in the world of party 0.
    party : uint32 (n,)
        Owner of every instrument.
    segment : uint8 (parties,)
    instrument_type, scheme : uint8 (n,)
        `scheme` of tokens is overwritten.
    """
    k0, k1 = law.key
    for i in range(party.size):
        if law.is_wallet[instrument_type[i]]:
            position = np.uint64(first + party[i])
            draw = philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)
            on_ios = draw >> np.uint64(1) >= law.android[segment[party[i]]]
            scheme[i] = law.schemes[1 if on_ios else 0]
