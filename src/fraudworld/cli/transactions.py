"""`fraudworld transactions`: a stream of transactions over a published world."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.documents import JsonObject
from fraudworld.request import RUNS_ROOT, SummaryTable

if TYPE_CHECKING:
    from fraudworld.layers.transactions.request import StreamOutcome


def transactions(
    run: opt.Run,
    days: Annotated[
        int | None,
        typer.Option(help="Whole days of the horizon of 90.", rich_help_panel=opt.WHAT),
    ] = None,
    flows: Annotated[
        int | None,
        typer.Option(help="Flows, from the first day on.", rich_help_panel=opt.WHAT),
    ] = None,
    from_day: Annotated[
        int, typer.Option(help="First day, counted from 1.", rich_help_panel=opt.WHAT)
    ] = 1,
    observable: Annotated[
        bool,
        typer.Option(
            "--observable",
            help="Only what a bank can observe: no labels, causes or campaigns.",
            rich_help_panel=opt.WHAT,
        ),
    ] = False,
    allow_unflagged: Annotated[
        bool,
        typer.Option(
            "--allow-unflagged",
            help="Accept a world that failed its gates, to study it.",
            rich_help_panel=opt.WHAT,
        ),
    ] = False,
    upstream: opt.UpstreamDir = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Publish below this folder instead of the run's own.",
            rich_help_panel=opt.WHERE,
            callback=opt.absolute,
        ),
    ] = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    workers: opt.Workers = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Make transactions over a world: flows, which of them are fraud, and why.

    Seven tables are published below the run's data/layer3/6B, checked and sealed; the profiles
    of the world (`fraudworld profiles`) are made first where there are none. The same request
    again changes nothing; another one needs --to. The world itself never changes.

    Examples:

        fraudworld transactions 3f2a --days 7

        fraudworld transactions 3f2a --flows 1000000 --to elsewhere

        fraudworld transactions 3f2a --days 30 --observable --to for-the-contest
    """
    from fraudworld import api

    request: JsonObject = {
        "days": days,
        "flows": flows,
        "from_day": from_day,
        "observable": observable,
        "allow_unflagged": allow_unflagged,
        "upstream_dir": upstream,
        "to": to,
        "workers": workers or os.cpu_count() or 1,
    }
    world = api.find_run(run, runs_root)
    with show.ProgressLines(quiet=quiet) as progress:
        outcome = api.transactions(world, progress=progress, **request)
    if as_json:
        show.json_document(_plain(outcome))
    else:
        _summary(outcome)
    if not outcome.passed:
        raise typer.Exit(1)


def _plain(outcome: StreamOutcome) -> JsonObject:
    return {
        "layer": str(outcome.layer),
        "passed": outcome.passed,
        "reused": outcome.reused,
        "rows": outcome.rows,
        "report": outcome.report,
        "seconds": outcome.seconds,
    }


def _summary(outcome: StreamOutcome) -> None:
    show.table(SummaryTable("Rows", ("dataset", "rows"), tuple(outcome.rows.items())))
    said = outcome.report["summary"]
    for title, key, what in (
        ("Flows by cause", "flows_by_cause", "cause"),
        ("Flows by campaign type", "flows_by_campaign_type", "type"),
    ):
        if key in said:
            rows = tuple((name, count, count / said["flows"]) for name, count in said[key].items())
            show.table(SummaryTable(title, (what, "flows", "share"), rows))
    broken = tuple(
        (c["check"], c["violations"]) for c in outcome.report["checks"] if c["violations"]
    )
    if broken:
        show.table(SummaryTable("Broken checks", ("check", "violations"), broken))
    verdict = (
        "and every check holds" if outcome.passed else "without flag: see the broken checks above"
    )
    done = "was there already" if outcome.reused else "is published"
    show.lines(("", f"The stream {done}, {verdict}: {show.near(outcome.layer)}"))
