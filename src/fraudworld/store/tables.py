"""Writes a dataset: rows in published order → Parquet parts with their digests.

A part holds exactly one block of the content digest (`store/content.py`), so its bytes do not
depend on the number of shards, the thread or the machine that made the rows.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InternalError
from fraudworld.store.content import (
    DTYPES,
    LISTED,
    NO_CODE,
    NO_TIME,
    NO_WORD,
    PART_ROWS,
    bytes_leaf,
    content_digest,
    leaf,
    narrowed,
    text_leaf,
)
from fraudworld.store.identity import Identity
from fraudworld.store.layout import part_name

MOST_CODES = 128
"""Longest code list: published dictionaries have int8 indices."""

Columns = Mapping[str, NDArray[np.generic]]
Batch = Mapping[Any, NDArray[np.generic] | Callable[..., object]]
"""Rows by column name: values, or a function that fills a buffer. A tuple of names maps to
a function that fills several columns at once."""


@dataclass(frozen=True)
class PartRecord:
    """One published file."""

    name: str
    rows: int
    bytes: int
    sha256: str
    leaves: tuple[str, ...]  # per column, contract order


@dataclass(frozen=True)
class DatasetRecord:
    """All parts of one dataset, and its content digest."""

    table: str
    rows: int
    parts: tuple[PartRecord, ...]
    content_digest: str


@dataclass(frozen=True)
class Writing:
    """A dataset being written into `folder`; `codes` has the list of every code column.

    Raises InternalError for a code list that exceeds a published dictionary.
    """

    table: Table
    folder: Path
    identity: Identity
    codes: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls, table: Table, folder: Path, identity: Identity, codes: Mapping[str, Sequence[str]]
    ) -> Writing:
        """A writing whose code lists are checked."""
        lists = {c.name: tuple(codes[c.name]) for c in table.columns if c.kind in LISTED}
        writing = cls(table, folder, identity, lists)
        for column in table.columns:
            if column.kind not in LISTED:
                continue
            listed = lists[column.name]
            most = MOST_CODES if column.kind is Kind.CODE else len(listed)
            if len(listed) > most or len(set(listed)) < len(listed):
                raise writing.broken(f"column {column.name} has {len(listed)} codes, or one twice")
        return writing

    def check(self, rows: int, batch: Batch) -> None:
        """Raises InternalError unless the batch has the contract's columns, `rows` long."""
        wanted_names = sorted(c.name for c in self.table.columns)
        names = sorted(n for key in batch for n in (key if isinstance(key, tuple) else (key,)))
        if names != wanted_names:
            raise self.broken(f"a batch has columns {names}, the contract {wanted_names}")
        for column in self.table.columns:
            values = batch.get(column.name)
            if isinstance(values, pa.Array) and len(values) != rows:
                raise self.broken(f"column {column.name} has {len(values)} rows, not {rows}")
            if not isinstance(values, np.ndarray):
                continue  # it fills a buffer that has the contract's type and length
            wanted = DTYPES[column.kind]
            if values.shape != (rows,):
                raise self.broken(f"column {column.name} has shape {values.shape}, not ({rows},)")
            if not np.can_cast(values.dtype, wanted, "safe"):
                raise self.broken(f"column {column.name} is {values.dtype}, not {wanted}")

    def write(self, number: int, batch: Columns) -> PartRecord:
        """Encodes one block and renames it into place as part `number`.

        The file appears complete or not at all; writing a part twice gives the same bytes.
        """
        rows, arrays, leaves = self._encoded(batch)
        sink = pa.BufferOutputStream()
        write_parquet(self._arrow(rows, arrays), self.table, sink)
        data = sink.getvalue()
        # Hashed in memory, so that sealing reads nothing back.
        sha = hashlib.sha256(data).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / part_name(number)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.{id(data):x}")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        return PartRecord(path.name, rows, data.size, sha, leaves)

    def leaves(self, batch: Columns) -> tuple[str, ...]:
        """The leaves of one block, in order of the contract."""
        return self._encoded(batch)[2]

    def _encoded(self, batch: Columns) -> tuple[int, Sequence[pa.Array], tuple[str, ...]]:
        """Rows, Arrow arrays and leaves of one block."""
        rows = len(next(iter(batch.values())))
        self.check(rows, batch)
        columns: Columns = {
            c.name: batch[c.name]
            if c.kind is Kind.TEXT
            else np.ascontiguousarray(batch[c.name], dtype=DTYPES[c.kind])
            for c in self.table.columns
        }
        arrays, leaves = zip(
            *(self._array(c, columns[c.name]) for c in self.table.columns), strict=True
        )
        return rows, arrays, leaves

    def record(self, parts: Sequence[PartRecord]) -> DatasetRecord:
        """The record of a complete dataset; deletes files that a killed worker left."""
        for unfinished in self.folder.glob(".*"):
            unfinished.unlink(missing_ok=True)
        rows = sum(p.rows for p in parts)
        digest = content_digest(self.table, rows, [p.leaves for p in parts], self.codes)
        return DatasetRecord(self.table.name, rows, tuple(parts), digest)

    def _arrow(self, rows: int, arrays: Sequence[pa.Array]) -> pa.Table:
        fixed: Sequence[pa.Array] = []
        if self.table.identity:
            fixed = [column.slice(0, rows) for column in _identity_columns(self.identity)]
        return pa.Table.from_arrays([*arrays, *fixed], schema=self.table.schema)

    def _array(self, column: Column, values: NDArray[np.generic]) -> tuple[pa.Array, str]:
        """A column as Arrow array, and its leaf. Raises InternalError for a value outside it."""
        if column.kind not in (Kind.INT, Kind.CODE, Kind.REAL) or (
            column.kind is Kind.CODE and column.nullable
        ):
            return self._later_kind(column, values)
        if column.kind is Kind.CODE:
            codes = self.codes[column.name]
            if values.size and values.max() >= len(codes):
                raise self.broken(f"{column.name} holds code {values.max()} of {len(codes)}")
            # Arrow's own check of every row is skipped: the largest code was checked.
            array = pa.DictionaryArray.from_arrays(
                pa.array(values.view(np.int8)), pa.array(codes, pa.string()), safe=False
            )
            return array, leaf(values)
        if column.kind is Kind.REAL:
            if not np.isfinite(values).all():
                raise self.broken(f"{column.name} holds a value that is not finite")
            return pa.array(values), leaf(values)
        least, data, digest = narrowed(values)
        nulls = values.size > 0 and least == 0
        if least < 0 or (nulls and column.name.endswith("_id") and not column.nullable):
            raise self.broken(f"{column.name} holds {least}")
        if not (column.nullable and nulls):
            return pa.array(values), digest
        there = np.packbits(data != 0, bitorder="little")
        buffers = [pa.py_buffer(there), pa.py_buffer(values)]
        return pa.Array.from_buffers(pa.int64(), values.size, buffers), digest

    def _later_kind(self, column: Column, values: Any) -> tuple[pa.Array, str]:
        """As `_array`, for the kinds that 6A has not, and for codes that may be null."""
        if column.kind is Kind.TEXT:
            self._require(column, bool(values.null_count), inside=pa.types.is_string(values.type))
            return values, text_leaf(values)
        if column.kind in LISTED:
            absent = NO_CODE if column.kind is Kind.CODE else NO_WORD
            null, listed = values == absent, len(self.codes[column.name])
            low, high = (values.min(initial=0), values[~null].max(initial=0))
            inside = low >= NO_WORD and (high < listed or bool(null.all()))
            self._require(column, bool(null.any()), inside=inside)
            index = np.int8 if column.kind is Kind.CODE else np.int32
            places = pa.array(values.astype(index), mask=null)
            words = pa.array(self.codes[column.name], pa.string())
            return pa.DictionaryArray.from_arrays(places, words, safe=False), bytes_leaf(values)
        if column.kind is Kind.FLAG:
            self._require(column, False, inside=values.max(initial=0) <= 1)
            return pa.array(values.astype(bool)), bytes_leaf(values)
        null = values == NO_TIME
        self._require(column, bool(null.any()), inside=True)
        given = pa.array(values, pa.int64(), mask=null)
        if column.kind is Kind.DATE:
            return given.cast(pa.int32()).cast(pa.date32()), bytes_leaf(values)
        return given.cast(pa.timestamp("ms", tz="UTC")), bytes_leaf(values)

    def _require(self, column: Column, nulls: bool, *, inside: bool) -> None:
        """Raises InternalError for a value outside the column, or a null where none may be."""
        if not inside or (nulls and not column.nullable):
            raise self.broken(f"{column.name} holds a value outside its list, or a null")

    def broken(self, what: str) -> InternalError:
        """The error for rows that do not keep to the contract."""
        segment = self.table.name[-2:] if self.table.name.endswith("_6P") else "6A"
        table = self.table.name.removesuffix(f"_{segment}").upper()
        return InternalError(
            f"{segment}.{self.table.state}.{table}_SCHEMA_OR_KEY_INVALID",
            what,
            where=self.table.name,
            remedy="report this; nothing was published",
        )


def write_part(
    writing: Writing,
    make: Callable[..., Batch],
    number: int,
    pieces: Sequence[tuple[Sequence[Any], int, int]],
) -> PartRecord:
    """Task: writes part `number` from its pieces, `make(*arguments, low, high)` of each."""
    return writing.write(number, _part(writing, make, pieces))


def leaves_of_part(
    writing: Writing,
    make: Callable[..., Batch],
    pieces: Sequence[tuple[Sequence[Any], int, int]],
) -> tuple[str, ...]:
    """Task: the leaves that `write_part` records of these pieces; nothing is written."""
    return writing.leaves(_part(writing, make, pieces))


def _part(
    writing: Writing,
    make: Callable[..., Batch],
    pieces: Sequence[tuple[Sequence[Any], int, int]],
) -> Columns:
    """The columns of a part, in buffers of this thread."""
    part = _ROOM.columns(writing.table, sum(high - low for _, low, high in pieces))
    at = 0
    for arguments, low, high in pieces:
        batch = make(*arguments, low, high)
        writing.check(high - low, batch)
        lay(batch, {name: column[at : at + high - low] for name, column in part.items()})
        at += high - low
    return part


def lay(batch: Batch, into: Columns) -> None:
    """Writes every column of a batch into its buffer."""
    for names, values in batch.items():
        if isinstance(names, tuple):
            assert callable(values)
            values(*(into[name] for name in names))
        elif callable(values):
            values(into[names])
        else:
            into[names][...] = values


class _Room(threading.local):
    """Buffers for the columns of a part, reused by every part of a thread.

    Page faults of fresh memory cost more than filling it.
    """

    def __init__(self) -> None:
        self._columns: dict[tuple[int, Kind], NDArray[np.generic]] = {}

    def columns(self, table: Table, rows: int) -> dict[str, NDArray[np.generic]]:
        """Uninitialised buffers of canonical values, `rows` long."""
        return {c.name: self._column((i, c.kind))[:rows] for i, c in enumerate(table.columns)}

    def _column(self, key: tuple[int, Kind]) -> NDArray[np.generic]:
        if key not in self._columns:
            self._columns[key] = np.empty(PART_ROWS, dtype=DTYPES[key[1]])
        return self._columns[key]


_ROOM = _Room()


@lru_cache(maxsize=1)
def _identity_columns(identity: Identity) -> list[pa.Array]:
    """The constant identity columns of a full part."""
    zeros = pa.array(np.zeros(PART_ROWS, dtype=np.int8))
    values = (identity.manifest_fingerprint, identity.parameter_hash)
    return [
        pa.array(np.full(PART_ROWS, identity.seed, dtype=np.int64)),
        *(pa.DictionaryArray.from_arrays(zeros, pa.array([value])) for value in values),
    ]


def write_parquet(data: pa.Table, table: Table, sink: pa.NativeFile) -> None:
    """Encodes `data` with the settings all datasets share; equal rows give equal bytes.

    Codes and the constant seed are dictionaries. Ids and counts are delta-encoded: sorted ids
    shrink to bits, and ids in random order take the width of their range instead of eight bytes,
    in half the time zstd needs for plain values. Statistics are written where readers can skip
    row groups by them. The identity columns are not compressed, so that `store/restamp.py` can
    replace them in the file.
    """
    integers = [c.name for c in table.columns if c.kind in (Kind.INT, Kind.DATE, Kind.MOMENT)]
    packed = [c.name for c in table.columns]
    pq.write_table(
        data,
        sink,
        compression={c: "zstd" if c in packed else "none" for c in data.column_names},
        compression_level=dict.fromkeys(packed, 1),
        use_dictionary=[c.name for c in table.all_columns if _repeats(c)],
        column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
        write_statistics=integers,
        store_schema=False,
        row_group_size=PART_ROWS,
    )


def _repeats(column: Column) -> bool:
    return column.kind in LISTED or column.name == "seed"
