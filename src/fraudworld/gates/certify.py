"""Certification: the full chain per seed, T9 over the seeds, one decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from fraudworld.audit.world import sealed_policy
from fraudworld.contracts import CONTRACT_VERSION
from fraudworld.errors import RefusedError
from fraudworld.gates.board import ROUTING
from fraudworld.gates.gate import Row
from fraudworld.gates.stability import spreads, t9_cross_seed_stability
from fraudworld.request import RunRequest
from fraudworld.store.bundle import sha256_file

REQUIRED_SEEDS = frozenset({42, 7, 101, 202})
RANDOM_STATES = ("s1_", "s2_", "s3_", "s4_")
"""Datasets that must differ between seeds: a seed that copies earlier states is a fraud."""

BOARD = "data/layer3/6A/validation/realism_gate_6A.json"
INDEX = "data/layer3/6A/validation/validation_bundle_index_6A.json"
SUMMARY = "reports/layer3/6A/validation/realism_gate_summary_6A.json"


def certify(
    request: RunRequest, seeds: Sequence[int], runner: Callable[[int], Path]
) -> dict[str, Any]:
    """Run (or find) every seed, judge stability, decide and write the summary.

    runner: publishes the world of a seed and returns its folder; a finished seed is found
    again and verified, not made again. Raises RefusedError where a required seed is missing.
    """
    missing = sorted(REQUIRED_SEEDS - set(seeds))
    if missing:
        raise RefusedError(
            "6A.CERTIFY.SEEDS_MISSING",
            f"a certificate needs seeds {sorted(REQUIRED_SEEDS)}; missing {missing}",
            where="--seeds",
            remedy="name at least the required seeds; more are welcome",
        )
    runs = {seed: runner(seed) for seed in seeds}
    boards = {seed: json.loads((run / BOARD).read_text("utf-8")) for seed, run in runs.items()}
    pack = sealed_policy(next(iter(runs.values())))
    stability = t9_cross_seed_stability(pack, list(boards.values()))
    copied = copied_states(runs)
    across = [replace(stability, seed=None), _t10()]
    summary = _summary(runs, boards, across, copied)
    summary["stability"] = [
        {**s.as_dict(), "status": "PASS" if s.spread <= stability.threshold_B else "FAIL"}
        for s in spreads(list(boards.values()))
    ]
    target = request.runs_root / SUMMARY
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(".tmp")
    staged.write_text(
        json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8"
    )
    staged.replace(target)
    return summary


def copied_states(runs: dict[int, Path]) -> list[str]:
    """Datasets two different seeds share, value for value, though randomness acts in them."""
    digests = {
        seed: json.loads((run / INDEX).read_text("utf-8"))["content_digests"]
        for seed, run in runs.items()
    }
    return sorted(
        f"{name}: seeds {a} and {b}"
        for a, b in combinations(sorted(digests), 2)
        for name, digest in digests[a].items()
        if name.startswith(RANDOM_STATES) and digests[b].get(name) == digest
    )


def _t10() -> Row:
    return Row(
        "T10_DOWNSTREAM_COMPAT_6B", "non_regression", None, 1.0, 1.0, False, False, None, None,
        None, "INSUFFICIENT_EVIDENCE", "cross-layer review", 0.0,
        {"why": "no downstream witness has been run over these worlds"},
    )  # fmt: skip


def _summary(
    runs: dict[int, Path],
    boards: dict[int, dict[str, Any]],
    across: list[Row],
    copied: list[str],
) -> dict[str, Any]:
    rows = [row for board in boards.values() for row in board["tests"]]
    rows += [row.as_dict() for row in across]
    guards = [g for board in boards.values() for g in board["guards"]]
    b = all(r["pass_B"] for r in rows) and not copied
    b_plus = b and all(r["pass_Bplus"] for r in rows) and all(g["holds"] for g in guards)
    fails = sorted(
        {f"{r['test_id']} {r['metric_name']} (seed {r['seed']})" for r in rows if not r["pass_B"]}
        | {f"copied seeds: {c}" for c in copied}
    )
    grade = "B+" if b_plus else "B" if b else "<C"
    return {
        "contract_version": CONTRACT_VERSION,
        "eligible_grade": grade,
        "decision": {"B+": "PASS_BPLUS", "B": "PASS_B", "<C": "HOLD_REMEDIATE"}[grade],
        "seeds": {
            str(seed): {
                "grade": board["grade"],
                "run_id": runs[seed].name,
                "parameter_hash": board["parameter_hash"],
                "tests": board["tests"],
                "guards": board["guards"],
            }
            for seed, board in boards.items()
        },
        "across_seeds": [row.as_dict() for row in across],
        "fails": fails,
        "routing": sorted({ROUTING[r["test_id"].split("_")[0]] for r in rows if not r["pass_B"]}),
        "t10": {"status": "INSUFFICIENT_EVIDENCE"},
        "digests": {
            str(seed): {name: sha256_file(run / name) for name in (BOARD, INDEX)}
            for seed, run in runs.items()
        },
    }
