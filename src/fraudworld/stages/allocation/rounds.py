"""The rounds in their order, and their result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.kernels.capped import KEPT, Entities
from fraudworld.stages.allocation.final import Piece, Settlement
from fraudworld.stages.allocation.hurdles import entries
from fraudworld.stages.allocation.products import AllocationProblem
from fraudworld.stages.allocation.quotas import floors_of, settle
from fraudworld.stages.allocation.slots import winning_slots
from fraudworld.stages.allocation.sums import Rounds

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Allocated:
    """What the last round needs of every shard, and counters, all (regions, cells)."""

    pieces: Sequence[Piece]
    overflow: I64  # holdings above the cap before the cap pass
    worst: I64  # most above the cap of any entity
    handed: I64  # holdings that went to free slots
    dropped: I64  # holdings no slot could take
    asked: I64  # entities whose slots drew


def allocate(
    engine: Engine,
    problem: AllocationProblem,
    plan: I64,
    size: I64,
    placed: I64,
    region: NDArray[np.integer],
    prepare: Callable[..., Entities],
    *columns: Sequence[object],
    hard: bool = True,
    openness: NDArray[np.float64] | None = None,
    floors_count: bool = False,
) -> Allocated:
    """Rounds 1 to 4.

    plan, size, placed: what a cell is to hold (floors included), its entities, and its entities
    that hold a floor, all (regions, cells). region: of every shard. `prepare` makes the entities
    of a shard of its row of `columns`. hard: enforce the caps; otherwise overflow is only
    counted. Of a cell max(round((1 − zero_share) · n), what its plan needs) entities pass;
    openness: factor on 1 − zero_share, (regions, cells), whose product is at most 1. floors_count:
    who holds a floor takes part in the rest with the part of its weight that the mean holding is
    above one, so that floors take nothing from those who have none; otherwise with all of it.
    """
    run = Rounds(engine, problem, region, plan.shape)
    rest = np.maximum(plan - placed, 0)
    quota = np.where(rest > 0, _eligible(problem, rest, size, placed, openness), 0)
    kept = np.full(plan.shape, KEPT, dtype=np.uint64)
    if floors_count:
        kept = (KEPT * np.maximum(plan - quota, 0) // np.maximum(plan, 1)).astype(np.uint64)
    inside, split = entries(run, rest, quota, size, kept, prepare, columns)
    floors, remainders = floors_of(run, inside, split)
    counts, last, overflow = settle(run, inside, floors, split, remainders)
    excess = overflow.excess
    unplaced = np.where(split.total > 0, 0, rest)
    handed = np.minimum(excess, overflow.slots) if hard else np.zeros_like(excess)
    slots = winning_slots(run, inside, counts, last, handed, overflow.slots)
    settlements = [
        Settlement(problem.cell_laws, hard, *ends)
        for ends in zip(run.cuts(last), run.cuts(slots.last), strict=True)
    ]
    rows = zip(inside, counts, slots.draws, settlements, strict=True)
    dropped = (excess - handed if hard else 0) + unplaced
    return Allocated(
        [Piece(*row) for row in rows], excess, overflow.worst, handed, dropped, slots.asked
    )


def _eligible(
    problem: AllocationProblem,
    plan: I64,
    size: I64,
    placed: I64,
    openness: NDArray[np.float64] | None,
) -> I64:
    """Entities of each cell that pass the hurdle."""
    caps = np.array([law.cap for law in problem.laws], dtype=np.int64)
    full = np.array(problem.per_product(size)) == np.array(problem.per_product(placed))
    widest = np.maximum(np.where(full, caps - 1, caps), 1)[problem.product]
    zero = np.array([law.zero_share for law in problem.laws], dtype=np.float64)[problem.product]
    share = 1.0 - zero if openness is None else np.minimum((1.0 - zero) * openness, 1.0)
    open_share = np.floor(share * size + 0.5).astype(np.int64)
    return np.minimum(np.maximum(open_share, -(-plan // widest)), size)
