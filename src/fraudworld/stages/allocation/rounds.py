"""The rounds in order, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.kernels.capped import Entities
from fraudworld.stages.allocation.gate import entries
from fraudworld.stages.allocation.pieces import Piece, Settlement
from fraudworld.stages.allocation.products import Book
from fraudworld.stages.allocation.quotas import quotas, settled
from fraudworld.stages.allocation.slots import slots_that_win
from fraudworld.stages.allocation.sums import Run

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Allocated:
    """Counters per (region, cell), and what the last round needs of every shard."""

    pieces: Sequence[Piece]
    overflow: I64  # holdings above the cap before the cap pass
    worst: I64  # the most above the cap of any entity
    handed: I64  # holdings that went to free slots
    dropped: I64  # holdings nobody could take
    asked: I64  # entities whose slots drew


def allocate(
    engine: Engine,
    book: Book,
    plan: I64,
    size: I64,
    placed: I64,
    region: NDArray[np.integer],
    prepare: Callable[..., Entities],
    *columns: Sequence[Any],
    hard: bool = True,
) -> Allocated:
    """Rounds 1 to 4. `prepare` makes the entities of a shard of its row of `columns`.

    plan, size, placed: what every cell is to hold (floors included), its entities, and those
    of them that hold a floor, all (regions, cells). hard: enforce the caps; else what is above
    them is only counted. The eligible of a cell are max(round((1 − zero_share) · n), what its
    plan needs).
    """
    run = Run(engine, book, region, plan.shape)
    rest = np.maximum(plan - placed, 0)
    quota = np.where(rest > 0, _eligible(book, rest, size, placed), 0)
    inside, shares = entries(run, rest, quota, size, prepare, columns)
    floors, rests = quotas(run, inside, shares)
    counts, last, excess, slots, worst = settled(run, inside, floors, shares, rests)
    unplaced = np.where(shares.total > 0, 0, rest)
    handed = np.minimum(excess, slots) if hard else np.zeros_like(excess)
    drawn, asked, cut = slots_that_win(run, inside, counts, last, handed, slots)
    settlements = [
        Settlement(book.terms, hard, *ends)
        for ends in zip(run.cuts(last), run.cuts(cut), strict=True)
    ]
    return Allocated(
        list(zip(inside, counts, drawn, settlements, strict=True)),
        excess,
        worst,
        handed,
        (excess - handed if hard else 0) + unplaced,
        asked,
    )


def _eligible(book: Book, plan: I64, size: I64, placed: I64) -> I64:
    """How many of each cell the gate lets in."""
    caps = np.array([law.cap for law in book.laws], dtype=np.int64)
    full = np.array(book.per_product(size)) == np.array(book.per_product(placed))
    widest = np.maximum(np.where(full, caps - 1, caps), 1)[book.product]
    zero = np.array([law.zero_share for law in book.laws], dtype=np.float64)[book.product]
    open_share = np.floor((1.0 - zero) * size + 0.5).astype(np.int64)
    return np.minimum(np.maximum(open_share, -(-plan // widest)), size)
