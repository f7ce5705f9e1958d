"""Certification: the full chain per seed, T9 over the seeds, one decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from fraudworld.contracts import CONTRACT_VERSION
from fraudworld.documents import Json, JsonObject, load_json
from fraudworld.errors import RefusedError
from fraudworld.gates.board import GATES, ROUTING
from fraudworld.gates.counts import Counts, Sample, pooled
from fraudworld.gates.gate import Row
from fraudworld.gates.schema import write_evidence
from fraudworld.gates.stability import spreads, t9_cross_seed_stability
from fraudworld.policy.pack import PolicyPack
from fraudworld.request import RunRequest
from fraudworld.store.attestation import write_certificate
from fraudworld.store.bundle import sha256_file
from fraudworld.store.published import sealed_policy

Witness = Callable[[Mapping[int, Path]], Sequence[Row]]
"""Makes T10's rows from the runs of all seeds."""

REQUIRED_SEEDS = frozenset({42, 7, 101, 202})
RANDOM_STATES = ("s1_", "s2_", "s3_", "s4_")
"""Datasets that must differ between seeds: equal ones were copied from another seed."""

BOARD = "data/layer3/6A/validation/realism_gate_6A.json"
INDEX = "data/layer3/6A/validation/validation_bundle_index_6A.json"
SUMMARY = "reports/layer3/6A/validation/realism_gate_summary_6A.json"


def certify(
    request: RunRequest,
    seeds: Sequence[int],
    runner: Callable[[int], Path],
    witness: Witness | None = None,
) -> JsonObject:
    """Runs (or finds) every seed, judges them together, decides and writes the summary.

    runner: publishes the world of a seed and returns its folder; a finished seed is found
    again and verified, not made again. witness: T10's rows from the runs of all seeds;
    without one T10 has no evidence. Raises RefusedError where a required seed is missing.
    """
    require_seeds(seeds)
    runs = {seed: runner(seed) for seed in seeds}
    boards = {seed: load_json(run / BOARD) for seed, run in runs.items()}
    pack = sealed_policy(next(iter(runs.values())))
    across = [
        *judged_together(pack, list(boards.values())),
        t9_cross_seed_stability(pack, list(boards.values())),
        *downstream(runs, witness),
    ]
    summary = summarise(pack, runs, boards, across, copied_states(runs))
    write_evidence(request.runs_root / SUMMARY, summary)
    write_certificate(request.runs_root / SUMMARY, request.runs_root)
    return summary


def require_seeds(seeds: Sequence[int]) -> None:
    """Raises RefusedError `6A.CERTIFY.SEEDS_MISSING` unless every required seed is named."""
    missing = sorted(REQUIRED_SEEDS - set(seeds))
    if missing:
        raise RefusedError(
            "6A.CERTIFY.SEEDS_MISSING",
            f"a certificate needs seeds {sorted(REQUIRED_SEEDS)}; missing {missing}",
            where="--seeds",
            remedy="name at least the required seeds; more are welcome",
        )


def judged_together(pack: PolicyPack, boards: Sequence[Mapping[str, Json]]) -> list[Row]:
    """T1–T8 on the counts of all seeds added; their rows carry no seed."""
    together = Sample(pooled([Counts.from_dict(b["counts"]) for b in boards]), pack, None)
    said = {"pooled": "counts added up over seeds", "seeds": sorted(b["seed"] for b in boards)}
    rows = (row for gate in GATES for row in gate(together))
    return [replace(row, details={**row.details, **said}) for row in rows]


def copied_states(runs: dict[int, Path]) -> list[str]:
    """Random datasets that are equal, value for value, in two different seeds."""
    digests = {seed: load_json(run / INDEX)["content_digests"] for seed, run in runs.items()}
    return sorted(
        f"{name}: seeds {a} and {b}"
        for a, b in combinations(sorted(digests), 2)
        for name, digest in digests[a].items()
        if name.startswith(RANDOM_STATES) and digests[b].get(name) == digest
    )


def downstream(runs: Mapping[int, Path], witness: Witness | None) -> list[Row]:
    """T10's rows; a metric without a row of the witness is INSUFFICIENT_EVIDENCE."""
    rows = list(witness(runs)) if witness else []
    reported = {row.metric_name for row in rows}
    return [*rows, *(row for row in no_witness() if row.metric_name not in reported)]


def no_witness() -> list[Row]:
    """T10's rows where no witness was run: INSUFFICIENT_EVIDENCE."""
    return [
        Row(
            "T10_DOWNSTREAM_COMPAT_6B", metric, None, 1.0, 1.0, False, False, None, None, None,
            "INSUFFICIENT_EVIDENCE", "cross-layer review", 0.0,
            {"why": "no downstream witness has judged these worlds"},
        )
        for metric in ("non_regression", "sensitivity")
    ]  # fmt: skip


def summarise(
    pack: PolicyPack,
    runs: Mapping[int, Path],
    boards: Mapping[int, Mapping[str, Json]],
    across: Sequence[Row],
    copied: Sequence[str],
) -> JsonObject:
    """Content of `realism_gate_summary_6A.json`: the decision and its evidence."""
    rows = [row for board in boards.values() for row in board["tests"]]
    rows += [row.as_dict() for row in across]
    broken = {s: [g["guard_id"] for g in b["guards"] if not g["holds"]] for s, b in boards.items()}
    b = all(r["pass_B"] for r in rows) and not copied
    b_plus = b and all(r["pass_Bplus"] for r in rows) and not any(broken.values())
    grade = "B+" if b_plus else "B" if b else "<C"
    bound = pack.validation_policy.gates["T9_worst_cv"].B
    t10 = [r for r in across if r.test_id.startswith("T10")]
    worst = {"FAIL": 0, "INSUFFICIENT_EVIDENCE": 1, "PASS": 2}
    return {
        "contract_version": CONTRACT_VERSION,
        "eligible_grade": grade,
        "decision": {"B+": "PASS_BPLUS", "B": "PASS_B", "<C": "HOLD_REMEDIATE"}[grade],
        "runs": {str(seed): run.name for seed, run in runs.items()},
        "seeds": {
            str(seed): {
                "grade": board["grade"],
                "parameter_hash": board["parameter_hash"],
                "manifest_fingerprint": board["manifest_fingerprint"],
                "guards_broken": broken[seed],
            }
            for seed, board in boards.items()
        },
        "tests": rows,
        "guards": {str(seed): board["guards"] for seed, board in boards.items()},
        "fails": [
            {
                "test_id": r["test_id"],
                "metric_name": r["metric_name"],
                "seed": r["seed"],
                "misses": "B+" if r["pass_B"] else "B",
            }
            for r in rows
            if not r["pass_Bplus"]
        ],
        "copied": list(copied),
        "routing": _routing(rows),
        "stability": [
            {**s.as_dict(), "status": s.status(bound)} for s in spreads(list(boards.values()))
        ],
        "t10": {
            "status": min((r.status for r in t10), key=lambda s: worst[s]),
            "rows": [r.as_dict() for r in t10],
        },
        "digests": {
            str(seed): {name: sha256_file(run / name) for name in (BOARD, INDEX)}
            for seed, run in runs.items()
        },
    }


def _routing(rows: Sequence[Mapping[str, Json]]) -> list[dict[str, str]]:
    """Every metric that misses B on any seed, once, and its owner."""
    failing = {(r["test_id"], r["metric_name"]) for r in rows if not r["pass_B"]}
    return [
        {"test_id": test, "metric_name": metric, "owner": ROUTING[test.split("_")[0]]}
        for test, metric in sorted(failing)
    ]
