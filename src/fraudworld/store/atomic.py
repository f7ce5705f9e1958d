"""Atomic files and folders: they appear complete or not at all.

The part that is being written lies hidden beside its destination, `.NAME-<8 hex>.part`, under a
lock that the system drops with its process. The next writer deletes parts of killed processes.
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

from fraudworld.documents import open_regular
from fraudworld.errors import InputError

_FLUSHERS = 8
_SUFFIX = ".part"


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file by rename; a reader sees the old bytes or the new.

    A missing folder is created. Raises InputError `6A.S0.IO_WRITE_FAILED`.
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
    """As `write_atomic`, but raises OSError."""
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
    """A new hidden folder beside `dest`, renamed to `dest` on success, else removed.

    Raises FileExistsError where `dest` was created meanwhile, and OSError.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    _sweep(dest)
    staged, handle = _claim(dest, Path.mkdir, os.O_RDONLY)
    try:
        yield staged
        flush_tree(staged)
        if os.path.lexists(dest):
            raise FileExistsError(errno.EEXIST, "created by another process meanwhile", str(dest))
        staged.rename(dest)
        flush(dest.parent)
    finally:
        os.close(handle)
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def lock_file(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock file `path`, which is created where it is missing; its bytes are never used.

    Raises BlockingIOError where it is taken and `wait` is off, `documents.NotRegularError` for a
    link, pipe or folder in its place, and OSError.
    """
    handle = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Syncs every file and folder below `folder` to disk; files before folders."""
    paths = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(_FLUSHERS) as pool:
        for _ in pool.map(flush, [p for p in paths if not p.is_dir()]):
            pass
    for path in paths:
        if path.is_dir():
            flush(path)


def flush(path: Path) -> None:
    """Syncs a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _claim(dest: Path, make: Callable[[Path], None], mode: int) -> tuple[Path, int]:
    """Creates and locks the part of `dest`; returns its hidden path and an open handle."""
    while True:
        part = dest.with_name(f".{dest.name}-{secrets.token_hex(4)}{_SUFFIX}")
        make(part)
        # Until the lock is held, another writer may take it for a killed process's and delete it.
        with suppress(FileNotFoundError):
            handle = os.open(part, mode | os.O_NOFOLLOW)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if part.exists():
                return part, handle
            os.close(handle)


def _sweep(dest: Path) -> None:
    """Deletes parts of `dest` that killed processes left behind."""
    ours = re.compile(rf"\.{re.escape(dest.name)}-[0-9a-f]{{8}}\{_SUFFIX}")
    for path in dest.parent.iterdir():
        if not ours.fullmatch(path.name) or path.is_symlink():
            continue
        with suppress(OSError):
            # Any name may stand here: a pipe must not be waited for.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                os.close(handle)
