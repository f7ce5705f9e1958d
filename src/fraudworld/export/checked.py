"""The rows of an export: a world whose strings are codes or names and whose numbers are numbers.

What a spreadsheet, an importer or a shell would execute is refused here, once for all formats: no
string begins a formula, ends a line or closes a double quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudworld.api import World
from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.contracts.profiles import PROFILES_BY_NAME
from fraudworld.errors import InputError
from fraudworld.machine import let_through
from fraudworld.store.sql import identifier, quoted

if TYPE_CHECKING:
    import duckdb

CODE = "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
"""The form of every published code, as policies must have them."""

NAME = r"\+[0-9]{4,15}|['‘’]?[\p{L}\p{N}][\p{L}\p{M}\p{N}\x{200C}\x{200D} '‘’`–/&,.()@+:_-]*"
"""The form of names, addresses and identifiers of layer 6P, which are also at most `LONGEST` long.

A phone number, or a letter or digit, perhaps after an apostrophe, then letters, marks, digits,
joiners of Indic and Arabic scripts, spaces and a few signs. No control or bidirectional character,
double quote, backslash, `=`, `$`, `;`, `<` or `>`. The length is no part of it: RE2 is slow where
a class of many ranges is counted.
"""

LONGEST = 160
"""Characters of a name at most."""

TYPES = {
    Kind.INT: "BIGINT",
    Kind.CODE: "VARCHAR",
    Kind.REAL: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.MOMENT: "TIMESTAMP WITH TIME ZONE",
    Kind.WORD: "VARCHAR",
    Kind.TEXT: "VARCHAR",
    Kind.FLAG: "BOOLEAN",
}
"""Type of a column of each kind, as DuckDB reads it."""

FORMS = {Kind.CODE: ("code", CODE), Kind.WORD: ("name", NAME), Kind.TEXT: ("name", NAME)}
"""What a string of each kind must be, and its form."""


def source(world: World, tables: Sequence[Table] = TABLES) -> duckdb.DuckDBPyConnection:
    """A connection with a view of every dataset of a world, all of `tables` checked.

    Raises InputError `6A.CLI.EXPORT_SOURCE_INVALID` for a dataset or column that is missing, of
    another type, or holds a string that is no code or name.
    """
    import duckdb

    profiled = any(t.name in PROFILES_BY_NAME for t in tables)
    try:
        connection = world.duckdb(profiles=profiled)
        for table in tables:
            _check(connection, table)
    except duckdb.Error as error:
        let_through(error)
        raise _invalid(str(world.root), f"it cannot be read: {error}") from error
    return connection


def _check(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Raises InputError unless the dataset has the contract's columns, and strings of its forms."""
    known = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table.name]
    ).fetchall()
    types = dict(known)
    for column in table.columns:
        where = f"{table.name}.{column.name}"
        if types.get(column.name) != TYPES[column.kind]:
            raise _invalid(where, f"it is {types.get(column.name, 'missing')}")
        if column.kind in FORMS:
            what, form = FORMS[column.kind]
            name, rows = identifier(column.name), identifier(table.name)
            if column.kind is not Kind.TEXT:  # most texts occur once
                rows = f"(SELECT DISTINCT {name} FROM {rows})"
            row = connection.execute(
                f"SELECT {name} FROM {rows}"
                f" WHERE length({name}) > {LONGEST}"
                f" OR NOT regexp_full_match({name}, {quoted(form)}) LIMIT 1"
            ).fetchone()
            if row is not None:
                raise _invalid(where, f"it holds {row[0][:60]!r}, which is no {what}")


def _invalid(where: str, what: str) -> InputError:
    return InputError(
        "6A.CLI.EXPORT_SOURCE_INVALID",
        f"the run is not as the contract says: {what}",
        where=where,
        remedy="`fraudworld verify` shows what is wrong; export a run that it accepts",
    )
