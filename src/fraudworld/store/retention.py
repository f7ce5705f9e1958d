"""Which runs are kept: a pure function of (runs, policy, now), with a reason per run.

The keep-set is the runs that hold a role and those of a frozen baseline set (docs/runs.md). No
file is touched here: `store.prune` executes a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

NO_ROLE = "none"
ARMS = ".witness"
"""Folder of a runs root with the control worlds and streams of T10, one folder per candidate."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One run as retention sees it; `frozen` names its frozen baseline set, if any."""

    run_id: str
    role: str
    passed: bool
    grade: str
    created_at: datetime
    frozen: str | None = None


@dataclass(frozen=True)
class RetentionPolicy:
    """`grace`: younger runs are kept whatever their role; by default none is."""

    grace: timedelta = timedelta(0)


@dataclass(frozen=True)
class Verdict:
    """One run, and the reason why it is kept or removed."""

    run_id: str
    why: str


@dataclass(frozen=True)
class Plan:
    """Every run once, by id: what to keep and what to remove."""

    keep: tuple[Verdict, ...]
    remove: tuple[Verdict, ...]


def plan(runs: Iterable[Kept], policy: RetentionPolicy, now: datetime) -> Plan:
    """What retention does to `runs` at `now` (aware of its time zone)."""
    keep: list[Verdict] = []
    remove: list[Verdict] = []
    for run in sorted(runs, key=lambda r: r.run_id):
        why = _reason_to_keep(run, policy, now)
        if why is not None:
            keep.append(Verdict(run.run_id, why))
        else:
            ended = "passed B" if run.passed else f"grade {run.grade}, without flag"
            remove.append(Verdict(run.run_id, f"holds no role ({ended})"))
    return Plan(tuple(keep), tuple(remove))


def superseded(whole: Plan, made: Collection[str], needed: Collection[str] = ()) -> Plan:
    """The part of a plan that a command may execute unasked: runs that it made itself.

    made: ids of runs that earlier steps of the command recorded; needed: ids among them that a
    later step reads. All other runs are kept: only `runs prune --yes` removes a user's run.
    """
    keep, remove = list(whole.keep), []
    for verdict in whole.remove:
        if verdict.run_id in needed:
            keep.append(Verdict(verdict.run_id, "a later phase builds on it"))
        elif verdict.run_id in made:
            remove.append(Verdict(verdict.run_id, f"superseded: {verdict.why}"))
        else:
            keep.append(Verdict(verdict.run_id, "not made by this command"))
    return Plan(tuple(sorted(keep, key=lambda v: v.run_id)), tuple(remove))


def _reason_to_keep(run: Kept, policy: RetentionPolicy, now: datetime) -> str | None:
    if run.frozen is not None:
        return f"frozen in baseline set {run.frozen}"
    if run.role != NO_ROLE:
        return f"is {run.role}"
    # A run from the future (a clock that jumped) is as young as can be.
    if policy.grace > timedelta(0) and now - run.created_at < policy.grace:
        return "younger than the grace period"
    return None
