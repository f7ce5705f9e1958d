"""Exact selection over shards: who is among the k smallest of a cell.

Ranks are over (key, position): integers, ties broken by the position in the world, never by
float luck. Three steps, of which shards do the first and the last:

1. every shard counts the leading digit of its keys, per cell (`count`); counts are added;
2. in the digit where a quota ends (`edges`) shards list their entities, 1 in 512, and the
   last one taken is found among them: the cut (`cut`);
3. an entity is taken where its (key, position) is not beyond the cut of its cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel

DIGITS = 512
SHIFT = 55
"""Bits right of the leading digit of a 64-bit key."""

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Candidates = tuple[I64, U64, I64, I64]
"""Candidates of one shard: cell, key, position in the world, weight."""


@dataclass(frozen=True)
class Edges:
    """Per cell: the digit in which its quota ends (−1: nobody is taken, DIGITS: everybody),
    and what is taken before that digit.
    """

    digit: I64
    before: I64


@dataclass(frozen=True)
class Cut:
    """Per cell the last (key, position) that is taken."""

    key: U64
    position: I64


def edges(counts: I64, quota: I64) -> Edges:
    """counts: (cells, DIGITS) entities, or their weight, by leading digit; quota: (cells,)."""
    running = np.cumsum(counts, axis=1)
    digit = (running <= quota[:, None]).sum(axis=1)
    everybody = running[:, -1] <= quota
    digit = np.where(quota <= 0, -1, np.where(everybody, DIGITS, digit))
    inside = np.clip(digit, 0, DIGITS - 1)
    at = np.arange(digit.size)
    before = np.where(digit < 0, 0, running[at, inside] - counts[at, inside])
    return Edges(digit, np.where(everybody & (quota > 0), running[:, -1], before))


def cut(at: Edges, quota: I64, found: Iterable[Candidates]) -> tuple[Cut, Candidates]:
    """The cut of every cell whose entities up to it weigh at most the quota.

    found: the candidates of every shard, whose cells' digits are `at.digit`. Also returns the
    first candidate beyond the cut of each cell that has one, with what the cell's quota still
    lacks as its weight.
    """
    columns = [np.concatenate(c) for c in zip(*found, strict=True)]
    order = _order(*columns[:3])
    cell, key, position, weight = (c[order] for c in columns)
    everybody = at.digit == DIGITS
    # Before any candidate: all of the digits before the one the quota ends in.
    first = at.digit.clip(0, DIGITS - 1).astype(np.uint64) << np.uint64(SHIFT)
    last = Cut(
        np.where(everybody, np.uint64(2**64 - 1), first),
        np.where(everybody, np.int64(2**62), np.int64(-1)),
    )
    start = np.searchsorted(cell, np.arange(quota.size + 1))
    beyond, lack = [], []
    for c in np.flatnonzero(np.diff(start)):
        mine = slice(start[c], start[c + 1])
        running = at.before[c] + np.cumsum(weight[mine])
        taken = int(np.searchsorted(running, quota[c], side="right"))
        if taken:
            end = start[c] + taken - 1
            last.key[c], last.position[c] = key[end], position[end]
        if taken < running.size:
            beyond.append(start[c] + taken)
            lack.append(quota[c] - (running[taken - 1] if taken else at.before[c]))
    b = np.array(beyond, dtype=np.int64)
    return last, (cell[b], key[b], position[b], np.array(lack, dtype=np.int64))


def _order(cell: I64, key: U64, position: I64) -> I64:
    """Indices by cell, then key, then position."""
    by_key = np.argsort(key)
    narrow = cell.astype(np.min_scalar_type(int(cell.max(initial=0))))
    order = by_key[np.argsort(narrow[by_key], kind="stable")]
    # Keys that tie are so rare that sorting without the position pays, and anew for their sake.
    same = (np.diff(cell[order]) == 0) & (np.diff(key[order]) == 0)
    return np.lexsort((position, key, cell)) if same.any() else order


@kernel
def count(keys, digits):  # type: ignore[no-untyped-def]
    """Count the leading digit of every key, all of one cell: digits, (DIGITS,), grows."""
    for i in range(keys.size):
        digits[keys[i] >> np.uint64(SHIFT)] += 1


@inlined
def within(key, position, cell, cut_key, cut_position):  # type: ignore[no-untyped-def]
    """Whether (key, position) is not beyond the cut of its cell."""
    # No branch: nobody could predict it.
    last = cut_key[cell]
    return (key < last) | ((key == last) & (position <= cut_position[cell]))
