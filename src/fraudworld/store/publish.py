"""Staging and publishing: a reader never sees half a run.

A run is assembled in `<runs_root>/.staging/<run_id>-<pid>-<nonce>/run`, synced to disk and renamed
into place. An existing place with the same bundle is left as it is and counts as success; any
other is refused. A lock per run id serialises racing runs. The system drops it with its process,
so a staging folder whose lock is free was left by a killed process and is deleted.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fraudworld.documents import LARGEST, canonical_json, read_bounded
from fraudworld.errors import InputError, RefusedError
from fraudworld.store.atomic import flush, flush_tree, lock_file
from fraudworld.store.bundle import FLAG, LARGEST_FLAG

AREA = ".staging"
MARKER = "fraudworld-staging.json"
_FOLDER = re.compile(r"(?P<run>.+)-[0-9]+-[0-9a-f]{8}")
_NOT_WRITTEN = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EFBIG,
}


@contextmanager
def staging(runs_root: Path, run_id: str) -> Iterator[Path]:
    """A new folder to assemble run `run_id` in; deleted afterwards unless it was published.

    Waits while another process assembles the same run. Raises InputError
    `6A.S0.IO_WRITE_FAILED` where the disk is full or `runs_root` cannot be written.
    """
    area = runs_root / AREA
    try:
        area.mkdir(parents=True, exist_ok=True)
        with lock_file(area / f"{run_id}.lock"):
            sweep(area, own=run_id)
            folder = area / f"{run_id}-{os.getpid()}-{secrets.token_hex(4)}"
            try:
                folder.mkdir()
                marker = {"tool": "fraudworld", "run_id": run_id, "pid": os.getpid()}
                (folder / MARKER).write_bytes(canonical_json(marker))
                (folder / "run").mkdir()
                yield folder / "run"
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if error.errno not in _NOT_WRITTEN and not _within(error.filename, runs_root):
            raise
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"writing failed: {error.strerror or error}",
            where=str(error.filename or runs_root),
            remedy="free space or choose a writable --runs-root; nothing was published",
        ) from error


def publish(staged: Path, place: Path, index: str) -> bool:
    """Renames `staged` to `place`; True if it is new, False if the same bundle is there.

    Two runs are the same where bundle index (at `index`, relative to the run) and flag are equal
    byte for byte. Raises RefusedError `6A.S5.OUTPUT_CONFLICT`, and touches nothing, where the
    place holds anything else. Call it inside `staging`, which holds the run's lock.
    """
    if os.path.lexists(place):
        theirs = _sealed(place / index)
        if theirs is not None and theirs == _sealed(staged / index):
            return False
        raise RefusedError(
            "6A.S5.OUTPUT_CONFLICT",
            "the place is taken by another run, or by a folder that is not a run",
            where=str(place),
            remedy="choose another --run-id or --runs-root; a published run is never overwritten",
        )
    flush_tree(staged)
    staged.rename(place)
    flush(place.parent)
    return True


def sweep(area: Path, *, own: str) -> None:
    """Deletes what killed runs left in the staging area; the lock of `own` is held already.

    Touches only folders that are named as `staging` names them and hold its marker or nothing.
    """
    for folder in sorted(area.iterdir()):
        named = _FOLDER.fullmatch(folder.name)
        if named is None or folder.is_symlink() or not folder.is_dir():
            continue
        if not (folder / MARKER).is_file() and any(folder.iterdir()):
            continue
        if named["run"] == own:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            with lock_file(area / f"{named['run']}.lock", wait=False):
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # its process is running


def tidy(runs_root: Path) -> None:
    """Deletes what killed or failed runs left in the staging area, as far as it may be written.

    `staging` does so too; this is for a request that finds its result and stages nothing.
    """
    area = runs_root / AREA
    with suppress(OSError):
        if area.is_dir():
            sweep(area, own="")


@contextmanager
def hold_run(runs_root: Path, run_id: str) -> Iterator[bool]:
    """Locks run `run_id` against other processes; False where one is making it now."""
    area = runs_root / AREA
    area.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_file(area / f"{run_id}.lock", wait=False))
        except BlockingIOError:
            yield False
            return
        yield True


def _sealed(index: Path) -> tuple[bytes, bytes | None] | None:
    """Bundle index and the flag beside it; None where there is no readable index."""
    try:
        found = read_bounded(index, LARGEST)
        flag = index.with_name(FLAG)
        return found, read_bounded(flag, LARGEST_FLAG) if os.path.lexists(flag) else None
    except (OSError, ValueError):
        return None


def _within(filename: object, root: Path) -> bool:
    if not isinstance(filename, str):
        return False
    path = Path(os.path.abspath(filename))
    return path == root.absolute() or path.is_relative_to(root.absolute() / AREA)
