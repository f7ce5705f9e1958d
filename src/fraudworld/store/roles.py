"""Roles of runs and frozen baseline sets: the ledger `store_6A.json` beside the runs.

A published run's folder never changes, so its role is kept outside of it. A run without an entry
has the role of its receipt. Every change is one line of `history`; the file is replaced
atomically, under a lock that serialises writers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudworld.documents import JsonObject, load_json, pretty_json
from fraudworld.errors import InputError, RefusedError
from fraudworld.request import ROLE
from fraudworld.store.atomic import lock_file, write_atomic
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import TOOL, Receipt, now, read_receipt
from fraudworld.store.retention import NO_ROLE

FILE = "store_6A.json"
LOCK = ".store_6A.lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass
class Ledger:
    """The document `store_6A.json`."""

    # run id → role
    roles: dict[str, str] = field(default_factory=dict)
    frozen: dict[str, dict[str, str]] = field(default_factory=dict)
    history: list[JsonObject] = field(default_factory=list)

    def role(self, receipt: Receipt) -> str:
        """The role of a run."""
        return self.roles.get(receipt.run_id, receipt.role)

    def baseline_set_of(self, run_id: str) -> str | None:
        """The frozen baseline set a run belongs to, if any."""
        return next((name for name, runs in sorted(self.frozen.items()) if run_id in runs), None)

    def note(self, change: str, **facts: Any) -> None:
        """Appends a line to the history."""
        self.history.append({"at": now(), "change": change, **facts})


def read_ledger(runs_root: Path) -> Ledger:
    """The ledger of a store; empty where nothing was ever pinned.

    Raises InputError `6A.STORE.LEDGER_INVALID` for a file that is not a ledger: without it no run
    is protected, so no command continues.
    """
    path = runs_root / FILE
    if not path.is_symlink() and not path.exists():
        return Ledger()
    try:
        if path.is_symlink():
            raise ValueError("it is a link")
        document = load_json(path)
        if (
            not isinstance(document, dict)
            or document.pop("tool", None) != TOOL
            or set(document) != {"roles", "frozen", "history"}
        ):
            raise ValueError("its fields are not those of a ledger")
        ledger = Ledger(**document)
        _check(ledger)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "6A.STORE.LEDGER_INVALID",
            f"the ledger of roles cannot be read: {error}",
            where=str(path),
            remedy="restore the file, or move it away: then every run has its receipt's role",
        ) from error
    return ledger


def _check(ledger: Ledger) -> None:
    if not isinstance(ledger.history, list) or not all(
        isinstance(part, dict) for part in (ledger.roles, ledger.frozen)
    ):
        raise ValueError("roles or history are malformed")
    for run_id, role in ledger.roles.items():
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            raise ValueError(f"{run_id} has the role {role!r}")
    for name, runs in ledger.frozen.items():
        if not isinstance(runs, dict) or not all(isinstance(d, str) for d in runs.values()):
            raise ValueError(f"baseline set {name} lists no runs")


@contextmanager
def locked(runs_root: Path) -> Iterator[Ledger]:
    """The ledger under its lock; written back if the block succeeds.

    Raises InputError `6A.STORE.LEDGER_INVALID` for a lock that cannot be held: a link, a pipe, or
    a runs root that cannot be written.
    """
    with ExitStack() as stack:
        try:
            runs_root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_file(runs_root / LOCK))
        except OSError as error:
            raise InputError(
                "6A.STORE.LEDGER_INVALID",
                f"the ledger of roles cannot be locked: {error.strerror or error}",
                where=str(runs_root / LOCK),
                remedy="make the runs root writable, and remove whatever is no file there",
            ) from error
        ledger = read_ledger(runs_root)
        before = _bytes(ledger)
        yield ledger
        if (after := _bytes(ledger)) != before:
            write_atomic(runs_root / FILE, after)


def _bytes(ledger: Ledger) -> bytes:
    document = {"tool": TOOL, **vars(ledger)}
    return pretty_json(document)


def pin(root: Path, role: str) -> tuple[str, ...]:
    """Gives the run at `root` a role; returns the ids of the runs that lost it.

    A role has one holder per profile and scale; the previous holder has no role then, and `prune`
    calls it superseded. Raises RefusedError `6A.STORE.POSTURE_FROZEN` where either belongs to a
    frozen baseline set, and InputError for an unknown role.
    """
    if not ROLE.fullmatch(role):
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{role!r} is not a role of a run",
            where="role",
            remedy="use none, baseline, candidate, last_good or witness:<seed>",
        )
    receipt = read_receipt(RunPlace(root))
    with locked(root.parent) as ledger:
        if ledger.role(receipt) == role:
            return ()
        lost = [r for r in _receipts(root.parent) if _rivals(ledger, r, receipt, role)]
        for changed in (receipt, *lost):
            require_open(ledger, changed.run_id, "its role cannot change")
        for other in lost:
            ledger.roles[other.run_id] = NO_ROLE
            ledger.note("role", run_id=other.run_id, was=role, role=NO_ROLE)
        ledger.note("role", run_id=receipt.run_id, was=ledger.role(receipt), role=role)
        ledger.roles[receipt.run_id] = role
    return tuple(r.run_id for r in lost)


def _rivals(ledger: Ledger, other: Receipt, receipt: Receipt, role: str) -> bool:
    same_size = (other.profile, other.scale) == (receipt.profile, receipt.scale)
    return (
        role != NO_ROLE
        and same_size
        and other.run_id != receipt.run_id
        and ledger.role(other) == role
    )


def _receipts(runs_root: Path) -> Iterator[Receipt]:
    for folder in sorted(runs_root.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith("."):
            try:
                receipt = read_receipt(RunPlace(folder))
            except InputError:
                continue
            if receipt.run_id == folder.name:
                yield receipt


def freeze(name: str, roots: list[Path]) -> dict[str, str]:
    """Freezes an accepted baseline set: its runs can no longer change role or be removed.

    Returns run id → bundle digest, as recorded. Raises RefusedError `6A.STORE.NOT_ACCEPTED`
    for a run without flag, `6A.STORE.POSTURE_FROZEN` where the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{name!r} is not a name of a baseline set",
            where="--name",
            remedy="use letters, digits, dots, dashes and underscores",
        )
    receipts = [(root, read_receipt(RunPlace(root))) for root in roots]
    for root, receipt in receipts:
        if not receipt.passed or not RunPlace(root).flag.is_file():
            raise RefusedError(
                "6A.STORE.NOT_ACCEPTED",
                f"run {receipt.run_id[:8]} has no flag: only an accepted world is frozen",
                where=str(root),
                remedy="freeze runs that passed B",
            )
    wanted = {r.run_id: r.bundle_digest for _, r in receipts}
    with locked(roots[0].parent) as ledger:
        if name in ledger.frozen:
            if ledger.frozen[name] == wanted:
                return wanted
            raise _frozen(name, f"baseline set {name} is frozen with other runs")
        for run_id in wanted:
            require_open(ledger, run_id, "it belongs to that set already")
        ledger.frozen[name] = wanted
        ledger.note("freeze", posture=name, runs=wanted)
    return wanted


def reopen(runs_root: Path, name: str, reason: str) -> None:
    """Reopens a frozen baseline set and records the reason.

    Raises InputError for a set that is not frozen, or an empty reason.
    """
    if not reason.strip():
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            "a frozen baseline set is not reopened without a reason",
            where="--reason",
            remedy="say why in a few words; they are kept in the store's history",
        )
    with locked(runs_root) as ledger:
        if name not in ledger.frozen:
            known = ", ".join(sorted(ledger.frozen)) or "none"
            raise InputError(
                "6A.STORE.POSTURE_UNKNOWN",
                f"no baseline set {name!r} is frozen",
                where=str(runs_root),
                remedy=f"frozen are: {known}",
            )
        runs = ledger.frozen.pop(name)
        ledger.note("reopen", posture=name, reason=reason.strip(), runs=runs)


def require_open(ledger: Ledger, run_id: str, what: str) -> None:
    """Raises RefusedError `6A.STORE.POSTURE_FROZEN` if a run belongs to a frozen baseline set."""
    name = ledger.baseline_set_of(run_id)
    if name is not None:
        raise _frozen(name, f"run {run_id[:8]} is frozen in baseline set {name}: {what}")


def require_run_open(root: Path, what: str) -> None:
    """`require_open` for the run at `root`, by the ledger beside it."""
    root = root.resolve()
    require_open(read_ledger(root.parent), root.name, what)


def _frozen(name: str, what: str) -> RefusedError:
    return RefusedError(
        "6A.STORE.POSTURE_FROZEN",
        what,
        where=name,
        remedy=f"fraudworld runs reopen {name} --reason '…' opens it and records why",
    )
