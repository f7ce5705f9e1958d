"""Rounds 2 and 3: quotas by largest remainder, and what the caps leave over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import (
    Apportionment,
    CellLaws,
    EdgeEntries,
    Entities,
    Entries,
    Floors,
    Overflow,
)
from fraudworld.stages.allocation.products import too_wide
from fraudworld.stages.allocation.sums import (
    EVERYTHING,
    Candidates,
    Rounds,
    ShardEntries,
    candidates_at,
    within,
)

U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Remainders:
    """What the floors leave of every plan, and the digit in which those that get one more end."""

    rest: I64  # (regions, cells)
    edge: ranks.Edges  # of all cells, region by region
    counts: Sequence[I32]  # per shard: entries by digit of their remainder, (cells, DIGITS)


class _FloorSummary(NamedTuple):
    """What round 2 learns of a shard."""

    given: I64  # sum of the floors, (cells,)
    counts: I32  # entries by digit of their remainder, (cells, DIGITS)
    most: int  # largest floor


def floors_of(
    run: Rounds, entries: list[Item[ShardEntries]], split: Apportionment
) -> tuple[list[Item[Floors]], Remainders]:
    """Floors of every shard's quotas, items of `Floors`, and the remainders.

    Raises InputError `6A.<state>.WEIGHTS_TOO_WIDE` where a count exceeds 16 bits.
    """
    items, summaries = run.engine.run(_apportion, run.split(split), entries)
    most = max(s.most for s in summaries)
    if most >= capped.EXCLUDED - 1:
        names = " or ".join(run.problem.names)
        raise too_wide(run.problem.state, names, f"a holding of {most}")
    given = run.sum(s.given for s in summaries)
    rest = np.where(split.total > 0, split.plan.astype(np.int64) - given, 0)
    counts = [s.counts for s in summaries]
    edge = ranks.edges(run.sum(counts).astype(np.int64).reshape(-1, ranks.DIGITS), rest.ravel())
    return items, Remainders(rest, edge, counts)


def _apportion(split: Apportionment, of: ShardEntries) -> tuple[Floors, _FloorSummary]:
    """Task: floors of one shard."""
    entities, entries = of
    floors = Floors(*(np.empty(entries.cell.size, dtype=np.uint16) for _ in range(2)))
    given = np.zeros(split.plan.size, dtype=np.int64)
    counts = np.zeros((given.size, ranks.DIGITS), dtype=np.int32)
    most = capped.apportion(entities, entries, split, floors, given, counts)
    return floors, _FloorSummary(given, counts, int(most))


@dataclass(frozen=True)
class Quotas:
    """Quota of every entry of a shard, `capped.EXCLUDED` for those the hurdle excludes.

    Entries of `edge` have their floor; they get one more where their remainder is not beyond
    the last of their cell that does.
    """

    floors: U16
    edge: EdgeEntries

    def upto(self, last: ranks.Cut, entities: Entities, entries: Entries) -> U16:
        """The quotas, given the last remainder that gets one more; a new array."""
        quotas = self.floors.copy()
        cell, key, position = candidates_at(entities, entries, self.edge.at, self.edge.key)
        quotas[self.edge.at] += within(last, cell, key, position)
        return quotas


class Settled(NamedTuple):
    """Quotas of every shard, and what the caps leave over."""

    quotas: list[Item[Quotas]]
    last: ranks.Cut  # the last remainder of a cell that gets one more
    overflow: Overflow  # (regions, cells)


class _SettledSummary(NamedTuple):
    """What round 3 learns of a shard."""

    overflow: Overflow  # without the entries at the edge
    edge: Candidates
    free: I64  # room of the entries at the edge beyond their floor; negative above the cap


def settle(
    run: Rounds,
    entries: list[Item[ShardEntries]],
    floors: list[Item[Floors]],
    split: Apportionment,
    remainders: Remainders,
) -> Settled:
    """Round 3: exact ranks of the remainders at the edge, and the overflow of every cell."""
    edge = remainders.edge
    digits = edge.digit.reshape(run.shape)
    sizes = [
        _entries_at(digits[r], counts)
        for r, counts in zip(run.region, remainders.counts, strict=True)
    ]
    items, summaries = run.engine.run(
        partial(_settle, run.problem.cell_laws), run.split(split), run.rows(digits), sizes,
        entries, floors,
    )  # fmt: skip
    excess, slots = (run.sum(s.overflow[i] for s in summaries) for i in range(2))
    worst = np.zeros(run.shape, dtype=np.int64)
    np.maximum.at(worst, run.region, np.stack([s.overflow.worst for s in summaries]))
    at_edge = run.everywhere(s.edge for s in summaries)
    first = digits.clip(0, ranks.DIGITS - 1).astype(np.uint64) << np.uint64(ranks.SHIFT)
    top = first + np.uint64((1 << ranks.SHIFT) - 1)
    before = edge.before.reshape(run.shape)
    cut, taken = run.cut(remainders.rest - before, at_edge, first, top)
    free = np.concatenate([s.free for s in summaries]) - taken
    cell = at_edge[0]
    np.add.at(excess.reshape(-1), cell, np.maximum(-free, 0))
    np.add.at(slots.reshape(-1), cell, np.maximum(free, 0))
    np.maximum.at(worst.reshape(-1), cell, np.maximum(-free, 0))
    # A cell that takes no candidate takes all entries of the digits before.
    first[digits == ranks.DIGITS] = EVERYTHING
    last = ranks.Cut(np.maximum(cut.key, first), cut.position)
    return Settled(items, last, Overflow(excess, slots, worst))


def _entries_at(digit: I64, counts: I32) -> int:
    """Entries of a shard whose remainder has the digit in which their cell's quota ends."""
    inside = (digit >= 0) & (digit < ranks.DIGITS)
    return int(counts[np.flatnonzero(inside), digit[inside]].sum())


def _settle(
    cell_laws: CellLaws,
    split: Apportionment,
    end: I64,
    at_edge: int,
    of: ShardEntries,
    floors: Floors,
) -> tuple[Quotas, _SettledSummary]:
    """Task: quotas of one shard."""
    entities, entries = of
    quotas = np.empty_like(floors.floor)
    overflow = Overflow(*(np.zeros(end.size, dtype=np.int64) for _ in range(3)))
    edge = EdgeEntries(np.empty(at_edge, dtype=np.int64), np.empty(at_edge, dtype=np.uint64))
    capped.settle_quotas(cell_laws, entities, entries, split, floors, end, quotas, overflow, edge)
    room = np.empty(at_edge, dtype=np.int64)
    capped.room_left(cell_laws, entities, entries, edge.at, room)
    candidates = candidates_at(entities, entries, edge.at, edge.key)
    free = room - floors.floor[edge.at].astype(np.int64)
    return Quotas(quotas, edge), _SettledSummary(overflow, candidates, free)
