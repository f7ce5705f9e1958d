"""Reads a published dataset into plain columns, and its digest from its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.store.content import DTYPES, PART_ROWS, content_digest, leaf

Codes = Mapping[str, Sequence[str]]


def parts(folder: Path) -> list[Path]:
    """The parts of a dataset below `folder`, in order.

    Raises InputError `6A.S5.DATASET_SCHEMA_OR_KEY_INVALID` where there is none.
    """
    files = sorted(folder.rglob("part-*.parquet"))
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
    waiting: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    rows = 0

    def close_block() -> None:
        leaves.append([leaf(np.concatenate(waiting[name])) for name in names])
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
        leaves.append([leaf(np.empty(0, DTYPES[c.kind])) for c in table.columns])
    lists = {c.name: tuple(codes[c.name]) for c in table.columns if c.kind is Kind.CODE}
    return content_digest(table, rows, leaves, lists)


def blocks(
    path: Path, table: Table, names: Sequence[str], codes: Codes
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Canonical values of one part, a row group at a time; an empty part is one empty block."""
    columns = [c for c in table.columns if c.name in set(names)]
    try:
        with pq.ParquetFile(
            path, read_dictionary=[c.name for c in columns if c.kind is Kind.CODE]
        ) as file:
            missing = {c.name for c in columns} - set(file.schema_arrow.names)
            if missing:
                raise _invalid(table.name, f"column {min(missing)} is missing", path)
            for group in range(file.num_row_groups):
                data = file.read_row_group(group, columns=[c.name for c in columns])
                yield {c.name: _canonical(c, data[c.name], codes, table, path) for c in columns}
            if not file.num_row_groups:
                yield {c.name: np.empty(0, DTYPES[c.kind]) for c in columns}
    except pa.ArrowInvalid as error:
        raise _invalid(table.name, f"not a readable Parquet file: {error}", path) from error


def _canonical(
    column: Column, values: pa.ChunkedArray, codes: Codes, table: Table, path: Path
) -> NDArray[np.generic]:
    if values.null_count and not column.nullable:
        raise _invalid(table.name, f"{column.name} holds a null", path)
    if column.kind is Kind.CODE:
        return _positions(column, values, codes[column.name], table, path)
    if column.kind is Kind.REAL:
        return np.asarray(values.to_numpy(), dtype=np.float64)
    if column.nullable:
        if pc.any(pc.equal(values, 0)).as_py():
            raise _invalid(table.name, f"{column.name} holds 0, which is not an id", path)
        values = pc.fill_null(values, 0)
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _positions(
    column: Column, values: pa.ChunkedArray, codes: Sequence[str], table: Table, path: Path
) -> NDArray[np.generic]:
    known = pa.array(list(codes), pa.string())
    pieces = [np.empty(0, np.uint8)]
    for chunk in values.chunks:
        place = pc.index_in(chunk.dictionary.cast(pa.string()), value_set=known)
        if place.null_count:
            raise InputError(
                "6A.S5.TAXONOMY_COMPATIBILITY_FAILED",
                f"{table.name}.{column.name} holds a value outside its taxonomy",
                where=str(path),
                remedy="the table was changed after publishing, or the policy is not the run's",
            )
        pieces.append(place.to_numpy().astype(np.uint8)[chunk.indices.to_numpy()])
    return np.concatenate(pieces)


def _invalid(table: str, what: str, path: Path) -> InputError:
    return InputError(
        f"6A.S5.{table.removesuffix('_6A').upper()}_SCHEMA_OR_KEY_INVALID",
        f"{table}: {what}",
        where=str(path),
        remedy="generate the run again; a published dataset is never partial",
    )
