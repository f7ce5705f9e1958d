"""Writing a dataset: batches in published order → Parquet parts and a content digest.

The content digest is a function of values alone. Law, for independent verifiers: every
column is cut into blocks of 1 048 576 rows in published order; a block's leaf is the
SHA-256 of its canonical values (ids, counts: int64 little-endian, null = 0; codes: u8
position in the column's sorted code list; reals: float64 little-endian); a column's digest
is the SHA-256 over its leaves in order; the content digest is the SHA-256 of the canonical
JSON {table, rows, columns: [{name, kind, codes, digest}]}, identity columns left out.

A part holds exactly one block, so bytes do not depend on how a stage cut its batches.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

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
"""Parts being encoded at once, over all datasets: what bounds the writer's memory."""

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
    """Collects batches of one dataset and writes its parts on a shared pool.

    `codes` maps each code column to its list. Batches must come in published order, from
    one thread; parts are converted, hashed and encoded on the pool.
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
        self._pending: list[Batch] = []
        self._pending_rows = 0
        self._futures: deque[Future[PartRecord]] = deque()
        self._parts: list[PartRecord] = []
        self._count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, batch: Batch) -> None:
        """Take the next rows: int64 ids and counts (0 = null), u8 codes, float64 reals."""
        names = [c.name for c in self._table.columns]
        if sorted(batch) != sorted(names):
            raise InternalError(
                f"6A.{self._table.state}.SCHEMA_OR_KEY_INVALID",
                f"a batch has columns {sorted(batch)}, the contract {sorted(names)}",
                where=self._table.name,
                remedy="report this; nothing was published",
            )
        self._pending.append(batch)
        self._pending_rows += len(batch[names[0]])
        while self._pending_rows >= PART_ROWS:
            self._submit(PART_ROWS)

    def close(self) -> DatasetRecord:
        """Write what is left and return the record; an empty dataset gets one empty part."""
        if self._pending_rows or not self._count:
            self._submit(self._pending_rows)
        while self._futures:
            self._parts.append(self._futures.popleft().result())
        rows = sum(p.rows for p in self._parts)
        digest = content_digest(self._table, rows, [p.leaves for p in self._parts], self._codes)
        return DatasetRecord(self._table.name, rows, tuple(self._parts), digest)

    def _submit(self, rows: int) -> None:
        columns = {c.name: self._take(c, rows) for c in self._table.columns}
        self._drop(rows)
        while len(self._futures) >= IN_FLIGHT:
            self._parts.append(self._futures.popleft().result())
        name = part_name(self._count)
        self._count += 1
        self._futures.append(self._pool.submit(self._write, name, rows, columns))

    def _take(self, column: Column, rows: int) -> NDArray[np.generic]:
        """The next `rows` values of a column, as one array."""
        pieces, left = [], rows
        for batch in self._pending:
            piece = batch[column.name][:left]
            pieces.append(piece)
            left -= len(piece)
            if left <= 0:
                break
        dtype = {Kind.INT: np.int64, Kind.CODE: np.uint8, Kind.REAL: np.float64}[column.kind]
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.empty(0)])
        return np.ascontiguousarray(whole, dtype=dtype)

    def _drop(self, rows: int) -> None:
        self._pending_rows -= rows
        while rows:
            size = len(next(iter(self._pending[0].values())))
            if size <= rows:
                self._pending.pop(0)
                rows -= size
            else:
                self._pending[0] = {k: v[rows:] for k, v in self._pending[0].items()}
                rows = 0

    def _write(self, name: str, rows: int, columns: Batch) -> PartRecord:
        leaves = tuple(hashlib.sha256(columns[c.name]).hexdigest() for c in self._table.columns)
        sink = pa.BufferOutputStream()
        write_parquet(self._arrow(rows, columns), self._table, sink)
        data = sink.getvalue()
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
            if values.size and int(values.max()) >= len(codes):
                raise self._broken(column, f"code {int(values.max())} of {len(codes)}")
            return pa.DictionaryArray.from_arrays(pa.array(values.view(np.int8)), pa.array(codes))
        if column.nullable:
            null = values == 0
            return pa.array(values, mask=null) if null.any() else pa.array(values)
        if column.name.endswith("_id") and column.kind is Kind.INT and (values <= 0).any():
            raise self._broken(column, "an id below 1")
        return pa.array(values)

    def _broken(self, column: Column, what: str) -> InternalError:
        return InternalError(
            f"6A.{self._table.state}.SCHEMA_OR_KEY_INVALID",
            f"column {column.name} holds {what}",
            where=self._table.name,
            remedy="report this; nothing was published",
        )


def write_parquet(data: pa.Table, table: Table, sink: pa.NativeFile) -> None:
    """Encode with the settings every dataset shares.

    Codes and the constant seed are dictionaries; integers are delta-encoded; zstd level 1.
    """
    dictionaries = [c.name for c in table.all_columns if c.kind is Kind.CODE or c.name == "seed"]
    encodings = {
        c.name: "DELTA_BINARY_PACKED"
        for c in table.columns
        if c.kind is Kind.INT
    }
    pq.write_table(
        data,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=dictionaries,
        column_encoding=encodings,
        write_statistics=[c.name for c in table.columns if c.kind is Kind.INT],
        store_schema=False,
        row_group_size=PART_ROWS,
    )


def write_all(writer: DatasetWriter, batches: Iterable[Batch]) -> DatasetRecord:
    """Append every batch, then close."""
    for batch in batches:
        writer.append(batch)
    return writer.close()
