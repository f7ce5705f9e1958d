"""Where a stream lies, how it is sealed, and checking that it is what it was.

Everything of a stream is below `data/layer3/6B`, its draw logs and verdict too, so that one
rename publishes it and the run's own bundle is not touched. The law of the seal is the one
of every bundle: an index of members with size and SHA-256, its digest in `_passed.flag`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudworld.errors import RefusedError
from fraudworld.store.bundle import Member, bundle_digest, flag_line, index_document, sha256_file
from fraudworld.store.identity import Identity, canonical_json
from fraudworld.store.layout import RunPlace
from fraudworld.store.tables import DatasetRecord

LAYER = Path("data/layer3/6B")
INDEX = Path("validation/validation_bundle_index_6B.json")
FLAG = Path("validation/_passed.flag")
CONFLICT = "6B.S5.OUTPUT_CONFLICT"


@dataclass(frozen=True)
class StreamPlace:
    """Paths below the layer folder of a stream, published or staged."""

    layer: Path

    @staticmethod
    def below(root: Path) -> StreamPlace:
        """The place of the stream below a run, or below any other folder."""
        return StreamPlace(root / LAYER)

    def dataset(self, table: str, identity: Identity) -> Path:
        """Folder that holds the parts of one dataset."""
        return self.layer / table / RunPlace.partition(identity)

    @property
    def receipt(self) -> Path:
        """What S0 verified and which window was asked for."""
        return self.layer / "s0_gate_receipt_6B.json"

    @property
    def report(self) -> Path:
        """Checks and figures of S5."""
        return self.layer / "validation/s5_validation_report_6B.json"

    @property
    def rng_logs(self) -> Path:
        """Audit, trace and event logs of the draws."""
        return self.layer / "logs/rng"

    @property
    def index(self) -> Path:
        """What the stream sealed."""
        return self.layer / INDEX

    @property
    def flag(self) -> Path:
        """Present only where every check passed."""
        return self.layer / FLAG


def seal_stream(
    place: StreamPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Write index (and flag, if `passed`) of a staged stream; returns the bundle digest."""
    members: list[Member] = []
    digests: dict[str, str] = {}
    for folder, record in folders:
        relative = folder.relative_to(place.layer).as_posix()
        members += [Member(f"{relative}/{p.name}", p.bytes, p.sha256) for p in record.parts]
        digests[record.table] = record.content_digest
    known = {m.path for m in members}
    for name in sorted(_files(place) - known):
        path = place.layer / name
        members.append(Member(name, path.stat().st_size, sha256_file(path)))
    document = index_document(members, content_digests=digests)
    digest = bundle_digest(document)
    place.index.write_bytes(canonical_json(document) + b"\n")
    if passed:
        place.flag.write_text(flag_line(digest), "ascii")
    return digest


def check_stream(place: StreamPlace) -> dict[str, Any]:
    """Check every byte of a published stream; returns its index.

    Raises RefusedError `6B.S5.OUTPUT_CONFLICT` naming the first file that differs, is
    missing or is not in the index.
    """
    try:
        document: dict[str, Any] = json.loads(place.index.read_text("utf-8"))
        stated = {str(m["path"]): str(m["sha256_hex"]) for m in document["members"]}
        dict(document["content_digests"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _conflict(place.index, f"its index cannot be read: {error}") from error
    strangers = _files(place) ^ set(stated)
    if strangers:
        name = min(strangers)
        what = "is missing" if name in stated else "is not in its index"
        raise _conflict(place.layer / name, f"{name} {what}")
    for name, digest in stated.items():
        found = sha256_file(place.layer / name)
        if found != digest:
            raise _conflict(place.layer / name, f"{name} is {found}, sealed as {digest}")
    if place.flag.is_file():
        line = place.flag.read_text("ascii", errors="replace")
        if line != flag_line(bundle_digest(document)):
            raise _conflict(place.flag, "the flag does not belong to the index")
    return document


def _files(place: StreamPlace) -> set[str]:
    """Paths of everything but index and flag; links are listed, never followed."""
    found = {
        path.relative_to(place.layer).as_posix()
        for path in place.layer.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    return found - {INDEX.as_posix(), FLAG.as_posix()}


def _conflict(path: Path, what: str) -> RefusedError:
    return RefusedError(
        CONFLICT,
        f"a stream is published here, but {what}",
        where=str(path),
        remedy="move its data/layer3/6B away, or publish elsewhere with --to",
    )
