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
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Write a published world in a format other tools read.

    ladybug and pyg need extras: pip install 'fraudworld[graphdb]', 'fraudworld[pyg]'.

    Examples:

        fraudworld export 3f2a --to duckdb

        fraudworld export 3f2a --to csv --observable --out world-csv
    """
    from fraudworld import api
    from fraudworld import export as exports

    world = api.find_run(run, runs_root)
    dest = out or Path(f"{world.root.name[:12]}-{to}{'-observable' if observable else ''}")
    folder = exports.export(world, to, dest, observable=observable)
    facts = {"path": str(folder), "format": to, "observable": observable, **exports.size_of(folder)}
    if as_json:
        show.json_document(facts)
        return
    size = (
        f"{facts['bytes'] / 1e6:.1f} MB"
        if facts["bytes"] < 1e9
        else f"{facts['bytes'] / 1e9:.2f} GB"
    )
    show.lines(
        (f"{exports.BY_FORMAT[to].holds}", f"  {show.near(folder)}  {facts['files']} files, {size}")
    )
