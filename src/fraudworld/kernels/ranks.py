"""Exact selection over shards: the k smallest entities of every cell.

Ranks are over (key, position): integers, ties broken by the position in the world, never by a
float. Three steps, of which shards do the first and the last:

1. every shard counts the leading digits of its keys by cell (`count`), and counts are added;
2. shards list the entities of the digit in which a quota ends (`edges`), 1 in 512, and the last
   one taken is found among them (`cut`);
3. an entity is taken where its (key, position) is not beyond the cut of its cell (`within`).

Twin of all kernels here: tests/reference/draws.py:first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel

DIGITS = 512
SHIFT = 55
"""Right shift that leaves the leading digit of a 64-bit key."""

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Candidates = tuple[I64, U64, I64, I64]
"""Candidates of one shard: cell, key, position in the world, weight."""


@dataclass(frozen=True)
class Edges:
    """Where the quotas end; all (cells,)."""

    digit: I64  # the digit in which a quota ends; −1: none is taken, DIGITS: all are
    before: I64  # entities (or their weight) taken before that digit


@dataclass(frozen=True)
class Cut:
    """The last (key, position) of a cell that is taken; all (cells,)."""

    key: U64
    position: I64


def edges(counts: I64, quota: I64) -> Edges:
    """The digits in which quotas end.

    counts: entities, or their weight, by leading digit, (cells, DIGITS); quota: (cells,).
    """
    running = np.cumsum(counts, axis=1)
    digit = (running <= quota[:, None]).sum(axis=1)
    all_taken = running[:, -1] <= quota
    digit = np.where(quota <= 0, -1, np.where(all_taken, DIGITS, digit))
    inside = np.clip(digit, 0, DIGITS - 1)
    at = np.arange(digit.size)
    before = np.where(digit < 0, 0, running[at, inside] - counts[at, inside])
    return Edges(digit, np.where(all_taken & (quota > 0), running[:, -1], before))


def cut(at: Edges, quota: I64, per_shard: Iterable[Candidates]) -> tuple[Cut, Candidates]:
    """The cut of every cell: the entities up to it weigh at most the quota.

    per_shard: candidates of every shard, whose keys have their cell's digit `at.digit`. Also
    returns the first candidate beyond the cut of each cell that has one; its weight is what the
    quota still lacks.
    """
    columns = [np.concatenate(c) for c in zip(*per_shard, strict=True)]
    order = _order(*columns[:3])
    cell, key, position, weight = (c[order] for c in columns)
    all_taken = at.digit == DIGITS
    # A cut before all candidates: it takes the digits before theirs.
    first = at.digit.clip(0, DIGITS - 1).astype(np.uint64) << np.uint64(SHIFT)
    last = Cut(
        np.where(all_taken, np.uint64(2**64 - 1), first),
        np.where(all_taken, np.int64(2**62), np.int64(-1)),
    )
    start = np.searchsorted(cell, np.arange(quota.size + 1))
    beyond, lack = [], []
    for c in np.flatnonzero(np.diff(start)):
        rows = slice(start[c], start[c + 1])
        running = at.before[c] + np.cumsum(weight[rows])
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
    # Ties are rare: sorting without the position first is faster, and repeated where there are any.
    same = (np.diff(cell[order]) == 0) & (np.diff(key[order]) == 0)
    return np.lexsort((position, key, cell)) if same.any() else order


@kernel
def count(keys, digits):  # type: ignore[no-untyped-def]
    """Counts the leading digits of the keys of one cell.

    keys : uint64 (n,); digits : integer (DIGITS,), grows.
    """
    for i in range(keys.size):
        digits[keys[i] >> np.uint64(SHIFT)] += 1


@inlined
def within(key, position, cell, cut_key, cut_position):  # type: ignore[no-untyped-def]
    """Whether (key, position) is not beyond the cut of its cell.

    Parameters
    ----------
    key, position, cell : uint64, int64, integer
    cut_key, cut_position : uint64, int64 (cells,)
    """
    # Branch-free: a branch would mispredict.
    last = cut_key[cell]
    return (key < last) | ((key == last) & (position <= cut_position[cell]))
