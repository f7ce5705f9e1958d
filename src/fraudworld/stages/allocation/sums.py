"""What the rounds of one allocation share: sums over shards, and cuts at the end of a quota."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.kernels import ranks
from fraudworld.kernels.capped import Apportionment, Entities, Entries
from fraudworld.kernels.select import smallest
from fraudworld.stages.allocation.products import AllocationProblem

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Number = TypeVar("Number", bound=np.generic)

EVERYTHING = np.uint64(2**64 - 1)

ShardEntries = tuple[Entities, Entries]
"""What round 1 keeps of a shard."""

Candidates = tuple[I64, U64, I64]
"""Cell, key and position in the world of entries near the end of a quota."""


@dataclass(frozen=True)
class Rounds:
    """One allocation: what all its rounds share."""

    engine: Engine
    problem: AllocationProblem
    region: NDArray[np.integer]  # of every shard
    shape: tuple[int, int]  # (regions, cells)

    def sum(self, per_shard: Iterable[NDArray[Number]]) -> NDArray[Number]:
        """Adds arrays of shards, (cells, …), by region: (regions, cells, …).

        The result is uint64 where the arrays are, else int64.
        """
        arrays = list(per_shard)
        dtype = np.uint64 if arrays[0].dtype == np.uint64 else np.int64
        out = np.zeros((self.shape[0], *arrays[0].shape), dtype=dtype)
        for r, array in zip(self.region, arrays, strict=True):
            out[r] += array
        return out

    def rows(self, array: NDArray[Number]) -> list[NDArray[Number]]:
        """The row of an array (regions, cells) that is every shard's."""
        # One memory layout, or kernels would be compiled for two.
        array = np.ascontiguousarray(array)
        return [array[r] for r in self.region]

    def split(self, of: Apportionment) -> list[Apportionment]:
        """`rows` of every field of an apportionment."""
        whole = [np.ascontiguousarray(column) for column in of]
        by_region = [Apportionment(*(column[r] for column in whole)) for r in range(self.shape[0])]
        return [by_region[r] for r in self.region]

    def cuts(self, of: ranks.Cut) -> list[ranks.Cut]:
        """`rows` of both fields of a cut."""
        rows = zip(self.rows(of.key), self.rows(of.position), strict=True)
        return [ranks.Cut(key, position) for key, position in rows]

    def everywhere(self, per_shard: Iterable[Candidates]) -> Candidates:
        """Candidates of all shards; cells are numbered through all regions."""
        shifted = [
            (cell + int(r) * self.shape[1], key, position)
            for r, (cell, key, position) in zip(self.region, per_shard, strict=True)
        ]
        cell, key, position = (np.concatenate(c) for c in zip(*shifted, strict=True))
        return cell, key, position

    def cut(
        self, quota: I64, candidates: Candidates, base: U64, top: U64
    ) -> tuple[ranks.Cut, NDArray[np.bool_]]:
        """Where every cell's quota ends among its candidates, and which candidates it takes.

        base, top: bounds of a cell's keys. A quota that takes none has the cut (0, −1).
        """
        cell, key, position = candidates
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
        """Candidates of every cell: (regions, cells)."""
        return np.bincount(cells, minlength=self.shape[0] * self.shape[1]).reshape(self.shape)


def within(cut: ranks.Cut, cell: I64, key: U64, position: I64) -> NDArray[np.bool_]:
    """Which (key, position) are not beyond the cut of their cell."""
    last = cut.key[cell]
    return np.asarray((key < last) | ((key == last) & (position <= cut.position[cell])))


def candidates_at(entities: Entities, entries: Entries, index: I64, keys: U64) -> Candidates:
    """Entries `index` of a shard as candidates, with their keys."""
    return (
        entries.cell[index].astype(np.int64),
        keys,
        entries.entity[index].astype(np.int64) + entities.first,
    )
