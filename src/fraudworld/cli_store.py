"""`fraudworld runs` and `fraudworld perf`: what there is, and what it cost."""

from __future__ import annotations

import typer

from fraudworld import cli_options as opt
from fraudworld import cli_output as show
from fraudworld.request import RUNS_ROOT, SummaryTable

runs = typer.Typer(no_args_is_help=True, help="Published runs: list them, look at one.")
perf = typer.Typer(no_args_is_help=True, help="Timings and budgets of a run.")

LISTED = ("run_id", "profile", "seed", "role", "grade", "passed")


@runs.command("list")
def list_(runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """List the published runs below a root."""
    from fraudworld import api

    receipts = [world.receipt for world in api.list_runs(runs_root)]
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
    receipt = world.receipt
    if as_json:
        show.json_document(receipt)
        return
    facts = tuple(
        (key, _cell(value)) for key, value in receipt.items() if not isinstance(value, dict | list)
    )
    show.table(SummaryTable(f"Run {world.root}", ("fact", "value"), facts))
    counts = tuple((name, rows) for name, rows in receipt["tables"].items())
    show.table(SummaryTable("Tables", ("dataset", "rows"), counts))


@perf.command("show")
def perf_show(
    run: opt.Run, runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False
) -> None:
    """Show seconds per state, the budgets, and the hottest steps."""
    from fraudworld import api

    world = api.find_run(run, runs_root)
    summary, budgets = world.perf()
    if as_json:
        show.json_document({"summary": summary, "budgets": budgets})
        return
    per_state = summary["states"]
    states = tuple(
        (c["state"], float(per_state.get(c["state"], 0.0)), c["budget_s"], c["pass"])
        for c in budgets["states"]
    )
    whole = budgets["segment"]
    show.table(
        SummaryTable(
            "Seconds per state",
            ("state", "seconds", "budget", "within"),
            (*states, ("all", whole["elapsed_s"], whole["budget_s"], whole["pass"])),
            f"{summary['start']} start, peak memory {summary['peak_rss_mib']:.0f} MiB",
        )
    )
    hot = tuple((h["state"], h["step"], h["elapsed_s"], h["rows"]) for h in summary["hotspots"])
    show.table(SummaryTable("Hottest steps", ("state", "step", "seconds", "rows"), hot))
    if not whole["pass"]:
        raise typer.Exit(1)


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
