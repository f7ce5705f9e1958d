"""Reads a published dataset into plain columns, and its digest from its values."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.machine import let_through
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
    text_leaf,
)
from fraudworld.store.folder import LARGEST_FILE, MOST_COLUMNS

Codes = Mapping[str, Sequence[str]]
PARTS = "part-*.parquet"
MOST_GROUPS = 1024
"""Row groups of a part. A published part has one; copies that other tools wrote may have more."""

VALUE_BYTES, TEXT_BYTES, SLACK_BYTES = 16, 256, 2 << 20
"""Bytes of a decompressed column chunk: per row, per row of a text, and beyond them. Values of
other kinds have at most eight bytes; another tool's writer may add a dictionary of as many values,
of 1 MiB by default."""


def open_part(
    path: Path, table: Table, codes: Sequence[str] = (), *, state: str = "S5"
) -> pq.ParquetFile:
    """Opens one part of a dataset, without decoding a row.

    A small file may unpack to any size, and a footer may state any number of rows. codes: columns
    to read as dictionaries. state: of the error code. Raises InputError
    `6A.<state>.<TABLE>_SCHEMA_OR_KEY_INVALID` for anything but a regular Parquet file of at most
    `PART_ROWS` rows whose column chunks unpack to what these rows can take.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _unopened(table, "is not Parquet", f"{path.name} is no regular file", path, state)
        if status.st_size > LARGEST_FILE:
            why = f"{path.name} has {status.st_size} bytes, {LARGEST_FILE} at most"
            raise _unopened(table, "is too large", why, path, state)
        file = pq.ParquetFile(path, read_dictionary=list(codes))
    except (OSError, pa.ArrowException) as error:
        let_through(error)
        raise _unopened(table, "is not Parquet", f"{path.name}: {error}", path, state) from error
    why = _beyond(file.metadata, table)
    if why:
        file.close()
        raise _unopened(table, "is too large", f"{path.name} {why}", path, state)
    return file


def bounded_parts(folder: Path, table: Table) -> list[Path]:
    """The parts of a dataset below `folder`, in order, each of them opened once.

    For readers that open the files themselves, as DuckDB does. Raises InputError
    `6A.S5.<TABLE>_SCHEMA_OR_KEY_INVALID` where there is none, or where `open_part` refuses one.
    """
    files = sorted(folder.rglob(PARTS))
    if not files:
        raise _invalid(table.name, "it is missing", folder)
    for path in files:
        open_part(path, table).close()
    return files


def _beyond(footer: pq.FileMetaData, table: Table) -> str:
    """Which bound of a part a footer exceeds; an empty string where it keeps to all."""
    texts = {c.name for c in table.columns if c.kind is Kind.TEXT}
    if footer.num_columns > MOST_COLUMNS:
        return f"has {footer.num_columns} columns, {MOST_COLUMNS} at most"
    if footer.num_row_groups > MOST_GROUPS:
        return f"has {footer.num_row_groups} row groups, {MOST_GROUPS} at most"
    groups = [footer.row_group(at) for at in range(footer.num_row_groups)]
    rows = [group.num_rows for group in groups]
    if sum(rows) != footer.num_rows or min(rows, default=0) < 0 or footer.num_rows > PART_ROWS:
        return f"has {footer.num_rows} rows in groups of {rows[:3]}, {PART_ROWS} at most"
    for group in groups:
        for i in range(group.num_columns):
            chunk = group.column(i)
            value = TEXT_BYTES if chunk.path_in_schema in texts else VALUE_BYTES
            most = value * group.num_rows + SLACK_BYTES
            if not 0 <= chunk.total_uncompressed_size <= most or chunk.num_values > group.num_rows:
                return (
                    f"unpacks {chunk.path_in_schema} to {chunk.num_values} values in "
                    f"{chunk.total_uncompressed_size} bytes, {group.num_rows} in {most} at most"
                )
    return ""


def _unopened(table: Table, what: str, why: str, path: Path, state: str) -> InputError:
    return InputError(
        f"6A.{state}.{table.name.removesuffix('_6A').upper()}_SCHEMA_OR_KEY_INVALID",
        f"{table.name} has a part that {what}: {why}",
        where=str(path),
        remedy="read a run as it was published; generate it again",
    )


def parts(folder: Path) -> list[Path]:
    """The parts of a dataset below `folder`, in order.

    Raises InputError `6A.S5.DATASET_SCHEMA_OR_KEY_INVALID` where there is none.
    """
    files = sorted(folder.rglob(PARTS))
    if not files:
        raise _invalid("dataset", "it has no part", folder)
    return files


def read_columns(
    folder: Path, table: Table, names: Sequence[str], codes: Codes
) -> dict[str, NDArray[np.generic]]:
    """Columns of a dataset: ids and counts as int64 (null = 0), codes as u8 positions.

    `codes` maps the code columns among `names` to their lists. Raises InputError for a
    missing column, a null in a required column, or a code outside its list.
    """
    read = [block for path in parts(folder) for block in blocks(path, table, names, codes)]
    return {name: np.concatenate([block[name] for block in read]) for name in names}


def recompute_digest(folder: Path, table: Table, codes: Codes) -> str:
    """The content digest of a dataset, from its Parquet values, for any number of parts.

    Holds one block and one row group at a time.
    """
    names = [c.name for c in table.columns]
    leaves: list[list[str]] = []
    waiting: dict[str, list[Any]] = {name: [] for name in names}
    rows = 0

    def close_block() -> None:
        leaves.append([_leaf(c, waiting[c.name]) for c in table.columns])
        for pieces in waiting.values():
            pieces.clear()

    for path in parts(folder):
        for block in blocks(path, table, names, codes):
            low, high = 0, len(block[names[0]])
            while low < high:
                step = min(high - low, PART_ROWS - rows % PART_ROWS)
                for name in names:
                    waiting[name].append(block[name][low : low + step])
                low += step
                rows += step
                if rows % PART_ROWS == 0:
                    close_block()
    if rows % PART_ROWS:
        close_block()
    elif not rows:
        leaves.append([_leaf(c, [_nothing(c)]) for c in table.columns])
    lists = {c.name: tuple(codes[c.name]) for c in table.columns if c.kind in LISTED}
    return content_digest(table, rows, leaves, lists)


def _leaf(column: Column, pieces: Sequence[Any]) -> str:
    """The leaf of a block of one column, from its canonical values."""
    if column.kind is Kind.TEXT:
        return text_leaf(pa.concat_arrays(pieces))
    joined = np.concatenate(pieces)
    return leaf(joined) if column.kind is Kind.INT else bytes_leaf(joined)


def _nothing(column: Column) -> Any:
    """No canonical values."""
    if column.kind is Kind.TEXT:
        return pa.array([], pa.string())
    return np.empty(0, DTYPES[column.kind])


def blocks(
    path: Path, table: Table, names: Sequence[str], codes: Codes
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Canonical values of one part, a row group at a time; an empty part is one empty block."""
    columns = [c for c in table.columns if c.name in set(names)]
    codes_of = [c.name for c in columns if c.kind in LISTED]
    with open_part(path, table, codes_of) as file:
        try:
            missing = {c.name for c in columns} - set(file.schema_arrow.names)
            if missing:
                raise _invalid(table.name, f"column {min(missing)} is missing", path)
            for group in range(file.num_row_groups):
                data = file.read_row_group(group, columns=[c.name for c in columns])
                yield {c.name: _canonical(c, data[c.name], codes, table, path) for c in columns}
        except (OSError, pa.ArrowException, IndexError) as error:
            let_through(error)
            raise _invalid(table.name, f"not a readable Parquet file: {error}", path) from error
        if not file.num_row_groups:
            yield {c.name: _nothing(c) for c in columns}


_TYPES = {
    Kind.INT: pa.types.is_int64,
    Kind.REAL: pa.types.is_float64,
    Kind.CODE: lambda kind: pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type),
    Kind.WORD: lambda kind: pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type),
    Kind.DATE: pa.types.is_date32,
    Kind.MOMENT: lambda kind: kind == pa.timestamp("ms", tz="UTC"),
    Kind.TEXT: pa.types.is_string,
    Kind.FLAG: pa.types.is_boolean,
}
"""The Arrow type a column of each kind is read as."""


def _canonical(
    column: Column, values: pa.ChunkedArray, codes: Codes, table: Table, path: Path
) -> NDArray[np.generic]:
    if not _TYPES[column.kind](values.type):
        raise _invalid(table.name, f"{column.name} is {values.type}, not {column.kind}", path)
    if values.null_count and not column.nullable:
        raise _invalid(table.name, f"{column.name} holds a null", path)
    if column.kind is Kind.TEXT:
        return values.combine_chunks()  # type: ignore[no-any-return]
    if column.kind in LISTED:
        return _positions(column, values, codes[column.name], table, path)
    if column.kind is Kind.REAL:
        return np.asarray(values.to_numpy(), dtype=np.float64)
    if column.kind is Kind.FLAG:
        return np.asarray(values.to_numpy(), dtype=np.uint8)
    if column.kind in (Kind.DATE, Kind.MOMENT):
        plain = values.cast(pa.int32()) if column.kind is Kind.DATE else values
        plain = pc.fill_null(plain.cast(pa.int64()), NO_TIME)
        return np.asarray(plain.to_numpy(), dtype=np.int64)
    if column.nullable:
        if pc.any(pc.equal(values, 0)).as_py():
            raise _invalid(table.name, f"{column.name} holds 0, which is not an id", path)
        values = pc.fill_null(values, 0)
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _positions(
    column: Column, values: pa.ChunkedArray, codes: Sequence[str], table: Table, path: Path
) -> NDArray[np.generic]:
    known = pa.array(list(codes), pa.string())
    kind, absent = DTYPES[column.kind], NO_CODE if column.kind is Kind.CODE else NO_WORD
    pieces = [np.empty(0, kind)]
    for chunk in values.chunks:
        place = pc.index_in(chunk.dictionary.cast(pa.string()), value_set=known)
        if place.null_count:
            raise InputError(
                "6A.S5.TAXONOMY_COMPATIBILITY_FAILED",
                f"{table.name}.{column.name} holds a value outside its taxonomy",
                where=str(path),
                remedy="the table was changed after publishing, or the policy is not the run's",
            )
        if chunk.null_count:
            places = np.append(place.to_numpy(zero_copy_only=False).astype(kind), kind.type(absent))
            at = pc.fill_null(chunk.indices, len(place)).to_numpy()
            pieces.append(places[at])
        else:
            pieces.append(place.to_numpy().astype(kind)[chunk.indices.to_numpy()])
    return np.concatenate(pieces)


def _invalid(table: str, what: str, path: Path) -> InputError:
    return InputError(
        f"6A.S5.{table.removesuffix('_6A').upper()}_SCHEMA_OR_KEY_INVALID",
        f"{table}: {what}",
        where=str(path),
        remedy="generate the run again; a published dataset is never partial",
    )
