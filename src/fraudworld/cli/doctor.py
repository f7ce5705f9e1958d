"""`fraudworld doctor`: whether this machine can run it, and the remedy where it cannot."""

from __future__ import annotations

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT, SummaryTable


def doctor(runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """Check Python, libraries, cores, memory, disk, compiled kernels and extras.

    Exit status 1 where something prevents a run.
    """
    from fraudworld.cli.environment import examine

    findings = examine(runs_root)
    if as_json:
        show.json_document([vars(f) for f in findings])
    else:
        words = {True: "ok", False: "NO", None: ""}
        rows = tuple((f.what, f.found, words[f.holds]) for f in findings)
        show.table(SummaryTable("This machine", ("check", "found", ""), rows))
        show.lines(("", *(f"{f.what}: {f.remedy}" for f in findings if f.remedy and not f.holds)))
    if any(f.holds is False for f in findings):
        raise typer.Exit(1)
