"""Decisions: `<runs_root>/reports/decisions/<phase>.json`, each with its evidence.

Phases of the remediation ladder and performance lanes record the same document: one decision,
the findings it follows from, and digests of the evidence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from fraudworld.documents import JsonObject, canonical_json, load_json, pretty_json
from fraudworld.errors import InputError
from fraudworld.request import RUN_ID
from fraudworld.store.atomic import write_atomic
from fraudworld.store.bundle import sha256_file

FOLDER = Path("reports/decisions")


@dataclass(frozen=True)
class Finding:
    """One line of a definition of done: whether it holds, and the figures behind it."""

    what: str
    holds: bool
    evidence: JsonObject


@dataclass(frozen=True)
class Decision:
    """The decision of a phase or lane.

    digests: of the evidence, by name; for a phase of the ladder, files below the runs root.
    vetoes: reasons that forbid promoting its runs. blockers: what would have to change. basis:
    the request, and figures for readers.
    """

    phase: str
    decision: str
    seeds: tuple[int, ...]
    run_ids: tuple[str, ...]
    digests: dict[str, str]
    done_when: tuple[Finding, ...]
    vetoes: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    basis: JsonObject = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """The definition of done is closed."""
        return all(finding.holds for finding in self.done_when)

    def as_dict(self) -> JsonObject:
        """Plain data, as published; an empty basis is left out."""
        plain = asdict(self)
        return plain if self.basis else {k: v for k, v in plain.items() if k != "basis"}


def place(runs_root: Path, phase: str) -> Path:
    """Where a phase's decision is kept."""
    return runs_root / FOLDER / f"{phase}.json"


def write_document(path: Path, document: object) -> Path:
    """Writes a JSON document atomically, replacing an earlier one."""
    write_atomic(path, pretty_json(document))
    return path


def write_decision(runs_root: Path, decision: Decision) -> Path:
    """Records a decision; a later one of the same phase replaces it. Returns its path."""
    return write_document(place(runs_root, decision.phase), decision.as_dict())


def read_decision(runs_root: Path, phase: str, *, file: str | None = None) -> Decision | None:
    """The recorded decision of a phase, None where there is none.

    file: name of its file, where that is not the phase's (`POPT_1` of lane `POPT.1`).
    Raises InputError `6A.LADDER.DECISION_INVALID` for a malformed file.
    """
    path = place(runs_root, file or phase)
    if not os.path.lexists(path):
        return None
    try:
        decision = _SHAPE.validate_json(canonical_json(load_json(path)), strict=True)
        if decision.phase != phase or not all(map(RUN_ID.fullmatch, decision.run_ids)):
            raise ValueError("it belongs to another phase, or names ids that are not runs")
    except (OSError, ValueError) as error:
        raise InputError(
            "6A.LADDER.DECISION_INVALID",
            f"this decision cannot be read: {str(error)[:200]}",
            where=str(path),
            remedy="remove the file: the phase is then judged again",
        ) from error
    return decision


_SHAPE = TypeAdapter(Decision)


def digests_of(runs_root: Path, files: Iterable[Path]) -> dict[str, str]:
    """Path below the runs root → SHA-256 (hex)."""
    return {p.relative_to(runs_root).as_posix(): sha256_file(p) for p in files}
