"""`fraudworld ladder`: from the failing baseline to B+, one state at a time."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.cli.certify import SEEDS, seed_list
from fraudworld.request import RUNS_ROOT, SHARD_PARTIES, RunRequest


def ladder(
    profile: opt.Profile = "demo",
    phases: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="`P0,P1`, a range `P0..P4`, or `all`; earlier phases must be recorded.",
            rich_help_panel=opt.WHAT,
        ),
    ] = "all",
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation",
            help="Instead: every control alone on the baseline, and its effects.",
            rich_help_panel=opt.WHAT,
        ),
    ] = False,
    seeds: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Seeds of P5 and P6_3; the first is also the seed of the other phases.",
            rich_help_panel=opt.WHAT,
        ),
    ] = SEEDS,
    scale: opt.Scale = 1.0,
    policy: opt.PolicyDir = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    keep_all: opt.KeepAll = False,
    workers: opt.Workers = None,
    shard_parties: opt.ShardParties = SHARD_PARTIES,
    engine: opt.Engine = "local",
    scheduler: opt.Scheduler = None,
    memory: opt.Memory = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Climb P0–P6: rerun the states of each phase, judge, decide, record.

    Decisions are written to RUNS_ROOT/reports/decisions. The ladder ends at the first phase that
    is not done, with exit status 1, and says what blocks it. Recorded phases whose evidence is
    unchanged are not repeated. Its own runs that hold no role and that no later phase reads are
    removed before P5 and P6_3 and after each, with the reason.

    Examples:

        fraudworld ladder

        fraudworld ladder --phases P0..P4

        fraudworld ladder --profile authority --keep-all

        fraudworld ladder --ablation
    """
    from fraudworld import api
    from fraudworld.remediation import chosen, publish_ablation, publish_ladder
    from fraudworld.store.decisions import FOLDER

    wanted, certified = chosen(phases), seed_list(seeds)
    request = RunRequest(
        profile=profile,
        seed=certified[0],
        scale=scale,
        runs_root=runs_root,
        policy_dir=policy,
        upstream_dir=upstream,
        workers=workers or os.cpu_count() or 1,
        shard_parties=shard_parties,
        engine=engine,
        scheduler=scheduler,
        memory=memory,
    )
    with show.ProgressLines(quiet=quiet) as progress:
        if ablation:
            alone = api.ablate(request, progress.section)
            plain, tables = [a.as_dict() for a in alone], publish_ablation(runs_root, alone)
            last = None
        else:
            climbed = api.ladder(request, certified, wanted, progress.section, keep_all=keep_all)
            plain, tables = [d.as_dict() for d in climbed], publish_ladder(runs_root, climbed)
            last = climbed[-1]
    if as_json:
        show.json_document(plain)
    else:
        for shown in tables:
            show.table(shown)
        name = "ablation" if ablation else "ladder"
        show.lines(("", f"evidence  {runs_root / FOLDER / name}.md and .json"))
    if last is not None and not last.done:
        if not as_json:
            show.lines((f"{last.phase} is not done: {last.decision}", *last.blockers))
        raise typer.Exit(1)
