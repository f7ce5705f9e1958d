"""`fraudworld profiles`: who the parties of a published world are, and since when."""

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
    from fraudworld.layers.profiles.request import ProfilesOutcome


def profiles(
    run: opt.Run,
    without_identities: Annotated[
        bool,
        typer.Option(
            "--without-identities",
            help="Leave out names, contact data and tax ids.",
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
    engine: opt.Engine = "local",
    scheduler: opt.Scheduler = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Make profiles of a world: names, ages, homes, work, lives of accounts, outlets, terminals.

    Tables are published below the run's data/layer3/6P, checked, judged and sealed. The same
    request again changes nothing; another one needs --to. The world itself never changes.

    Examples:

        fraudworld profiles 3f2a

        fraudworld profiles 3f2a --without-identities --to elsewhere
    """
    from fraudworld import api

    request: JsonObject = {
        "identities": not without_identities,
        "allow_unflagged": allow_unflagged,
        "upstream_dir": upstream,
        "to": to,
        "workers": workers or os.cpu_count() or 1,
        "engine": engine,
        "scheduler": scheduler,
    }
    world = api.find_run(run, runs_root)
    with show.ProgressLines(quiet=quiet) as progress:
        outcome = api.profiles(world, progress=progress, **request)
    if as_json:
        show.json_document(_plain(outcome))
    else:
        _summary(outcome)
    if not outcome.passed:
        raise typer.Exit(1)


def _plain(outcome: ProfilesOutcome) -> JsonObject:
    return {
        "layer": str(outcome.layer),
        "passed": outcome.passed,
        "reused": outcome.reused,
        "rows": outcome.rows,
        "report": outcome.report,
        "seconds": outcome.seconds,
    }


def _summary(outcome: ProfilesOutcome) -> None:
    show.table(SummaryTable("Rows", ("dataset", "rows"), tuple(outcome.rows.items())))
    broken = tuple(
        (c["check"], c["violations"]) for c in outcome.report["checks"] if c["violations"]
    )
    if broken:
        show.table(SummaryTable("Broken checks", ("check", "violations"), broken))
    verdict = (
        "and every check holds" if outcome.passed else "without flag: see validation/ of its folder"
    )
    done = "were there already" if outcome.reused else "are published"
    show.lines(("", f"Profiles {done}, {verdict}: {show.near(outcome.layer)}"))
