"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fraudworld.arguments import place
from fraudworld.request import ENGINES, PROFILES

SIZES = ", ".join(f"{name} {count:,}".replace(",", " ") for name, count in PROFILES.items())
WHAT, WHERE, HOW = "What to build", "Where", "How"


def absolute(parameter: typer.CallbackParam, value: Path | None) -> Path | None:
    """The callback of every option that is a path: absolute before any command reads it."""
    return None if value is None else place(value, parameter.opts[0])


Profile = Annotated[
    str,
    typer.Option(
        help=f"Size of the world, in parties: {SIZES}.",
        rich_help_panel=WHAT,
    ),
]
Scale = Annotated[float, typer.Option(help="Multiplies the profile's size.", rich_help_panel=WHAT)]
PolicyDir = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="DIR",
        help="Your own policy pack.",
        rich_help_panel=WHAT,
        callback=absolute,
    ),
]
Overlays = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay",
        metavar="NAME",
        help="Change a few figures: an overlay of the pack, or a YAML file. Repeatable.",
        rich_help_panel=WHAT,
    ),
]
UpstreamDir = Annotated[
    Path | None,
    typer.Option(
        "--upstream",
        metavar="DIR",
        help="Your own frozen upstream 1A–5B; by default the embedded one.",
        rich_help_panel=WHAT,
        callback=absolute,
    ),
]
RunsRoot = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder that holds runs.",
        rich_help_panel=WHERE,
        callback=absolute,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads, by default one per core. Changes no value.", rich_help_panel=HOW),
]
ShardParties = Annotated[
    int,
    typer.Option(
        help="Parties of one shard, 0 for one shard per country. Changes no value.",
        rich_help_panel=HOW,
    ),
]
Engine = Annotated[
    str, typer.Option(help=f"Where shards run: {' or '.join(ENGINES)}.", rich_help_panel=HOW)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Dask scheduler, tcp://HOST:PORT; without one --engine dask starts its own.",
        rich_help_panel=HOW,
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        help="Results that --engine local keeps in memory; by default 1/12 of the machine's.",
        rich_help_panel=HOW,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=HOW)
]
KeepAll = Annotated[
    bool,
    typer.Option(
        "--keep-all",
        help="Keep superseded runs of this command; by default they are removed, with the reason.",
        rich_help_panel=WHERE,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress lines.", rich_help_panel=HOW)
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's folder, its id, or the first digits of its id."),
]


def folder_of(run: str, runs_root: Path) -> Path:
    """The folder named, whatever it holds, else that of the run named."""
    from fraudworld import api

    folder = place(run or ".", "RUN")
    return folder if run and folder.is_dir() else api.find_run(run, runs_root).root


def threads(workers: int | None) -> int:
    """Threads of `--workers`; by default one per core."""
    return (os.cpu_count() or 1) if workers is None else workers
