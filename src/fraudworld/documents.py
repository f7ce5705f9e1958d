"""JSON documents: one canonical form, one form on disk, one strict reader.

Digests are taken over `canonical_json`; files are written as `pretty_json`. The reader takes
regular files only, of bounded size, without duplicate keys and without NaN or infinities, so
that two readers of one document cannot disagree on what it says.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

from fraudworld.errors import InputError

Json = Any
"""A value of a JSON document. Whoever reads one checks the types it needs."""
JsonObject = dict[str, Any]

LARGEST = 64 * 2**20
"""Bytes of the largest document that is read; an authority run's largest has some 200 KB."""


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
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def load_json(path: Path) -> Json:
    """The value of a JSON file.

    Raises OSError where it cannot be read, and ValueError where it is no regular file, has
    more than `LARGEST` bytes, or `parse_json` refuses it.
    """
    return parse_json(_bytes(path))


def load_json_lines(path: Path) -> list[Json]:
    """The values of a file with one JSON text a line. Raises as `load_json` does."""
    return [parse_json(line) for line in _bytes(path).decode("utf-8").splitlines()]


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


def _bytes(path: Path) -> bytes:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MiB")
    return path.read_bytes()


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("it has a key twice")
    return value


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")
