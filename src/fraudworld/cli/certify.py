"""`fraudworld certify`: the full chain once per seed, T1–T10, and the decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer

from fraudworld.arguments import LARGEST_SEED
from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.documents import Json
from fraudworld.errors import InputError
from fraudworld.request import RUNS_ROOT, SHARD_PARTIES, RunRequest, SummaryTable

SEEDS = "42,7,101,202"


def certify(
    seeds: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Seeds, separated by commas: at least the four required ones.",
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
    keep_all: opt.KeepAll = False,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Run the full chain once per seed, T1–T10, and decide.

    PASS_B, PASS_BPLUS or HOLD_REMEDIATE; with HOLD_REMEDIATE the exit status is 1. T10 makes
    five streams of transactions a seed, and none where T1–T9 or a check of S5 fails. After an
    interruption finished runs are verified and reused; streams are made again. Runs of the
    certificate before this one that hold no role are removed once the new one is written.

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
        workers=opt.threads(workers),
        engine=engine,
        scheduler=scheduler,
        memory=memory,
    )
    with show.ProgressLines(quiet=quiet) as progress:
        summary = api.certify(request, chosen, progress.section, witness=witness, keep_all=keep_all)
    if as_json:
        show.json_document(summary)
    else:
        _certificate(summary)
    if summary["decision"] == "HOLD_REMEDIATE":
        raise typer.Exit(1)


def seed_list(text: str) -> tuple[int, ...]:
    """Distinct seeds, separated by commas. Raises InputError `6A.CLI.ARGUMENT_INVALID`."""
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{text!r} is not a list of distinct seeds",
            where="--seeds",
            remedy=f"give integers separated by commas, for example {SEEDS}",
        )
    return seeds


def _certificate(summary: Mapping[str, Json]) -> None:
    """Prints seeds, stability, and the decision with the tests that prevent a better one."""
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
            *_broken_guards(summary["guards"]),
            f"Decision {summary['statement']}; eligible grade {summary['eligible_grade']}; "
            f"work for {owners}.",
        )
    )


def _who_fails(fail: Mapping[str, Json]) -> str:
    where = "over all seeds" if fail["seed"] is None else f"seed {fail['seed']}"
    return f"{fail['test_id']} {fail['metric_name']}, {where}"


def _broken_guards(guards: Mapping[str, Sequence[Mapping[str, Json]]]) -> Iterator[str]:
    """A line for each broken guard: its bound, and its value on every seed where it is broken."""
    broken: dict[str, list[tuple[str, Mapping[str, Json]]]] = {}
    for seed, of in guards.items():
        for guard in of:
            if not guard["holds"]:
                broken.setdefault(guard["guard_id"], []).append((seed, guard))
    for name, cases in broken.items():
        values = ", ".join(
            f"{_seed_or_all(seed)} {show.short(guard['value'])}" for seed, guard in cases
        )
        yield f"guard broken: {name}, must be {cases[0][1]['bound']}: {values}"


def _seed_or_all(seed: str) -> str:
    return f"seed {seed}" if seed.isdecimal() else "over all seeds"
