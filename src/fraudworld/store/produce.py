"""The output of a segment: datasets and evidence under one index, with or without a flag.

Runs (6A) and streams (6B) follow the same law. The index lists every file with size and SHA-256,
and the content digest of every dataset; the flag holds the digest of the index and exists only
where every check passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import canonical_json, load_json
from fraudworld.errors import RefusedError
from fraudworld.store.bundle import (
    Member,
    bundle_digest,
    flag_line,
    index_document,
    sha256_file,
)
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

    covered: relative paths of the files on disk that the index must list. code, what, remedy:
    of the error for a departure from the index.
    """

    root: Path
    index: Path
    flag: Path
    covered: Callable[[], Set[str]]
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
        for name in sorted(self.covered() - {m.path for m in members}):
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

        Raises RefusedError `code` for the first file that differs, is missing, is not in the
        index, or lies outside the folder.
        """
        try:
            document = load_json(self.index)
            rows = [(str(m["path"]), str(m["sha256_hex"])) for m in document["members"]]
            digests = dict(document["content_digests"])
            digest = bundle_digest(document)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._refused(self.index, f"its index cannot be read: {error}") from error
        for name, _ in rows:
            if not _inside(self.root, name):
                raise self._refused(self.root / name, f"{name} leads out of it")
        strangers = self.covered() - {name for name, _ in rows}
        if strangers:
            name = min(strangers)
            raise self._refused(self.root / name, f"{name} is not in its index")
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda row: _digest_of(self.root / row[0]), rows))
        for (name, stated), actual in zip(rows, found, strict=True):
            if actual != stated:
                is_now = actual or "missing"
                raise self._refused(self.root / name, f"{name} is {is_now}, sealed as {stated}")
        passed = self.flag.is_file()
        if passed and self.flag.read_text("ascii", errors="replace") != flag_line(digest):
            raise self._refused(self.flag, "the flag does not belong to the index")
        return Sealed(digest, passed, digests)

    def _refused(self, path: Path, why: str) -> RefusedError:
        return RefusedError(
            self.code,
            f"a {self.what} is published here, but {why}",
            where=str(path),
            remedy=self.remedy,
        )


def _inside(root: Path, name: str) -> bool:
    path = root / name
    try:
        return not path.is_symlink() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # not a valid file name
        return False


def _digest_of(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None
