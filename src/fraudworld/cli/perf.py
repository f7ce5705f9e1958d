"""`fraudworld perf`: timings of runs, and decisions on performance lanes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.errors import InputError
from fraudworld.request import RUNS_ROOT, SummaryTable

if TYPE_CHECKING:
    from fraudworld.perf.compare import Comparison, Side
    from fraudworld.perf.lanes import Lane

perf = typer.Typer(no_args_is_help=True, help="Timings and budgets of runs, and speed lanes.")

STARTED = {
    "first_ever": "first-ever start, kernels were compiled",
    "cold": "cold start, a new process with compiled kernels",
    "warm": "warm start, a later run of its process",
}
"""Words for `start` of a summary."""

SIDES = "Programs of the two sides"


@perf.command("show")
def show_(run: opt.Run, runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """Show seconds per state, the budgets, and the hottest steps.

    CPU-seconds of a state contain the encoding of its tables, which goes on beside the steps.
    Refuses timings in which a required step is missing or failed (exit status 2); exit status 1
    where a budget is exceeded.
    """
    from fraudworld import api
    from fraudworld.perf.evidence import read_complete

    evidence = read_complete(api.find_run(run, runs_root).root)
    summary, budgets = evidence.summary, evidence.budgets
    if as_json:
        show.json_document({"summary": summary, "budgets": budgets})
        return
    states = tuple(
        (
            c["state"],
            c["elapsed_s"],
            summary["states_cpu_s"].get(c["state"]),
            round(sum(t["cpu_s"] for t in summary["encoding"].get(c["state"], {}).values()), 6),
            c["budget_s"],
            c["pass"],
        )
        for c in budgets["states"]
    )
    whole = budgets["segment"]
    show.table(
        SummaryTable(
            "Seconds per state",
            ("state", "seconds", "CPU s", "encoding", "budget", "within"),
            (
                *states,
                (
                    "all",
                    whole["elapsed_s"],
                    summary["segment_cpu_s"],
                    round(sum(s[3] for s in states), 6),
                    whole["budget_s"],
                    whole["pass"],
                ),
            ),
            f"{STARTED[summary['start']]}; peak memory {summary['peak_rss_mib']:.0f} MiB",
        )
    )
    hot = tuple((h["state"], h["step"], h["elapsed_s"], h["rows"]) for h in summary["hotspots"])
    show.table(SummaryTable("Hottest steps", ("state", "step", "seconds", "rows"), hot))
    if not whole["pass"]:
        raise typer.Exit(1)


Python = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Its interpreter; by default this one.",
                 rich_help_panel=SIDES, callback=opt.absolute),
]  # fmt: skip
Source = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of its package: `src` of another checkout.",
                 rich_help_panel=SIDES, callback=opt.absolute),
]  # fmt: skip


@perf.command("compare")
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The run to beat.")],
    cand: Annotated[str, typer.Argument(metavar="CAND", help="The run that should be faster.")],
    lane: Annotated[
        str,
        typer.Option(
            metavar="POPT.N",
            help="Lane to decide on: 1 S3, 2 S5, 3 S2, 4 S4, 5 the whole chain.",
            rich_help_panel=opt.WHAT,
        ),
    ] = "POPT.5",
    repeats: Annotated[
        int,
        typer.Option(
            min=1, help="Measured runs of each side: fewer than three hold, more decide sooner."
        ),
    ] = 5,
    base_python: Python = None,
    cand_python: Python = None,
    base_source: Source = None,
    cand_source: Source = None,
    policy: opt.PolicyDir = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Make two runs again in turns, compare medians, and decide on a performance lane.

    Both worlds must have the same seed, policy and size, and every earlier lane must have
    unlocked the next (exit status 3 otherwise). A small world comes first. Content digests and
    RNG logs that differ, or a state that is surely slower, revert the lane; a target that is
    missed, or a saving within the noise, holds it. The decision and its figures are written
    below RUNS_ROOT/reports/decisions. Exit status 1 unless the lane unlocks the next one.

    Examples:

        fraudworld perf compare 1f3a 1f3a --base-source ../before/src

        fraudworld perf compare 1f3a 1f3a --lane POPT.1 --repeats 5 --base-source ../before/src
    """
    from fraudworld import api
    from fraudworld.perf import compare as measured
    from fraudworld.perf.lanes import require_open, write_decision

    chosen = _lane(lane)
    require_open(runs_root, chosen)

    def side(name: str, run: str, python: Path | None, source: Path | None) -> Side:
        return measured.Side(
            name=name,
            run=api.find_run(run, runs_root).root,
            python=python or Path(sys.executable),
            source=source and source.resolve(),
            policy=policy,
            upstream=upstream,
        )

    comparison = measured.compare(
        side("BASE", base, base_python, base_source),
        side("CAND", cand, cand_python, cand_source),
        chosen,
        repeats,
        runs_root,
        (lambda _: None) if quiet else show.warn,
    )
    path = write_decision(runs_root, chosen, comparison.decision, comparison.evidence())
    if as_json:
        show.json_document({"decision": comparison.decision.as_dict(), **comparison.evidence()})
    else:
        _comparison(comparison, path)
    if not comparison.decision.decision.startswith("UNLOCK"):
        raise typer.Exit(1)


def _lane(name: str) -> Lane:
    from fraudworld.perf.lanes import LANES

    known = [n for n in LANES if n != "POPT.0"]
    if name not in known:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{name!r} is not a lane that two runs can decide",
            where="--lane",
            remedy=f"choose one of {', '.join(known)}",
        )
    return LANES[name]


def _comparison(comparison: Comparison, path: Path) -> None:
    for title, measured in (("Small world", comparison.quick), ("Full chain", comparison.full)):
        rows = tuple(
            (c.state, c.base_s, c.cand_s, 100 * c.saved, _percent(c.saved_low),
             _percent(c.saved_high))
            for c in measured.states
        )  # fmt: skip
        columns = ("state", "BASE", "CAND", "saved %", "from", "to")
        if rows:
            show.table(SummaryTable(f"{title}: median seconds", columns, rows))
    decision = comparison.decision
    conditions = tuple((f.what, f.holds) for f in decision.done_when)
    show.table(SummaryTable(f"Lane {decision.phase}", ("condition", "holds"), conditions))
    show.lines(("", f"Decision {decision.decision}", f"  {show.near(path)}"))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
