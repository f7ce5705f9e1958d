"""Gated, weighted, capped allocation: what is done entity by entity.

The law (domain page, S2; also used for instruments and devices), in a cell of n entities
with plan P:

1. *Gate.* `eligible` of them may hold at all: those with the smallest gate key.
2. *Apportion.* P is split over the eligible by largest remainder of integer weights, so
   every quota is an exact rational and no float decides a rank.
3. *Cap.* Counts above an entity's room are clamped, the excess is pooled and handed out
   over the free slots of eligible entities of the same cell: every free slot has a draw,
   the smallest draws win. That is a residual-weighted draw that cannot break a cap.
4. What no free slot can take is dropped and counted.

A shard walks its entities once a round, each through the cells it stands in (one a
product); what has to be known of all shards in between is `stages/allocation.py`'s. Those
the gate lets in become *entries*, in order of entity, then cell.

Draws and deviates cost more than all else here, so they are computed only for whom they can
decide something: weights for the eligible alone, gates only for those near the edge of their
cell's quota. All others are told by the draw of their gate, or, where products share a
factor, by a table of deviates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import gating, normal, philox, ranks

DOUBT = np.uint64(1 << 63)
"""Mark on the weight of an entry of which only its exact gate key says whether it is one."""

OUT = 65535
"""Count of an entry that the gate keeps out after all."""

Key = tuple[np.uint64, np.uint64]
"""A Philox key."""

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """How one product is held.

    A stream of width 2 under `draws` has an entity's gate draw and its weight draw; under
    `slots` a stream of width `cap` has a draw for every slot.
    """

    zero_share: float
    sigma: float  # of the log-normal weights
    cap: int
    draws: Key
    slots: Key


class Terms(NamedTuple):
    """The laws, cell by cell. An entity of code k stands in cells start[k] … start[k + 1] − 1.

    Where products share factors, `factor` is the key of a stream of width 2: the factor of an
    entity's gates and that of its weights. A larger one means an earlier rank, or more weight.
    """

    start: I64  # (codes + 1,)
    keys: U64  # of the draws, then of the slots: (cells, 4)
    sigma: F64
    cap: I64
    slot: U8  # what `Entities.floor` calls the cell's product
    factor: U64  # (2,)
    correlation: float  # 0: nothing is shared
    table: NDArray[np.float32]  # deviates, (gating.TABLE + 1,); empty where nothing is shared


class Entities(NamedTuple):
    """Entities of a shard; they draw as entities first, first + 1, … of the world.

    `open` is empty where all of them take part, `floor` where nobody holds anything yet; else
    it is what `Terms.slot` calls the product an entity holds one of, 255 for none.
    """

    first: int
    code: U8
    open: NDArray[np.bool_]
    floor: U8


class Entries(NamedTuple):
    """Whom the gates let in: entity (from 0 in the shard), cell and weight of mean 2**20.

    Of those that are marked, DOUBT, their index and gate key.
    """

    entity: U32
    cell: U16
    weight: U64
    doubtful: I64
    gate_key: U64


class Shares(NamedTuple):
    """What the plans of a region give away, cell by cell."""

    plan: U64
    total: U64  # of the weights
    bound: U64  # of the remainders: all of them are below
    shift: U64  # of a remainder's rank, so that its leading bit is the bound's
    gate_key: U64  # the last that is let in
    gate_position: I64


@inlined
def _room(cap, slot, floor, e, cell):  # type: ignore[no-untyped-def]
    if floor.size == 0:
        return cap[cell]
    return cap[cell] - (floor[e] == slot[cell])


# Kernels take arrays out of what they are handed before they loop: taking one is counted, and
# threads would wait for each other's counts.


@kernel
def census(terms, entities, active, upto, inside):  # type: ignore[no-untyped-def]
    """How many stand in active cells, and how many of them are within the shares `upto` and
    `inside` of their cell, as expected.
    """
    start, code, is_open = terms.start, entities.code, entities.open
    of_code = np.zeros(start.size - 1, dtype=np.int64)
    for e in range(code.size):
        of_code[code[e]] += is_open.size == 0 or is_open[e]
    standing, expected, near = 0, 0.0, 0.0
    for k in range(of_code.size):
        for c in range(start[k], start[k + 1]):
            if active[c]:
                standing += of_code[k]
                expected += of_code[k] * upto[c]
                near += of_code[k] * inside[c]
    return standing, expected, near


@kernel
def admit(terms, entities, active, low, high, entries, certain, total, most):  # type: ignore[no-untyped-def]
    """Entries: those whose place at the gate is below `low` of their cell, and, marked, those
    up to `high`. A place is the share of draws, or minus the deviate, that is let in earlier.

    Per cell: certain entries, their weight, and the largest weight of any. Returns how many
    entries and marked ones there are, which may be more than the arrays hold, and whether a
    total is beyond 64 bits.
    """
    start, keys, sigmas, factors = terms.start, terms.keys, terms.sigma, terms.factor
    first, code, is_open, table = entities.first, entities.code, entities.open, terms.table
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    found, gate_keys = entries.doubtful, entries.gate_key
    correlation = terms.correlation
    f0, f1 = factors[0], factors[1]
    shared = correlation > 0.0
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    # Cells of every code in which anybody can hold.
    width = gating.LANES
    for k in range(start.size - 1):
        while width < start[k + 1] - start[k]:
            width += gating.LANES
    cells_of = np.zeros((start.size - 1, width), dtype=np.uint64)
    sizes = np.zeros(start.size - 1, dtype=np.uint64)
    for k in range(start.size - 1):
        for c in range(start[k], start[k + 1]):
            if active[c]:
                cells_of[k, sizes[k]] = c
                sizes[k] += np.uint64(1)
    # Unsigned: no place is counted from the end, so none has to be looked at for that.
    taking_part = np.empty(gating.CHUNK + 1, dtype=np.uint32)
    standing = np.empty((gating.CHUNK + 1) * width, dtype=np.uint64)
    gates = np.empty((gating.CHUNK + 1) * width, dtype=np.uint64)
    draws = np.empty((gating.CHUNK + 1) * width, dtype=np.uint64)
    places = np.empty((gating.CHUNK + 1) * width, dtype=np.float64)
    # Of entities, by their number modulo a chunk.
    pairs = np.empty(2 * gating.CHUNK, dtype=np.uint64)
    gate_factor, factor = np.zeros(gating.CHUNK), np.zeros(gating.CHUNK)
    z, raised = np.empty(gating.CHUNK * width), np.empty(gating.CHUNK * width)
    indices = np.empty(gating.CHUNK * width, dtype=np.int64)
    m, doubtful = 0, 0
    beyond = False
    for begin in range(0, code.size, gating.CHUNK):
        some = 0
        for e in range(begin, min(begin + gating.CHUNK, code.size)):
            # No branch: nobody could predict it.
            taking_part[some] = e
            some += (sizes[code[e]] > 0) & (is_open.size == 0 or is_open[e])
        if shared:
            philox.fill(f0, f1, np.uint64(2 * (first + begin)), pairs)
            for j in range(gating.CHUNK):
                gates[j], draws[j] = pairs[2 * j], pairs[2 * j + 1]
            gating.roughly(gates[: gating.CHUNK], table, gate_factor)
            normal.deviates(draws[: gating.CHUNK], factor)
        n = gating.list_standing(taking_part[:some], code, cells_of, sizes, standing)
        gating.draw_both(first, standing[:n], keys, gates, draws)
        if shared:
            gating.place_shared(standing[:n], gates[:n], gate_factor, a, b, table, places[:n])
        else:
            gating.place_alone(gates[:n], places[:n])
        n = gating.keep(low, high, standing[:n], draws, places)
        if m + n > entity.size:
            m += n
            continue
        # Counted from 0 in arrays of their own, loops compile to vector instructions.
        entities_, cells, weights = entity[m : m + n], cell[m : m + n], weight[m : m + n]
        normal.deviates(draws[:n], z[:n])
        for j in range(n):
            entities_[j], cells[j] = gating.entity_of(standing[j]), gating.cell_of(standing[j])
            sigma = sigmas[cells[j]]
            z[j] = (
                sigma * (b * z[j] + a * factor[entities_[j] % np.uint32(gating.CHUNK)])
                - 0.5 * sigma * sigma
            )
        normal.exps(z[:n], raised[:n])
        for j in range(n):
            # What is beyond 63 bits becomes 2**63, which is refused as too wide; never 1.
            w = np.uint64(np.int64(raised[j] * 1048576.0 + 0.5))
            weights[j] = max(w, np.uint64(1))
        near = 0
        for j in range(n):
            c, w = cells[j], weights[j]
            most[c] = max(most[c], w)
            if standing[j] & gating.DOUBTED:
                weights[j] = w | DOUBT
                standing[near], indices[near] = standing[j], m + j
                near += 1
            else:
                certain[c] += 1
                total[c] += w
                beyond |= total[c] < w
        gating.gate_keys(
            first, standing[:near], keys, factors.reshape(1, 2), correlation, draws[:near]
        )
        for j in range(near):
            if doubtful < found.size:
                found[doubtful], gate_keys[doubtful] = indices[j], draws[j]
            doubtful += 1
        m += n
    return m, doubtful, beyond


@kernel
def apportion(entities, entries, shares, floors, digits, given, counts):  # type: ignore[no-untyped-def]
    """Floors of plan · weight / total and leading digits of what remains (small = large
    remainder); per cell the sum of the floors (`given`), and how many have which digit:
    (cells, DIGITS).

    Returns the largest floor; those from OUT on are cut.
    """
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    plan, total, bound, shift = shares.plan, shares.total, shares.bound, shares.shift
    gate_key, gate_position = shares.gate_key, shares.gate_position
    first = entities.first
    for j in range(entries.doubtful.size):
        i = entries.doubtful[j]
        key, position = entries.gate_key[j], first + np.int64(entity[i])
        inside = ranks.within(key, position, cell[i], gate_key, gate_position)
        floors[i] = 0 if inside else OUT
    most = np.uint64(0)
    for i in range(floors.size):
        c, w = cell[i], weight[i]
        if w & DOUBT:
            w ^= DOUBT
            if floors[i] == OUT:
                continue
        product = plan[c] * w
        q = product // total[c]
        key = (bound[c] - np.uint64(1) - (product - q * total[c])) << shift[c]
        digits[i] = key >> np.uint64(ranks.SHIFT)
        counts[c, digits[i]] += 1
        given[c] += np.int64(q)
        most = max(most, q)
        floors[i] = min(q, np.uint64(OUT - 1))
    return most


@kernel
def settle(  # type: ignore[no-untyped-def]
    terms, entities, entries, shares, floors, digits, end, counts, excess, slots, worst, found, keys
):
    """Quotas, and per cell what is above the room, the free slots, and the most above any.

    end: the digit where each cell's remainders that get one more end. Entries in that digit are
    left out, with their floor for a quota: `found` and `keys` get their index and remainder.
    """
    cap, slot, held = terms.cap, terms.slot, entities.floor
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    plan, total, bound, shift = shares.plan, shares.total, shares.bound, shares.shift
    k = 0
    for i in range(floors.size):
        c, floor = cell[i], floors[i]
        counts[i] = floor
        if floor == OUT:
            continue
        if digits[i] == end[c]:
            rest = plan[c] * (weight[i] & ~DOUBT) - np.uint64(floor) * total[c]
            found[k], keys[k] = i, (bound[c] - np.uint64(1) - rest) << shift[c]
            k += 1
            continue
        quota = np.int64(floor) + (digits[i] < end[c])
        counts[i] = quota
        free = _room(cap, slot, held, np.int64(entity[i]), c) - quota
        slots[c] += max(free, 0)
        excess[c] += max(-free, 0)
        worst[c] = max(worst[c], -free)


@kernel
def rooms(terms, entities, entries, found, out):  # type: ignore[no-untyped-def]
    """out[j] = what entry found[j] has room for."""
    cap, slot, floor = terms.cap, terms.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    for j in range(found.size):
        out[j] = _room(cap, slot, floor, np.int64(entity[found[j]]), cell[found[j]])


@kernel
def slot_draws(  # type: ignore[no-untyped-def]
    terms, entities, entries, counts, limit, who, draws, positions, asked
):
    """Free slots whose draw is within the limit of their cell; returns how many there are.

    Writes no more than `who` holds: entry, draw and its place in the stream. asked: per cell
    entries that have a free slot; cells of limit 0 ask nobody.
    """
    keys, cap, taken, held = terms.keys, terms.cap, terms.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    first = entities.first
    # Blocks of draws to look at: of which entry, and from where to where in its stream. They are
    # listed first: what costs is waiting for one before the next, and how many blocks an entry
    # needs cannot be predicted.
    room = gating.CHUNK + cap.max() // 4 + 3
    at, near = np.empty(room, dtype=np.uint32), np.empty(room + 1, dtype=np.uint32)
    begins, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    streams = np.empty((2, room), dtype=np.uint64)
    numbers, most = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint64)
    lanes = np.empty((4, room), dtype=np.uint64)
    hit = np.empty(room, dtype=np.bool_)
    n, i = 0, 0
    while i < counts.size:
        k = 0
        while i < counts.size and k < gating.CHUNK:
            # Unsigned: no place is counted from the end, so none has to be looked at for that.
            here = np.uint32(i)
            c, e = cell[here], np.int64(entity[here])
            free = max(_room(cap, taken, held, e, c) - counts[here], 0) * (limit[c] > 0)
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
        some = 0
        for j in range(k):
            near[some] = j
            some += hit[j]
        for j in near[:some]:
            for p in range(begins[j], min(ends[j], (begins[j] | 3) + 1)):
                draw = lanes[p & 3, j]
                if draw <= most[j]:
                    if n < who.size:
                        who[n], draws[n], positions[n] = at[j], draw, p
                    n += 1
    return n


@inlined
def _any_within(lanes, begins, ends, most, out):  # type: ignore[no-untyped-def]
    """Whether a draw of block j is at most most[j], of those at begins[j] … ends[j] − 1."""
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


@kernel
def finish(terms, entities, entries, counts, capped, winners):  # type: ignore[no-untyped-def]
    """Quotas become final counts: 0 for those kept out and, if `capped`, none above the room.
    winners: entries that win a slot, once a slot.
    """
    cap, slot, held = terms.cap, terms.slot, entities.floor
    entity, cell = entries.entity, entries.cell
    for i in range(counts.size):
        room = _room(cap, slot, held, np.int64(entity[i]), cell[i]) if capped else OUT
        counts[i] = 0 if counts[i] == OUT else min(counts[i], room)
    for i in winners:
        counts[i] += 1


@kernel
def compact(entries, counts, entity, cell, count, per_cell):  # type: ignore[no-untyped-def]
    """Leave out entries of count 0; per_cell: sums of the counts. There is room for one more."""
    all_entities, all_cells = entries.entity, entries.cell
    k = 0
    for i in range(counts.size):
        # No branch: nobody could predict it.
        c = all_cells[i]
        entity[k], cell[k], count[k] = all_entities[i], c, counts[i]
        per_cell[c] += counts[i]
        k += counts[i] > 0
