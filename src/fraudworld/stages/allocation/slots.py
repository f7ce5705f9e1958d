"""Round 4: what is above the caps goes to the free slots with the smallest draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import Entities, Entries, Terms
from fraudworld.stages.allocation.products import lost
from fraudworld.stages.allocation.quotas import Quotas
from fraudworld.stages.allocation.sums import EVERYTHING, Found, Run

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

Slots = tuple[U32, U64, I64]
"""Entry, draw and place in the stream of free slots that can win, in order."""


def slots_that_win(
    run: Run, entries: list[Item], quotas: list[Item], last: ranks.Cut, handed: I64, slots: I64
) -> tuple[Sequence[Item | None], I64, ranks.Cut]:
    """Slots that can win, entities that were asked, and the last slot of each cell that wins."""
    low, limit = _bounds(handed, slots)
    while (handed > 0).any():
        items, told = run.engine.both(
            partial(_draw_slots, run.book.terms), run.cuts(last), run.rows(low),
            run.rows(limit), entries, quotas,
        )  # fmt: skip
        asked, sure, found = zip(*told, strict=True)
        at_edge = run.everywhere(found)
        before = run.sum(sure)
        upto = before + run.count(at_edge[0])
        poor = (before > handed) | (upto < handed)
        if not poor.any():
            cut, _ = run.cut(handed - before, at_edge, low, limit)
            # A cell that takes none of its candidates takes all before them.
            return items, run.sum(asked), replace(cut, key=np.maximum(cut.key, low))
        if ((low == 0) & (limit == EVERYTHING))[poor].any():
            raise lost(run.book.state, "fewer free slots than it was found to have", "slots")
        low[poor], limit[poor] = 0, EVERYTHING
    none = np.zeros(run.shape, dtype=np.int64)
    return [None] * len(entries), none, ranks.Cut(none.astype(np.uint64), none)


def _bounds(handed: I64, slots: I64) -> tuple[U64, U64]:
    """Draws below the one win, beyond the other they cannot: six deviations of the count."""
    n_slots = np.maximum(slots, 1)
    share = handed / n_slots
    margin = 6.0 * np.sqrt(share / n_slots) + 4.0 / n_slots
    bound = np.minimum(share + margin, 1.0)
    limit = np.where(handed > 0, np.minimum(bound * 2.0**64, 2.0**64 - 2048), 0).astype(np.uint64)
    limit[(handed > 0) & (bound >= 1.0)] = EVERYTHING
    low = np.where(handed > 0, np.maximum(share - margin, 0.0) * 2.0**64, 0).astype(np.uint64)
    everyone = (handed > 0) & (handed == slots)
    low[everyone] = limit[everyone] = EVERYTHING
    return low, limit


def _draw_slots(
    terms: Terms,
    last: ranks.Cut,
    low: U64,
    limit: U64,
    of: tuple[Entities, Entries],
    quotas: Quotas,
) -> tuple[Slots, tuple[I64, I64, Found]]:
    entities, entries = of
    counts = quotas.upto(last, entities, entries)
    room = 1024 + counts.size // 16
    while True:
        who, draws = np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint64)
        positions = np.empty(room, dtype=np.int64)
        asked = np.zeros(low.size, dtype=np.int64)
        n = capped.slot_draws(terms, entities, entries, counts, limit, who, draws, positions, asked)
        if n <= room:
            break
        room = n
    who, draws, positions = who[:n].copy(), draws[:n].copy(), positions[:n].copy()
    cell = entries.cell[who].astype(np.int64)
    sure = draws < low[cell]
    before = np.bincount(cell[sure], minlength=low.size)
    at_edge = ~sure
    found = (cell[at_edge], draws[at_edge], positions[at_edge])
    return (who, draws, positions), (asked, before, found)
