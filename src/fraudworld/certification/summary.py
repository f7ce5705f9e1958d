"""`realism_gate_summary_6A.json`: a pure function of the evidence and the sealed policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from fraudworld.certification import leakage, leakage_report
from fraudworld.certification.evidence import SeedEvidence
from fraudworld.contracts import CONTRACT_VERSION
from fraudworld.documents import Json, JsonObject
from fraudworld.gates.board import GATES
from fraudworld.gates.counts import Counts, Sample, pooled
from fraudworld.gates.gate import Guard, Row, owner_of
from fraudworld.gates.stability import seed_variation, spreads, t9_cross_seed_stability
from fraudworld.policy.bounds import rebaselined
from fraudworld.policy.pack import PolicyPack
from fraudworld.t10.figures import pooled_measures
from fraudworld.t10.judge import judge
from fraudworld.t10.judge import summary as binding_rows
from fraudworld.t10.report import place, read_measures
from fraudworld.t10.rows import TEST as T10

Evidence = Mapping[int, SeedEvidence]
RANDOM_STATES = ("s1_", "s2_", "s3_", "s4_")
"""Datasets that must differ between seeds: equal ones were copied from another seed."""

CHECKS = "S5_VALIDATION"
"""Stands for a REQUIRED check of S5, or a missing flag, where tests are listed."""

OVER_SEEDS = "over_seeds"
"""Stands for a seed where guards over all of them are listed."""

NOT_MEASURED = "not measured, as T1–T9 or a check of S5 does not pass B on every seed"
NOT_PASSED = "candidate not passed"
NOT_MADE = "no stream was made, as T1–T9 or a check of S5 does not pass B on every seed"
NOT_RUN = "no downstream witness has judged this world"
STATUSES = ("FAIL", "INSUFFICIENT_EVIDENCE", "PASS")


def worlds_pass(pack: PolicyPack, evidence: Evidence) -> bool:
    """Whether T1–T9 and the checks of S5 pass B on every seed, so that T10 can be judged."""
    return _worlds_pass(evidence, over_seeds(pack, evidence))


def _worlds_pass(evidence: Evidence, across: Sequence[Row]) -> bool:
    passed = all(one.passed for one in evidence.values()) and all(row.pass_B for row in across)
    of_seeds = all(row["pass_B"] for row in _rows_of_seeds(evidence))
    return passed and of_seeds and not copied_states(evidence)


def over_seeds(pack: PolicyPack, evidence: Evidence) -> list[Row]:
    """T1–T8 on the counts of all seeds added, without a seed; and T9."""
    boards = [one.board for one in evidence.values()]
    together = Sample(pooled([Counts.from_dict(b["counts"]) for b in boards]), pack, None)
    said = {"pooled": "counts added up over seeds", "seeds": sorted(evidence)}
    rows = (row for gate in GATES for row in gate(together))
    return [
        *(replace(row, details={**row.details, **said}) for row in rows),
        t9_cross_seed_stability(pack, boards),
    ]


def copied_states(evidence: Evidence) -> list[str]:
    """Random datasets that are equal, value for value, in two different seeds.

    Datasets without rows are none: a policy without circles publishes no members in any seed.
    """
    return sorted(
        f"{name}: seeds {a} and {b}"
        for a, b in combinations(sorted(evidence), 2)
        for name, digest in evidence[a].content_digests.items()
        if name.startswith(RANDOM_STATES)
        and evidence[b].content_digests.get(name) == digest
        and evidence[a].receipt.tables.get(name) != 0
    )


def not_judged(why: str, seed: int | None = None) -> list[Row]:
    """T10's binding rows where there is no evidence: INSUFFICIENT_EVIDENCE, with the reason."""
    return [
        Row(
            T10, metric, None, 1.0, 1.0, False, False, None, None, seed,
            "INSUFFICIENT_EVIDENCE", owner_of(T10), 0.0, {"why": why, "no_interval": why},
        )
        for metric in ("non_regression", "sensitivity")
    ]  # fmt: skip


def summarise(pack: PolicyPack, evidence: Evidence) -> JsonObject:
    """Content of the summary: rows, fails, routing, grade, decision, and what they rest on.

    Raises InputError `6B.S5.WITNESS_EVIDENCE_INVALID` for malformed measures of T10, and
    `6A.CERTIFY.EVIDENCE_INVALID` for those of `leakage_joined`.
    """
    seeds = {str(seed): one for seed, one in evidence.items()}
    across = over_seeds(pack, evidence)
    t10, pooled_t10 = _t10(pack, evidence, worlds=_worlds_pass(evidence, across))
    rows = [*_rows_of_seeds(evidence), *(row.as_dict() for row in (*across, *t10))]
    copied = copied_states(evidence)
    checks = [_failed_check(seed, name) for seed, one in evidence.items() for name in _checks(one)]
    guards = guards_of(pack, evidence)
    broken = {s: [g["guard_id"] for g in of if not g["holds"]] for s, of in guards.items()}
    b = all(r["pass_B"] for r in rows) and not copied and not checks
    b_plus = b and all(r["pass_Bplus"] for r in rows) and not any(broken.values())
    grade = "B+" if b_plus else "B" if b else "<C"
    decision = {"B+": "PASS_BPLUS", "B": "PASS_B", "<C": "HOLD_REMEDIATE"}[grade]
    bound = pack.validation_policy.gates["T9_worst_cv"].B
    boards = [one.board for one in evidence.values()]
    rebaseline = rebaselined(pack)
    return {
        "contract_version": CONTRACT_VERSION,
        "eligible_grade": grade,
        "decision": decision,
        "statement": _statement(decision, rebaseline),
        "rebaseline": rebaseline,
        "runs": {seed: one.receipt.run_id for seed, one in seeds.items()},
        "seeds": {
            seed: {
                "grade": one.board["grade"],
                "parameter_hash": one.board["parameter_hash"],
                "manifest_fingerprint": one.board["manifest_fingerprint"],
                "guards_broken": broken[seed],
                "flagged": one.flagged,
                "checks_failed": list(one.checks_failed),
            }
            for seed, one in seeds.items()
        },
        "tests": rows,
        "guards": guards,
        "fails": [*checks, *(_fail(r) for r in rows if not r["pass_Bplus"])],
        "copied": copied,
        "routing": _routing(rows, checks),
        "stability": [{**s.as_dict(), "status": s.status(bound)} for s in spreads(boards)],
        "t10": {
            "status": min((r.status for r in t10), key=STATUSES.index),
            "rows": [r.as_dict() for r in t10],
            "pooled": [r.as_dict() for r in pooled_t10],
        },
        "digests": {seed: dict(one.digests) for seed, one in seeds.items()},
    }


def guards_of(pack: PolicyPack, evidence: Evidence) -> dict[str, list[JsonObject]]:
    """Guards by seed, of its gateboard and `leakage_joined`; and those over all seeds."""
    out = {
        str(seed): [*one.board["guards"], *(g.as_dict() for g in _leakage(pack, one))]
        for seed, one in evidence.items()
    }
    boards = [one.board for one in evidence.values()]
    return {**out, OVER_SEEDS: [g.as_dict() for g in seed_variation(pack, boards)]}


def _leakage(pack: PolicyPack, one: SeedEvidence) -> list[Guard]:
    if one.leakage is None:
        return leakage.not_measured(pack, NOT_MEASURED)
    where = Path(f"leakage_joined of seed {one.receipt.seed}")
    return leakage.guards(pack, leakage_report.read_measures(one.leakage, where))


def _rows_of_seeds(evidence: Evidence) -> list[JsonObject]:
    return [row for one in evidence.values() for row in one.board["tests"]]


def _checks(one: SeedEvidence) -> Iterator[str]:
    """REQUIRED checks that fail, and `flag` where the flag alone is missing."""
    yield from one.checks_failed
    if not one.flagged and not one.checks_failed and one.board["grade"] != "<C":
        yield "flag"


def _failed_check(seed: int, name: str) -> JsonObject:
    return {"test_id": CHECKS, "metric_name": name, "seed": seed, "misses": "B"}


def _fail(row: Mapping[str, Json]) -> JsonObject:
    misses = "B+" if row["pass_B"] else "B"
    return {**{k: row[k] for k in ("test_id", "metric_name", "seed")}, "misses": misses}


def _routing(
    rows: Sequence[Mapping[str, Json]], checks: Sequence[Mapping[str, Json]]
) -> list[dict[str, str]]:
    """Every metric or check that misses B on any seed, once, and its owner."""
    failing = {(r["test_id"], r["metric_name"]) for r in rows if not r["pass_B"]}
    failing |= {(c["test_id"], c["metric_name"]) for c in checks}
    return [
        {
            "test_id": test,
            "metric_name": metric,
            "owner": "S5" if test == CHECKS else owner_of(test),
        }
        for test, metric in sorted(failing)
    ]


def _t10(pack: PolicyPack, evidence: Evidence, *, worlds: bool) -> tuple[list[Row], list[Row]]:
    """T10's binding rows per seed and over all, and the metrics of the pooled measures."""
    measured = {
        seed: read_measures(one.t10, Path(f"T10 of seed {seed}"))
        for seed, one in evidence.items()
        if one.t10 is not None and one.passed
    }
    bounds = pack.downstream_witness
    metrics = {seed: judge(m, bounds) for seed, m in measured.items()}
    rows: list[Row] = []
    for seed, one in evidence.items():
        if seed in metrics:
            rows += [_with_source(r, one) for r in binding_rows(metrics[seed], seed)]
        else:
            rows += not_judged(NOT_RUN if worlds else NOT_MADE if one.passed else NOT_PASSED, seed)
    if set(measured) != set(evidence):
        return [*rows, *not_judged("a seed has no evidence of T10")], []
    together = judge(pooled_measures(list(measured.values())), bounds)
    return [*rows, *binding_rows(together, None, metrics)], list(together)


def _with_source(row: Row, one: SeedEvidence) -> Row:
    """The row with the file it follows from."""
    path = place(Path(), one.receipt.run_id).as_posix()
    return replace(row, details={**row.details, "evidence": path, "sha256_hex": one.digests[path]})


def _statement(decision: str, rebaseline: JsonObject | None) -> str:
    """The decision in one line, with the bounds it was taken under."""
    if rebaseline is None:
        return f"{decision} under the bounds of contract {CONTRACT_VERSION}"
    return (
        f"{decision} under re-baselined bounds, on the authority of {rebaseline['authority']}: "
        f"{rebaseline['reason']}"
    )
