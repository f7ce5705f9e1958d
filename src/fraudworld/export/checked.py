"""The rows of an export: a world whose strings are codes and whose numbers are numbers.

What a spreadsheet, an importer or a shell would execute is refused here, once for all formats: a
code is a word, so no cell begins a formula, ends a line or closes a quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudworld.api import World
from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.errors import InputError
from fraudworld.machine import let_through
from fraudworld.store.sql import identifier, quoted

if TYPE_CHECKING:
    import duckdb

CODE = "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
"""The form of every published code, as policies must have them."""

TYPES = {Kind.INT: "BIGINT", Kind.CODE: "VARCHAR", Kind.REAL: "DOUBLE"}
"""Type of a column of each kind, as DuckDB reads it."""


def source(world: World, tables: Sequence[Table] = TABLES) -> duckdb.DuckDBPyConnection:
    """A connection with a view of every dataset of a world, all of `tables` checked.

    Raises InputError `6A.CLI.EXPORT_SOURCE_INVALID` for a dataset or column that is missing, of
    another type, or holds a string that is no code.
    """
    import duckdb

    try:
        connection = world.duckdb()
        for table in tables:
            _check(connection, table)
    except duckdb.Error as error:
        let_through(error)
        raise _invalid(str(world.root), f"it cannot be read: {error}") from error
    return connection


def _check(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Raises InputError unless the dataset has the contract's columns and codes."""
    known = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table.name]
    ).fetchall()
    types = dict(known)
    for column in table.columns:
        where = f"{table.name}.{column.name}"
        if types.get(column.name) != TYPES[column.kind]:
            raise _invalid(where, f"it is {types.get(column.name, 'missing')}")
        if column.kind is Kind.CODE:
            name = identifier(column.name)
            row = connection.execute(
                f"SELECT {name} FROM (SELECT DISTINCT {name} FROM {identifier(table.name)})"
                f" WHERE NOT regexp_full_match({name}, {quoted(CODE)}) LIMIT 1"
            ).fetchone()
            if row is not None:
                raise _invalid(where, f"it holds {row[0][:60]!r}, which is no code")


def _invalid(where: str, what: str) -> InputError:
    return InputError(
        "6A.CLI.EXPORT_SOURCE_INVALID",
        f"the run is not as the contract says: {what}",
        where=where,
        remedy="`fraudworld verify` shows what is wrong; export a run that it accepts",
    )
