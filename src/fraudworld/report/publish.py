"""Writes the report of a staged run, or replaces that of a published one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import MALFORMED, canonical_json
from fraudworld.errors import RefusedError
from fraudworld.report.facts import Beside, beside, collect, unreadable
from fraudworld.report.page import render
from fraudworld.store.atomic import write_atomic
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_outside, check_run, renew_reports

TWIN = "report.json"


@dataclass(frozen=True)
class Written:
    """Paths of the HTML report and of its JSON document."""

    page: Path
    twin: Path


def write(run: Path, runs_root: Path, folder: Path | None = None) -> Written:
    """Writes `report.html` and `report.json` of a run into `folder`, atomically.

    folder: by default the report folder of a staged run. With a folder, the run is a published
    one and is verified against its seal first (RefusedError). runs_root: searched for a
    certificate that names the run and for the ladder. Raises InputError as `facts.collect`.
    """
    if folder is not None:
        check_run(RunPlace(run))
    place = RunPlace(run).report if folder is None else folder / RunPlace(run).report.name
    files = _files(run, runs_root, place)
    for path, data in files.items():
        write_atomic(path, data)
    return Written(place, place.with_name(TWIN))


def refresh(run: Path) -> Written:
    """Replaces the report of a published run and its entries in `run_index.json`.

    Adds a certificate or a ladder that is newer than the run. Raises RefusedError
    `6A.REPORT.RUN_CHANGED` if any other indexed file differs from its digest, and
    `6A.S5.OUTPUT_CONFLICT` if the run does not match its seal.
    """
    place = RunPlace(run)
    check_run(place)
    own = tuple(f"{place.reports.name}/{name}" for name in (place.report.name, TWIN))
    wrong = [
        w for differences in check_outside(place) for w in differences if not w.startswith(own)
    ]
    if wrong:
        raise RefusedError(
            "6A.REPORT.RUN_CHANGED",
            f"{wrong[0]} differs from what was published",
            where=str(run),
            remedy="run it again: a report requires an unchanged run",
        )
    renew_reports(place, _files(run, run.parent, place.report))
    return Written(place.report, place.report.with_name(TWIN))


def _files(run: Path, runs_root: Path, page: Path) -> dict[Path, bytes]:
    """The bytes of both files of a report."""
    return files_of(run, beside(run, runs_root), page)


def files_of(run: Path, near: Beside, page: Path) -> dict[Path, bytes]:
    """The bytes of both files of a report that shows `near`.

    Raises InputError `6A.REPORT.EVIDENCE_UNREADABLE` for documents that are not as the contract
    says, and as `facts.collect`.
    """
    try:
        facts = collect(run, near)
        return {page.with_name(TWIN): canonical_json(facts) + b"\n", page: render(facts).encode()}
    except MALFORMED as error:
        raise unreadable(run, error) from error
