"""Sealed folders: an index of members, the digest of the index, a flag.

The index lists every member with size and SHA-256, paths in ASCII order. The bundle digest is the
SHA-256 of its canonical JSON. `_passed.flag` holds one line, `sha256_hex = <64 hex>`, and states
that the maker of the bundle vouches for it. Upstream segments and the validation bundle of a run
follow the same law.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fraudworld.documents import canonical_json, load_json, open_regular, read_bounded
from fraudworld.errors import InputError, RefusedError
from fraudworld.store.folder import is_litter

FLAG = "_passed.flag"
INDEX = "index.json"
_OWN = {FLAG, INDEX}
LARGEST_FLAG = 100
UNREADABLE = "6A.S0.IO_READ_FAILED"
MISSING = "6A.S0.UPSTREAM_HASHGATE_MISSING"
MISMATCH = "6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH"
INVALID = "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID"
_FLAG_LINE = re.compile(r"sha256_hex = ([0-9a-f]{64})\n?")
_HEX64 = re.compile(r"[0-9a-f]{64}")
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
    """SHA-256 of a regular file's bytes, read in pieces. Raises OSError for anything else."""
    with os.fdopen(open_regular(path), "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def describe(folder: Path, paths: Iterable[str]) -> tuple[Member, ...]:
    """Members of a folder by relative path, in ASCII order, hashed now."""
    return tuple(
        Member(p, (folder / p).stat().st_size, sha256_file(folder / p)) for p in sorted(paths)
    )


def index_document(members: Iterable[Member], **extra: object) -> dict[str, object]:
    """The index as plain data, members in ASCII order; `extra` joins it at the top level."""
    rows = sorted(members, key=lambda m: m.path)
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
    """Checks a sealed folder byte for byte before anything in it is opened.

    name: of the segment, for messages. Raises RefusedError with the segment, the file and both
    digests where the flag or a member is missing, a digest or size differs, a file is not
    listed, the index is malformed, or a path leaves the folder; InputError
    `6A.S0.IO_READ_FAILED` where a file cannot be read.
    """
    try:
        return _verify(folder, name)
    except OSError as error:
        raise InputError(
            UNREADABLE,
            f"{name} cannot be read: {error.strerror or error}",
            where=str(error.filename or folder),
            remedy="make the folder and its files readable",
        ) from error


def _verify(folder: Path, name: str) -> Bundle:
    flag, index = folder / FLAG, folder / INDEX
    if folder.is_symlink():
        raise _refused(INVALID, f"{name}: its folder is a link", folder)
    for path in (index, flag):
        if path.is_symlink() or not path.is_file():
            raise _refused(MISSING, f"{name} has no {path.name}", path)
    document = _read_index(index, name)
    members = _members(document["members"], index, name)
    digest = bundle_digest(document)
    line = _FLAG_LINE.fullmatch(_flag_text(flag))
    if line is None or line.group(1) != digest:
        stated = line.group(1) if line else "nothing readable"
        raise _refused(MISMATCH, f"{name}: the flag says {stated}, the index is {digest}", flag)
    _same_files(folder, members, name)
    for member in members:
        path = folder / member.path
        if (size := path.stat().st_size) != member.bytes:
            what = f"{name}: {member.path} has {size} bytes, the index says {member.bytes}"
            raise _refused(MISMATCH, what, path)
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(lambda m: sha256_file(folder / m.path), members))
    for member, actual in zip(members, digests, strict=True):
        if actual != member.sha256_hex:
            what = f"{name}: {member.path} is {actual}, sealed as {member.sha256_hex}"
            raise _refused(MISMATCH, what, folder / member.path)
    return Bundle(folder, digest, members)


def _flag_text(flag: Path) -> str:
    """The text of a flag; empty where it is too long to be one."""
    try:
        return read_bounded(flag, LARGEST_FLAG).decode("ascii", "replace")
    except OSError:
        raise
    except ValueError:
        return ""


def _read_index(index: Path, name: str) -> dict[str, object]:
    try:
        document = load_json(index)
        canonical_json(document)  # raises for lone surrogates
    except (ValueError, RecursionError) as error:
        raise _refused(INVALID, f"{name}: index is not JSON: {error}", index) from error
    if not isinstance(document, dict) or not isinstance(document.get("members"), list):
        raise _refused(INVALID, f"{name}: index lists no members", index)
    return document


def _members(rows: object, index: Path, name: str) -> tuple[Member, ...]:
    """Members of an index: well-formed, in order, inside the folder."""
    assert isinstance(rows, list)
    members: list[Member] = []
    for row in rows:
        try:
            member = member_of(row)
        except ValueError as error:
            raise _refused(INVALID, f"{name}: {error}", index) from error
        pure = PurePosixPath(member.path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in member.path:
            raise _refused(INVALID, f"{name}: {member.path!r} leaves the bundle", index)
        proper = pure.parts and str(pure) == member.path and member.path.isprintable()
        if not proper or member.path in _OWN:
            raise _refused(INVALID, f"{name}: {member.path!r} is not the path of a member", index)
        if members and members[-1].path >= member.path:
            what = f"{name}: {member.path} stands after {members[-1].path}, out of ASCII order"
            raise _refused(INVALID, what, index)
        members.append(member)
    return tuple(members)


def member_of(row: object) -> Member:
    """A line of an index. Raises ValueError for one that is not well-formed.

    Whether the path stays inside its folder is the caller's question.
    """
    path, size, sha = (
        (row.get(key) for key in ("path", "bytes", "sha256_hex"))
        if isinstance(row, dict)
        else (None, None, None)
    )
    if (
        isinstance(path, str)
        and isinstance(sha, str)
        and type(size) is int
        and _HEX64.fullmatch(sha)
    ):
        return Member(path, size, sha)
    raise ValueError(f"{str(row)[:120]} is no member (path, bytes, sha256_hex)")


def _same_files(folder: Path, members: tuple[Member, ...], name: str) -> None:
    """Every file is a member, every member a plain file inside the folder."""
    listed = {m.path for m in members} | _OWN
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise _refused(INVALID, f"{name}: {relative} is a link", path)
        if not path.is_dir() and relative not in listed and not is_litter(path.name):
            raise _refused(MISMATCH, f"{name}: {relative} is not in the index", path)
    for member in members:
        if not (folder / member.path).is_file():
            what = f"{name}: member {member.path} is missing"
            raise _refused(MISSING, what, folder / member.path)


def _refused(code: str, what: str, where: Path) -> RefusedError:
    return RefusedError(code, what, where=str(where), remedy=_REBUILD)
