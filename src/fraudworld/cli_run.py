"""`fraudworld run`, `gates` and `certify`: make worlds and judge them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudworld import cli_options as opt
from fraudworld import cli_output as show
from fraudworld.errors import InputError
from fraudworld.request import RUNS_ROOT, SHARD_PARTIES, RunRequest, SummaryTable

if TYPE_CHECKING:
    from fraudworld.pipeline import RunOutcome

SEEDS = "42,7,101,202"


def run(
    profile: opt.Profile = "demo",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=opt.LARGEST_SEED,
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
            help="Another place than the one this request finds by itself.",
            rich_help_panel=opt.WHERE,
        ),
    ] = None,
    from_state: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STATE",
            help="First state to make, S2 to S5; those before come from --base.",
            rich_help_panel=opt.HOW,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="A run whose earlier states are reused; refused where one would differ.",
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

    The same request twice finds the same place and changes nothing. A world that fails its
    gates is published without its flag, for study, and the exit status is 1.

    Examples:

        fraudworld run

        fraudworld run --profile small --seed 7

        fraudworld run --overlay published_baseline --role baseline

        fraudworld run --overlay delta_b_ip --from S4 --base 3f2a

        fraudworld run --engine dask --scheduler tcp://scheduler:8786 --runs-root shared

        fraudworld run --json --quiet | python -m json.tool
    """
    from fraudworld import api, pipeline

    request = RunRequest(
        profile=profile,
        seed=seed,
        runs_root=runs_root,
        policy_dir=policy,
        overlays=tuple(overlay or ()),
        upstream_dir=upstream,
        scale=scale,
        shard_parties=shard_parties,
        workers=_threads(workers),
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


def gates(
    run: opt.Run,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Judge a published run again, from its Parquet files and sealed policy alone.

    Examples:

        fraudworld gates 3f2a

        fraudworld gates runs/fix-data-engine/segment_6A/<run_id> --json
    """
    from fraudworld import api

    board = api.find_run(run, runs_root).gates()
    if as_json:
        show.json_document(board)
    else:
        show.gateboard(board)
    if board["grade"] not in ("B", "B+"):
        raise typer.Exit(1)


def certify(
    seeds: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Seeds, apart by commas: at least the four required ones.",
            rich_help_panel=opt.WHAT,
        ),
    ] = SEEDS,
    profile: opt.Profile = "demo",
    scale: opt.Scale = 1.0,
    policy: opt.PolicyDir = None,
    overlay: opt.Overlays = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    workers: opt.Workers = None,
    shard_parties: opt.ShardParties = SHARD_PARTIES,
    engine: opt.Engine = "local",
    scheduler: opt.Scheduler = None,
    memory: opt.Memory = None,
    witness: Annotated[
        bool,
        typer.Option(
            "--witness/--no-witness",
            help="Make transactions and judge T10; without them the decision is to hold.",
            rich_help_panel=opt.WHAT,
        ),
    ] = True,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Run the full chain once per seed, T1–T10, and decide.

    PASS_B, PASS_BPLUS or HOLD_REMEDIATE; with HOLD_REMEDIATE the exit status is 1. T10 makes
    five streams of transactions a seed. After an interruption what is finished is not made
    again.

    Examples:

        fraudworld certify

        fraudworld certify --no-witness

        fraudworld certify --profile authority --seeds 42,7,101,202,303
    """
    from fraudworld import api

    chosen = seed_list(seeds)
    request = RunRequest(
        profile=profile,
        seed=chosen[0],
        runs_root=runs_root,
        policy_dir=policy,
        overlays=tuple(overlay or ()),
        upstream_dir=upstream,
        scale=scale,
        shard_parties=shard_parties,
        workers=_threads(workers),
        engine=engine,
        scheduler=scheduler,
        memory=memory,
    )
    with show.ProgressLines(quiet=quiet) as progress:
        summary = api.certify(request, chosen, progress.section, witness=witness)
    if as_json:
        show.json_document(summary)
    else:
        _certificate(summary)
    if summary["decision"] == "HOLD_REMEDIATE":
        raise typer.Exit(1)


def _threads(workers: int | None) -> int:
    return (os.cpu_count() or 1) if workers is None else workers


def seed_list(text: str) -> tuple[int, ...]:
    """Different seeds apart by commas. Raises InputError `6A.CLI.ARGUMENT_INVALID`."""
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if (
        not seeds
        or len(set(seeds)) != len(seeds)
        or min(seeds) < 0
        or max(seeds) > opt.LARGEST_SEED
    ):
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{text!r} is no list of different seeds",
            where="--seeds",
            remedy=f"give whole numbers apart by commas, for example {SEEDS}",
        )
    return seeds


def _plain(outcome: RunOutcome) -> dict[str, Any]:
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
        "rows": outcome.rows,
        "summary": [t.as_dict() for t in outcome.summary],
        "gateboard": outcome.gateboard,
    }


def _summary(outcome: RunOutcome) -> None:
    """What a newcomer wants to know: what there is, is it good, where is it, what next."""
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
    run = outcome.run_id[:8] if root.parent == RUNS_ROOT else str(root)
    show.lines(
        (
            "",
            f"World {outcome.run_id[:8]} {'found again, unchanged' if outcome.reused else 'made'}; "
            f"{verdict}.",
            f"  folder    {root}",
            f"  tables    {outcome.place.layer.relative_to(root)}",
            f"  evidence  {outcome.place.validation.relative_to(root)}",
            "",
            "Next",
            f"  {call} gates {run}",
            "    judges it again, from its files alone",
            f"  {call} perf show {run}",
            "    says where the time went",
            f"  {call} export {run} --to duckdb",
            "    takes it along; csv, neo4j, ladybug and pyg are others",
            "  in Python",
            f'    world = fraudworld.find_run("{run}")',
            '    world.table("s1_party_base_6A"), world.duckdb()',
            f"  {call} certify",
            "    runs four seeds and decides whether this policy can be certified",
        )
    )


def _certificate(summary: Mapping[str, Any]) -> None:
    """Seeds, stability, and the decision with what stands in the way of a better one."""
    grades = tuple(
        (seed, str(one["grade"]), len(one["guards_broken"]), str(summary["runs"][seed]))
        for seed, one in summary["seeds"].items()
    )
    show.table(SummaryTable("Seeds", ("seed", "grade", "guards broken", "run"), grades))
    stability = tuple(
        (str(row["metric_name"]), row["value"], str(row["status"])) for row in summary["stability"]
    )
    show.table(SummaryTable("T9 stability", ("metric", "spread", "status"), stability))
    owners = ", ".join(sorted({r["owner"] for r in summary["routing"]})) or "nobody"
    show.lines(
        (
            "",
            *(f"misses {f['misses']}: {_who_fails(f)}" for f in summary["fails"]),
            *(f"copied between seeds: {one}" for one in summary["copied"]),
            f"Decision {summary['decision']}, eligible grade {summary['eligible_grade']}; "
            f"work for {owners}.",
        )
    )


def _who_fails(fail: Mapping[str, Any]) -> str:
    where = "over all seeds" if fail["seed"] is None else f"seed {fail['seed']}"
    return f"{fail['test_id']} {fail['metric_name']}, {where}"
