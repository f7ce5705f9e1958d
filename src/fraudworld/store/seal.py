"""Sealing a run: the validation bundle index, the flag, and checking them again.

Order: S5 checks → gates T1–T8 → index → flag. The index lists every dataset part, the RNG
logs and all validation evidence with size and SHA-256, and per dataset its content digest.
A run that fails is sealed by its index all the same, without flag.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fraudworld.errors import RefusedError
from fraudworld.store.bundle import (
    Member,
    bundle_digest,
    flag_line,
    index_document,
    sha256_file,
)
from fraudworld.store.identity import canonical_json
from fraudworld.store.layout import RunPlace
from fraudworld.store.tables import DatasetRecord

OUTSIDE = ("run_receipt.json", "run_index.json", "reports")
"""What the bundle does not cover; `run_index.json` does."""

BESIDE = "data/layer3/6B/"
"""A stream made over the run later, under a bundle of its own."""


def seal_run(
    place: RunPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Write index (and flag, if `passed`) of a staged run; returns the bundle digest.

    folders: each dataset's folder and record; parts are not read back, their hashes were
    taken while they were in memory.
    """
    members: list[Member] = []
    digests: dict[str, str] = {}
    for folder, record in folders:
        relative = folder.relative_to(place.root).as_posix()
        members += [Member(f"{relative}/{p.name}", p.bytes, p.sha256) for p in record.parts]
        digests[record.table] = record.content_digest
    known = {m.path for m in members}
    for name in sorted(_files(place.root) - known):
        path = place.root / name
        members.append(Member(name, path.stat().st_size, sha256_file(path)))
    document = index_document(members, content_digests=digests)
    digest = bundle_digest(document)
    place.bundle_index.write_bytes(canonical_json(document) + b"\n")
    if passed:
        place.flag.write_text(flag_line(digest), "ascii")
    return digest


def _files(root: Path) -> set[str]:
    """Run-relative paths of what the bundle covers: all but index, flag, OUTSIDE and BESIDE."""
    place = RunPlace(root)
    own = {p.relative_to(root).as_posix() for p in (place.bundle_index, place.flag)}
    found = (
        path.relative_to(root).as_posix()
        for top in root.iterdir()
        if top.name not in OUTSIDE
        for path in (top, *top.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    )
    return {name for name in found if not name.startswith(BESIDE)} - own


def _inside(root: Path, name: str) -> bool:
    path = root / name
    try:
        return not path.is_symlink() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # a name no file system takes
        return False


def write_verifier(place: RunPlace) -> None:
    """`reports/verify.py`: a reviewer's own check of the run, that needs DuckDB and not us."""
    script = files("fraudworld.store") / "standalone" / "verify.py"
    place.reports.mkdir(parents=True, exist_ok=True)
    (place.reports / "verify.py").write_bytes(script.read_bytes())


def write_run_index(place: RunPlace) -> None:
    """`run_index.json`: SHA-256 of what the bundle does not cover."""
    names = [place.receipt, *sorted(p for p in place.reports.rglob("*") if p.is_file())]
    members = [
        Member(p.relative_to(place.root).as_posix(), p.stat().st_size, sha256_file(p))
        for p in names
    ]
    place.run_index.write_bytes(canonical_json(index_document(members)) + b"\n")


@dataclass(frozen=True)
class SealedRun:
    """A published run whose bytes agree with its index."""

    digest: str
    passed: bool
    content_digests: dict[str, str]


def check_run(place: RunPlace) -> SealedRun:
    """Check a published run against its own index, every byte of it.

    Raises RefusedError `6A.S5.OUTPUT_CONFLICT` naming the first file that differs, is
    missing, is not in the index, or lies outside the run.
    """
    try:
        document = json.loads(place.bundle_index.read_text("utf-8"))
        rows = [(str(m["path"]), str(m["sha256_hex"])) for m in document["members"]]
        digests = dict(document["content_digests"])
        digest = bundle_digest(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _conflict(place.bundle_index, f"its index cannot be read: {error}") from error
    for name, _ in rows:
        if not _inside(place.root, name):
            raise _conflict(place.root / name, f"{name} leads out of it")
    strangers = _files(place.root) - {name for name, _ in rows}
    if strangers:
        raise _conflict(place.root / min(strangers), f"{min(strangers)} is not in its index")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda row: _digest_of(place.root / row[0]), rows))
    for (name, stated), actual in zip(rows, found, strict=True):
        if actual != stated:
            found_as = actual or "missing"
            raise _conflict(place.root / name, f"{name} is {found_as}, sealed as {stated}")
    passed = place.flag.is_file()
    if passed and place.flag.read_text("ascii", errors="replace") != flag_line(digest):
        raise _conflict(place.flag, "the flag does not belong to the index")
    return SealedRun(digest, passed, digests)


def _digest_of(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _conflict(path: Path, what: str) -> RefusedError:
    return RefusedError(
        "6A.S5.OUTPUT_CONFLICT",
        f"a run is published here, but {what}",
        where=str(path),
        remedy="move the folder away; a published run is never overwritten",
    )
