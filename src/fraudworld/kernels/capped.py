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

All sums are integers, so nothing depends on how entities were cut into shards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.kernels import normal
from fraudworld.kernels.select import smallest

WEIGHT_BITS = 20
GATE_BITS = 33  # five bits of range around ±16, 28 of resolution


@njit(cache=True, nogil=True)
def gate_and_weight(common, draws, rho, sigma, gate_key, weight):  # type: ignore[no-untyped-def]
    """Gate keys and integer log-normal weights of mean one.

    common: the entity's own normal factors, one for gates and one for weights, f64 (n, 2);
    draws: u64 (n, 2); rho: the correlation a factor brings between products. A larger
    factor means an earlier gate rank, or a larger weight.
    """
    a, b = np.sqrt(rho), np.sqrt(1.0 - rho)
    for i in range(gate_key.size):
        gate = a * common[i, 0] + b * normal.deviate(draws[i, 0])
        gate_key[i] = np.uint64((16.0 - gate) * 268435456.0)
        z = a * common[i, 1] + b * normal.deviate(draws[i, 1])
        w = normal.exp(sigma * z - 0.5 * sigma * sigma) * 1048576.0
        weight[i] = max(np.uint64(w + 0.5), np.uint64(1))


@njit(cache=True, nogil=True)
def _mass(cells, eligible, weight, total):  # type: ignore[no-untyped-def]
    for i in range(cells.size):
        if eligible[i]:
            total[cells[i]] += weight[i]


@njit(cache=True, nogil=True)
def _quota(cells, eligible, weight, total, plan, counts, remainder, given):  # type: ignore[no-untyped-def]
    """Floors of plan · weight / total, and what remains as a key (small = large remainder)."""
    for i in range(cells.size):
        c = cells[i]
        if not eligible[i]:
            counts[i] = 0
            remainder[i] = total[c]
            continue
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


@dataclass(frozen=True)
class Draft:
    """An apportioned plan before its caps: counts may exceed the room."""

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


SlotDraws = Callable[[NDArray[np.int64]], NDArray[np.uint64]]


def draft(
    cells: NDArray[np.uint16],
    gate_key: NDArray[np.uint64],
    weight: NDArray[np.uint64],
    plan: NDArray[np.int64],
    zero_share: float,
    widest: int,
) -> Draft:
    """Gate and apportion `plan[c]` among the entities of every cell c.

    cells, gate_key, weight: one per entity; widest: the most one entity may hold. The
    eligible number of a cell is max(round((1 − zero_share) · n), what its plan needs).
    """
    n_cells = plan.size
    size = np.bincount(cells, minlength=n_cells)
    open_share = np.floor((1.0 - zero_share) * size + 0.5).astype(np.int64)
    quota = np.minimum(np.maximum(open_share, -(-plan // widest)), size)
    eligible = smallest(gate_key, cells, quota, GATE_BITS)

    total = np.zeros(n_cells, dtype=np.uint64)
    _mass(cells, eligible, weight, total)
    counts = np.empty(cells.size, dtype=np.int32)
    remainder = np.empty(cells.size, dtype=np.uint64)
    given = np.zeros(n_cells, dtype=np.int64)
    safe = np.maximum(total, np.uint64(1))
    _quota(cells, eligible, weight, safe, plan.astype(np.uint64), counts, remainder, given)
    rest = np.where(total > 0, plan - given, 0)
    counts += smallest(remainder, cells, rest, int(safe.max()).bit_length() + 1)
    return Draft(cells, eligible, counts, np.where(total > 0, 0, plan))


def uncapped(made: Draft, room: NDArray[np.int32]) -> Allocation:
    """A draft taken as it is; overflow is only counted (the policy's `warn`)."""
    over = np.maximum(made.counts - room, 0)
    return Allocation(made.counts, int(over.sum()), int(over.max(initial=0)), 0, made.unplaced)


def capped(made: Draft, room: NDArray[np.int32], slot_draws: SlotDraws) -> Allocation:
    """A draft with no count above `room` (≥ 0, one per entity): steps 3 and 4 of the law.

    `slot_draws(positions)` returns a draw per free slot: u64 (len(positions), ≥ max room).
    """
    excess = np.zeros(made.unplaced.size, dtype=np.int64)
    slots = np.zeros(made.unplaced.size, dtype=np.int64)
    counts = made.counts.copy()
    worst = _clamp(made.cells, made.eligible, room, counts, excess, slots)
    handed = np.minimum(excess, slots)
    _hand_out(made.cells, made.eligible, room, counts, handed, slots, slot_draws)
    return Allocation(
        counts, int(excess.sum()), int(worst), int(handed.sum()), excess - handed + made.unplaced
    )


def allocate(
    cells: NDArray[np.uint16],
    gate_key: NDArray[np.uint64],
    weight: NDArray[np.uint64],
    plan: NDArray[np.int64],
    zero_share: float,
    room: NDArray[np.int32],
    slot_draws: SlotDraws,
) -> Allocation:
    """`draft`, then `capped`."""
    made = draft(cells, gate_key, weight, plan, zero_share, int(room.max(initial=1)) or 1)
    return capped(made, room, slot_draws)


def _hand_out(
    cells: NDArray[np.uint16],
    eligible: NDArray[np.bool_],
    room: NDArray[np.int32],
    counts: NDArray[np.int32],
    handed: NDArray[np.int64],
    slots: NDArray[np.int64],
    slot_draws: SlotDraws,
) -> None:
    """Give `handed[c]` more to the free slots of cell c with the smallest draws."""
    free = room - counts
    takers = np.flatnonzero(eligible & (free > 0) & (handed > 0)[cells])
    if takers.size == 0:
        return
    draws = slot_draws(takers)
    # A draw beyond this bound cannot be among the smallest: six deviations of the count.
    share = handed / np.maximum(slots, 1)
    bound = np.minimum(
        share + 6.0 * np.sqrt(share / np.maximum(slots, 1)) + 4.0 / np.maximum(slots, 1), 1.0
    )
    limit = np.where(slots > 0, np.minimum(bound * 2.0**64, 2.0**64 - 2048), 0).astype(np.uint64)
    limit[bound >= 1.0] = np.uint64(2**64 - 1)
    is_slot = np.arange(draws.shape[1])[None, :] < free[takers][:, None]
    for _ in range(2):
        row, slot = np.nonzero(is_slot & (draws <= limit[cells[takers]][:, None]))
        enough = np.bincount(cells[takers[row]], minlength=handed.size) >= handed
        if enough.all():
            break
        limit[~enough] = np.uint64(2**64 - 1)
    chosen = smallest(draws[row, slot], cells[takers[row]], handed)
    np.add.at(counts, takers[row[chosen]], 1)
