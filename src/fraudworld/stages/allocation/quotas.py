"""Rounds 2 and 3: quotas, whose remainders get one more, and what is above the caps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import Entities, Entries, Shares, Terms
from fraudworld.stages.allocation.products import too_wide
from fraudworld.stages.allocation.sums import EVERYTHING, Found, Run, found_at, within

U16 = NDArray[np.uint16]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Rests:
    """What the floors of the quotas leave, and where each cell's remainders end that get it."""

    rest: I64  # (regions, cells)
    edge: ranks.Edges  # of all cells, region by region
    counts: list[NDArray[np.int32]]  # per shard: remainders by leading digit, (cells, DIGITS)


def quotas(run: Run, entries: list[Item], shares: Shares) -> tuple[list[Item], Rests]:
    """Floors of every shard's quotas, with the leading digits of what they leave.

    Raises InputError where a count is beyond 16 bits.
    """
    items, told = run.engine.both(_apportion, run.shares(shares), entries)
    given, counts, most = zip(*told, strict=True)
    if max(most) >= capped.OUT - 1:
        names = " or ".join(run.book.names)
        raise too_wide(run.book.state, names, f"a holding of {max(most)}")
    plan = shares.plan.astype(np.int64)
    rest = np.where(shares.total > 0, plan - run.sum(given), 0)
    edge = ranks.edges(run.sum(counts).reshape(-1, ranks.DIGITS), rest.ravel())
    return items, Rests(rest, edge, list(counts))


def _apportion(
    shares: Shares, of: tuple[Entities, Entries]
) -> tuple[tuple[U16, U16], tuple[I64, NDArray[np.int32], int]]:
    entities, entries = of
    floors, digits = (np.empty(entries.cell.size, dtype=np.uint16) for _ in range(2))
    given = np.zeros(shares.plan.size, dtype=np.int64)
    counts = np.zeros((given.size, ranks.DIGITS), dtype=np.int32)
    most = capped.apportion(entities, entries, shares, floors, digits, given, counts)
    return (floors, digits), (given, counts, int(most))


@dataclass(frozen=True)
class Quotas:
    """What every entry of a shard is to have, `capped.OUT` for those kept out.

    Those `at` have their floor only: one more, where their remainder is not beyond the last
    of its cell that gets one.
    """

    floors: U16
    at: I64
    key: U64  # their remainders, small for a large one

    def upto(self, last: ranks.Cut, entities: Entities, entries: Entries) -> U16:
        """The quotas, when it is known which remainder is the last; a new array."""
        quotas = self.floors.copy()
        cell, key, position = found_at(entities, entries, self.at, self.key)
        quotas[self.at] += within(last, cell, key, position)
        return quotas


def settled(
    run: Run,
    entries: list[Item],
    floors: list[Item],
    shares: Shares,
    rests: Rests,
) -> tuple[list[Item], ranks.Cut, I64, I64, I64]:
    """Quotas of every shard and the last remainders that get one more; excess, free slots and
    worst overflow per cell.
    """
    rest, edge, counts = rests.rest, rests.edge, rests.counts
    digits = edge.digit.reshape(run.shape)
    at = np.arange(run.book.cells)
    doubtful = []
    for r, count in zip(run.region, counts, strict=True):
        inside = (digits[r] >= 0) & (digits[r] < ranks.DIGITS)
        doubtful.append(int(count[at[inside], digits[r][inside]].sum()))
    items, told = run.engine.both(
        partial(_settle, run.book.terms), run.shares(shares), run.rows(digits), doubtful,
        entries, floors,
    )  # fmt: skip
    parts, found, held = zip(*told, strict=True)
    excess, slots = (run.sum(p[i] for p in parts) for i in range(2))
    worst = np.zeros(run.shape, dtype=np.int64)
    np.maximum.at(worst, run.region, np.stack([p[2] for p in parts]))
    at_edge = run.everywhere(found)
    first = digits.clip(0, ranks.DIGITS - 1).astype(np.uint64) << np.uint64(ranks.SHIFT)
    top = first + np.uint64((1 << ranks.SHIFT) - 1)
    cut, taken = run.cut(rest - edge.before.reshape(run.shape), at_edge, first, top)
    free = np.concatenate([room - count for count, room in held]) - taken
    cell = at_edge[0]
    np.add.at(excess.reshape(-1), cell, np.maximum(-free, 0))
    np.add.at(slots.reshape(-1), cell, np.maximum(free, 0))
    np.maximum.at(worst.reshape(-1), cell, np.maximum(-free, 0))
    # A cell that takes none of its candidates takes all of the digits before them.
    first[digits == ranks.DIGITS] = EVERYTHING
    last = ranks.Cut(np.maximum(cut.key, first), cut.position)
    return items, last, excess, slots, worst


def _settle(
    terms: Terms,
    shares: Shares,
    digit: I64,
    doubtful: int,
    of: tuple[Entities, Entries],
    apportioned: tuple[U16, U16],
) -> tuple[Quotas, tuple[tuple[I64, I64, I64], Found, tuple[I64, I64]]]:
    (entities, entries), (floors, digits) = of, apportioned
    quotas = np.empty_like(floors)
    excess, slots, worst = (np.zeros(digit.size, dtype=np.int64) for _ in range(3))
    at, keys = np.empty(doubtful, dtype=np.int64), np.empty(doubtful, dtype=np.uint64)
    capped.settle(
        terms, entities, entries, shares, floors, digits, digit, quotas, excess, slots, worst, at,
        keys,
    )  # fmt: skip
    room = np.empty(doubtful, dtype=np.int64)
    capped.rooms(terms, entities, entries, at, room)
    found = found_at(entities, entries, at, keys)
    counts = floors[at].astype(np.int64)
    return Quotas(quotas, at, keys), ((excess, slots, worst), found, (counts, room))
