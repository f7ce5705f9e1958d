"""JSON documents: one canonical form, one form on disk, one strict reader.

Digests are taken over `canonical_json`; files are written as `pretty_json`. The reader takes
regular files only, of bounded size, without duplicate keys and without NaN or infinities, so
that two readers of one document cannot disagree on what it says.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from fraudworld.errors import InputError

Json = Any
"""A value of a JSON document. Whoever reads one checks the types it needs."""
JsonObject = dict[str, Any]

MALFORMED = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading raises over a document that cannot be read, or is not as the contract says."""

LARGEST = 16 << 20
"""Bytes of the largest document that is read; an authority run's largest has some 300 KB. A text
of this size can parse to half a GiB of values."""

DEEPEST = 64
"""Levels of arrays and objects of a document; a run's documents have at most eight."""


class NotRegularError(OSError, ValueError):
    """A path that is no regular file: a link, folder, pipe, socket or device.

    An OSError for readers of bytes, a ValueError for readers of documents.
    """

    @classmethod
    def of(cls, path: Path) -> NotRegularError:
        """The error for a path."""
        return cls(errno.EINVAL, "it is no regular file", str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def canonical_json(value: object) -> bytes:
    """The JSON every digest is taken over: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def pretty_json(value: object) -> bytes:
    """The JSON of files: sorted keys, indented by one space, UTF-8, no NaN, a final newline."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def plain_json(value: object) -> Json:
    """`value` as a reader of its JSON sees it: tuples are lists, keys are strings."""
    return json.loads(json.dumps(value, allow_nan=False))


def parse_json(data: bytes | str) -> Json:
    """The value of a JSON text. Raises ValueError for anything two readers could read apart."""
    try:
        value = json.loads(
            data, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is no character") from error
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if _inside(inner)]
    if level:
        raise ValueError(f"nested too deeply: more than {DEEPEST} levels")
    return value


def load_json(path: Path) -> Json:
    """The value of a JSON file.

    Raises OSError where it cannot be read, and ValueError where it is no regular file, has
    more than `LARGEST` bytes, or `parse_json` refuses it.
    """
    return parse_json(read_bounded(path, LARGEST))


def load_json_lines(path: Path) -> list[Json]:
    """The values of a file with one JSON text a line. Raises as `load_json` does."""
    return [parse_json(line) for line in read_bounded(path, LARGEST).decode("utf-8").splitlines()]


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes.

    Raises OSError where it cannot be read, NotRegularError for anything but a regular file, and
    ValueError for a longer one.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        # A file may grow while it is read, so the size alone is no bound.
        if os.fstat(file.fileno()).st_size > most or len(data := file.read(most + 1)) > most:
            size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most} bytes"
            raise ValueError(f"it has more than {size}")
    return data


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A file descriptor of a regular file; `flags` as `os.open` takes them.

    Never follows a link as the last part of `path` and never waits for a pipe. Raises
    NotRegularError for anything but a regular file, and OSError.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        # A link; a socket, or a pipe without a reader; a folder opened for writing.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise NotRegularError.of(path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotRegularError.of(path)
    return handle


def read_object(path: Path, *, code: str, what: str, remedy: str) -> JsonObject:
    """The JSON object of a file, or InputError `code`: "`what`: the reason", where, `remedy`."""
    try:
        document = load_json(path)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise InputError(code, f"{what}: {error}", where=str(path), remedy=remedy) from error
    return document


def write_json(path: Path, document: object) -> None:
    """Write a document into a folder that is being staged; the folder is made where missing.

    A document that replaces another goes through `store.atomic.write_atomic`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pretty_json(document))


def _inside(value: Json) -> list[Json]:
    """The items of an array or object; none of other values, nor of empty ones."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("it has a key twice")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the largest number")
    return value


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")
