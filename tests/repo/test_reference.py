"""Generated reference pages equal what the code generates now."""

from __future__ import annotations

import json
from pathlib import Path

from fraudworld.contracts import reference as tables
from fraudworld.gates import reference as gates
from fraudworld.rng import reference as streams
from repo import repository as repo

BOARD = "data/layer3/6A/validation/realism_gate_6A.json"


def test_the_page_of_tables_is_current() -> None:
    written = (repo.ROOT / "docs/tables.md").read_text("utf-8")
    assert written == tables.page(), "run: make docs"


def test_the_page_of_tables_of_profiles_is_current() -> None:
    written = (repo.ROOT / "docs/profile-tables.md").read_text("utf-8")
    assert written == tables.profiles_page(), "run: make docs"


def test_the_page_of_streams_is_current() -> None:
    written = (repo.ROOT / "docs/streams.md").read_text("utf-8")
    assert written == streams.page(), "run: make docs"


def test_the_page_of_gates_is_current(demo_world: Path) -> None:
    board = json.loads((demo_world / BOARD).read_text("utf-8"))
    written = (repo.ROOT / "docs/gate-reference.md").read_text("utf-8")
    assert written == gates.page(board), "run: make docs"
