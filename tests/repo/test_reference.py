"""The page of tables is the contract, not a description of it."""

from __future__ import annotations

from fraudworld.contracts.reference import page
from repo import repository as repo


def test_the_page_of_tables_is_current() -> None:
    written = (repo.ROOT / "docs/tables.md").read_text("utf-8")
    assert written == page(), "run: make docs"
