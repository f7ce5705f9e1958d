"""Published columns as arrays; values that could mislead the judge are refused.

Codes become uint8 positions in the policy's lists, ids stay int64 with 0 for null. An unexpected
null or NaN, another type, or a code outside the taxonomy is an InputError that names it; no value
is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudworld.contracts import Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.gates.tally import Array
from fraudworld.machine import let_through


def values_of(
    table: Table, column: Column, chunks: list[pa.Array], known: Sequence[str] | None
) -> Array:
    """Canonical values of a piece of a column; `known=None` accepts any code, returns nothing."""
    if not column.nullable and any(c.null_count for c in chunks):
        raise invalid(table, f"holds nulls in {column.name}, which must be filled")
    if column.kind is Kind.CODE:
        return _codes(table, column, chunks, known)
    kind, zero = (pa.int64(), 0) if column.kind is Kind.INT else (pa.float64(), np.nan)
    try:
        plain = [
            pc.fill_null(c, zero) if c.null_count else c for c in (x.cast(kind) for x in chunks)
        ]
    except pa.ArrowException as error:
        let_through(error)
        raise invalid(table, f"holds {chunks[0].type} in {column.name}: {error}") from error
    values = _joined([c.to_numpy() for c in plain], kind.to_pandas_dtype())
    if column.kind is Kind.REAL and not np.isfinite(values).all():
        raise invalid(table, f"holds NaN or an infinity in {column.name}")
    return values


def needs_check(column: Column, kind: pa.DataType, nullable: bool) -> bool:
    """Whether a column of this Parquet type could hold a value that is refused.

    Integers that Parquet declares as required cannot be null, and every integer is valid in a
    nullable column.
    """
    if column.kind is not Kind.INT:
        return True
    return not column.nullable and (nullable or not pa.types.is_integer(kind))


def invalid(table: Table, what: str) -> InputError:
    """The error of a table that cannot be judged."""
    name = table.name.removesuffix("_6A").upper()
    return InputError(
        f"6A.{table.state}.{name}_SCHEMA_OR_KEY_INVALID",
        f"{table.name} {what}",
        where=table.name,
        remedy="judge a run as it was published",
    )


def _codes(
    table: Table,
    column: Column,
    chunks: Iterable[pa.DictionaryArray],
    known: Sequence[str] | None,
) -> NDArray[np.uint8]:
    values: list[NDArray[np.uint8]] = []
    for chunk in chunks if known is not None else ():
        place = pc.index_in(chunk.dictionary.cast(pa.string()), pa.array(known, pa.string()))
        indices = chunk.indices.to_numpy()
        if place.null_count:
            strange = np.flatnonzero(place.is_null().to_numpy(zero_copy_only=False))
            used = strange[np.isin(strange, indices)]
            if used.size:
                raise InputError(
                    f"6A.{table.state}.TAXONOMY_COMPATIBILITY_FAILED",
                    f"{table.name}: {column.name} holds {chunk.dictionary[int(used[0])]},"
                    " which the taxonomy does not know",
                    where=table.name,
                    remedy="judge a run as it was published",
                )
        to = pc.fill_null(place, 0).to_numpy().astype(np.uint8)
        # In a published part the dictionary is the policy's list, in its order.
        same = np.array_equal(to, np.arange(to.size))
        values.append(indices.astype(np.uint8) if same else to[indices])
    return _joined(values, np.uint8)


def _joined(pieces: list[Array], kind: Any) -> Array:
    """One array; a single piece is not copied."""
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate([np.empty(0, kind), *pieces])
