"""DuckDB connections, and the quoting of what is written into SQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


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


def parquet(folder: Path, pattern: str = "**/*.parquet") -> str:
    """The table of all files below a folder that match a pattern, for FROM.

    Characters of the folder's path that have a meaning in patterns match themselves.
    """
    literal = re.sub(r"[*?\[]", lambda found: f"[{found.group()}]", str(folder))
    return f"read_parquet({quoted(f'{literal}/{pattern}')}, hive_partitioning = false)"
