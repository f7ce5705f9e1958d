"""DuckDB connections."""

from __future__ import annotations

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
