"""The floor: the cost of encoding a run's own tables again, and nothing else.

No generator that publishes these tables can be faster than their encoder. The floor reads
published parts into memory, untimed, and encodes them with the settings of `store/tables.py` on
as many threads as a run. Digests of values and hashes of bytes are timed separately: they are
required by this project, not by the format.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import TABLES, Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.store.content import DTYPES, LISTED, NO_TIME, NO_WORD, leaf, text_leaf
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from fraudworld.store.tables import write_parquet

THREADS = 2
GROUP_BYTES = 1 << 30
"""Arrow bytes in memory at once; bounds the floor's own memory."""


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Part:
    """A published part in memory, in the types its writer had; `sha256` is of its file."""

    table: Table
    data: pa.Table
    sha256: str


@dataclass(frozen=True)
class Pass:
    """One pass over the parts: wall seconds on all threads together, CPU-seconds of each."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Floor:
    """Cost of the three passes over a run, and whether the files were identical.

    `cpu_per_table` is the encoder's share of every table, in CPU-seconds.
    """

    rows: int
    bytes: int
    encode: Pass
    digest: Pass
    sha256: Pass
    cpu_per_table: dict[str, float]
    identical: bool


def measure(root: Path, threads: int = THREADS) -> Floor:
    """Encodes every table of the run at `root` again, in groups that fit into memory.

    In a group, parts of different tables share the threads, as in a run. Raises InputError
    `6A.PERF.DATASET_MISSING` where a dataset has no part.
    """
    place = RunPlace(root)
    identity = read_receipt(place).identity
    return of_datasets([(t, place.dataset(t.name, identity)) for t in TABLES], threads)


def of_datasets(datasets: Sequence[tuple[Table, Path]], threads: int = THREADS) -> Floor:
    """The floor of any published tables: each with the folder of its parts."""
    passes: dict[str, list[Pass]] = {"encode": [], "digest": [], "sha256": []}
    cpu = dict.fromkeys((table.name for table, _ in datasets), 0.0)
    rows = size = 0
    identical = True
    with ThreadPoolExecutor(threads) as pool:
        for parts in _groups(datasets):
            encoded, seconds, whole = _timed(pool, _encode, parts)
            passes["encode"].append(whole)
            for part, used in zip(parts, seconds, strict=True):
                cpu[part.table.name] += used
            hashes, _, whole = _timed(pool, _sha256, encoded)
            passes["sha256"].append(whole)
            columns = [_canonical(part) for part in parts]
            _, _, whole = _timed(pool, _leaves, columns)
            passes["digest"].append(whole)
            rows += sum(part.data.num_rows for part in parts)
            size += sum(data.size for data in encoded)
            identical &= hashes == [part.sha256 for part in parts]
    total = {name: _sum(each) for name, each in passes.items()}
    return Floor(
        rows, size, total["encode"], total["digest"], total["sha256"],
        {name: round(used, 4) for name, used in cpu.items()}, identical,
    )  # fmt: skip


def _groups(datasets: Sequence[tuple[Table, Path]]) -> Iterator[list[Part]]:
    """Parts in published order, as many at a time as `GROUP_BYTES` holds."""
    group: list[Part] = []
    held = 0
    for table, folder in datasets:
        for path in _files(table, folder):
            part = _read(table, path)
            if group and held + part.data.nbytes > GROUP_BYTES:
                yield group
                group, held = [], 0
            group.append(part)
            held += part.data.nbytes
    yield group


def _files(table: Table, folder: Path) -> list[Path]:
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        raise InputError(
            "6A.PERF.DATASET_MISSING",
            f"{table.name} has no part",
            where=str(folder),
            remedy="name the folder of a complete run",
        )
    return files


def _read(table: Table, path: Path) -> Part:
    """A part with the contract's own Arrow types: int8 codes into their whole dictionary."""
    raw = path.read_bytes()
    codes = [c.name for c in table.all_columns if c.kind in LISTED]
    read = pq.read_table(pa.BufferReader(raw), read_dictionary=codes).combine_chunks()
    arrays = [_as_written(c, read[c.name]) for c in table.all_columns]
    data = pa.Table.from_arrays(arrays, schema=table.schema)
    return Part(table, data, hashlib.sha256(raw).hexdigest())


def _as_written(column: Column, values: pa.ChunkedArray) -> pa.Array:
    array = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if column.kind not in LISTED:
        return array
    index = pa.int8() if column.kind is Kind.CODE else pa.int32()
    return pa.DictionaryArray.from_arrays(array.indices.cast(index), array.dictionary)


def _encode(part: Part) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    write_parquet(part.data, part.table, sink)
    return sink.getvalue()


def _sha256(data: pa.Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(part: Part) -> list[NDArray[np.generic] | pa.StringArray]:
    """The columns a content digest is taken over, as the writer has them."""
    return [_values(c, part.data[c.name].chunk(0)) for c in part.table.columns]


def _values(column: Column, values: pa.Array) -> NDArray[np.generic] | pa.StringArray:
    if column.kind is Kind.TEXT:
        return values
    if column.kind is Kind.DATE:
        values = values.cast(pa.int32())
    if column.kind in (Kind.DATE, Kind.MOMENT):
        values = values.cast(pa.int64())
    if column.kind in LISTED:
        values = values.indices
    absent = _ABSENT.get(column.kind, 0)
    filled = values.fill_null(absent) if values.null_count else values
    return np.asarray(filled.to_numpy(zero_copy_only=False)).astype(DTYPES[column.kind], copy=False)


_ABSENT = {Kind.CODE: -1, Kind.WORD: NO_WORD, Kind.DATE: NO_TIME, Kind.MOMENT: NO_TIME}
"""Null by kind; codes are bytes with a sign here."""


def _leaves(columns: list[NDArray[np.generic] | pa.StringArray]) -> list[str]:
    return [
        leaf(values) if isinstance(values, np.ndarray) else text_leaf(values) for values in columns
    ]


def _timed(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Sequence[T]
) -> tuple[list[R], list[float], Pass]:
    """Results in order, CPU-seconds of each item, and the whole pass."""

    def one(item: T) -> tuple[R, float]:
        start = time.thread_time()
        result = work(item)
        return result, time.thread_time() - start

    wall = time.perf_counter()
    done = list(pool.map(one, items))
    wall = time.perf_counter() - wall
    seconds = [used for _, used in done]
    return [result for result, _ in done], seconds, Pass(wall, sum(seconds))


def _sum(passes: Sequence[Pass]) -> Pass:
    return Pass(round(sum(p.wall_s for p in passes), 4), round(sum(p.cpu_s for p in passes), 4))
