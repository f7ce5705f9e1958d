"""Gated, weighted, capped allocation: an integer plan shared among holders of a cell.

The law (domain page, S2; also used for instruments and devices):

1. *Gate.* In a cell of n entities with plan P, `eligible` of them may hold at all: those
   with the smallest gate key.
2. *Apportion.* P is split over the eligible by largest remainder of integer weights, so
   every quota is an exact rational and no float decides a rank.
3. *Cap.* Counts above an entity's room are clamped, the excess is pooled and handed out
   over the free slots of eligible entities of the same cell: every free slot has a draw,
   the smallest draws win. That is a residual-weighted draw that cannot break a cap.
4. What no free slot can take is dropped and counted.

All sums are integers, so nothing depends on how entities were cut into shards. A deviate
costs more than all else here, so it is computed only for whom it can decide something:
weights for the eligible alone, gates (where a product has no common factor) only for
those near the edge of their cell's quota.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.kernels import normal, philox
from fraudworld.kernels.select import smallest

GATE_BITS = 33  # five bits of range around ±16, 28 of resolution

Key = tuple[np.uint64, np.uint64]
"""A Philox key."""


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


@dataclass(frozen=True)
class Factors:
    """Normal factors an entity brings to all its products, and the correlation they cause.

    A larger factor means an earlier gate rank, or a larger weight. Both f64 (entities,).
    """

    gate: NDArray[np.float64]
    weight: NDArray[np.float64]
    correlation: float


@njit(inline="always")
def _gate_key(gate):  # type: ignore[no-untyped-def]
    return np.uint64((16.0 - gate) * 268435456.0)


@njit(cache=True, nogil=True)
def _gate_keys(entities, k0, k1, factor, correlation, out):  # type: ignore[no-untyped-def]
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    for i in range(out.size):
        e = entities[i]
        draw = philox.pair(k0, k1, np.uint64(e))[0]
        out[i] = _gate_key(a * factor[e] + b * normal.deviate(draw))


@njit(cache=True, nogil=True)
def _gate_keys_of(draws, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = _gate_key(normal.deviate(draws[i]))


@njit(cache=True, nogil=True)
def _mirrored_draws(entities, k0, k1, out):  # type: ignore[no-untyped-def]
    """The gate draws upside down: in the order of the gate keys, but for near ties."""
    for i in range(out.size):
        out[i] = ~philox.pair(k0, k1, np.uint64(entities[i]))[0]


@njit(cache=True, nogil=True)
def _weights(entities, cells, k0, k1, factor, correlation, sigma, out, total):  # type: ignore[no-untyped-def]
    """Integer log-normal weights of mean one (2**20), and their total per cell."""
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    for i in range(out.size):
        e = entities[i]
        z = b * normal.deviate(philox.pair(k0, k1, np.uint64(e))[1])
        if factor.size:
            z += a * factor[e]
        w = normal.exp(sigma * z - 0.5 * sigma * sigma) * 1048576.0
        out[i] = max(np.uint64(w + 0.5), np.uint64(1))
        total[cells[i]] += out[i]


@njit(cache=True, nogil=True)
def _quota(cells, weight, total, plan, counts, remainder, given):  # type: ignore[no-untyped-def]
    """Floors of plan · weight / total, and what remains as a key (small = large remainder)."""
    for i in range(cells.size):
        c = cells[i]
        product = plan[c] * weight[i]
        q = product // total[c]
        counts[i] = q
        given[c] += q
        remainder[i] = total[c] - np.uint64(1) - (product - q * total[c])


@njit(cache=True, nogil=True)
def _clamp(cells, eligible, room, counts, excess, slots):  # type: ignore[no-untyped-def]
    """Clamp to the room; pool the excess and count the free slots of each cell."""
    worst = 0
    for i in range(cells.size):
        if counts[i] > room[i]:
            over = counts[i] - room[i]
            worst = max(worst, over)
            excess[cells[i]] += over
            counts[i] = room[i]
        elif eligible[i]:
            slots[cells[i]] += room[i] - counts[i]
    return worst


@njit(cache=True, nogil=True)
def _slot_draws(entities, cells, eligible, free, limit, k0, k1, width, who, draws):  # type: ignore[no-untyped-def]
    """Free slots whose draw is within the limit of their cell; returns how many there are.

    Writes no more than `who` holds; the caller comes again with more room.
    """
    n = 0
    for i in range(entities.size):
        if not eligible[i] or free[i] <= 0 or limit[cells[i]] == 0:
            continue
        position = np.uint64(entities[i]) * np.uint64(width)
        lanes = philox.block(k0, k1, position >> np.uint64(2))
        for slot in range(free[i]):
            if slot and position & np.uint64(3) == np.uint64(0):
                lanes = philox.block(k0, k1, position >> np.uint64(2))
            draw = philox.lane_of(lanes, position)
            position += np.uint64(1)
            if draw <= limit[cells[i]]:
                if n < who.size:
                    who[n] = i
                    draws[n] = draw
                n += 1
    return n


@dataclass(frozen=True)
class Draft:
    """An apportioned plan before its caps: counts may exceed the room."""

    entities: NDArray[np.int64]
    cells: NDArray[np.uint16]
    eligible: NDArray[np.bool_]
    counts: NDArray[np.int32]
    unplaced: NDArray[np.int64]  # per cell: plan of cells nobody is eligible in


@dataclass(frozen=True)
class Allocation:
    """Counts per entity, and the counters of the cap pass."""

    counts: NDArray[np.int32]
    overflow: int  # holdings above the cap before the pass
    worst_overflow: int
    redistributed: int
    dropped: NDArray[np.int64]  # per cell
    asked: int  # entities whose slots drew


def draft(
    entities: NDArray[np.int64],
    cells: NDArray[np.uint16],
    plan: NDArray[np.int64],
    law: Law,
    widest: int,
    factors: Factors | None = None,
) -> Draft:
    """Gate and apportion `plan[c]` among the entities of every cell c.

    entities: 0-based, they say which draws are whose; cells: of each; widest: the most one
    entity has room for. The eligible number of a cell is max(round((1 − zero_share) · n),
    what its plan needs).
    """
    size = np.bincount(cells, minlength=plan.size)
    open_share = np.floor((1.0 - law.zero_share) * size + 0.5).astype(np.int64)
    quota = np.minimum(np.maximum(open_share, -(-plan // widest)), size)
    eligible = _gate(entities, cells, quota, law, factors)

    inside = np.flatnonzero(eligible)
    cell = cells[inside]
    weight = np.empty(inside.size, dtype=np.uint64)
    total = np.zeros(plan.size, dtype=np.uint64)
    factor, rho = (factors.weight, factors.correlation) if factors else (np.empty(0), 0.0)
    _weights(entities[inside], cell, *law.draws, factor, rho, law.sigma, weight, total)
    held = np.empty(inside.size, dtype=np.int32)
    remainder = np.empty(inside.size, dtype=np.uint64)
    given = np.zeros(plan.size, dtype=np.int64)
    _quota(cell, weight, total, plan.astype(np.uint64), held, remainder, given)
    rest = np.where(total > 0, plan - given, 0)
    held += smallest(remainder, cell, rest, [int(t).bit_length() for t in total])
    counts = np.zeros(cells.size, dtype=np.int32)
    counts[inside] = held
    return Draft(entities, cells, eligible, counts, np.where(total > 0, 0, plan))


def _gate(
    entities: NDArray[np.int64],
    cells: NDArray[np.uint16],
    quota: NDArray[np.int64],
    law: Law,
    factors: Factors | None,
) -> NDArray[np.bool_]:
    """Step 1: whom the gate lets in."""
    keys = np.empty(entities.size, dtype=np.uint64)
    if factors:
        _gate_keys(entities, *law.draws, factors.gate, factors.correlation, keys)
        return smallest(keys, cells, quota, GATE_BITS)
    _mirrored_draws(entities, *law.draws, keys)

    def exact(at: NDArray[np.int64]) -> NDArray[np.uint64]:
        true = np.empty(at.size, dtype=np.uint64)
        _gate_keys_of(~keys[at], true)
        return true

    return smallest(keys, cells, quota, exact=exact)


def uncapped(made: Draft, room: NDArray[np.int32]) -> Allocation:
    """A draft taken as it is; overflow is only counted (the policy's `warn`)."""
    over = np.maximum(made.counts - room, 0)
    return Allocation(made.counts, int(over.sum()), int(over.max(initial=0)), 0, made.unplaced, 0)


def capped(made: Draft, room: NDArray[np.int32], law: Law) -> Allocation:
    """A draft with no count above `room` (0 … law.cap, one per entity): steps 3 and 4."""
    excess = np.zeros(made.unplaced.size, dtype=np.int64)
    slots = np.zeros(made.unplaced.size, dtype=np.int64)
    counts = made.counts.copy()
    worst = _clamp(made.cells, made.eligible, room, counts, excess, slots)
    handed = np.minimum(excess, slots)
    asked = _hand_out(made, room - counts, counts, handed, slots, law)
    return Allocation(
        counts,
        int(excess.sum()),
        int(worst),
        int(handed.sum()),
        excess - handed + made.unplaced,
        asked,
    )


def _hand_out(
    made: Draft,
    free: NDArray[np.int32],
    counts: NDArray[np.int32],
    handed: NDArray[np.int64],
    slots: NDArray[np.int64],
    law: Law,
) -> int:
    """Give `handed[c]` more to the free slots of cell c with the smallest draws.

    Returns how many entities had a slot that could draw.
    """
    asked = int((made.eligible & (free > 0) & (handed > 0)[made.cells]).sum())
    if asked == 0:
        return 0
    # A draw beyond this bound cannot be among the smallest: six deviations of the count.
    n_slots = np.maximum(slots, 1)
    share = handed / n_slots
    bound = np.minimum(share + 6.0 * np.sqrt(share / n_slots) + 4.0 / n_slots, 1.0)
    limit = np.where(handed > 0, np.minimum(bound * 2.0**64, 2.0**64 - 2048), 0).astype(np.uint64)
    everything = np.uint64(2**64 - 1)
    limit[(handed > 0) & (bound >= 1.0)] = everything
    room = int((bound * slots)[handed > 0].sum() * 1.1) + 1024
    while True:
        who = np.empty(room, dtype=np.int64)
        draws = np.empty(room, dtype=np.uint64)
        found = _slot_draws(
            made.entities, made.cells, made.eligible, free, limit, *law.slots, law.cap, who, draws
        )
        if found > room:
            room = found
            continue
        who, draws = who[:found], draws[:found]
        enough = np.bincount(made.cells[who], minlength=handed.size) >= handed
        if enough.all():
            break
        limit[~enough] = everything
        room = int(slots.sum())
    chosen = smallest(draws, made.cells[who], handed)
    np.add.at(counts, who[chosen], 1)
    return asked


def allocate(
    entities: NDArray[np.int64],
    cells: NDArray[np.uint16],
    plan: NDArray[np.int64],
    law: Law,
    room: NDArray[np.int32],
) -> Allocation:
    """`draft`, then `capped`."""
    widest = int(room.max(initial=1)) or 1
    return capped(draft(entities, cells, plan, law, widest), room, law)
