"""Round 1: who passes the hurdle of a cell, and the weights of those who do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, hurdles, normal
from fraudworld.kernels.capped import (
    Apportionment,
    CellLaws,
    Entities,
    Entries,
    HurdleBands,
    WeightSums,
)
from fraudworld.stages.allocation.products import inconsistent, too_wide
from fraudworld.stages.allocation.sums import Candidates, Rounds, ShardEntries, candidates_at

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Column = TypeVar("Column")

KEY_MARGIN = np.uint64(1 << 20)
"""Distance that exact keys of candidates may lie outside the keys their band stands for."""


@dataclass(frozen=True)
class _Bands:
    """Hurdle ranks between which a cell's quota ends, and the keys they stand for.

    Keys `key_low` … `key_high` lie well inside: no candidate with such a key has a rank outside
    the band. All arrays are (regions, cells).
    """

    low: F64
    high: F64
    key_low: U64
    key_high: U64
    upto: F64  # share of candidates below the band's end
    inside: F64  # share of candidates inside it

    def widen(self, cells: NDArray[np.bool_]) -> None:
        """Makes the band of these cells hold every candidate."""
        self.low[cells], self.high[cells] = -np.inf, np.inf
        self.key_low[cells], self.key_high[cells] = 0, np.uint64(1 << hurdles.HURDLE_BITS)
        self.upto[cells] = self.inside[cells] = 1.0


def _bands(quota: I64, size: I64, shared: bool) -> _Bands:
    """Bands of five standard deviations around the expected end of every quota."""
    n = np.maximum(size, 1)
    share = quota / n
    margin = 5.0 * np.sqrt(share * (1.0 - share) / n) + 4.0 / n + (2.0**-11 if shared else 0.0)
    begin, end = np.maximum(share - margin, 0.0), np.minimum(share + margin, 1.0)
    at_begin, at_end = _deviates(begin), _deviates(end)
    slack = 2.0 * hurdles.TABLE_ERROR if shared else 2.0**-24
    key_low, key_high = (
        (np.clip(16.0 + z, 0.0, 32.0) * hurdles.HURDLE_SCALE).astype(np.uint64)
        for z in (at_begin + slack, at_end - slack)
    )
    bands = _Bands(
        at_begin if shared else np.where(begin > 0.0, begin, -np.inf),
        at_end if shared else np.where(end < 1.0, end, np.inf),
        key_low, key_high, end, end - begin,
    )  # fmt: skip
    bands.widen(key_low >= key_high)
    bands.low[quota <= 0] = bands.high[quota <= 0] = -np.inf
    bands.low[quota >= size] = bands.high[quota >= size] = np.inf
    return bands


def _deviates(shares: F64) -> F64:
    """Normal quantiles; infinite at shares of 0 and 1."""

    def one(u: float) -> float:
        return normal.quantile(u) if 0.0 < u < 1.0 else (u - 0.5) * np.inf

    return np.array([one(u) for u in shares.ravel().tolist()]).reshape(shares.shape)


class _Summary(NamedTuple):
    """What round 1 learns of a shard."""

    sums: WeightSums
    beyond: bool  # a total left 64 bits
    unsettled: Candidates
    weight: U64  # of the unsettled


def entries(
    run: Rounds,
    plan: I64,
    quota: I64,
    size: I64,
    kept: U64,
    prepare: Callable[..., Entities],
    columns: Sequence[Sequence[object]],
) -> tuple[list[Item[ShardEntries]], Apportionment]:
    """Entries of every shard, and how the plans are split over them.

    plan, quota, size: what a cell is to hold, its entities that pass, and all its entities; kept:
    as of `HurdleBands`; all (regions, cells). `prepare` makes the entities of a shard of its row of
    `columns`. Items are (Entities, Entries).
    """
    task = partial(_collect_entries, run.problem.cell_laws, prepare)
    bands = _bands(quota, size, run.problem.cell_laws.correlation > 0.0)
    undecided = (quota > 0) & (quota < size)
    while True:
        of_cells = (quota > 0, bands.low, bands.high, kept, bands.upto, bands.inside)
        rows = [run.rows(x) for x in of_cells]
        items, summaries = run.engine.run(task, *rows, *columns)
        before = run.sum(s.sums.settled for s in summaries)
        at_edge = run.everywhere(s.unsettled for s in summaries)
        base = np.maximum(bands.key_low, KEY_MARGIN) - KEY_MARGIN
        cut, taken = run.cut(quota - before, at_edge, base, bands.key_high + KEY_MARGIN)
        missed = undecided & (
            (before >= quota)
            | (before + run.count(at_edge[0]) < quota)
            | (cut.key < bands.key_low)
            | (cut.key > bands.key_high)
        )
        if not missed.any():
            break
        if (bands.inside[missed] == 1.0).any():
            raise inconsistent(run.problem.state, "fewer entities than were counted", "hurdle")
        bands.widen(missed)
    totals = run.sum(s.sums.total for s in summaries)
    weights = np.concatenate([s.weight for s in summaries])
    np.add.at(totals.reshape(-1), at_edge[0][taken], weights[taken])
    largest = np.zeros(run.shape, dtype=np.uint64)
    np.maximum.at(largest, run.region, np.stack([s.sums.largest for s in summaries]))
    _check_weights(run, totals, largest, plan, summaries)
    # Where a plan is far smaller than its cell, all quotas are below one and no remainder is near
    # the total: a bound on what is possible spreads the remainders over all digits.
    bound = np.minimum(totals, plan.astype(np.uint64) * largest + np.uint64(1))
    bits = [int(b).bit_length() for b in bound.ravel()]
    shift = np.array([64 - max(b, 1) for b in bits], dtype=np.uint64).reshape(run.shape)
    split = Apportionment(plan.astype(np.uint64), totals, bound, shift, cut.key, cut.position)
    return items, split


def _collect_entries(
    cell_laws: CellLaws,
    prepare: Callable[..., Entities],
    active: NDArray[np.bool_],
    low: F64,
    high: F64,
    kept: U64,
    upto: F64,
    inside: F64,
    *row: object,
) -> tuple[ShardEntries, _Summary]:
    """Task: the entries of one shard."""
    entities = prepare(*row)
    candidates, *expected = capped.count_candidates(cell_laws, entities, active, upto, inside)
    # Hurdles of one entity are correlated, so their number varies more than independent ones'.
    spread = 8.0 * math.sqrt(np.diff(cell_laws.start).max(initial=1))
    n, unsettled = (int(m + spread * math.sqrt(m)) + 256 for m in expected)
    bands = HurdleBands(active, low, high, kept)
    while True:
        room = (min(n, candidates), min(unsettled, candidates))
        buffers = Entries(
            np.empty(room[0], dtype=np.uint32),
            np.empty(room[0], dtype=np.uint16),
            np.empty(room[0], dtype=np.uint64),
            np.empty(room[1], dtype=np.int64),
            np.empty(room[1], dtype=np.uint64),
        )
        sums = WeightSums(
            np.zeros(active.size, dtype=np.int64),
            np.zeros(active.size, dtype=np.uint64),
            np.zeros(active.size, dtype=np.uint64),
        )
        n, unsettled, beyond = capped.collect_entries(cell_laws, entities, bands, buffers, sums)
        if n <= room[0] and unsettled <= room[1]:
            break
    index, keys = buffers.unsettled[:unsettled], buffers.hurdle_key[:unsettled]
    entries = Entries(buffers.entity[:n], buffers.cell[:n], buffers.weight[:n], index, keys)
    weight = entries.weight[index] & ~capped.UNSETTLED
    at_edge = candidates_at(entities, entries, index, keys)
    return (entities, entries), _Summary(sums, bool(beyond), at_edge, weight)


def _check_weights(
    run: Rounds, totals: U64, largest: U64, plan: I64, summaries: Sequence[_Summary]
) -> None:
    """Raises InputError where a product of plan and weight, or a total, exceeds 62 or 63 bits."""
    mass = np.zeros(run.shape)
    for r, summary in zip(run.region, summaries, strict=True):
        mass[r] += summary.sums.total
    wide = (
        (plan * largest.astype(np.float64) >= 2.0**63)
        | (np.maximum(mass, totals) >= 2.0**62)
        | any(s.beyond for s in summaries)
    )
    if wide.any():
        cell = int(np.flatnonzero(wide.any(axis=0))[0])
        product = run.problem.names[run.problem.product[cell]]
        raise too_wide(run.problem.state, product, "its sigma")
