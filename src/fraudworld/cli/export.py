"""`fraudworld export`: write a world for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT


def export(
    run: opt.Run,
    to: Annotated[
        str, typer.Option("--to", help="duckdb, csv, neo4j, ladybug or pyg.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="New folder; by default <run>-<format> here.",
            callback=opt.absolute,
        ),
    ] = None,
    observable: Annotated[
        bool,
        typer.Option("--observable", help="Only what a bank can observe: no roles, no truth."),
    ] = False,
    by_bank: Annotated[
        bool,
        typer.Option(
            "--by-bank",
            help="One folder for every bank, with what it sees; duckdb and csv, needs profiles.",
        ),
    ] = False,
    without_profiles: Annotated[
        bool,
        typer.Option("--without-profiles", help="Leave out the tables of `fraudworld profiles`."),
    ] = False,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Write a published world in a format other tools read.

    ladybug and pyg need extras: pip install 'fraudworld[graphdb]', 'fraudworld[pyg]'.

    Examples:

        fraudworld export 3f2a --to duckdb

        fraudworld export 3f2a --to csv --observable --out world-csv

        fraudworld export 3f2a --to csv --by-bank --observable
    """
    from fraudworld import api
    from fraudworld import export as exports

    world = api.find_run(run, runs_root)
    name = "-".join(
        [
            world.root.name[:12],
            to,
            *(["by-bank"] if by_bank else []),
            *(["observable"] if observable else []),
        ]
    )
    with show.ProgressLines(quiet=quiet) as progress:
        folder = exports.export(
            world,
            to,
            out or Path(name),
            observable=observable,
            profiles=not without_profiles,
            by_bank=by_bank,
            progress=progress,
        )
    facts = {
        "path": str(folder),
        "format": to,
        "observable": observable,
        "by_bank": by_bank,
        **exports.size_of(folder),
    }
    if as_json:
        show.json_document(facts)
        return
    size = (
        f"{facts['bytes'] / 1e6:.1f} MB"
        if facts["bytes"] < 1e9
        else f"{facts['bytes'] / 1e9:.2f} GB"
    )
    holds = exports.BY_FORMAT[to].holds
    show.lines(
        (
            f"for every bank {holds}" if by_bank else holds,
            f"  {show.near(folder)}  {facts['files']} files, {size}",
        )
    )
