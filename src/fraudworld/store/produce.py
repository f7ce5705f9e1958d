"""The output of a segment: datasets and evidence under one index, with or without a flag.

Runs (6A) and streams (6B) follow the same law. The index lists every file with size and SHA-256,
and the content digest of every dataset; the flag holds the digest of the index and exists only
where every check passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fraudworld.documents import canonical_json, load_json, read_bounded
from fraudworld.errors import RefusedError
from fraudworld.store.bundle import (
    LARGEST_FLAG,
    Member,
    bundle_digest,
    flag_line,
    index_document,
    member_of,
    sha256_file,
)
from fraudworld.store.folder import shown
from fraudworld.store.tables import DatasetRecord


@dataclass(frozen=True)
class Sealed:
    """A published folder whose bytes agree with its index."""

    digest: str
    passed: bool
    content_digests: dict[str, str]


@dataclass(frozen=True)
class Produce:
    """One folder under such an index.

    covered: files on disk that the index must list, relative path → bytes, from
    `folder.list_files`. code, what, remedy: of the error for a departure from the index.
    """

    root: Path
    index: Path
    flag: Path
    covered: Callable[[], Mapping[str, int]]
    code: str
    what: str
    remedy: str

    def seal(self, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool) -> str:
        """Writes the index, and the flag if `passed`; returns the bundle digest.

        folders: folder and record of every dataset. Parts are not read back: their hashes were
        taken in memory.
        """
        members: list[Member] = []
        digests: dict[str, str] = {}
        for folder, record in folders:
            relative = folder.relative_to(self.root).as_posix()
            members += [Member(f"{relative}/{p.name}", p.bytes, p.sha256) for p in record.parts]
            digests[record.table] = record.content_digest
        for name in sorted(self.covered().keys() - {m.path for m in members}):
            path = self.root / name
            members.append(Member(name, path.stat().st_size, sha256_file(path)))
        document = index_document(members, content_digests=digests)
        digest = bundle_digest(document)
        self.index.write_bytes(canonical_json(document) + b"\n")
        if passed:
            self.flag.write_text(flag_line(digest), "ascii")
        return digest

    def check(self) -> Sealed:
        """Checks every byte against the index.

        What the folder holds and the sizes of all files come first, so that nothing is hashed
        that cannot be right. Raises RefusedError `code` for the first file that differs, is
        missing, is not in the index, or lies outside the folder.
        """
        here = self.covered()
        try:
            document = load_json(self.index)
            digests = dict(document["content_digests"])
            digest = bundle_digest(document)
            rows = [_inside(member_of(row)) for row in document["members"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._refused(self.index, f"its index cannot be read: {error}") from error
        names = [row.path for row in rows]
        if len(set(names)) < len(names):
            raise self._refused(self.index, "its index lists a file twice")
        strangers = here.keys() - set(names)
        if strangers:
            name = min(strangers)
            raise self._refused(self.root / name, f"{name} is not in its index")
        for row in rows:
            size = here.get(row.path)
            if size != row.bytes:
                is_now = "missing" if size is None else f"{size} bytes long"
                why = f"{row.path} is {is_now}, sealed with {row.bytes} bytes"
                raise self._refused(self.root / row.path, why)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(self._digest_of, names))
        for row, actual in zip(rows, found, strict=True):
            if actual != row.sha256_hex:
                why = f"{row.path} is {actual}, sealed as {row.sha256_hex}"
                raise self._refused(self.root / row.path, why)
        passed = self._passed(digest)
        return Sealed(digest, passed, digests)

    def _digest_of(self, name: str) -> str:
        try:
            return sha256_file(self.root / name)
        except OSError as error:
            why = f"{name} cannot be read: {error.strerror or error}"
            raise self._refused(self.root / name, why) from error

    def _passed(self, digest: str) -> bool:
        """Whether there is a flag. Raises RefusedError for one of another index."""
        try:
            line = read_bounded(self.flag, LARGEST_FLAG)
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            raise self._refused(self.flag, f"its flag cannot be read: {error}") from error
        if line != flag_line(digest).encode():
            raise self._refused(self.flag, "the flag does not belong to the index")
        return True

    def _refused(self, path: Path, why: str) -> RefusedError:
        return RefusedError(
            self.code,
            shown(f"a {self.what} is published here, but {why}"),
            where=shown(str(path)),
            remedy=self.remedy,
        )


def _inside(member: Member) -> Member:
    """The member. Raises ValueError for a path that leaves the folder."""
    pure = PurePosixPath(member.path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != member.path:
        raise ValueError(f"{member.path!r} leads out of it")
    return member
