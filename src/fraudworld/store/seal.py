"""Sealing a run: the validation bundle index, the flag, and checking them again.

Order: S5 checks → gates T1–T8 → index → flag. The index lists every dataset part, the RNG
logs and all validation evidence. A run that fails is sealed by its index all the same,
without flag.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fraudworld.store.bundle import describe, index_document
from fraudworld.store.identity import canonical_json
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.tables import DatasetRecord

OUTSIDE = ("run_receipt.json", "run_index.json", "reports")
"""What the bundle does not cover; `run_index.json` does."""

BESIDE = "data/layer3/6B/"
"""A stream made over the run later, under a bundle of its own."""


def seal_run(
    place: RunPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Write index (and flag, if `passed`) of a staged run; returns the bundle digest."""
    return _produce(place).seal(folders, passed=passed)


def check_run(place: RunPlace) -> Sealed:
    """Check a published run against its own index, every byte of it.

    Raises RefusedError `6A.S5.OUTPUT_CONFLICT`.
    """
    return _produce(place).check()


def _produce(place: RunPlace) -> Produce:
    return Produce(
        place.root,
        place.bundle_index,
        place.flag,
        lambda: _covered(place),
        "6A.S5.OUTPUT_CONFLICT",
        "run",
        "move the folder away; a published run is never overwritten",
    )


def _covered(place: RunPlace) -> set[str]:
    """Everything but index, flag, OUTSIDE and BESIDE; links are listed, never followed."""
    own = {p.relative_to(place.root).as_posix() for p in (place.bundle_index, place.flag)}
    found = (
        path.relative_to(place.root).as_posix()
        for top in place.root.iterdir()
        if top.name not in OUTSIDE
        for path in (top, *top.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    )
    return {name for name in found if not name.startswith(BESIDE)} - own


def write_verifier(place: RunPlace) -> None:
    """`reports/verify.py`: a reviewer's own check of the run, that needs DuckDB and not us."""
    script = files("fraudworld.store") / "standalone" / "verify.py"
    place.reports.mkdir(parents=True, exist_ok=True)
    (place.reports / "verify.py").write_bytes(script.read_bytes())


def write_run_index(place: RunPlace) -> None:
    """`run_index.json`: size and SHA-256 of what the bundle does not cover."""
    place.run_index.write_bytes(canonical_json(run_index(place)) + b"\n")


def run_index(place: RunPlace) -> dict[str, Any]:
    """What `run_index.json` has to say of the receipt and reports that are there now."""
    outside = [place.receipt, *(p for p in place.reports.rglob("*") if p.is_file())]
    names = (p.relative_to(place.root).as_posix() for p in outside)
    return index_document(describe(place.root, names))
