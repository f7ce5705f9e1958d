"""Writing the report of a staged run, and writing it anew for a published one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from fraudworld.errors import RefusedError
from fraudworld.report.facts import collect, read_document
from fraudworld.report.page import render
from fraudworld.store.bundle import sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import write_run_index

TWIN = "report.json"


@dataclass(frozen=True)
class Written:
    """Where the report and its JSON twin are."""

    page: Path
    twin: Path


def write(run: Path, runs_root: Path, folder: Path | None = None) -> Written:
    """Write `report.html` and `report.json` of a run into `folder`, by default its own place.

    `runs_root` is asked for a certificate that names the run and for the ladder. Raises
    InputError as `facts.collect` does; files that are there are replaced whole.
    """
    facts = collect(run, runs_root)
    place = RunPlace(run).report if folder is None else folder / RunPlace(run).report.name
    written = Written(place, place.with_name(TWIN))
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    _replace(written.twin, text + "\n")
    _replace(written.page, render(facts))
    return written


def refresh(run: Path) -> Written:
    """Write a published run's report anew, and its line in `run_index.json`.

    A certificate or a ladder made later then shows. Raises RefusedError
    `6A.REPORT.RUN_CHANGED` where anything else the index covers is not as published.
    """
    place = RunPlace(run)
    own = {p.relative_to(run).as_posix() for p in (place.report, place.report.with_name(TWIN))}
    for member in read_document(place.run_index)["members"]:
        path = run / member["path"]
        if member["path"] in own:
            continue
        if not path.is_file() or sha256_file(path) != member["sha256_hex"]:
            raise RefusedError(
                "6A.REPORT.RUN_CHANGED",
                f"{member['path']} is not what was published",
                where=str(path),
                remedy="a report is written for runs as published; make the run again",
            )
    written = write(run, run.parent)
    write_run_index(place)
    return written


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    os.replace(part, path)
