"""The content digest: a function of a dataset's values alone.

Law, for independent verifiers: every column is cut into blocks of 1 048 576 rows in published
order; a block's leaf is the SHA-256 of its canonical values (ids, counts: unsigned
little-endian in the narrowest of 1, 2, 4 or 8 bytes that holds the block's largest, null = 0;
codes: u8 position in the column's sorted code list, null = 255; words: int32 position, null = −1;
days and milliseconds: int64, null = −2^63; flags: u8; reals: float64; all little-endian; texts: the
int32 lengths in bytes of all values, null = −1, then their UTF-8 bytes); a column's digest is the
SHA-256 over its leaves in order; the content digest is the SHA-256 of the canonical JSON {table,
rows, columns: [{name, kind, codes, digest}]}, identity columns left out.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudworld.contracts import Kind, Table
from fraudworld.documents import canonical_json
from fraudworld.store import narrow

PART_ROWS = 1 << 20
"""Rows of a block, and of a part."""

DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.INT: np.dtype(np.int64),
    Kind.CODE: np.dtype(np.uint8),
    Kind.REAL: np.dtype(np.float64),
    Kind.DATE: np.dtype(np.int64),
    Kind.MOMENT: np.dtype(np.int64),
    Kind.WORD: np.dtype(np.int32),
    Kind.FLAG: np.dtype(np.uint8),
}
"""Type of a column's canonical values; texts stay Arrow arrays of strings."""

NO_TIME = -(2**63)
"""Null among days and milliseconds."""

NO_CODE = 255
"""Null among codes."""

NO_WORD = -1
"""Null among words."""

LISTED = (Kind.CODE, Kind.WORD)
"""Kinds whose values are positions in a list."""


def bytes_leaf(values: NDArray[np.generic]) -> str:
    """The leaf of a block whose canonical values are hashed as they are, hex."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def text_leaf(values: pa.StringArray) -> str:
    """The leaf of one block of texts, hex."""
    lengths = pc.fill_null(pc.binary_length(values), -1).cast(pa.int32())
    # Concatenation drops what a slice, or a null, leaves in the buffers.
    joined = pc.binary_join(
        pa.ListArray.from_arrays([0, len(values)], pc.fill_null(values, "")), ""
    )
    digest = hashlib.sha256(np.asarray(lengths).data)
    digest.update(joined.buffers()[2] or b"")
    return digest.hexdigest()


def leaf(values: NDArray[np.generic]) -> str:
    """The leaf of one block of canonical values, hex; ids and counts are int64 ≥ 0."""
    if values.dtype == DTYPES[Kind.INT]:
        return narrowed(values)[2]
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def narrowed(values: NDArray[Any]) -> tuple[int, NDArray[Any], str]:
    """Smallest value, canonical values and leaf of a block of ids or counts (int64).

    The last two are defined for values ≥ 0 only. The values lie in a buffer that the next block
    of this thread overwrites.
    """
    if values.size == 0:
        return 0, values.astype(np.uint8), hashlib.sha256().hexdigest()
    # Narrow first: hashing costs more than any other operation per value.
    halves = _ROOM.halves(values.size)
    least, most, even = narrow.halved(values, halves)
    width = np.min_scalar_type(most)
    data = values if width.itemsize == 8 else halves.astype(width, copy=False)
    known = (int(values[0]), int(values[:2][-1]), values.size)
    digest = _EVEN.get(known) if even else None
    if digest is None:
        digest = hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()
        if even:
            _EVEN[known] = digest
    return int(least), data, digest


_EVEN: dict[tuple[int, int, int], str] = {}
"""Leaves of arithmetic progressions, by first value, second value and length: ids that count up and
columns of nulls occur in many tables, and are hashed once per process."""


class _Room(threading.local):
    """A buffer that every block of a thread uses."""

    def __init__(self) -> None:
        self._halves = np.empty(0, dtype=np.uint32)

    def halves(self, n: int) -> NDArray[np.uint32]:
        if self._halves.size < n:
            self._halves = np.empty(max(n, PART_ROWS), dtype=np.uint32)
        return self._halves[:n]


_ROOM = _Room()


def content_digest(
    table: Table, rows: int, leaves: Sequence[Sequence[str]], codes: Mapping[str, Sequence[str]]
) -> str:
    """The content digest, from the leaves of every part (part-major)."""
    columns = []
    for i, column in enumerate(table.columns):
        joined = hashlib.sha256(b"".join(bytes.fromhex(part[i]) for part in leaves))
        columns.append(
            {
                "name": column.name,
                "kind": column.kind.value,
                "codes": list(codes[column.name]) if column.kind in LISTED else None,
                "digest": joined.hexdigest(),
            }
        )
    document = {"table": table.name, "rows": rows, "columns": columns}
    return hashlib.sha256(canonical_json(document)).hexdigest()
