"""Exported files as tables of DuckDB, to compare with the datasets they are made of."""

from __future__ import annotations

from pathlib import Path

import duckdb

from fraudworld.contracts import Table
from fraudworld.export import checked


def read_csv(path: Path, table: Table) -> str:
    """A CSV for FROM, every cell of the contract's type."""
    types = {c.name: checked.TYPES[c.kind] for c in table.columns}
    return f"read_csv('{path}', header = true, columns = {types}, nullstr = '')"


def differing(
    sql: duckdb.DuckDBPyConnection, table: Table, rows: str, others: str
) -> list[tuple[object, ...]]:
    """Some of the rows of a dataset that two tables do not share; rows, others: for FROM."""
    columns = ", ".join(c.name for c in table.columns)
    one, other = f"SELECT {columns} FROM {rows}", f"SELECT {columns} FROM {others}"
    return sql.execute(
        f"(({one}) EXCEPT ALL ({other})) UNION ALL (({other}) EXCEPT ALL ({one})) LIMIT 3"
    ).fetchall()
