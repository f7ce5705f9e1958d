"""Writing a dataset: batches in published order → Parquet parts and a content digest.

The content digest is a function of values alone. Law, for independent verifiers: every
column is cut into blocks of 1 048 576 rows in published order; a block's leaf is the
SHA-256 of its canonical values (ids, counts: unsigned little-endian in the narrowest of 1,
2, 4 or 8 bytes that holds the block's largest, null = 0; codes: u8 position in the column's
sorted code list; reals: float64 little-endian); a column's digest is the SHA-256 over its
leaves in order; the content digest is the SHA-256 of the canonical JSON {table, rows,
columns: [{name, kind, codes, digest}]}, identity columns left out.

A part holds exactly one block, so bytes do not depend on how a stage cut its batches.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InternalError
from fraudworld.store.identity import Identity, canonical_json
from fraudworld.store.layout import part_name

PART_ROWS = 1 << 20
IN_FLIGHT = 3
"""Appended parts that may wait for the pool: what bounds the memory of a stream."""

MOST_CODES = 128
"""Longest code list: published dictionaries have int8 indices."""

DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.INT: np.dtype(np.int64),
    Kind.CODE: np.dtype(np.uint8),
    Kind.REAL: np.dtype(np.float64),
}
"""Type of a column's canonical values."""

Batch = Mapping[str, NDArray[np.generic]]


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
    """What was written of one dataset."""

    table: str
    rows: int
    parts: tuple[PartRecord, ...]
    content_digest: str


def leaf(values: NDArray[np.generic]) -> str:
    """The leaf of one block of canonical values, hex; ids and counts come as int64 ≥ 0."""
    if values.dtype == DTYPES[Kind.INT]:
        # Narrow first: hashing is the dearest thing that is done to every value.
        values = values.astype(np.min_scalar_type(values.max(initial=0)))
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def content_digest(
    table: Table, rows: int, leaves: Sequence[Sequence[str]], codes: Mapping[str, Sequence[str]]
) -> str:
    """The digest of the law above, from the leaves of every part (part-major)."""
    columns = []
    for i, column in enumerate(table.columns):
        joined = hashlib.sha256(b"".join(bytes.fromhex(part[i]) for part in leaves))
        columns.append(
            {
                "name": column.name,
                "kind": column.kind.value,
                "codes": list(codes[column.name]) if column.kind is Kind.CODE else None,
                "digest": joined.hexdigest(),
            }
        )
    document = {"table": table.name, "rows": rows, "columns": columns}
    return hashlib.sha256(canonical_json(document)).hexdigest()


class DatasetWriter:
    """Writes the parts of one dataset on a shared pool.

    `codes` maps each code column to its list. Rows come either as a function of their range
    (`write`), called on the pool so that the next stage computes meanwhile, or as a stream
    of batches in published order (`append`). Parts are checked, hashed and encoded on the
    pool; `close` waits for them.
    """

    def __init__(
        self,
        table: Table,
        folder: Path,
        identity: Identity,
        codes: Mapping[str, Sequence[str]],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._table = table
        self._folder = folder
        self._identity = identity
        self._codes = {c.name: tuple(codes[c.name]) for c in table.columns if c.kind is Kind.CODE}
        self._pool = pool
        self._pending: deque[Batch] = deque()
        self._pending_rows = 0
        self._futures: deque[Future[PartRecord]] = deque()
        self._parts: list[PartRecord] = []
        self._count = 0
        self._flushed = False
        self.rows = 0
        for name, listed in self._codes.items():
            if len(listed) > MOST_CODES or len(set(listed)) < len(listed):
                raise self._broken(f"column {name} has {len(listed)} codes, or one twice")
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: int, batch: Callable[[int, int], Batch]) -> None:
        """Queue the whole dataset: `batch(low, high)` gives its rows low … high − 1.

        Returns at once. What `batch` reads must not change until `close` has returned.
        """
        if self._flushed or self.rows:
            raise self._broken("a dataset is written once")

        def part(low: int, high: int) -> Callable[[], Batch]:
            return lambda: batch(low, high)

        for low in range(0, max(rows, 1), PART_ROWS):
            high = min(low + PART_ROWS, rows)
            self._queue(high - low, part(low, high))
        self.rows = rows
        self._flushed = True

    def raise_failure(self) -> None:
        """Raise what a part that is finished already died of, if one did."""
        for future in self._futures:
            if future.done():
                future.result()

    def append(self, batch: Batch) -> None:
        """Take the next rows: int64 ids and counts (0 = null), u8 codes, float64 reals.

        The arrays are encoded later and not copied: nobody may change them afterwards.
        Raises InternalError where names, types or lengths are not the contract's.
        """
        rows = len(next(iter(batch.values()), ()))
        self._check(rows, batch)
        if self._flushed:
            raise self._broken("rows came after the last part was written")
        if not rows:
            return
        self._pending.append(batch)
        self._pending_rows += rows
        self.rows += rows
        while self._pending_rows >= PART_ROWS:
            self._submit(PART_ROWS)

    def flush(self) -> None:
        """Hand the rest to the pool without waiting; an empty dataset gets one empty part."""
        if not self._flushed and (self._pending_rows or not self._count):
            self._submit(self._pending_rows)
        self._flushed = True

    def close(self) -> DatasetRecord:
        """Flush, wait until every part is on disk, and return what was written.

        Raises what went wrong on the pool: InternalError for values outside the contract,
        OSError for a disk that does not take them.
        """
        self.flush()
        while self._futures:
            self._parts.append(self._futures.popleft().result())
        digest = content_digest(
            self._table, self.rows, [p.leaves for p in self._parts], self._codes
        )
        return DatasetRecord(self._table.name, self.rows, tuple(self._parts), digest)

    def _check(self, rows: int, batch: Batch) -> None:
        """Raise InternalError unless the batch has the contract's columns, `rows` long."""
        names = [c.name for c in self._table.columns]
        if sorted(batch) != sorted(names):
            raise self._broken(f"a batch has columns {sorted(batch)}, the contract {names}")
        for column in self._table.columns:
            values, wanted = batch[column.name], DTYPES[column.kind]
            if values.shape != (rows,):
                raise self._broken(f"column {column.name} has shape {values.shape}, not ({rows},)")
            if not np.can_cast(values.dtype, wanted, "safe"):
                raise self._broken(f"column {column.name} is {values.dtype}, not {wanted}")

    def _submit(self, rows: int) -> None:
        columns = {c.name: self._take(c, rows) for c in self._table.columns}
        self._drop(rows)
        while len(self._futures) >= IN_FLIGHT:
            self._parts.append(self._futures.popleft().result())
        self._queue(rows, lambda: columns)

    def _queue(self, rows: int, make: Callable[[], Batch]) -> None:
        name = part_name(self._count)
        self._count += 1
        self._futures.append(self._pool.submit(self._write, name, rows, make))

    def _take(self, column: Column, rows: int) -> NDArray[np.generic]:
        """The next `rows` values of a column, as one array of its canonical type."""
        pieces, left = [], rows
        for batch in self._pending:
            piece = batch[column.name][:left]
            pieces.append(piece)
            left -= len(piece)
            if left <= 0:
                break
        return np.concatenate([np.empty(0, DTYPES[column.kind]), *pieces])

    def _drop(self, rows: int) -> None:
        self._pending_rows -= rows
        while rows:
            batch = self._pending.popleft()
            size = len(next(iter(batch.values())))
            if size > rows:
                self._pending.appendleft({k: v[rows:] for k, v in batch.items()})
            rows -= min(size, rows)

    def _write(self, name: str, rows: int, make: Callable[[], Batch]) -> PartRecord:
        batch = make()
        self._check(rows, batch)
        columns: Batch = {
            c.name: np.ascontiguousarray(batch[c.name], dtype=DTYPES[c.kind])
            for c in self._table.columns
        }
        sink = pa.BufferOutputStream()
        write_parquet(self._arrow(rows, columns), self._table, sink)
        leaves = tuple(leaf(columns[c.name]) for c in self._table.columns)
        data = sink.getvalue()
        # Hashed while in memory: nothing is read back to be sealed.
        sha = hashlib.sha256(data).hexdigest()
        (self._folder / name).write_bytes(data)
        return PartRecord(name, rows, data.size, sha, leaves)

    def _arrow(self, rows: int, columns: Batch) -> pa.Table:
        arrays = [self._array(c, columns[c.name]) for c in self._table.columns]
        if self._table.identity:
            zeros = pa.array(np.zeros(rows, dtype=np.int8))
            arrays.append(pa.array(np.full(rows, self._identity.seed, dtype=np.int64)))
            arrays += [
                pa.DictionaryArray.from_arrays(zeros, pa.array([value]))
                for value in (self._identity.manifest_fingerprint, self._identity.parameter_hash)
            ]
        return pa.Table.from_arrays(arrays, schema=self._table.schema)

    def _array(self, column: Column, values: NDArray[np.generic]) -> pa.Array:
        if column.kind is Kind.CODE:
            codes = self._codes[column.name]
            if values.size and values.max() >= len(codes):
                raise self._broken(f"{column.name} holds code {values.max()} of {len(codes)}")
            return pa.DictionaryArray.from_arrays(
                pa.array(values.view(np.int8)), pa.array(codes, pa.string())
            )
        if column.kind is Kind.REAL:
            if not np.isfinite(values).all():
                raise self._broken(f"{column.name} holds a value that is not finite")
            return pa.array(values)
        least = values.min() if values.size else 1
        if least < 0 or (least == 0 and column.name.endswith("_id") and not column.nullable):
            raise self._broken(f"{column.name} holds {least}")
        if column.nullable and least == 0:
            return pa.array(values, mask=values == 0)
        return pa.array(values)

    def _broken(self, what: str) -> InternalError:
        table = self._table.name.removesuffix("_6A").upper()
        return InternalError(
            f"6A.{self._table.state}.{table}_SCHEMA_OR_KEY_INVALID",
            what,
            where=self._table.name,
            remedy="report this; nothing was published",
        )


def write_parquet(data: pa.Table, table: Table, sink: pa.NativeFile) -> None:
    """Encode `data` with the settings every dataset shares; same rows, same bytes.

    Codes and the constant seed are dictionaries. Ids and counts are delta-encoded: sorted
    ids shrink to bits, and ids in random order still take the width of their range instead
    of eight bytes, in half the time zstd needs for plain values. Statistics are kept where
    a reader can skip by them. The identity is one value a column and not compressed: so a
    part gets another one by replacing its bytes (`store/restamp.py`).
    """
    integers = [c.name for c in table.columns if c.kind is Kind.INT]
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
    return column.kind is Kind.CODE or column.name == "seed"


def write_all(writer: DatasetWriter, batches: Iterable[Batch]) -> DatasetRecord:
    """Append every batch, then close."""
    for batch in batches:
        writer.append(batch)
    return writer.close()
