"""What the rounds of one allocation share: sums over shards, and cuts at the edge of a quota."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.kernels import ranks
from fraudworld.kernels.capped import Entities, Entries, Shares
from fraudworld.kernels.select import smallest
from fraudworld.stages.allocation.products import Book

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

EVERYTHING = np.uint64(2**64 - 1)

Found = tuple[I64, U64, I64]
"""Cell, key and position in the world of entries at an edge."""


@dataclass(frozen=True)
class Run:
    """One allocation: what all its rounds share."""

    engine: Engine
    book: Book
    region: NDArray[np.integer]  # of every shard
    shape: tuple[int, int]  # (regions, cells)

    def sum(self, told: Iterable[NDArray[Any]]) -> NDArray[Any]:
        """Arrays of shards by cell, added up by region: (regions, cells, …)."""
        arrays = list(told)
        kind = np.uint64 if arrays[0].dtype == np.uint64 else np.int64
        out = np.zeros((self.shape[0], *arrays[0].shape), dtype=kind)
        for r, array in zip(self.region, arrays, strict=True):
            out[r] += array
        return out

    def rows(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """The row of every shard's region."""
        # One layout, or kernels would be compiled for two.
        array = np.ascontiguousarray(array)
        return [array[r] for r in self.region]

    def shares(self, of: Shares) -> list[Shares]:
        """The same, of all columns."""
        whole = [np.ascontiguousarray(column) for column in of]
        by_region = [Shares(*(column[r] for column in whole)) for r in range(self.shape[0])]
        return [by_region[r] for r in self.region]

    def cuts(self, of: ranks.Cut) -> list[ranks.Cut]:
        """The same, of cuts."""
        rows = zip(self.rows(of.key), self.rows(of.position), strict=True)
        return [ranks.Cut(key, position) for key, position in rows]

    def everywhere(self, told: Iterable[Found]) -> Found:
        """Candidates of all shards; cells are counted through all regions."""
        shifted = [
            (cell + int(r) * self.shape[1], key, position)
            for r, (cell, key, position) in zip(self.region, told, strict=True)
        ]
        cell, key, position = (np.concatenate(c) for c in zip(*shifted, strict=True))
        return cell, key, position

    def cut(
        self, quota: I64, found: Found, base: U64, top: U64
    ) -> tuple[ranks.Cut, NDArray[np.bool_]]:
        """Where every cell's quota ends among its candidates, and which of them it takes.

        base, top: keys of a cell's candidates are between them. A cut before all is (0, −1).
        """
        cell, key, position = found
        low = base.ravel()
        bits = [max(int(n).bit_length(), 1) for n in (top - base).ravel()]
        taken = smallest(key - low[cell], cell, np.maximum(quota, 0).ravel(), bits)
        last = np.zeros(low.size, dtype=np.uint64)
        np.maximum.at(last, cell[taken], key[taken])
        ends = taken & (key == last[cell])
        where = np.full(low.size, -1, dtype=np.int64)
        np.maximum.at(where, cell[ends], position[ends])
        return ranks.Cut(last.reshape(self.shape), where.reshape(self.shape)), taken

    def count(self, cells: I64) -> I64:
        """How many candidates every cell has."""
        return np.bincount(cells, minlength=self.shape[0] * self.shape[1]).reshape(self.shape)


def within(cut: ranks.Cut, cell: I64, key: U64, position: I64) -> NDArray[np.bool_]:
    """Which (key, position) are not beyond the cut of their cell."""
    last = cut.key[cell]
    return np.asarray((key < last) | ((key == last) & (position <= cut.position[cell])))


def found_at(entities: Entities, entries: Entries, at: I64, keys: U64) -> Found:
    """Candidates of a shard: entries `at`, with their keys."""
    return (
        entries.cell[at].astype(np.int64),
        keys,
        entries.entity[at].astype(np.int64) + entities.first,
    )
