"""Draws of free slots that can win what was above a cap."""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import hurdles
from fraudworld.kernels.capped.pieces import room_for
from fraudworld.rng import philox


@kernel
def slot_draws(cell_laws, entities, entries, counts, limit, found, asked):  # type: ignore[no-untyped-def]
    """Lists free slots whose draw is within the limit of their cell.

    Parameters
    ----------
    cell_laws, entities, entries : CellLaws, Entities, Entries
    counts : uint16 (entries,)
        Quotas; what they leave of an entry's room is free.
    limit : uint64 (cells,)
        Largest draw to list; a cell of limit 0 draws nothing.
    found : SlotDraws
        Buffers to fill, in order of entry, then slot. Nothing is written past their ends.
    asked : int64 (cells,)
        Grows: entries with a free slot in a cell that draws.

    Returns
    -------
    int
        Slots there are, which may be more than the buffers hold.
    """
    keys, cap, taken, held = cell_laws.keys, cell_laws.cap, cell_laws.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    who, draws, positions = found.entry, found.draw, found.position
    first = entities.first
    # Blocks of draws to make: their entry, and their first and last position in its stream. All
    # are listed before any is made: the rounds of one block depend on each other, and the number
    # of blocks of an entry would mispredict.
    room = hurdles.CHUNK + cap.max() // 4 + 3
    at, near = np.empty(room, dtype=np.uint32), np.empty(room + 1, dtype=np.uint32)
    begins, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    streams = np.empty((2, room), dtype=np.uint64)
    numbers, most = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint64)
    lanes = np.empty((4, room), dtype=np.uint64)
    hit = np.empty(room, dtype=np.bool_)
    n, i = 0, 0
    while i < counts.size:
        k = 0
        while i < counts.size and k < hurdles.CHUNK:
            # Unsigned indices skip numba's test for negative ones.
            here = np.uint32(i)
            c, e = cell[here], np.int64(entity[here])
            free = max(room_for(cap, taken, held, e, c) - counts[here], 0) * (limit[c] > 0)
            asks = free > 0
            asked[c] += asks
            p = (first + e) * cap[c]
            end = p + free
            at[k], begins[k], ends[k] = here, p, end
            k += asks
            p = (p | 3) + 1
            at[k], begins[k], ends[k] = here, p, end
            k += p < end
            for later in range(p + 4, end, 4):
                at[k], begins[k], ends[k] = here, later, end
                k += 1
            i += 1
        for j in range(k):
            c = cell[at[j]]
            streams[0, j], streams[1, j] = keys[c, 2], keys[c, 3]
            numbers[j], most[j] = begins[j] >> 2, limit[c]
        philox.blocks(streams, numbers[:k], lanes)
        _any_within(lanes, begins[:k], ends[:k], most[:k], hit)
        listed = 0
        for j in range(k):
            near[listed] = j
            listed += hit[j]
        for j in near[:listed]:
            for p in range(begins[j], min(ends[j], (begins[j] | 3) + 1)):
                draw = lanes[p & 3, j]
                if draw <= most[j]:
                    if n < who.size:
                        who[n], draws[n], positions[n] = at[j], draw, p
                    n += 1
    return n


@inlined
def _any_within(lanes, begins, ends, most, out):  # type: ignore[no-untyped-def]
    """out[j] = whether block j has a draw of at most most[j] among begins[j] … ends[j] − 1.

    Parameters
    ----------
    lanes : uint64 (4, n)
        The draws of every block.
    begins, ends : int64 (n,)
        Positions in the stream; begins[j] lies in block j.
    most : uint64 (n,)
    out : bool (n,)
    """
    n = most.size
    a, b, c, d = lanes[0, :n], lanes[1, :n], lanes[2, :n], lanes[3, :n]
    for j in range(n):
        low, top = begins[j] & 3, most[j]
        high = ends[j] - begins[j] + low
        out[j] = (
            ((a[j] <= top) & (low == 0))
            | ((b[j] <= top) & (low <= 1) & (high > 1))
            | ((c[j] <= top) & (low <= 2) & (high > 2))
            | ((d[j] <= top) & (high > 3))
        )
