"""Executes a retention plan: touches only our folders, and never leaves half a run.

A run leaves by one rename into `.trash` and is deleted only there. Killed before the rename the
run is complete, killed after it the run is gone; the next prune empties the trash.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.request import RUN_ID
from fraudworld.store.atomic import flush
from fraudworld.store.folder import is_litter, shown
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import hold_run
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.retention import ARMS, Kept, Plan, RetentionPolicy, plan, superseded
from fraudworld.store.roles import Ledger, locked, read_ledger
from fraudworld.store.seal import files_of

TRASH = ".trash"
OURS = frozenset({"run_receipt.json", "run_index.json", "data", "logs", "reports"})
"""Entries of a run's folder."""

_TRASHED = re.compile(r"([0-9a-f]{32}|worlds|streams)-[0-9a-f]{8}")
_SHARED_ARMS = ("worlds", "streams")
"""Folders of arms that version 1.0 made for all candidates together."""


@dataclass(frozen=True)
class Found:
    """Runs below a root, and folders that look like runs but are not touched, with the reason."""

    runs: tuple[Receipt, ...]
    left_alone: tuple[tuple[str, str], ...]


def find(runs_root: Path) -> Found:
    """Every entry of a root that could be a run. Links are never followed.

    Entries that another prune removes meanwhile are not listed.
    """
    runs: list[Receipt] = []
    ignored: list[tuple[str, str]] = []
    for folder in sorted(runs_root.iterdir()) if runs_root.is_dir() else ():
        if folder.name.startswith(".") or not (folder.is_symlink() or folder.is_dir()):
            continue
        try:
            receipt = _of_ours(folder)
        except FileNotFoundError:
            continue
        if isinstance(receipt, Receipt):
            runs.append(receipt)
        elif folder.is_symlink() or folder.exists():
            ignored.append((folder.name, receipt))
    return Found(tuple(runs), tuple(ignored))


def _of_ours(folder: Path) -> Receipt | str:
    """The receipt of a run that may be removed, or the reason why not."""
    if folder.is_symlink():
        return "a link"
    if not RUN_ID.fullmatch(folder.name):
        return "not named as runs are"
    try:
        receipt = read_receipt(RunPlace(folder))
    except FraudworldError:
        return "no receipt of ours"
    if receipt.run_id != folder.name:
        return "its receipt is another run's"
    strangers = sorted({p.name for p in folder.iterdir() if not is_litter(p.name)} - OURS)
    if strangers:
        return f"holds {shown(strangers[0])}, which is not ours"
    try:
        files_of(RunPlace(folder))
    except RefusedError as error:
        return error.what
    return receipt


def plan_of(runs_root: Path, policy: RetentionPolicy, now: datetime) -> Plan:
    """The plan for the runs below a root; touches nothing."""
    return _plan(find(runs_root), read_ledger(runs_root), policy, now)


def arms_of(runs_root: Path, run_id: str) -> Path:
    """Folder of the control arms of T10 of a candidate: their worlds and streams."""
    return runs_root / ARMS / run_id


def orphaned_arms(runs_root: Path) -> tuple[Path, ...]:
    """Folders of arms whose candidate is gone. Links and strange names are never listed."""
    home = runs_root / ARMS
    if home.is_symlink() or not home.is_dir():
        return ()
    return tuple(
        folder
        for folder in sorted(home.iterdir())
        if folder.is_dir()
        and not folder.is_symlink()
        and (
            folder.name in _SHARED_ARMS
            or (RUN_ID.fullmatch(folder.name) and not (runs_root / folder.name).exists())
        )
    )


def size_of(*folders: Path) -> int:
    """Bytes of the files below some folders; links and files that vanish count nothing."""
    total = 0
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):
                    total += (Path(parent) / name).lstat().st_size
    return total


def _plan(found: Found, ledger: Ledger, policy: RetentionPolicy, now: datetime) -> Plan:
    return plan(
        (
            Kept(
                run_id=r.run_id,
                role=ledger.role(r),
                passed=r.passed,
                grade=r.grade,
                created_at=datetime.fromisoformat(r.created_at),
                frozen=ledger.baseline_set_of(r.run_id),
            )
            for r in found.runs
        ),
        policy,
        now,
    )


def prune(runs_root: Path, agreed: Plan, policy: RetentionPolicy, now: datetime) -> list[str]:
    """Removes the runs that `agreed` and a new plan, made under the lock, both remove; returns ids.

    A run that was pinned, frozen or changed since is kept, and so is one that another process
    makes or reads under its lock. The control arms of T10 go with their candidate; those of a
    candidate that is gone go too. Raises InputError `6A.S0.IO_WRITE_FAILED` where a rename or
    deletion fails; the next prune continues.
    """
    try:
        return _prune(runs_root, agreed, policy, now)
    except OSError as error:
        raise InputError(
            "6A.S0.IO_WRITE_FAILED",
            f"removing failed: {error.strerror or error}",
            where=str(runs_root),
            remedy="make the runs root writable and prune again; no run is left half removed",
        ) from error


def prune_superseded(
    runs_root: Path,
    made: Collection[str],
    needed: Collection[str],
    report_to: Callable[[str], object],
) -> list[str]:
    """Removes runs of a command that are superseded, and says why; returns ids, as `prune` does.

    made, needed: see `retention.superseded`. report_to: called with a line for every run that
    goes, before it does.
    """
    now = datetime.now(UTC)
    agreed = superseded(plan_of(runs_root, RetentionPolicy(), now), made, needed)
    if not agreed.remove:
        return []
    for verdict in agreed.remove:
        report_to(f"prune {verdict.run_id[:8]}: {verdict.why}")
    return prune(runs_root, agreed, RetentionPolicy(), now)


def _prune(runs_root: Path, agreed: Plan, policy: RetentionPolicy, now: datetime) -> list[str]:
    removed: list[str] = []
    wanted = {v.run_id for v in agreed.remove}
    trash = runs_root / TRASH
    with locked(runs_root) as ledger:
        if trash.is_symlink() or (trash.exists() and not trash.is_dir()):
            return removed
        _empty(trash)
        # A role must not apply to a later run of the same id.
        for run_id in sorted(ledger.roles):
            if not (runs_root / run_id).exists():
                del ledger.roles[run_id]
        for verdict in _plan(find(runs_root), ledger, policy, now).remove:
            if verdict.run_id not in wanted:
                continue
            with hold_run(runs_root, verdict.run_id) as held:
                if held:
                    _remove(trash, runs_root / verdict.run_id)
                    removed.append(verdict.run_id)
                    ledger.roles.pop(verdict.run_id, None)
        for folder in orphaned_arms(runs_root):
            _remove(trash, folder)
    return removed


def _remove(trash: Path, folder: Path) -> None:
    """Deletes a folder by one rename into the trash, where a killed prune may leave it."""
    trash.mkdir(exist_ok=True)
    gone = trash / f"{folder.name}-{secrets.token_hex(4)}"
    folder.rename(gone)
    flush(folder.parent)
    shutil.rmtree(gone)


def _empty(trash: Path) -> None:
    """Deletes what a killed prune left in the trash; only folders named as `prune` names them."""
    for folder in sorted(trash.iterdir()) if trash.is_dir() else ():
        if _TRASHED.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
