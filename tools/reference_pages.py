"""Writes the pages of docs/ that are generated from code: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from fraudworld.contracts import reference as tables
from fraudworld.gates import reference as gates
from fraudworld.request import RunRequest
from fraudworld.rng import reference as streams
from fraudworld.run import pipeline

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Writes tables from the contract, streams and gates from their registries."""
    outcome = pipeline.run(RunRequest(profile="demo"))
    board = json.loads(outcome.place.gateboard.read_text("utf-8"))
    (DOCS / "tables.md").write_text(tables.page(), "utf-8")
    (DOCS / "profile-tables.md").write_text(tables.profiles_page(), "utf-8")
    (DOCS / "streams.md").write_text(streams.page(), "utf-8")
    (DOCS / "gate-reference.md").write_text(gates.page(board), "utf-8")


if __name__ == "__main__":
    main()
