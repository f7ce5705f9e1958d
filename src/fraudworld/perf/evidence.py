"""Reads a run's performance evidence, and refuses what is inconsistent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fraudworld.documents import LARGEST, JsonObject, parse_json, read_bounded
from fraudworld.errors import InputError
from fraudworld.perf.recorder import EVENTS, STARTS, Event, budget_check, summary
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt


@dataclass(frozen=True)
class Evidence:
    """Timings of one run: its events in order, and the two documents derived from them."""

    events: tuple[Event, ...]
    summary: JsonObject
    budgets: JsonObject

    @property
    def missing(self) -> tuple[str, ...]:
        """Required steps without an event, and events that failed: `S3 rng_publish`."""
        return tuple(
            f"{check['state']} {step}"
            for check in self.budgets["states"]
            for step in (*check["missing_steps"], *check["failed_steps"])
        )


def read_evidence(root: Path) -> Evidence:
    """The evidence of the run at `root`.

    Raises InputError `6A.PERF.EVIDENCE_INVALID` where a file is missing or is not JSON, an
    event has other keys, types, values or identity than the contract's, sequence numbers have
    a gap, or summary or budgets do not follow from the events.
    """
    place = RunPlace(root)
    identity = read_receipt(place).identity
    folder = place.perf(identity)
    path = folder / EVENTS
    events = tuple(_event(_object(path, line), identity, path) for line in _text(path).splitlines())
    if [e.sequence for e in events] != list(range(len(events))):
        raise _invalid(path, "sequence numbers do not run from 0 without a gap")
    documents = []
    for name in ("perf_summary_6A", "perf_budget_check_6A"):
        path = folder / f"{name}.json"
        documents.append(_object(path, _text(path)))
    who = asdict(identity)
    start = documents[0].get("start")
    if start not in STARTS:
        raise _invalid(folder, f"the summary states the start {start!r}")
    for document, parsed, name in zip(
        documents,
        (summary(events, start=start), budget_check(events)),
        ("summary", "budget check"),
        strict=True,
    ):
        if document != {**who, **parsed}:
            raise _invalid(folder, f"the {name} does not follow from the events")
    return Evidence(events, documents[0], documents[1])


def read_complete(root: Path) -> Evidence:
    """As `read_evidence`, but raises InputError `6A.PERF.STEPS_MISSING` for incomplete evidence."""
    evidence = read_evidence(root)
    if evidence.missing:
        raise InputError(
            "6A.PERF.STEPS_MISSING",
            f"required steps have no valid timing: {', '.join(evidence.missing)}",
            where=str(RunPlace(root).perf(read_receipt(RunPlace(root)).identity) / EVENTS),
            remedy="make the run again with timing on",
        )
    return evidence


def _event(row: JsonObject, identity: Identity, path: Path) -> Event:
    who = {name: row.pop(name, None) for name in asdict(identity)}
    if who != asdict(identity):
        raise _invalid(path, "an event belongs to another run")
    wanted = {f.name: _TYPES[str(f.type)] for f in fields(Event)}
    if set(row) != set(wanted):
        strange = sorted(set(row) ^ set(wanted))
        raise _invalid(path, f"keys missing or unknown: {', '.join(strange)}")
    for name, kinds in wanted.items():
        if not isinstance(row[name], kinds) or isinstance(row[name], bool):
            raise _invalid(path, f"{name} is {row[name]!r}")
    event = Event(**row)
    if event.segment != "6A":
        raise _invalid(path, f"segment is {event.segment!r}")
    if event.status not in ("PASS", "FAIL") or (event.status == "FAIL") != bool(event.error_type):
        raise _invalid(path, f"status {event.status!r} with error_type {event.error_type!r}")
    if min(event.elapsed_s, event.cpu_s, event.peak_rss_mib, event.rows) < 0:
        raise _invalid(path, f"{event.state} {event.step} has a negative figure")
    return event


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "str | None": (str, type(None)),
}


def _text(path: Path) -> str:
    try:
        return read_bounded(path, LARGEST).decode("utf-8")
    except (OSError, ValueError) as error:
        raise _invalid(path, str(error)) from error


def _object(path: Path, text: str) -> JsonObject:
    try:
        document = parse_json(text)
    except ValueError as error:
        raise _invalid(path, str(error)) from error
    if not isinstance(document, dict):
        raise _invalid(path, "not a JSON object")
    return document


def _invalid(path: Path, what: str) -> InputError:
    return InputError(
        "6A.PERF.EVIDENCE_INVALID",
        f"timings of this run cannot be used: {what}",
        where=str(path),
        remedy="make the run again; timings are written once and never edited",
    )
