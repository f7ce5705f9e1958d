"""One file or folder that appears whole or not at all, wherever it is.

What is being written lies hidden beside its destination, `.NAME-<8 hex>.part`, and holds a lock
that the system drops with its process. Whoever writes there next removes what the dead left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from fraudworld.errors import InputError

_FLUSHERS = 8
_SUFFIX = ".part"


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file, replacing one that is there; a reader sees the old bytes or the new.

    The folder is made where it is missing. Raises InputError `6A.S0.IO_WRITE_FAILED`.
    """
    try:
        _write_atomic(path, data)
    except OSError as error:
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"writing failed: {error.strerror or error}",
            where=str(path),
            remedy="free space or make the folder writable, and run the command again",
        ) from error


def _write_atomic(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    part, handle = _claim(path, lambda part: part.touch(exist_ok=False), os.O_WRONLY)
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(handle)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    flush(path.parent)


@contextmanager
def atomic_directory(dest: Path) -> Iterator[Path]:
    """A fresh hidden folder beside `dest`, renamed to it on success, else removed.

    Raises FileExistsError where `dest` has come to be meanwhile, and OSError.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    _sweep(dest)
    staged, handle = _claim(dest, Path.mkdir, os.O_RDONLY)
    try:
        yield staged
        flush_tree(staged)
        if os.path.lexists(dest):
            raise FileExistsError(errno.EEXIST, "something else came to be here", str(dest))
        staged.rename(dest)
        flush(dest.parent)
    finally:
        os.close(handle)
        shutil.rmtree(staged, ignore_errors=True)


def flush_tree(folder: Path) -> None:
    """Ask the disk to keep every file and folder below `folder`; files before folders."""
    found = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(_FLUSHERS) as pool:
        for _ in pool.map(flush, [p for p in found if not p.is_dir()]):
            pass
    for path in found:
        if path.is_dir():
            flush(path)


def flush(path: Path) -> None:
    """Ask the disk to keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _claim(dest: Path, make: Callable[[Path], None], mode: int) -> tuple[Path, int]:
    """Make and lock what will become `dest`; returns its hidden name and an open handle."""
    while True:
        part = dest.with_name(f".{dest.name}-{secrets.token_hex(4)}{_SUFFIX}")
        make(part)
        # Until the lock is held, another writer may take it for a dead one's and remove it.
        with suppress(FileNotFoundError):
            handle = os.open(part, mode)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if part.exists():
                return part, handle
            os.close(handle)


def _sweep(dest: Path) -> None:
    """Remove what dead processes left on the way to `dest`."""
    ours = re.compile(rf"\.{re.escape(dest.name)}-[0-9a-f]{{8}}\{_SUFFIX}")
    for path in dest.parent.iterdir():
        if not ours.fullmatch(path.name) or path.is_symlink():
            continue
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                os.close(handle)
