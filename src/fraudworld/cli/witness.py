"""`fraudworld witness`: T10, the compatibility of a world with transactions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.documents import JsonObject
from fraudworld.request import RUNS_ROOT, SummaryTable

if TYPE_CHECKING:
    from fraudworld.gates.gate import Row
    from fraudworld.t10.arms import Verdict


def witness(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="The baseline: a run, flagged or not.")
    ],
    cand: Annotated[
        str, typer.Argument(metavar="CAND", help="The candidate: a run with its flag.")
    ],
    flows: Annotated[
        int | None,
        typer.Option(help="Flows of every arm; the policy's number by default."),
    ] = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    workers: opt.Workers = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Judge a world by its transactions (T10): does fraud follow its risky entities?

    Five streams share arrivals and draws: over the baseline, the candidate, the candidate
    without propagation and with half of it, and with its endpoints rewired. Their worlds and
    streams lie in .witness of the candidate's runs root; worlds found there are verified and
    used again, streams are made again. BASE has CAND's seed and size.

    Examples:

        fraudworld run --overlay published_baseline --role baseline

        fraudworld witness 91c0 3f2a

        fraudworld witness 91c0 3f2a --flows 500000 --json
    """
    from fraudworld import api

    worlds = [api.find_run(run, runs_root) for run in (base, cand)]
    with show.ProgressLines(quiet=quiet) as progress:
        verdict = api.witness(
            *worlds,
            flows=flows,
            upstream_dir=upstream,
            workers=workers or os.cpu_count() or 1,
            progress=progress.section,
        )
    if as_json:
        show.json_document(_plain(verdict))
    else:
        _shown(verdict)
    if verdict.grade == "<C":
        raise typer.Exit(1)


def _plain(verdict: Verdict) -> JsonObject:
    return {
        "grade": verdict.grade,
        "report": str(verdict.report),
        "binding": [row.as_dict() for row in verdict.binding],
        "rows": [row.as_dict() for row in verdict.rows],
    }


def _shown(verdict: Verdict) -> None:
    rows = tuple(
        (row.metric_name, row.value, row.threshold_B, _interval(row), _verdict(row))
        for row in verdict.rows
    )
    columns = ("metric", "value", "bound", "95 %", "verdict")
    show.table(SummaryTable("T10 downstream witness", columns, rows))
    show.lines(("", *(f"{row.metric_name:<16}{_verdict(row)}" for row in verdict.binding)))
    show.lines((f"Grade {verdict.grade}", f"evidence  {verdict.report}"))


def _interval(row: Row) -> str:
    if row.ci_low is None or row.ci_high is None:
        return ""
    return f"{row.ci_low:.3g}–{row.ci_high:.3g}"


def _verdict(row: Row) -> str:
    if row.status == "INSUFFICIENT_EVIDENCE":
        return "no evidence"
    return "B+" if row.pass_Bplus else "B" if row.pass_B else "FAIL"
