"""`fraudworld runs`: list, show, pin, promote, prune and freeze published runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.documents import JsonObject
from fraudworld.request import RUNS_ROOT, SummaryTable
from fraudworld.store.layout import RunPlace

if TYPE_CHECKING:
    from fraudworld.api import World
    from fraudworld.store.roles import Ledger

runs = typer.Typer(
    no_args_is_help=True,
    help="Published runs: list, show, pin a role, promote, prune, freeze.",
)

LISTED = ("run_id", "profile", "seed", "role", "grade", "passed")
SetName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the baseline set.")]


@runs.command("list")
def list_(runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """List the published runs below a root, with the role each has now."""
    from fraudworld import api
    from fraudworld.store.roles import read_ledger

    ledger = read_ledger(runs_root)
    receipts = [_stated(world, ledger) for world in api.list_runs(runs_root)]
    if as_json:
        show.json_document(receipts)
        return
    if not receipts:
        show.lines((f"No runs in {show.near(runs_root)}. Make one: fraudworld run",))
        return
    listed = (*LISTED, "frozen") if any(r["frozen"] for r in receipts) else LISTED
    rows = tuple(tuple(_cell(receipt[key]) for key in listed) for receipt in receipts)
    show.table(SummaryTable(f"Runs in {show.near(runs_root)}", listed, rows))


@runs.command("show")
def show_(run: opt.Run, runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False) -> None:
    """Show a run: its receipt and its tables."""
    from fraudworld import api
    from fraudworld.store.roles import read_ledger

    world = api.find_run(run, runs_root)
    receipt = _stated(world, read_ledger(world.root.parent))
    if as_json:
        show.json_document(receipt)
        return
    facts = tuple(
        (key, _cell(value)) for key, value in receipt.items() if not isinstance(value, dict | list)
    )
    show.table(SummaryTable(f"Run {show.near(world.root)}", ("fact", "value"), facts))
    counts = tuple((name, rows) for name, rows in receipt["tables"].items())
    show.table(SummaryTable("Tables", ("dataset", "rows"), counts))


def _stated(world: World, ledger: Ledger) -> JsonObject:
    """A run's receipt with the role it has now and the frozen baseline set that holds it.

    Raises InputError `6A.CLI.EVIDENCE_UNREADABLE` where it is not a JSON object and
    `6A.S0.RECEIPT_INVALID` where it is damaged or another tool's.
    """
    from fraudworld.store.receipt import read_receipt

    stated = world.receipt
    known = read_receipt(RunPlace(world.root))
    return stated | {
        "role": ledger.roles.get(known.run_id, known.role),
        "frozen": ledger.baseline_set_of(known.run_id),
    }


@runs.command("pin")
def pin_(
    run: opt.Run,
    role: Annotated[
        str,
        typer.Argument(
            metavar="ROLE", help="baseline, candidate, last_good, witness:SEED, or none."
        ),
    ],
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Give a run a role; the previous holder at this profile and scale loses it."""
    from fraudworld import api
    from fraudworld.store.roles import pin

    root = api.find_run(run, runs_root).root
    _show_role(root, role, pin(root, role), as_json)


@runs.command("promote")
def promote_(
    run: opt.Run, runs_root: opt.RunsRoot = RUNS_ROOT, as_json: opt.AsJson = False
) -> None:
    """Make a candidate the last good run, unless a gate or missing evidence vetoes it.

    Its witnesses are runs of the same policy over the other required seeds, pinned as
    witness:SEED. One veto is enough; all are told, and nothing is changed.
    """
    from fraudworld import api
    from fraudworld.store.promotion import promote

    root = api.find_run(run, runs_root).root
    _show_role(root, "last_good", promote(root), as_json)


@runs.command("prune")
def prune_(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only the plan.")] = False,
    grace_hours: Annotated[
        float, typer.Option(min=0, help="Keep runs younger than this, whatever their role.")
    ] = 0.0,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Remove every run that holds no role and is not frozen; prints the plan first.

    Touches only folders with a receipt of this program. The control arms of T10 of a run go with
    it, and so do arms whose run is gone; sizes count both.
    """
    from fraudworld.store.prune import arms_of, find, orphaned_arms, plan_of, prune, size_of
    from fraudworld.store.retention import RetentionPolicy

    policy, now = RetentionPolicy(timedelta(hours=grace_hours)), datetime.now(UTC)
    plan, untouched = plan_of(runs_root, policy, now), find(runs_root).left_alone
    orphans = orphaned_arms(runs_root)

    def held(run_id: str) -> int:
        return size_of(runs_root / run_id, arms_of(runs_root, run_id))

    columns = ("run", "action", "bytes", "reason")
    rows = (
        *((v.run_id, "remove", held(v.run_id), v.why) for v in plan.remove),
        *((f.name, "remove", size_of(f), "arms of T10 without their run") for f in orphans),
        *((v.run_id, "keep", held(v.run_id), v.why) for v in plan.keep),
        *((name, "leave alone", 0, why) for name, why in untouched),
    )
    if not as_json:
        show.table(SummaryTable(f"Plan for {show.near(runs_root)}", columns, rows))
    freed = sum(row[2] for row in rows if row[1] == "remove") / 1e9
    removed = prune(runs_root, plan, policy, now) if yes else []
    if as_json:
        plain = [dict(zip(columns, row, strict=True)) for row in rows]
        show.json_document({"plan": plain, "removed": removed})
    elif yes:
        show.lines((f"Removed {len(removed)} of {len(plan.remove)} run(s).",))
    else:
        show.lines(
            (f"Nothing removed. {len(plan.remove)} run(s), {freed:.1f} GB, would go: add --yes.",)
        )


@runs.command("freeze")
def freeze_(
    name: SetName,
    run: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs that passed.")],
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Freeze an accepted baseline set: its runs keep their roles, reports and place on disk."""
    from fraudworld import api
    from fraudworld.store.roles import freeze

    held = freeze(name, [api.find_run(one, runs_root).root for one in run])
    if as_json:
        show.json_document({"posture": name, "runs": held})
        return
    show.table(SummaryTable(f"Frozen: {name}", ("run", "bundle digest"), tuple(held.items())))


@runs.command("reopen")
def reopen_(
    name: SetName,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Reopen a frozen baseline set; the reason is recorded."""
    from fraudworld.store.roles import reopen

    reopen(runs_root, name, reason)
    if as_json:
        show.json_document({"posture": name, "reopened": True, "reason": reason})
    else:
        show.lines((f"Baseline set {name} is open. Recorded: {reason}",))


def _show_role(root: Path, role: str, lost: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        show.json_document({"run_id": root.name, "role": role, "lost_by": list(lost)})
        return
    show.lines(
        (
            f"Run {root.name[:8]} is {role} now.",
            *(
                f"Run {other[:8]} was; it holds no role now and prune may remove it."
                for other in lost
            ),
        )
    )


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
