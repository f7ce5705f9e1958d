"""DuckDB, as everything here opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def in_memory() -> duckdb.DuckDBPyConnection:
    """An in-memory connection that never writes a progress bar among a command's output."""
    import duckdb

    connection = duckdb.connect()
    # A notebook without widgets has it off already, and there even setting it off fails.
    (shown,) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() or ()
    if shown:
        connection.execute("SET enable_progress_bar = false")
    return connection
