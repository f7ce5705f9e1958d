"""The one law of sealed folders: an index of members, a digest of the index, a flag.

The index lists every member with size and SHA-256, paths in ASCII order. The bundle digest
is the SHA-256 of its canonical JSON. `_passed.flag` holds one line,
`sha256_hex = <64 hex>`, and says that whoever made the bundle vouches for it. Upstream
segments and the validation bundle of a run obey the same law.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fraudworld.errors import RefusedError
from fraudworld.store.identity import canonical_json

FLAG = "_passed.flag"
INDEX = "index.json"
LARGEST_INDEX = 16 << 20
MISSING = "6A.S0.UPSTREAM_HASHGATE_MISSING"
MISMATCH = "6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH"
INVALID = "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID"
_FLAG_LINE = re.compile(r"sha256_hex = ([0-9a-f]{64})\n?")
_REBUILD = "restore the bundle, or build it again: fraudworld upstream build"


@dataclass(frozen=True)
class Member:
    """One file of a bundle, its path relative to the folder."""

    path: str
    bytes: int
    sha256_hex: str


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    digest: str
    members: tuple[Member, ...]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def describe(folder: Path, paths: Iterable[str]) -> tuple[Member, ...]:
    """Members of a folder by relative path, in ASCII order, hashed now."""
    return tuple(
        Member(p, (folder / p).stat().st_size, sha256_file(folder / p)) for p in sorted(paths)
    )


def index_document(members: Iterable[Member], **extra: object) -> dict[str, object]:
    """The index as plain data; `extra` joins it at the top level."""
    rows = sorted(members, key=lambda m: m.path.encode("ascii"))
    return {
        "members": [{"path": m.path, "bytes": m.bytes, "sha256_hex": m.sha256_hex} for m in rows],
        **extra,
    }


def bundle_digest(document: Mapping[str, object]) -> str:
    """SHA-256 of the canonical JSON of an index."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def flag_line(digest: str) -> str:
    """Content of `_passed.flag`."""
    return f"sha256_hex = {digest}\n"


def seal(folder: Path, paths: Iterable[str]) -> str:
    """Write index and flag of a folder; returns the bundle digest."""
    document = index_document(describe(folder, paths))
    digest = bundle_digest(document)
    (folder / INDEX).write_bytes(canonical_json(document) + b"\n")
    (folder / FLAG).write_text(flag_line(digest), "ascii")
    return digest


def verify(folder: Path, name: str) -> Bundle:
    """Check a sealed folder byte for byte before anything in it is opened.

    Raises RefusedError naming the segment, the file and both digests: flag or member
    missing, digest differs, member that is not listed, path that leaves the folder.
    """
    flag, index = folder / FLAG, folder / INDEX
    for path in (index, flag):
        if path.is_symlink() or not path.is_file():
            raise RefusedError(
                MISSING, f"{name} has no {path.name}", where=str(path), remedy=_REBUILD
            )
    document = _read_index(index, name)
    line = _FLAG_LINE.fullmatch(flag.read_text("ascii", errors="replace"))
    digest = bundle_digest(document)
    if line is None or line.group(1) != digest:
        stated = line.group(1) if line else "nothing readable"
        raise RefusedError(
            MISMATCH,
            f"{name}: the flag says {stated}, the index is {digest}",
            where=str(flag),
            remedy=_REBUILD,
        )
    members = _members(document, index, name)
    _no_strangers(folder, members, name)
    for member in members:
        _check(folder, member, name)
    return Bundle(folder, digest, members)


def _read_index(index: Path, name: str) -> dict[str, object]:
    if index.stat().st_size > LARGEST_INDEX:
        raise RefusedError(
            INVALID, f"{name}: index beyond 16 MiB", where=str(index), remedy=_REBUILD
        )
    try:
        document = json.loads(index.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            INVALID, f"{name}: index is not JSON: {error}", where=str(index), remedy=_REBUILD
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("members"), list):
        raise RefusedError(
            INVALID, f"{name}: index lists no members", where=str(index), remedy=_REBUILD
        )
    return document


def _members(document: Mapping[str, object], index: Path, name: str) -> tuple[Member, ...]:
    members = []
    rows = document["members"]
    assert isinstance(rows, list)
    for row in rows:
        try:
            member = Member(str(row["path"]), int(row["bytes"]), str(row["sha256_hex"]))
        except (TypeError, KeyError, ValueError) as error:
            raise RefusedError(
                INVALID, f"{name}: a member lacks {error}", where=str(index), remedy=_REBUILD
            ) from error
        pure = PurePosixPath(member.path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in member.path or not pure.parts:
            raise RefusedError(
                INVALID,
                f"{name}: member path {member.path!r} leaves the bundle",
                where=str(index),
                remedy=_REBUILD,
            )
        members.append(member)
    return tuple(members)


def _no_strangers(folder: Path, members: tuple[Member, ...], name: str) -> None:
    listed = {m.path for m in members} | {FLAG, INDEX}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if (path.is_symlink() or path.is_file()) and relative not in listed:
            raise RefusedError(
                MISMATCH,
                f"{name}: {relative} is not in the index",
                where=str(path),
                remedy=f"remove it, or {_REBUILD}",
            )


def _check(folder: Path, member: Member, name: str) -> None:
    path = folder / member.path
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        raise RefusedError(
            INVALID, f"{name}: {member.path} is a link", where=str(path), remedy=_REBUILD
        )
    if not path.is_file():
        raise RefusedError(
            MISSING, f"{name}: member {member.path} is missing", where=str(path), remedy=_REBUILD
        )
    found = sha256_file(path)
    if found != member.sha256_hex:
        raise RefusedError(
            MISMATCH,
            f"{name}: {member.path} is {found}, sealed as {member.sha256_hex}",
            where=str(path),
            remedy=_REBUILD,
        )
