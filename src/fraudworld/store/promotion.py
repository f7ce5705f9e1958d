"""Promotion of a run, candidate → last good, and the vetoes that stop it (docs/runs.md).

One seed comes first, then the witness seeds. A failing hard gate or missing evidence is a veto;
one veto is enough, and all are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fraudworld.documents import load_json
from fraudworld.errors import FraudworldError, RefusedError
from fraudworld.store.layout import RunPlace
from fraudworld.store.prune import find
from fraudworld.store.receipt import read_receipt
from fraudworld.store.roles import pin, read_ledger
from fraudworld.store.seal import check_run

WITNESS_SEEDS = (42, 7, 101, 202)
HARD = tuple(f"T{n}" for n in range(1, 9))
VETO_RULES = (
    "a byte of the run or its evidence differs from its seal",
    "evidence is missing or cannot be read",
    "the run has no flag",
    "one of T1–T8 was not judged",
    "a row of T1–T8 does not pass B, or has insufficient evidence",
    "a REQUIRED check of S5 fails",
    "a required seed has no witness of the same policy and size, or that witness has a veto",
)
"""What stops a promotion (`vetoes`, `promote`); one is enough."""


def vetoes(root: Path) -> tuple[str, ...]:
    """Reasons not to promote the run at `root`; empty where there are none."""
    place = RunPlace(root)
    try:
        sealed = check_run(place)
        tests = load_json(place.gateboard)["tests"]
        report = load_json(place.document("s5_validation_report_6A"))
        failed = [f"S5 check {name} fails" for name in report["required_failed"]]
        rows = [(t["test_id"], t["metric_name"], t["status"], t["pass_B"]) for t in tests]
    except FraudworldError as error:
        return (f"evidence does not hold: {error.code}",)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (f"evidence cannot be read: {type(error).__name__}",)
    judged = {str(test).partition("_")[0] for test, *_ in rows}
    return (
        *(() if sealed.passed else ("no flag: it did not pass",)),
        *(f"{gate} was not judged" for gate in HARD if gate not in judged),
        *(
            f"{test} {metric} is {status}"
            for test, metric, status, good in rows
            if not good or status != "PASS"
        ),
        *failed,
    )


def promote(root: Path, seeds: Sequence[int] = WITNESS_SEEDS) -> tuple[str, ...]:
    """Makes a candidate the last good run; returns the ids of runs that lost that role.

    Every other seed needs a run of the same policy and size with the role `witness:<seed>`.
    Raises RefusedError `6A.STORE.PROMOTION_VETOED` with every veto, and changes nothing.
    """
    candidate = read_receipt(RunPlace(root))
    ledger = read_ledger(root.parent)
    reasons = [] if ledger.role(candidate) == "candidate" else ["the run is no candidate"]
    reasons += [f"candidate: {why}" for why in vetoes(root)]
    same = ("parameter_hash", "profile", "scale", "overlays", "versions")
    for seed in seeds:
        if seed == candidate.seed:
            continue
        witnesses = [
            r
            for r in find(root.parent).runs
            if r.seed == seed
            and ledger.role(r) == f"witness:{seed}"
            and all(getattr(r, name) == getattr(candidate, name) for name in same)
        ]
        if not witnesses:
            reasons.append(f"no run of this policy is witness:{seed}")
        reasons += [
            f"witness:{seed}: {why}" for r in witnesses for why in vetoes(root.parent / r.run_id)
        ]
    if reasons:
        raise RefusedError(
            "6A.STORE.PROMOTION_VETOED",
            f"{len(reasons)} veto(es): " + "; ".join(reasons[:20]),
            where=str(root),
            remedy="pin the candidate and its witnesses, repair what fails, and promote again",
        )
    return pin(root, "last_good")
