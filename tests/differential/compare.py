"""Where two sets of tables part: the first table, column and row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fraudworld.contracts import TABLES, Table

Tables = Mapping[str, Mapping[str, ArrayLike]]


def first_difference(
    published: Tables, reference: Tables, tables: Sequence[Table] = TABLES
) -> str | None:
    """The first difference in words; None where every value is the same.

    Tables in the order of `tables`; in a table the earliest row, in a row the first column.
    """
    for table in (t for t in tables if t.name in {*published, *reference}):
        if table.name not in published or table.name not in reference:
            who = "published" if table.name in published else "reference"
            return f"{table.name}: only the {who} has it"
        columns = [c.name for c in table.columns]
        found = [
            at
            for at in (_first(published[table.name], reference[table.name], c) for c in columns)
            if at is not None
        ]
        if found:
            row, column = min(found, key=lambda f: (f[0], columns.index(f[1])))
            said = [_shown(side[table.name][column], row) for side in (published, reference)]
            return f"{table.name}.{column}, row {row}: published {said[0]}, reference {said[1]}"
    return None


def _first(
    published: Mapping[str, ArrayLike], reference: Mapping[str, ArrayLike], column: str
) -> tuple[int, str] | None:
    one, other = (np.asarray(side[column]) for side in (published, reference))
    both = min(one.size, other.size)
    different = np.flatnonzero(one[:both] != other[:both])
    if different.size:
        return int(different[0]), column
    return None if one.size == other.size else (both, column)


def _shown(values: ArrayLike | Sequence[float], row: int) -> str:
    found = np.asarray(values)
    return str(found[row]) if row < found.size else f"ends after {found.size} rows"
