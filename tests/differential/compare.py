"""The first difference between two sets of tables: table, column and row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fraudworld.contracts import TABLES, Table

Tables = Mapping[str, Mapping[str, ArrayLike]]


def first_difference(
    published: Tables, reference: Tables, tables: Sequence[Table] = TABLES
) -> str | None:
    """Describes the first difference; None where all values are equal.

    First in order of `tables`, then of rows, then of columns.
    """
    for table in (t for t in tables if t.name in {*published, *reference}):
        if table.name not in published or table.name not in reference:
            side_name = "published" if table.name in published else "reference"
            return f"{table.name}: only the {side_name} has it"
        columns = [c.name for c in table.columns]
        differences = [
            at
            for at in (_first(published[table.name], reference[table.name], c) for c in columns)
            if at is not None
        ]
        if differences:
            row, column = min(differences, key=lambda f: (f[0], columns.index(f[1])))
            shown = [_shown(side[table.name][column], row) for side in (published, reference)]
            return f"{table.name}.{column}, row {row}: published {shown[0]}, reference {shown[1]}"
    return None


def _first(
    published: Mapping[str, ArrayLike], reference: Mapping[str, ArrayLike], column: str
) -> tuple[int, str] | None:
    left, right = (np.asarray(side[column]) for side in (published, reference))
    shorter = min(left.size, right.size)
    different = np.flatnonzero(left[:shorter] != right[:shorter])
    if different.size:
        return int(different[0]), column
    return None if left.size == right.size else (shorter, column)


def _shown(values: ArrayLike | Sequence[float], row: int) -> str:
    array = np.asarray(values)
    return str(array[row]) if row < array.size else f"ends after {array.size} rows"
