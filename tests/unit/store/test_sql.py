"""DuckDB connections print no progress bar."""

from __future__ import annotations

from fraudworld.store.sql import in_memory


def test_progress_bars_are_off() -> None:
    setting = in_memory().execute("select current_setting('enable_progress_bar')").fetchone()
    assert setting == (False,)
