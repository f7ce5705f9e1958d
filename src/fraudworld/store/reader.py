"""Reading a published dataset back into plain columns, and its digest from its values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.store.tables import PART_ROWS, content_digest


def parts(folder: Path) -> list[Path]:
    """The parts of a dataset below `folder`, in order."""
    return sorted(folder.rglob("part-*.parquet"))


def read_columns(
    folder: Path, table: Table, names: Sequence[str], codes: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.generic]]:
    """Columns of a dataset: ids as int64 (null = 0), codes as u8 positions."""
    by_name = {c.name: c for c in table.columns}
    data = pa.concat_tables(pq.read_table(p, columns=list(names), partitioning=None) for p in parts(folder))
    return {n: canonical(by_name[n], data[n], codes.get(n, ()), table.name) for n in names}


def canonical(
    column: Column, values: pa.ChunkedArray, codes: Sequence[str], table: str
) -> NDArray[np.generic]:
    """A column's canonical values; raises InputError for a value outside the code list."""
    if column.kind is Kind.CODE:
        found = pc.index_in(values.cast(pa.string()), value_set=pa.array(list(codes), pa.string()))
        if found.null_count:
            raise InputError(
                "6A.S5.TAXONOMY_COMPATIBILITY_FAILED",
                f"{table}.{column.name} holds a value outside its taxonomy",
                where=table,
                remedy="the table was changed after publishing, or the policy is not the run's",
            )
        return found.to_numpy().astype(np.uint8)
    if column.kind is Kind.REAL:
        return np.asarray(values.to_numpy(), dtype=np.float64)
    return np.asarray(pc.fill_null(values, 0).to_numpy(), dtype=np.int64)


def recompute_digest(folder: Path, table: Table, codes: Mapping[str, Sequence[str]]) -> str:
    """The content digest from Parquet values alone, whatever the parts."""
    data = pa.concat_tables(pq.read_table(p, partitioning=None) for p in parts(folder))
    leaves = []
    for low in range(0, max(data.num_rows, 1), PART_ROWS):
        block = data.slice(low, PART_ROWS)
        leaves.append(
            [
                hashlib.sha256(
                    np.ascontiguousarray(canonical(c, block[c.name], codes.get(c.name, ()), table.name))
                ).hexdigest()
                for c in table.columns
            ]
        )
    lists = {c.name: tuple(codes[c.name]) for c in table.columns if c.kind is Kind.CODE}
    return content_digest(table, data.num_rows, leaves, lists)
