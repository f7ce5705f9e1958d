"""Round 4: free slots that can win what was above a cap, and the last one that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import CellLaws, SlotDraws
from fraudworld.stages.allocation.products import inconsistent
from fraudworld.stages.allocation.quotas import Quotas
from fraudworld.stages.allocation.sums import EVERYTHING, Candidates, Rounds, ShardEntries

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


class SlotRound(NamedTuple):
    """The slots of a world that may take what was above a cap."""

    draws: Sequence[Item[SlotDraws] | None]  # of every shard; None where no cap was exceeded
    asked: I64  # entries whose slots drew, (regions, cells)
    last: ranks.Cut  # the last slot of a cell that wins


class _Summary(NamedTuple):
    """What round 4 learns of a shard."""

    asked: I64  # entries whose slots drew, (cells,)
    sure: I64  # slots that win for certain, (cells,)
    edge: Candidates  # slots near the end of the quota


def winning_slots(
    run: Rounds,
    entries: list[Item[ShardEntries]],
    quotas: list[Item[Quotas]],
    last: ranks.Cut,
    handed: I64,
    slots: I64,
) -> SlotRound:
    """Slots that can win.

    last: the last remainder of a cell that gets one more. handed, slots: holdings to hand out,
    and free slots, (regions, cells).
    """
    low, limit = _bounds(handed, slots)
    while (handed > 0).any():
        items, summaries = run.engine.run(
            partial(_draw_slots, run.problem.cell_laws), run.cuts(last), run.rows(low),
            run.rows(limit), entries, quotas,
        )  # fmt: skip
        at_edge = run.everywhere(s.edge for s in summaries)
        before = run.sum(s.sure for s in summaries)
        upto = before + run.count(at_edge[0])
        missed = (before > handed) | (upto < handed)
        if not missed.any():
            cut, _ = run.cut(handed - before, at_edge, low, limit)
            asked = run.sum(s.asked for s in summaries)
            # A cell that takes no candidate takes all slots before them.
            return SlotRound(items, asked, replace(cut, key=np.maximum(cut.key, low)))
        if ((low == 0) & (limit == EVERYTHING))[missed].any():
            raise inconsistent(run.problem.state, "fewer free slots than were counted", "slots")
        low[missed], limit[missed] = 0, EVERYTHING
    none = np.zeros(run.shape, dtype=np.int64)
    return SlotRound([None] * len(entries), none, ranks.Cut(none.astype(np.uint64), none))


def _bounds(handed: I64, slots: I64) -> tuple[U64, U64]:
    """Draws that win for certain are below the one, draws that cannot win above the other.

    Six standard deviations of a count around the expected end.
    """
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
    cell_laws: CellLaws,
    last: ranks.Cut,
    low: U64,
    limit: U64,
    of: ShardEntries,
    quotas: Quotas,
) -> tuple[SlotDraws, _Summary]:
    """Task: the slots of one shard."""
    entities, entries = of
    counts = quotas.upto(last, entities, entries)
    room = 1024 + counts.size // 16
    while True:
        buffers = SlotDraws(
            np.empty(room, dtype=np.uint32),
            np.empty(room, dtype=np.uint64),
            np.empty(room, dtype=np.int64),
        )
        asked = np.zeros(low.size, dtype=np.int64)
        n = capped.slot_draws(cell_laws, entities, entries, counts, limit, buffers, asked)
        if n <= room:
            break
        room = n
    draws = SlotDraws(
        buffers.entry[:n].copy(), buffers.draw[:n].copy(), buffers.position[:n].copy()
    )
    cell = entries.cell[draws.entry].astype(np.int64)
    sure = draws.draw < low[cell]
    before = np.bincount(cell[sure], minlength=low.size)
    edge = (cell[~sure], draws.draw[~sure], draws.position[~sure])
    return draws, _Summary(asked, before, edge)
