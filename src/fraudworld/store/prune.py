"""Executes a retention plan: touches only our folders, and never leaves half a run.

A run leaves by one rename into `.trash` and is deleted only there. Killed before the rename the
run is complete, killed after it the run is gone; the next prune empties the trash.
"""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fraudworld.errors import FraudworldError, InputError
from fraudworld.request import RUN_ID
from fraudworld.store.atomic import flush
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import hold_run
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.retention import Kept, Plan, RetentionPolicy, plan
from fraudworld.store.roles import Ledger, locked, read_ledger

TRASH = ".trash"
OURS = frozenset({"run_receipt.json", "run_index.json", "data", "logs", "reports"})
"""Entries of a run's folder."""

_TRASHED = re.compile(r"[0-9a-f]{32}-[0-9a-f]{8}")


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
    strangers = sorted({p.name for p in folder.iterdir()} - OURS)
    return f"holds {strangers[0]}, which is not ours" if strangers else receipt


def plan_of(runs_root: Path, policy: RetentionPolicy, now: datetime) -> Plan:
    """The plan for the runs below a root; touches nothing."""
    return _plan(find(runs_root), read_ledger(runs_root), policy, now)


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
    makes or reads under its lock. Raises InputError `6A.S0.IO_WRITE_FAILED` where a rename or
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
                    trash.mkdir(exist_ok=True)
                    gone = trash / f"{verdict.run_id}-{secrets.token_hex(4)}"
                    (runs_root / verdict.run_id).rename(gone)
                    flush(runs_root)
                    shutil.rmtree(gone)
                    removed.append(verdict.run_id)
                    ledger.roles.pop(verdict.run_id, None)
    return removed


def _empty(trash: Path) -> None:
    """Deletes what a killed prune left in the trash; only folders named as `prune` names them."""
    for folder in sorted(trash.iterdir()) if trash.is_dir() else ():
        if _TRASHED.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
