"""`fraudworld run`: make, judge and seal one world."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.arguments import LARGEST_SEED, place
from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.documents import JsonObject
from fraudworld.request import RUNS_ROOT, SHARD_PARTIES, RunRequest, SummaryTable

if TYPE_CHECKING:
    from fraudworld.run.pipeline import RunOutcome


def run(
    profile: opt.Profile = "demo",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            metavar="INT",
            help="The realisation: another seed, another world under the same policy.",
            rich_help_panel=opt.WHAT,
        ),
    ] = 42,
    scale: opt.Scale = 1.0,
    policy: opt.PolicyDir = None,
    overlay: opt.Overlays = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    role: Annotated[
        str,
        typer.Option(
            help="none, baseline, candidate, last_good or witness:SEED; pruning keeps roles.",
            rich_help_panel=opt.WHERE,
        ),
    ] = "none",
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id",
            metavar="HEX32",
            help="Name of the run's folder; by default it follows from the request.",
            rich_help_panel=opt.WHERE,
        ),
    ] = None,
    from_state: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STATE",
            help="First state to make, S2 to S5; earlier ones are reused from --base.",
            rich_help_panel=opt.HOW,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="The run whose earlier states are reused; refused where one would differ.",
            rich_help_panel=opt.HOW,
        ),
    ] = None,
    workers: opt.Workers = None,
    shard_parties: opt.ShardParties = SHARD_PARTIES,
    engine: opt.Engine = "local",
    scheduler: opt.Scheduler = None,
    memory: opt.Memory = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Build a world S0–S5, judge it by T1–T8, seal and publish it.

    An equal request finds the same run and changes nothing. A world that fails its
    gates is published without its flag, for study, and the exit status is 1.

    Examples:

        fraudworld run

        fraudworld run --profile small --seed 7

        fraudworld run --overlay published_baseline --role baseline

        fraudworld run --overlay delta_b_ip --from S4 --base 3f2a

        fraudworld run --engine dask --scheduler tcp://scheduler:8786 --runs-root shared

        fraudworld run --json --quiet | python -m json.tool
    """
    from fraudworld import api
    from fraudworld.run import pipeline

    request = RunRequest(
        profile=profile,
        seed=seed,
        runs_root=runs_root,
        policy_dir=policy,
        overlays=tuple(overlay or ()),
        upstream_dir=upstream,
        scale=scale,
        shard_parties=shard_parties,
        workers=opt.threads(workers),
        role=role,
        run_id=run_id,
        engine=engine,
        scheduler=scheduler,
        memory=memory,
        from_state=from_state,
        base=None if base is None else api.find_run(base, runs_root).root,
    )
    with show.ProgressLines(quiet=quiet) as progress:
        outcome = pipeline.run(request, progress)
    if as_json:
        show.json_document(_plain(outcome))
    else:
        _summary(outcome)
    if not outcome.passed:
        raise typer.Exit(1)


def _plain(outcome: RunOutcome) -> JsonObject:
    identity = outcome.identity
    return {
        "run_id": outcome.run_id,
        "path": str(outcome.place.root),
        "seed": identity.seed,
        "parameter_hash": identity.parameter_hash,
        "manifest_fingerprint": identity.manifest_fingerprint,
        "grade": outcome.grade,
        "passed": outcome.passed,
        "reused": outcome.reused,
        "verified": outcome.verified,
        "rows": outcome.rows,
        "summary": [t.as_dict() for t in outcome.summary],
        "gateboard": outcome.gateboard,
    }


def _how(outcome: RunOutcome) -> str:
    if not outcome.reused:
        return "made" if outcome.verified else "made from a base that was not verified anew"
    return f"found again as sealed, {'' if outcome.verified else 'not '}verified anew"


def _summary(outcome: RunOutcome) -> None:
    """Prints tables, key means, gateboard, folders and next commands."""
    from fraudworld.contracts import BY_NAME

    order = list(BY_NAME)
    root = outcome.place.root
    rows = tuple(
        (name, re.split("[:;.]", BY_NAME[name].meaning)[0], count)
        for name, count in sorted(outcome.rows.items(), key=lambda row: order.index(row[0]))
    )
    total = f"{show.figure(sum(outcome.rows.values()))} rows in all."
    show.table(SummaryTable("Tables", ("dataset", "what it holds", "rows"), rows, total))
    for shown in outcome.summary:
        show.table(shown)
    show.gateboard(outcome.gateboard)
    verdict = (
        f"grade {outcome.grade}, sealed with its flag"
        if outcome.passed
        else f"grade {outcome.grade}: does NOT pass B, kept for study without flag"
    )
    # An id is enough in the default root; elsewhere only the folder says which run.
    call = show.program()
    in_default = root.parent == place(RUNS_ROOT, "--runs-root")
    run = outcome.run_id[:8] if in_default else str(show.near(root))
    show.lines(
        (
            "",
            f"World {outcome.run_id[:8]} {_how(outcome)}; {verdict}.",
            f"  folder    {show.near(root)}",
            f"  tables    {outcome.place.layer.relative_to(root)}",
            f"  evidence  {outcome.place.validation.relative_to(root)}",
            "",
            "Next",
            f"  {call} gates {run}",
            "    judge it again from its files alone",
            f"  {call} perf show {run}",
            "    seconds, memory and rows of every step",
            f"  {call} export {run} --to duckdb",
            "    use it in another tool: duckdb, csv, neo4j, ladybug or pyg",
            "  in Python",
            f'    world = fraudworld.find_run("{run}")',
            '    world.table("s1_party_base_6A"), world.duckdb()',
            f"  {call} certify",
            "    run four seeds and certify this policy, or say why not",
        )
    )
