"""The seal of a run: the validation bundle index, the flag, and their check.

Order: S5 checks → gates T1–T8 → index → flag. The index lists every dataset part, the RNG logs and
all validation evidence. A run that fails is sealed by its index too, without flag.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from fraudworld.documents import JsonObject, canonical_json, load_json
from fraudworld.errors import InputError
from fraudworld.store.atomic import write_atomic
from fraudworld.store.bundle import Member, describe, index_document
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.roles import require_run_open
from fraudworld.store.tables import DatasetRecord

OUTSIDE = ("run_receipt.json", "run_index.json", "reports")
"""Files that the bundle does not cover; `run_index.json` does."""

RENEWING = "renewing"
_UNFINISHED = re.compile(
    r"(\.run_index\.json|reports/\.(report\.(html|json)|attestation\.json))-[0-9a-f]{8}\.part"
)
"""Files that a killed `fraudworld report` may leave; the next one deletes them."""

BESIDE = "data/layer3/6B/"
"""A stream made over the run later; it has its own bundle."""


def seal_run(
    place: RunPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Writes the index of a staged run, and the flag if `passed`; returns the bundle digest."""
    return _produce(place).seal(folders, passed=passed)


def check_run(place: RunPlace) -> Sealed:
    """Checks every byte of a published run against its index.

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
    """All files except index, flag, OUTSIDE and BESIDE; links are listed, never followed."""
    own = {p.relative_to(place.root).as_posix() for p in (place.bundle_index, place.flag)}
    files = (
        path.relative_to(place.root).as_posix()
        for top in place.root.iterdir()
        if top.name not in OUTSIDE
        for path in (top, *top.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    )
    kept = (n for n in files if not n.startswith(BESIDE) and not _UNFINISHED.fullmatch(n))
    return set(kept) - own


def write_verifier(place: RunPlace) -> None:
    """Writes `reports/verify.py`, a check of the run that needs DuckDB and not this package."""
    script = files("fraudworld.store") / "standalone" / "verify.py"
    place.reports.mkdir(parents=True, exist_ok=True)
    (place.reports / "verify.py").write_bytes(script.read_bytes())


def write_run_index(place: RunPlace) -> None:
    """Writes `run_index.json`: size and SHA-256 of the files that the bundle does not cover."""
    write_atomic(place.run_index, canonical_json(run_index(place)) + b"\n")


def run_index(place: RunPlace) -> JsonObject:
    """The content of `run_index.json` for the current receipt and reports."""
    return index_document(describe(place.root, _outside(place)))


def renew_reports(place: RunPlace, files: Mapping[Path, bytes]) -> None:
    """Replaces reports of a published run; `check_outside` holds even if killed at any instant.

    First the index is written with the new lines, and the old ones under `renewing`; then the
    files; then the index without the old lines. Raises RefusedError
    `6A.STORE.POSTURE_FROZEN` for a run of a frozen posture.
    """
    require_run_open(place.root, "its reports cannot be renewed")
    new = {
        path.relative_to(place.root).as_posix(): (len(data), hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    }
    now = {m.path: m for m in describe(place.root, _outside(place))}
    then = now | {name: Member(name, size, sha) for name, (size, sha) in new.items()}
    old = [m for name, m in now.items() if m != then[name]]
    document = index_document(then.values(), **{RENEWING: index_document(old)["members"]})
    write_atomic(place.run_index, canonical_json(document) + b"\n")
    for path, data in files.items():
        write_atomic(path, data)
    write_run_index(place)


def check_outside(place: RunPlace) -> tuple[list[str], list[str]]:
    """Differences between `run_index.json` and the files: paths, then sizes and digests.

    Raises InputError `6A.S0.IO_READ_FAILED` where the index cannot be read.
    """
    try:
        stated = load_json(place.run_index)
        lines = {
            kind: {str(m["path"]): m for m in stated.get(kind, [])}
            for kind in ("members", RENEWING)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "6A.S0.IO_READ_FAILED",
            f"the index of receipt and reports cannot be read: {error}",
            where=str(place.run_index),
            remedy="make the run again, or take another copy of it",
        ) from error
    here = {m["path"]: m for m in run_index(place)["members"]}
    strange = sorted(lines["members"].keys() ^ here.keys())
    differs = [
        f"{name} is {here[name]}"
        for name in sorted(here.keys() & lines["members"].keys())
        if here[name] not in (lines["members"][name], lines[RENEWING].get(name))
    ]
    return strange, differs


def _outside(place: RunPlace) -> list[str]:
    files = [place.receipt, *(p for p in place.reports.rglob("*") if p.is_file())]
    names = (p.relative_to(place.root).as_posix() for p in files)
    return sorted(name for name in names if not _UNFINISHED.fullmatch(name))
