"""Staged, then renamed: a reader never sees half a run.

A run is assembled under `<runs_root>/.staging/`, flushed to disk, and renamed into place.
An existing place with the same bundle is left alone and counts as success; another one is
refused. A lock per place keeps two racing runs apart, and staging folders whose process is
gone are removed, recognised by a marker of ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudworld.errors import InputError, RefusedError

MARKER = ".fraudworld-staging.json"


@contextmanager
def staging(runs_root: Path, name: str) -> Iterator[Path]:
    """A fresh staging folder for run `name`; removed again unless it was published.

    Raises InputError `6A.S0.IO_WRITE_FAILED` where the disk is full or not writable.
    """
    area = runs_root / ".staging"
    folder = area / f"{name}-{os.getpid()}"
    try:
        area.mkdir(parents=True, exist_ok=True)
        with _lock(area / f"{name}.lock"):
            _sweep(area)
            folder.mkdir()
            (folder / MARKER).write_text(json.dumps({"pid": os.getpid(), "run_id": name}))
            yield folder
    except OSError as error:
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"writing failed: {error.strerror or error}",
            where=str(error.filename or runs_root),
            remedy="free space or choose a writable --runs-root; nothing was published",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(staged: Path, place: Path, index: str) -> bool:
    """Rename `staged` to `place`; True if it is new, False if an identical run is there.

    `index` is the relative path of the validation bundle index, which two runs are
    compared by. Raises RefusedError `6A.S5.OUTPUT_CONFLICT` and touches nothing where the
    place holds another run.
    """
    if place.exists():
        theirs, ours = place / index, staged / index
        if theirs.is_file() and theirs.read_bytes() == ours.read_bytes():
            return False
        raise RefusedError(
            "6A.S5.OUTPUT_CONFLICT",
            "another run is already published here, and it differs",
            where=str(place),
            remedy="choose another --run-id or --runs-root; a published run is never overwritten",
        )
    (staged / MARKER).unlink()
    _flush(staged)
    os.rename(staged, place)
    _flush_folder(place.parent)
    return True


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sweep(area: Path) -> None:
    """Remove staging folders of ours whose process is gone."""
    for folder in area.iterdir():
        marker = folder / MARKER
        if folder.is_symlink() or not marker.is_file():
            continue
        try:
            pid = int(json.loads(marker.read_text())["pid"])
        except (ValueError, KeyError, TypeError):
            continue
        if pid == os.getpid() or not _alive(pid):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    for path in [folder, *(p for p in sorted(folder.rglob("*")) if p.is_dir())]:
        _flush_folder(path)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


