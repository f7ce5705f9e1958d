"""Connections stay silent, however long a query takes."""

from __future__ import annotations

from fraudworld.store.sql import in_memory


def test_no_progress_bar_among_the_output() -> None:
    setting = in_memory().execute("select current_setting('enable_progress_bar')").fetchone()
    assert setting == (False,)
