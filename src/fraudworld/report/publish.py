"""Writing the report of a staged run, and writing it anew for a published one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import canonical_json
from fraudworld.errors import RefusedError
from fraudworld.report.facts import collect
from fraudworld.report.page import render
from fraudworld.store.atomic import write_atomic
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_outside, check_run, renew_reports

TWIN = "report.json"


@dataclass(frozen=True)
class Written:
    """Where the report and its JSON twin are."""

    page: Path
    twin: Path


def write(run: Path, runs_root: Path, folder: Path | None = None) -> Written:
    """Write `report.html` and `report.json` of a run into `folder`, by default its own place.

    `runs_root` is asked for a certificate that names the run and for the ladder. Raises
    InputError as `facts.collect` does; files that are there are replaced whole. A published
    run, one with a `folder`, is checked against its seal first: RefusedError.
    """
    if folder is not None:
        check_run(RunPlace(run))
    place = RunPlace(run).report if folder is None else folder / RunPlace(run).report.name
    files = _files(run, runs_root, place)
    for path, data in files.items():
        write_atomic(path, data)
    return Written(place, place.with_name(TWIN))


def refresh(run: Path) -> Written:
    """Write a published run's report anew, and its lines in `run_index.json`.

    A certificate or a ladder made later then shows. Raises RefusedError
    `6A.REPORT.RUN_CHANGED` where anything else the index covers is not as published, and
    `6A.S5.OUTPUT_CONFLICT` where the run does not hold to its seal.
    """
    place = RunPlace(run)
    check_run(place)
    own = tuple(f"{place.reports.name}/{name}" for name in (place.report.name, TWIN))
    wrong = [w for found in check_outside(place) for w in found if not w.startswith(own)]
    if wrong:
        raise RefusedError(
            "6A.REPORT.RUN_CHANGED",
            f"{wrong[0]}: not what was published",
            where=str(run),
            remedy="a report is written for runs as published; make the run again",
        )
    renew_reports(place, _files(run, run.parent, place.report))
    return Written(place.report, place.report.with_name(TWIN))


def _files(run: Path, runs_root: Path, page: Path) -> dict[Path, bytes]:
    """Both files of a report, as bytes."""
    facts = collect(run, runs_root)
    return {page.with_name(TWIN): canonical_json(facts) + b"\n", page: render(facts).encode()}
