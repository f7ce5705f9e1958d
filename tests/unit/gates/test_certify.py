"""Certification from gateboards: decisions, pooled rows, written evidence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudworld.errors import InternalError, RefusedError
from fraudworld.gates.certify import SUMMARY, certify, judged_together, no_witness
from fraudworld.gates.counts import Counts, pooled
from fraudworld.gates.gate import Row
from fraudworld.gates.schema import violations, write_evidence
from fraudworld.request import RunRequest
from fraudworld.store.published import sealed_policy

SEEDS = (42, 7, 101, 202)
BOARD = "data/layer3/6A/validation/realism_gate_6A.json"
INDEX = "data/layer3/6A/validation/validation_bundle_index_6A.json"
POLICY = "data/layer3/6A/resolved_policy_6A.json"

Edit = Callable[[int, dict[str, Any]], None]


def passing_witness(runs: object) -> list[Row]:
    return [
        Row("T10_DOWNSTREAM_COMPAT_6B", metric, 1.0, 1.0, 1.0, True, True, None, None, None,
            "PASS", "cross-layer review", 4.0)
        for metric in ("non_regression", "sensitivity")
    ]  # fmt: skip


@pytest.fixture
def board(demo_world: Path) -> dict[str, Any]:
    return json.loads((demo_world / BOARD).read_text())


@pytest.fixture
def seeded(demo_world: Path, tmp_path: Path) -> Callable[..., Callable[[int], Path]]:
    """A runner that returns the demo world's evidence files under other seeds.

    Certification reads nothing else. Content digests differ per seed unless `copied`.
    """

    def build(edit: Edit | None = None, *, copied: bool = False) -> Callable[[int], Path]:
        def runner(seed: int) -> Path:
            run = tmp_path / f"{seed:032x}"
            for name in (BOARD, INDEX, POLICY):
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(demo_world / name, run / name)
            document = json.loads((run / BOARD).read_text())
            document["seed"] = seed
            for row in document["tests"]:
                row["seed"] = seed
            if edit:
                edit(seed, document)
            (run / BOARD).write_text(json.dumps(document))
            if not copied:
                index = json.loads((run / INDEX).read_text())
                digests = index["content_digests"]
                index["content_digests"] = {n: f"{seed} {d}" for n, d in digests.items()}
                (run / INDEX).write_text(json.dumps(index))
            return run

        return runner

    return build


def test_every_seed_passing_everything_is_b_plus(seeded, tmp_path):
    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(), passing_witness)
    assert (summary["eligible_grade"], summary["decision"]) == ("B+", "PASS_BPLUS")
    assert summary["fails"] == summary["routing"] == summary["copied"] == []
    written = json.loads((tmp_path / SUMMARY).read_text())
    assert violations("realism_gate_summary_6A", written) == []
    assert written["runs"] == {str(s): f"{s:032x}" for s in SEEDS}
    assert {len(d) for d in written["digests"].values()} == {2}


def test_without_t10_nothing_is_certified(seeded, tmp_path):
    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded())
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert {f["test_id"] for f in summary["fails"]} == {"T10_DOWNSTREAM_COMPAT_6B"}
    assert summary["t10"]["status"] == "INSUFFICIENT_EVIDENCE"
    assert [r.status for r in no_witness()] == ["INSUFFICIENT_EVIDENCE"] * 2


def test_a_witness_without_one_of_its_rows_certifies_nothing(seeded, tmp_path):
    summary = certify(
        RunRequest(runs_root=tmp_path), SEEDS, seeded(), lambda runs: passing_witness(runs)[:1]
    )
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert [f["metric_name"] for f in summary["fails"]] == ["sensitivity"]
    assert [r["status"] for r in summary["t10"]["rows"]] == ["PASS", "INSUFFICIENT_EVIDENCE"]


def test_every_critical_metric_has_a_stability_row(seeded, tmp_path):
    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded())
    followed = {row["metric_name"] for row in summary["stability"]}
    assert {f"non_clean_{entity}" for entity in ("party", "account", "device", "ip")} <= followed
    assert {"accounts_per_party", "instruments_per_account", "devices_per_party"} <= followed
    assert {"linked_device_fraction", "max_devices_per_ip", "or_account", "or_device"} <= followed


def test_a_missing_required_seed_is_refused_before_anything_runs(tmp_path):
    def runner(seed: int) -> Path:
        raise AssertionError("nothing may run")

    with pytest.raises(RefusedError, match="missing \\[202\\]"):
        certify(RunRequest(runs_root=tmp_path), (42, 7, 101), runner)


def test_one_seed_missing_b_plus_makes_it_b(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        if seed == 101:
            row = next(r for r in board["tests"] if r["metric_name"] == "p99_devices_per_ip")
            row.update(pass_Bplus=False)

    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(edit), passing_witness)
    assert summary["decision"] == "PASS_B"
    assert summary["fails"] == [
        {
            "test_id": "T5_IP_REUSE_TAIL_BOUNDS",
            "metric_name": "p99_devices_per_ip",
            "seed": 101,
            "misses": "B+",
        }
    ]


def test_one_broken_guard_blocks_b_plus(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        if seed == 7:
            board["guards"][0]["holds"] = False

    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(edit), passing_witness)
    assert summary["decision"] == "PASS_B"
    assert summary["seeds"]["7"]["guards_broken"] == [summary["guards"]["7"][0]["guard_id"]]


def test_one_failing_row_holds_and_is_routed_to_its_owner(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        if seed == 202:
            row = next(r for r in board["tests"] if r["metric_name"] == "or_device")
            row.update(value=1.2, pass_B=False, pass_Bplus=False, status="FAIL")

    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(edit), passing_witness)
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert {"test_id": "T7_RISK_PROPAGATION_EFFECT", "metric_name": "or_device", "owner": "S5"} in (
        summary["routing"]
    )


def test_copied_seeds_are_detected_and_hold(seeded, tmp_path):
    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(copied=True), passing_witness)
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert any("s2_account_base_6A: seeds 7 and 42" in c for c in summary["copied"])


def test_a_metric_that_varies_over_the_seeds_fails_t9(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        row = next(r for r in board["tests"] if r["metric_name"] == "max_devices_per_ip")
        row["value"] = {42: 100.0, 7: 200.0, 101: 300.0, 202: 345.0}[seed]

    summary = certify(RunRequest(runs_root=tmp_path), SEEDS, seeded(edit), passing_witness)
    assert summary["decision"] == "HOLD_REMEDIATE"
    t9 = next(r for r in summary["tests"] if r["test_id"] == "T9_CROSS_SEED_STABILITY")
    assert t9["details"]["worst"] == "max_devices_per_ip"
    assert t9["value"] == pytest.approx(0.46, abs=0.01)


def test_pooled_rows_are_the_gates_over_summed_counts(demo_world, board):
    """Pooling a world with itself keeps rates, halves the variance and has no seed."""
    rows = judged_together(sealed_policy(demo_world), [board, board])
    assert len(rows) == len(board["tests"])
    for single, row in zip(board["tests"], rows, strict=True):
        assert row.seed is None
        assert row.details["pooled"] == "counts added up over seeds"
        assert (row.test_id, row.metric_name) == (single["test_id"], single["metric_name"])
        # Haldane's half weighs less, and rare roles of merchants reach their support.
        if not row.metric_name.startswith(("or_", "jsd_role_merchant")):
            assert row.value == pytest.approx(single["value"], abs=1e-9)
        if row.metric_name == "linked_device_fraction":
            ratio = (row.ci_high - row.ci_low) / (single["ci_high"] - single["ci_low"])
            assert ratio == pytest.approx(0.5**0.5, abs=0.06)


def test_counts_survive_json_and_add_up(board):
    counts = Counts.from_dict(board["counts"])
    assert Counts.from_dict(json.loads(json.dumps(counts.as_dict()))).as_dict() == counts.as_dict()
    twice = pooled([counts, counts])
    assert (twice.degrees == 2 * counts.degrees).all()
    assert (twice.patterns["account"] == 2 * counts.patterns["account"]).all()


@pytest.mark.parametrize(
    ("break_", "where"),
    [
        (lambda d: d.pop("grade"), "'grade' is a required property"),
        (lambda d: d.update(grade="A"), "$.grade"),
        (lambda d: d["tests"][0].pop("ci_low"), "$.tests[0]"),
        (lambda d: d["tests"][0].update(status="FAIL"), "$.tests[0]"),
        (lambda d: d["tests"][0].update(surprise=1), "$.tests[0]"),
        (lambda d: d["guards"].clear(), "$.guards"),
        (lambda d: d.update(parameter_hash="abc"), "$.parameter_hash"),
    ],
)
def test_evidence_that_breaks_its_schema_is_not_written(board, tmp_path, break_, where):
    assert violations("realism_gate_6A", board) == []
    break_(board)
    target = tmp_path / "realism_gate_6A.json"
    with pytest.raises(InternalError) as error:
        write_evidence(target, board)
    assert where in error.value.what
    assert list(tmp_path.iterdir()) == []
