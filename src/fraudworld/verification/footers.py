"""Footers of Parquet parts against the rows they describe.

Readers skip rows by what a footer says (minimum, maximum, nulls, Bloom filters, page indexes)
and never look whether it is true: a footer that lies makes `WHERE raw_role = 'MULE'` return
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudworld.contracts import Column, Kind, Table
from fraudworld.store.content import PART_ROWS
from fraudworld.store.reader import open_part

MAGIC, TAIL = 4, 8
"""Bytes of a part before its first column chunk, and after its footer."""


def lies(path: Path, table: Table) -> Iterator[str]:
    """What the footer of a part of a dataset says that its rows and bytes do not bear out."""
    kinds = {c.name: c for c in table.all_columns}
    with open_part(path, table, [c.name for c in table.all_columns]) as file:
        footer = file.metadata
        if footer.metadata is not None:
            yield "it carries key-value metadata"
        if footer.num_row_groups > 1 or footer.num_rows > PART_ROWS:
            yield f"it has {footer.num_rows} rows in {footer.num_row_groups} row groups"
            return
        chunks = 0
        for at in range(footer.num_row_groups):
            group = footer.row_group(at)
            for i in range(group.num_columns):
                chunk = group.column(i)
                chunks += chunk.total_compressed_size
                column = kinds.get(chunk.path_in_schema)
                if column is None:
                    yield f"it has a column {chunk.path_in_schema!r}"
                    return
                yield from _of_chunk(file, at, chunk, column)
        accounted = MAGIC + chunks + footer.serialized_size + TAIL
        if (size := path.stat().st_size) != accounted:
            yield f"{size - accounted} bytes belong to no column: an index or a filter, or padding"


def _of_chunk(
    file: pq.ParquetFile, at: int, chunk: pq.ColumnChunkMetaData, column: Column
) -> Iterator[str]:
    name = column.name
    if chunk.has_column_index or chunk.has_offset_index or chunk.bloom_filter_offset is not None:
        yield f"{name} has a page index or a Bloom filter"
    statistics = chunk.statistics
    if statistics is None:
        return
    values = file.read_row_group(at, columns=[name])[name]
    if statistics.has_null_count and statistics.null_count != values.null_count:
        yield f"{name}: {statistics.null_count} nulls stated, {values.null_count} found"
    if statistics.has_distinct_count:
        yield f"{name}: a number of distinct values is stated"
    if statistics.has_min_max:
        stated, found = (statistics.min, statistics.max), _ends(values, column)
        if stated != found:
            yield f"{name}: {stated[0]} to {stated[1]} stated, {found[0]} to {found[1]} found"


def _ends(values: pa.ChunkedArray, column: Column) -> tuple[object, object]:
    """Smallest and largest value of a column chunk; None where it has only nulls."""
    if column.kind is Kind.INT or not pa.types.is_dictionary(values.type):
        ends = pc.min_max(values)
        return ends["min"].as_py(), ends["max"].as_py()
    used = [
        chunk.dictionary.cast(pa.string()).to_pylist()[i]
        for chunk in values.chunks
        for i in np.unique(chunk.indices.drop_null().to_numpy()).tolist()
    ]
    return (min(used), max(used)) if used else (None, None)
