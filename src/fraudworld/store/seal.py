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
from fraudworld.store.bundle import Member, describe, index_document, member_of, sha256_file
from fraudworld.store.folder import list_files
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.roles import require_run_open
from fraudworld.store.tables import DatasetRecord

CONFLICT = "6A.S5.OUTPUT_CONFLICT"
_REMEDY = "move the folder away; a published run is never overwritten"
OUTSIDE = ("run_receipt.json", "run_index.json", "reports")
"""Files that the bundle does not cover; `run_index.json` does."""

RENEWING = "renewing"
_UNFINISHED = re.compile(
    r"(\.run_index\.json|reports/\.(report\.(html|json)|attestation\.json))-[0-9a-f]{8}\.part"
)
"""Files that a killed `fraudworld report` may leave; the next one deletes them."""

BESIDE = ("data/layer3/6B/", "data/layer3/6P/")
"""Layers made over the run later, transactions and profiles; each has its own bundle."""


def seal_run(
    place: RunPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Writes the index of a staged run, and the flag if `passed`; returns the bundle digest."""
    return _produce(place).seal(folders, passed=passed)


def check_run(place: RunPlace) -> Sealed:
    """Checks what a published run holds, then every byte against its index.

    Raises RefusedError `6A.S5.OUTPUT_CONFLICT`, for a link, pipe or device anywhere in it too.
    """
    return _produce(place).check()


def files_of(place: RunPlace) -> dict[str, int]:
    """Every file of a run, relative path → bytes; nothing is opened.

    Raises RefusedError `6A.S5.OUTPUT_CONFLICT` as `folder.list_files` does: call it before
    anything in a published run is read or replaced.
    """
    return list_files(place.root, code=CONFLICT, what="run", remedy=_REMEDY)


def _produce(place: RunPlace) -> Produce:
    return Produce(
        place.root,
        place.bundle_index,
        place.flag,
        lambda: _covered(place),
        CONFLICT,
        "run",
        _REMEDY,
    )


def _covered(place: RunPlace) -> dict[str, int]:
    """All files except index, flag, OUTSIDE, BESIDE and what a killed command left."""
    own = {p.relative_to(place.root).as_posix() for p in (place.bundle_index, place.flag)}
    return {
        name: size
        for name, size in files_of(place).items()
        if name not in own
        and name.partition("/")[0] not in OUTSIDE
        and not name.startswith(BESIDE)
        and not _UNFINISHED.fullmatch(name)
    }


def leftovers(place: RunPlace) -> list[str]:
    """Files of a run that only a killed command can have left there, by relative path."""
    return sorted(name for name in files_of(place) if _UNFINISHED.fullmatch(name))


STANDALONE = ("verify.py", "reading.md")
"""Files that every run carries: a check of it that needs DuckDB and not this package, and how other
tools read its tables."""


def standalone(name: str) -> bytes:
    """The bytes of a file that this release puts into its runs."""
    return (files("fraudworld.store") / "standalone" / name).read_bytes()


def write_standalone(place: RunPlace) -> None:
    """Writes the files of `STANDALONE` into `reports/`."""
    place.reports.mkdir(parents=True, exist_ok=True)
    for name in STANDALONE:
        (place.reports / name).write_bytes(standalone(name))


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
    `6A.STORE.POSTURE_FROZEN` for a run of a frozen posture, and `6A.S5.OUTPUT_CONFLICT` for a run
    that holds a link, which would lead out of it.
    """
    files_of(place)
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

    Only files whose size is a stated one are hashed. Raises InputError `6A.S0.IO_READ_FAILED`
    where the index cannot be read, and RefusedError as `files_of` does.
    """
    sizes = files_of(place)
    here = {name: sizes[name] for name in _outside(place)}
    try:
        stated = load_json(place.run_index)
        if not isinstance(stated, dict):
            raise ValueError("it is no JSON object")
        strange_keys = sorted(set(stated) - {"members", RENEWING})
        if strange_keys:
            raise ValueError(f"it has the key {strange_keys[0]!r}")
        lines = {kind: _lines(stated.get(kind, [])) for kind in ("members", RENEWING)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "6A.S0.IO_READ_FAILED",
            f"the index of receipt and reports cannot be read: {error}",
            where=str(place.run_index),
            remedy="make the run again, or take another copy of it",
        ) from error
    members = lines["members"]
    differs = []
    for name in sorted(here.keys() & members.keys()):
        allowed = [m for m in (members[name], lines[RENEWING].get(name)) if m is not None]
        if here[name] not in {m.bytes for m in allowed}:
            differs.append(f"{name} has {here[name]} bytes, stated {members[name].bytes}")
            continue
        actual = Member(name, here[name], sha256_file(place.root / name))
        if actual not in allowed:
            differs.append(f"{name} is {actual.sha256_hex}, stated {members[name].sha256_hex}")
    return sorted(members.keys() ^ here.keys()), differs


def _lines(rows: Iterable[object]) -> dict[str, Member]:
    """Lines of an index by path. Raises ValueError where a path is listed twice."""
    found = [member_of(row) for row in rows]
    by_path = {m.path: m for m in found}
    if len(by_path) < len(found):
        raise ValueError("it lists a file twice")
    return by_path


def _outside(place: RunPlace) -> list[str]:
    """Receipt and reports, by relative path; without what a killed command left."""
    receipt = place.receipt.name
    return sorted(
        name
        for name in files_of(place)
        if (name == receipt or name.startswith(f"{place.reports.name}/"))
        and not _UNFINISHED.fullmatch(name)
    )
