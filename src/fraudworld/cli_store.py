"""`fraudworld runs`: what there is, and who one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from fraudworld import cli_options as opt
from fraudworld import cli_output as show
from fraudworld.request import RUNS_ROOT, SummaryTable

if TYPE_CHECKING:
    from fraudworld.api import World

runs = typer.Typer(no_args_is_help=True, help="Published runs: list them, look at one.")

LISTED = ("run_id", "profile", "seed", "role", "grade", "passed")


@runs.command("list")
def list_(runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """List the published runs below a root."""
    from fraudworld import api

    receipts = [_receipt(world) for world in api.list_runs(runs_root)]
    if as_json:
        show.json_document(receipts)
        return
    if not receipts:
        show.lines((f"No runs in {runs_root}. Make one: fraudworld run",))
        return
    rows = tuple(tuple(_cell(receipt[key]) for key in LISTED) for receipt in receipts)
    show.table(SummaryTable(f"Runs in {runs_root}", LISTED, rows))


@runs.command("show")
def show_(run: opt.Run, runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """Show who a run is: its receipt and its tables."""
    from fraudworld import api

    world = api.find_run(run, runs_root)
    receipt = _receipt(world)
    if as_json:
        show.json_document(receipt)
        return
    facts = tuple(
        (key, _cell(value)) for key, value in receipt.items() if not isinstance(value, dict | list)
    )
    show.table(SummaryTable(f"Run {world.root}", ("fact", "value"), facts))
    counts = tuple((name, _cell(rows)) for name, rows in receipt["tables"].items())
    show.table(SummaryTable("Tables", ("dataset", "rows"), counts))


def _receipt(world: World) -> dict[str, Any]:
    """The receipt as plain data, once it has proved to be one."""
    from fraudworld.store.layout import RunPlace
    from fraudworld.store.receipt import read_receipt

    document = world.receipt
    read_receipt(RunPlace(world.root))
    return document


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
