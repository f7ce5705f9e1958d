"""Quotas by largest remainder, clamped to their room; and the final counts."""

from __future__ import annotations

import numpy as np

from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.kernels.capped.pieces import EXCLUDED, UNSETTLED, room_for


@kernel
def apportion(entities, entries, split, floors, given, counts):  # type: ignore[no-untyped-def]
    """Splits plans into floors of plan · weight / total, and ranks what remains.

    Parameters
    ----------
    entities, entries, split : Entities, Entries, Apportionment
    floors : Floors
        Filled; floors beyond 16 bits are cut to EXCLUDED − 1. A small digit is a large remainder.
    given : int64 (cells,)
        Grows by the floors.
    counts : int32 (cells, ranks.DIGITS)
        Grows: entries by digit.

    Returns
    -------
    uint64
        The largest floor before the cut.
    """
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    plan, total, bound, shift = split.plan, split.total, split.bound, split.shift
    hurdle_key, hurdle_position = split.hurdle_key, split.hurdle_position
    floor, digit = floors.floor, floors.digit
    first = entities.first
    for j in range(entries.unsettled.size):
        i = entries.unsettled[j]
        key, position = entries.hurdle_key[j], first + np.int64(entity[i])
        inside = ranks.within(key, position, cell[i], hurdle_key, hurdle_position)
        floor[i] = 0 if inside else EXCLUDED
    most = np.uint64(0)
    for i in range(floor.size):
        c, w = cell[i], weight[i]
        if w & UNSETTLED:
            w ^= UNSETTLED
            if floor[i] == EXCLUDED:
                continue
        product = plan[c] * w
        q = product // total[c]
        key = (bound[c] - np.uint64(1) - (product - q * total[c])) << shift[c]
        digit[i] = key >> np.uint64(ranks.SHIFT)
        counts[c, digit[i]] += 1
        given[c] += np.int64(q)
        most = max(most, q)
        floor[i] = min(q, np.uint64(EXCLUDED - 1))
    return most


@kernel
def settle_quotas(cell_laws, entities, entries, split, floors, end, quotas, overflow, edge):  # type: ignore[no-untyped-def]
    """Adds one to the floors of large remainders, and counts what the caps leave over.

    Parameters
    ----------
    cell_laws, entities, entries, split, floors : CellLaws, Entities, Entries, Apportionment, Floors
    end : int64 (cells,)
        Digit in which the remainders of a cell that get one more end.
    quotas : uint16 (entries,)
        Filled; entries of the digit `end` keep their floor.
    overflow : Overflow
        Grows; without the entries of the digit `end`.
    edge : EdgeEntries
        Filled with the entries of the digit `end`; exactly as long as there are such.
    """
    cap, slot, held = cell_laws.cap, cell_laws.slot, entities.floor
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    plan, total, bound, shift = split.plan, split.total, split.bound, split.shift
    floor_of, digit = floors.floor, floors.digit
    excess, slots, worst = overflow.excess, overflow.slots, overflow.worst
    index, keys = edge.at, edge.key
    k = 0
    for i in range(floor_of.size):
        c, floor = cell[i], floor_of[i]
        quotas[i] = floor
        if floor == EXCLUDED:
            continue
        if digit[i] == end[c]:
            rest = plan[c] * (weight[i] & ~UNSETTLED) - np.uint64(floor) * total[c]
            index[k], keys[k] = i, (bound[c] - np.uint64(1) - rest) << shift[c]
            k += 1
            continue
        quota = np.int64(floor) + (digit[i] < end[c])
        quotas[i] = quota
        free = room_for(cap, slot, held, np.int64(entity[i]), c) - quota
        slots[c] += max(free, 0)
        excess[c] += max(-free, 0)
        worst[c] = max(worst[c], -free)


@kernel
def room_left(cell_laws, entities, entries, at, out):  # type: ignore[no-untyped-def]
    """out[j] = holdings entry at[j] has room for.

    Parameters
    ----------
    cell_laws, entities, entries : CellLaws, Entities, Entries
    at, out : int64 (n,)
    """
    cap, slot, floor = cell_laws.cap, cell_laws.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    for j in range(at.size):
        out[j] = room_for(cap, slot, floor, np.int64(entity[at[j]]), cell[at[j]])


@kernel
def final_counts(cell_laws, entities, entries, counts, capped, winners):  # type: ignore[no-untyped-def]
    """Turns quotas into final counts, in place.

    Parameters
    ----------
    cell_laws, entities, entries : CellLaws, Entities, Entries
    counts : uint16 (entries,)
        Quotas; EXCLUDED becomes 0.
    capped : bool
        Whether counts are clamped to the room.
    winners : uint32 (slots,)
        Entries that win a slot, once a slot.
    """
    cap, slot, held = cell_laws.cap, cell_laws.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    for i in range(counts.size):
        room = room_for(cap, slot, held, np.int64(entity[i]), cell[i]) if capped else EXCLUDED
        counts[i] = 0 if counts[i] == EXCLUDED else min(counts[i], room)
    for i in winners:
        counts[i] += 1


@kernel
def drop_empty(entries, counts, entity, cell, count, per_cell):  # type: ignore[no-untyped-def]
    """Copies the entries that hold anything.

    Parameters
    ----------
    entries : Entries
    counts : uint16 (entries,)
    entity, cell, count : uint32, uint16, uint16
        Filled; one longer than there are entries with a count.
    per_cell : int64 (cells,)
        Grows by the counts.
    """
    all_entities, all_cells = entries.entity, entries.cell
    k = 0
    for i in range(counts.size):
        # Branch-free: a branch would mispredict. Hence one row of room.
        c = all_cells[i]
        entity[k], cell[k], count[k] = all_entities[i], c, counts[i]
        per_cell[c] += counts[i]
        k += counts[i] > 0
