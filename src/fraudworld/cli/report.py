"""`fraudworld report`: a world and its verdict as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT


def report(
    run: opt.Run,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to write to; by default the run's own report is replaced.",
            callback=opt.absolute,
        ),
    ] = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Write a run's report: report.html, and report.json with the same numbers.

    Every run has one. Written again, it also shows the certificate and the ladder that its
    runs root has gained since.

    Examples:

        fraudworld report 3f2a

        fraudworld report 3f2a --out shared-folder
    """
    from fraudworld import api
    from fraudworld import report as reports

    root = api.find_run(run, runs_root).root
    written = reports.refresh(root) if out is None else reports.write(root, root.parent, out)
    size = written.page.stat().st_size
    if as_json:
        facts = {"page": str(written.page), "data": str(written.twin), "bytes": size}
        show.json_document(facts)
        return
    page, twin = show.near(written.page), show.near(written.twin)
    show.lines((f"{page}  {size / 1e6:.1f} MB", f"{twin}  the same numbers"))
