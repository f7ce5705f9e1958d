"""Arrow columns of text as bytes, and bytes by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK_ROWS = 1 << 16
"""Rows of a byte matrix: its index array takes eight bytes for each byte of text."""


class Texts(NamedTuple):
    """A column of n texts: row i is data[low[i]:high[i]].

    A null row may have bytes, which mean nothing.
    """

    data: U8  # of all rows, without gaps
    low: I64  # (n,)
    high: I64  # (n,)
    present: Mask  # (n,)

    def sizes(self) -> I64:
        """Bytes of every row, (n,)."""
        return self.high - self.low

    def matrix(self, rows: I64, size: int) -> U8:
        """Bytes of rows that have `size` bytes each, (size, rows)."""
        return np.take(self.data, self.low[rows] + np.arange(size)[:, None])

    def rows_of(self, positions: I64) -> I64:
        """The rows that bytes of `data` belong to."""
        return np.searchsorted(self.high, positions, side="right")


def texts(column: pa.Array | pa.ChunkedArray) -> Texts:
    """The bytes of a column of text, of any Arrow layout that casts to `string`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = pc.cast(column, pa.string())
    present = ~column.is_null().to_numpy(zero_copy_only=False)
    n = len(column)
    if n == 0:
        none = np.zeros(0, dtype=np.int64)
        return Texts(np.zeros(0, dtype=np.uint8), none, none, present)
    _, offsets, data = column.buffers()
    cuts = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + n + 1]
    raw = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    at = cuts.astype(np.int64) - int(cuts[0])
    return Texts(raw[cuts[0] : cuts[-1]], at[:-1], at[1:], present)


class Delimiters(NamedTuple):
    """Where one character stands in every row."""

    positions: I64  # in the data of the column, ascending
    first: I64  # (n,): the row's first of them
    number: I64  # (n,): how many

    def of(self, rows: I64, count: int) -> I64:
        """Positions in rows that have `count` of them each, (rows, count)."""
        return np.take(self.positions, self.first[rows][:, None] + np.arange(count))


def delimiters(column: Texts, flags: Mask) -> Delimiters:
    """The bytes that are flagged, by row; flags: bool, one for every byte of the column."""
    positions = np.flatnonzero(flags).astype(np.int64)
    first = np.searchsorted(positions, column.low)
    return Delimiters(positions, first, np.searchsorted(positions, column.high) - first)


def groups(keys: NDArray[np.integer], rows: I64) -> Iterator[tuple[int, I64]]:
    """Rows by their key, `BLOCK_ROWS` at most at a time; keys: of all rows of the column."""
    order = rows[np.argsort(keys[rows], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        for low in range(0, part.size, BLOCK_ROWS):
            yield int(keys[part[0]]), part[low : low + BLOCK_ROWS]
