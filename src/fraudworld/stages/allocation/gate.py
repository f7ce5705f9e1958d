"""Round 1: those near the gate's edge are told exactly, all certainly let in are weighed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, gating, normal
from fraudworld.kernels.capped import Entities, Entries, Shares, Terms
from fraudworld.stages.allocation.products import lost, too_wide
from fraudworld.stages.allocation.sums import Found, Run, found_at

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]

SPILL = np.uint64(1 << 20)


@dataclass(frozen=True)
class _Bands:
    """Places at the gate between which a cell's quota ends, and the gate keys they stand for.

    Keys `key_low` … `key_high` are well inside: nobody whose key is among them is placed
    outside the band.
    """

    low: F64
    high: F64
    key_low: U64
    key_high: U64
    upto: F64  # share of entities up to the band's end
    inside: F64  # and inside it

    def open(self, cells: NDArray[np.bool_]) -> None:
        """Take everybody of these cells into the band."""
        self.low[cells], self.high[cells] = -np.inf, np.inf
        self.key_low[cells], self.key_high[cells] = 0, np.uint64(1 << gating.GATE_BITS)
        self.upto[cells] = self.inside[cells] = 1.0


def _bands(quota: I64, size: I64, shared: bool) -> _Bands:
    n = np.maximum(size, 1)
    share = quota / n
    margin = 5.0 * np.sqrt(share * (1.0 - share) / n) + 4.0 / n + (2.0**-11 if shared else 0.0)
    begin, end = np.maximum(share - margin, 0.0), np.minimum(share + margin, 1.0)
    at_begin, at_end = _deviates(begin), _deviates(end)
    slack = 2.0 * gating.ROUGH if shared else 2.0**-24
    key_low, key_high = (
        (np.clip(16.0 + z, 0.0, 32.0) * gating.GATE_SCALE).astype(np.uint64)
        for z in (at_begin + slack, at_end - slack)
    )
    bands = _Bands(
        at_begin if shared else np.where(begin > 0.0, begin, -np.inf),
        at_end if shared else np.where(end < 1.0, end, np.inf),
        key_low, key_high, end, end - begin,
    )  # fmt: skip
    bands.open(key_low >= key_high)
    bands.low[quota <= 0] = bands.high[quota <= 0] = -np.inf
    bands.low[quota >= size] = bands.high[quota >= size] = np.inf
    return bands


def _deviates(shares: F64) -> F64:
    def one(u: float) -> float:
        return normal.quantile(u) if 0.0 < u < 1.0 else (u - 0.5) * np.inf

    return np.array([one(u) for u in shares.ravel().tolist()]).reshape(shares.shape)


def entries(
    run: Run,
    plan: I64,
    quota: I64,
    size: I64,
    prepare: Callable[..., Entities],
    columns: Sequence[Sequence[Any]],
) -> tuple[list[Item], Shares]:
    """Entries of every shard, and what their plans are shared by; the last cut comes later.

    quota: how many of each cell are let in, of `size`.
    """
    task = partial(_admit, run.book.terms, prepare)
    bands = _bands(quota, size, run.book.terms.correlation > 0.0)
    undecided = (quota > 0) & (quota < size)
    while True:
        rows = [run.rows(x) for x in (quota > 0, bands.low, bands.high, bands.upto, bands.inside)]
        items, told = run.engine.both(task, *rows, *columns)
        parts, found, weights = zip(*told, strict=True)
        certain, total, most, beyond = zip(*parts, strict=True)
        before = run.sum(certain)
        at_edge = run.everywhere(found)
        # Keys of a band are at most this much beyond those it is said to stand for.
        base = np.maximum(bands.key_low, SPILL) - SPILL
        cut, taken = run.cut(quota - before, at_edge, base, bands.key_high + SPILL)
        poor = undecided & (
            (before >= quota)
            | (before + run.count(at_edge[0]) < quota)
            | (cut.key < bands.key_low)
            | (cut.key > bands.key_high)
        )
        if not poor.any():
            break
        if (bands.inside[poor] == 1.0).any():
            raise lost(run.book.state, "fewer entities than it was found to have", "the gate")
        bands.open(poor)
    totals = run.sum(total)
    np.add.at(totals.reshape(-1), at_edge[0][taken], np.concatenate(weights)[taken])
    largest = np.zeros(run.shape, dtype=np.uint64)
    np.maximum.at(largest, run.region, np.stack(most))
    _check_weights(run, totals, total, largest, plan, any(beyond))
    # Where a plan is far smaller than its cell, no quota is one, and no remainder near the total:
    # ranked among what is possible, remainders spread over all digits.
    bound = np.minimum(totals, plan.astype(np.uint64) * largest + np.uint64(1))
    bits = [int(b).bit_length() for b in bound.ravel()]
    shift = np.array([64 - max(b, 1) for b in bits], dtype=np.uint64).reshape(run.shape)
    shares = Shares(plan.astype(np.uint64), totals, bound, shift, cut.key, cut.position)
    return items, shares


def _admit(
    terms: Terms,
    prepare: Callable[..., Entities],
    active: NDArray[np.bool_],
    low: F64,
    high: F64,
    upto: F64,
    inside: F64,
    *row: Any,
) -> tuple[tuple[Entities, Entries], tuple[tuple[I64, U64, U64, bool], Found, U64]]:
    entities = prepare(*row)
    standing, *expected = capped.census(terms, entities, active, upto, inside)
    # Gates of one entity go together, so their number varies more than that of single ones.
    spread = 8.0 * math.sqrt(np.diff(terms.start).max(initial=1))
    n, doubtful = (int(m + spread * math.sqrt(m)) + 256 for m in expected)
    while True:
        room = (min(n, standing), min(doubtful, standing))
        entries = Entries(
            np.empty(room[0], dtype=np.uint32),
            np.empty(room[0], dtype=np.uint16),
            np.empty(room[0], dtype=np.uint64),
            np.empty(room[1], dtype=np.int64),
            np.empty(room[1], dtype=np.uint64),
        )
        certain = np.zeros(active.size, dtype=np.int64)
        total, most = (np.zeros(active.size, dtype=np.uint64) for _ in range(2))
        n, doubtful, beyond = capped.admit(
            terms, entities, active, low, high, entries, certain, total, most
        )
        if n <= room[0] and doubtful <= room[1]:
            break
    entity, cell, weights, at, keys = entries
    at, keys = at[:doubtful], keys[:doubtful]
    entries = Entries(entity[:n], cell[:n], weights[:n], at, keys)
    weight = entries.weight[at] & ~capped.DOUBT
    found = found_at(entities, entries, at, keys)
    return (entities, entries), ((certain, total, most, bool(beyond)), found, weight)


def _check_weights(
    run: Run, totals: U64, of: Sequence[U64], largest: U64, plan: I64, beyond: bool
) -> None:
    """Raise InputError where a product of plan and weight, or a total, is beyond 63 bits."""
    mass = np.zeros(run.shape)
    for r, t in zip(run.region, of, strict=True):
        mass[r] += t
    wide = (
        (plan * largest.astype(np.float64) >= 2.0**63)
        | (np.maximum(mass, totals) >= 2.0**62)
        | beyond
    )
    if wide.any():
        cell = int(np.flatnonzero(wide.any(axis=0))[0])
        raise too_wide(run.book.state, run.book.names[run.book.product[cell]], "its sigma")
