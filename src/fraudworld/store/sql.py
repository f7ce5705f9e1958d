"""DuckDB connections, and the quoting of what is written into SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fraudworld.errors import InputError

if TYPE_CHECKING:
    import duckdb

WILDCARD = re.compile(r"[*?\[]")
"""Characters that make DuckDB read a path as a pattern."""


def in_memory() -> duckdb.DuckDBPyConnection:
    """An in-memory connection without a progress bar, which would mix with a command's output."""
    import duckdb

    connection = duckdb.connect()
    # In a notebook without widgets it is off already, and setting it raises.
    (shown,) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() or ()
    if shown:
        connection.execute("SET enable_progress_bar = false")
    return connection


def quoted(text: object) -> str:
    """A string literal: `'text'`, quotes doubled."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name: `"name"`, quotes doubled."""
    return '"' + name.replace('"', '""') + '"'


def parquet(files: Sequence[Path]) -> str:
    """The table of Parquet files, for FROM; every path means itself, whatever its characters.

    Raises InputError `6A.CLI.PATH_INVALID` for the one kind of path DuckDB cannot take literally.
    """
    listed = ", ".join(quoted(_literal(path)) for path in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _literal(path: Path) -> str:
    """A pattern that matches this path alone."""
    text = str(path)
    # In a pattern a backslash separates folders; in a path without wildcards it is a character.
    if "\\" in text and WILDCARD.search(text):
        raise InputError(
            "6A.CLI.PATH_INVALID",
            "a path with a backslash and one of * ? [ cannot be read by DuckDB",
            where=text,
            remedy="move or rename the folder",
        )
    return WILDCARD.sub(r"[\g<0>]", text)
