"""What a folder holds, listed before anything in it is believed, opened or replaced.

A folder may come from anywhere. A link in it would let a reader read, or a writer destroy, a file
outside; a pipe would be waited for. So a published folder holds directories and regular files only.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from fraudworld.errors import RefusedError
from fraudworld.store.content import PART_ROWS

DEEPEST = 12
"""Levels of folders below a root; a published part lies eight below its run."""

MOST_ENTRIES = 50_000
"""Entries below a root; a run of a billion rows has about 2 000, as a part has a million rows."""

MOST_COLUMNS = 32
"""Columns of a part; the widest table has 14."""

LARGEST_FILE = 8 * PART_ROWS * MOST_COLUMNS
"""Bytes of the largest file: a part holds at most `PART_ROWS` values of 8 bytes a column."""

LITTER = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.+")
"""Names of the files that desktops leave in any folder they show."""


def is_litter(name: str) -> bool:
    """Whether a file of this name is ignored wherever it lies."""
    return LITTER.fullmatch(name) is not None


def litter(root: Path) -> list[str]:
    """Ignored files below a folder that `list_files` has read, by relative POSIX path."""
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if is_litter(p.name))


def list_files(root: Path, *, code: str, what: str, remedy: str) -> dict[str, int]:
    """Every file below `root` but litter: relative POSIX path → bytes. Nothing is opened.

    `root` itself may be a link, as the user named it. code, what, remedy: of the error, "a `what`
    is published here, but …". Raises RefusedError `code` for a link, pipe, socket or device, for
    names that cannot be printed, and beyond `DEEPEST`, `MOST_ENTRIES` and `LARGEST_FILE`; and
    where a folder cannot be read.
    """

    def refused(path: Path, why: str) -> RefusedError:
        return RefusedError(
            code, f"a {what} is published here, but {why}", where=shown(str(path)), remedy=remedy
        )

    found: dict[str, int] = {}
    waiting = [(root, "", 0)]
    entries = 0
    while waiting:
        folder, prefix, depth = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                here = [(e.name, e.stat(follow_symlinks=False)) for e in listing]
        except OSError as error:
            raise refused(folder, f"it cannot be read: {error.strerror}") from error
        entries += len(here)
        if entries > MOST_ENTRIES:
            raise refused(root, f"it has more than {MOST_ENTRIES} entries")
        for name, status in sorted(here):
            path, relative = folder / name, f"{prefix}{name}"
            if not name.isprintable():
                raise refused(path, f"{shown(relative)} has a name that cannot be printed")
            if stat.S_ISDIR(status.st_mode):
                if depth == DEEPEST:
                    raise refused(path, f"{relative} lies more than {DEEPEST} folders deep")
                waiting.append((path, f"{relative}/", depth + 1))
            elif not stat.S_ISREG(status.st_mode):
                raise refused(path, f"{relative} is {_kind(status.st_mode)}, not a regular file")
            elif status.st_size > LARGEST_FILE:
                size = f"{status.st_size} bytes, {LARGEST_FILE} at most"
                raise refused(path, f"{relative} has {size}")
            elif not is_litter(name):
                found[relative] = status.st_size
    return found


def shown(text: str) -> str:
    """A path as one printable line; other characters become escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
