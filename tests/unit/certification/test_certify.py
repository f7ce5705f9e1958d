"""Certification from gateboards: decisions, pooled rows, written evidence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fraudworld.certification import SUMMARY, certify, evidence, not_judged
from fraudworld.certification.summary import CHECKS, copied_states, over_seeds
from fraudworld.documents import load_json
from fraudworld.errors import InputError, InternalError, RefusedError
from fraudworld.gates.counts import Counts, pooled
from fraudworld.gates.schema import violations, write_evidence
from fraudworld.gates.stability import seed_variation
from fraudworld.request import RunRequest
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from support.certified import leakage_measures, scattered, write_leakage
from support.witnessed import edit_json, passing, write_t10

SEEDS = (42, 7, 101, 202)
FILES = (
    "data/layer3/6A/validation/realism_gate_6A.json",
    "data/layer3/6A/validation/validation_bundle_index_6A.json",
    "data/layer3/6A/validation/s5_validation_report_6A.json",
    "data/layer3/6A/validation/_passed.flag",
    "data/layer3/6A/resolved_policy_6A.json",
    "run_receipt.json",
)
BOARD = FILES[0]

Edit = Callable[[int, dict[str, Any]], None]
Worlds = Callable[..., Callable[[int], Path]]


def t10(seed: int, run: Path) -> None:
    """Writes evidence of T10 that passes, in place of the arms."""
    write_t10(run, sealed_policy(run), passing(seed))


def leakage(seed: int, run: Path) -> None:
    """Writes evidence of leakage_joined that holds, in place of the models."""
    write_leakage(run, sealed_policy(run))


def never(seed: int, run: Path) -> None:
    raise AssertionError("no stream may be made")


@pytest.fixture
def board(demo_world: Path) -> dict[str, Any]:
    return json.loads((demo_world / BOARD).read_text())


@pytest.fixture
def seeded(demo_world: Path, tmp_path: Path) -> Worlds:
    """A runner that returns the demo world's evidence files under other seeds.

    Certification reads nothing else. Content digests differ per seed unless `copied`, counts
    that a seed draws where they `scatter`.
    """

    def build(
        edit: Edit | None = None, *, copied: bool = False, scatter: bool = True
    ) -> Callable[[int], Path]:
        def runner(seed: int) -> Path:
            run = tmp_path / f"{seed:032x}"
            for name in FILES:
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(demo_world / name, run / name)
            place = RunPlace(run)
            edit_json(place.receipt, lambda r: r.update(seed=seed, run_id=run.name))

            def change(document: dict[str, Any]) -> None:
                document["seed"] = seed
                if scatter:
                    scattered(document["counts"], seed)
                for row in document["tests"]:
                    row["seed"] = seed
                if edit:
                    edit(seed, document)

            edit_json(place.gateboard, change)
            if not copied:
                edit_json(place.bundle_index, lambda i: i.update(content_digests={
                    n: f"{seed} {d}" for n, d in i["content_digests"].items()}))  # fmt: skip
            return run

        return runner

    return build


def certified(
    tmp_path: Path, runner: Callable[[int], Path], judge: Any = t10, measure: Any = leakage
) -> dict[str, Any]:
    request = RunRequest(runs_root=tmp_path)
    return certify(request, SEEDS, runner=runner, judge=judge, measure=measure)


def test_every_seed_passing_everything_is_b_plus(seeded: Worlds, tmp_path: Path) -> None:
    summary = certified(tmp_path, seeded())
    assert (summary["eligible_grade"], summary["decision"]) == ("B+", "PASS_BPLUS")
    assert summary["fails"] == summary["routing"] == summary["copied"] == []
    written = json.loads((tmp_path / SUMMARY).read_text())
    assert violations("realism_gate_summary_6A", written) == []
    assert written["runs"] == {str(s): f"{s:032x}" for s in SEEDS}
    assert {len(d) for d in written["digests"].values()} == {5}
    assert set(written["guards"]) == {*map(str, SEEDS), "over_seeds"}
    assert {r["seed"] for r in written["t10"]["rows"]} == {*SEEDS, None}
    assert len(written["t10"]["pooled"]) > 20
    assert written["statement"].startswith("PASS_BPLUS under the bounds of contract")


def test_without_t10_nothing_is_certified(seeded: Worlds, tmp_path: Path) -> None:
    summary = certify(
        RunRequest(runs_root=tmp_path), SEEDS, runner=seeded(), judge=never, measure=leakage,
        downstream=False,
    )  # fmt: skip
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert {f["test_id"] for f in summary["fails"]} == {"T10_DOWNSTREAM_COMPAT_6B"}
    assert summary["t10"]["status"] == "INSUFFICIENT_EVIDENCE"
    assert [r.status for r in not_judged("why")] == ["INSUFFICIENT_EVIDENCE"] * 2


def test_a_seed_that_fails_t10_holds_and_is_named(seeded: Worlds, tmp_path: Path) -> None:
    def one_leaks(seed: int, run: Path) -> None:
        measures = passing(seed)
        if seed == 101:
            measures = replace(measures, account=replace(measures.account, value=1.1))
        write_t10(run, sealed_policy(run), measures)

    summary = certified(tmp_path, seeded(), one_leaks)
    assert summary["decision"] == "HOLD_REMEDIATE"
    rows = {(r["seed"], r["metric_name"]): r for r in summary["t10"]["rows"]}
    assert not rows[101, "sensitivity"]["pass_B"]
    assert rows[42, "sensitivity"]["pass_B"]
    assert rows[None, "sensitivity"]["details"]["failed_B"] == ["S1_account of seed 101"]
    assert rows[None, "non_regression"]["pass_B"]
    assert summary["routing"] == [
        {
            "test_id": "T10_DOWNSTREAM_COMPAT_6B",
            "metric_name": "sensitivity",
            "owner": "cross-layer review",
        }
    ]


def test_a_seed_that_misses_only_b_plus_of_t10_makes_it_b(seeded: Worlds, tmp_path: Path) -> None:
    def one_misses(seed: int, run: Path) -> None:
        measures = passing(seed)
        if seed == 7:
            measures = replace(measures, again=replace(measures.again, value=0.05))
        write_t10(run, sealed_policy(run), measures)

    summary = certified(tmp_path, seeded(), one_misses)
    assert summary["decision"] == "PASS_B"
    assert {f["misses"] for f in summary["fails"]} == {"B+"}
    (row,) = (r for r in summary["t10"]["rows"] if r["seed"] is None and not r["pass_Bplus"])
    assert row["details"]["failed_Bplus"] == ["S9_struck_again of seed 7"]


def test_seeds_that_all_miss_b_plus_of_t10_make_it_b(seeded: Worlds, tmp_path: Path) -> None:
    """The pooled metric misses B+ as well: its row passes B, and so does its status."""

    def all_miss(seed: int, run: Path) -> None:
        measures = passing(seed)
        spoilt = replace(measures, again=replace(measures.again, value=0.05))
        write_t10(run, sealed_policy(run), spoilt)

    summary = certified(tmp_path, seeded(), all_miss)
    assert summary["decision"] == "PASS_B"
    (row,) = (r for r in summary["t10"]["pooled"] if not r["pass_Bplus"])
    assert (row["metric_name"], row["pass_B"], row["status"]) == ("S9_struck_again", True, "PASS")
    assert violations("realism_gate_summary_6A", load_json(tmp_path / SUMMARY)) == []


@pytest.mark.parametrize(
    ("failed", "stated"), [(["account_caps"], "account_caps"), ([], "flag")], ids=["check", "flag"]
)
def test_a_world_without_flag_is_held_before_any_stream(
    seeded: Worlds, tmp_path: Path, failed: list[str], stated: str
) -> None:
    """Its gates are B+ on every seed: only a check of S5, or the missing flag, speaks against."""
    build = seeded()

    def runner(seed: int) -> Path:
        run = build(seed)
        if seed == 7:
            RunPlace(run).flag.unlink()
            report = RunPlace(run).document("s5_validation_report_6A")
            edit_json(report, lambda r: r.update(required_failed=failed))
        return run

    summary = certified(tmp_path, runner, never, never)
    assert (summary["eligible_grade"], summary["decision"]) == ("<C", "HOLD_REMEDIATE")
    assert {"test_id": CHECKS, "metric_name": stated, "seed": 7, "misses": "B"} in summary["fails"]
    assert {"test_id": CHECKS, "metric_name": stated, "owner": "S5"} in summary["routing"]
    why = {r["seed"]: r["details"]["why"] for r in summary["t10"]["rows"]}
    assert why[7] == "candidate not passed"
    assert why[42].startswith("no stream was made")
    assert violations("realism_gate_summary_6A", load_json(tmp_path / SUMMARY)) == []


def test_bounds_moved_without_a_rebaseline_are_no_certificate(
    seeded: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "changed_bounds", lambda pack: [{"bound": "gates.T1_x"}])
    with pytest.raises(InputError, match=r"gates\.T1_x without a re-baseline"):
        certified(tmp_path, seeded())
    assert not (tmp_path / SUMMARY).exists()


def test_runs_of_two_policies_are_no_certificate(seeded: Worlds, tmp_path: Path) -> None:
    build = seeded()

    def runner(seed: int) -> Path:
        run = build(seed)
        if seed == 202:
            for path in (RunPlace(run).receipt, RunPlace(run).gateboard):
                edit_json(path, lambda d: d.update(parameter_hash="0" * 64))
        return run

    with pytest.raises(InputError) as error:
        certified(tmp_path, runner)
    assert error.value.code == "6A.CERTIFY.EVIDENCE_INVALID"
    assert not (tmp_path / SUMMARY).exists()


def test_every_critical_metric_has_a_stability_row(seeded, tmp_path):
    summary = certified(tmp_path, seeded())
    followed = {row["metric_name"] for row in summary["stability"]}
    assert {f"non_clean_{entity}" for entity in ("party", "account", "device", "ip")} <= followed
    assert {"accounts_per_party", "instruments_per_account", "devices_per_party"} <= followed
    assert {"linked_device_fraction", "max_devices_per_ip", "or_account", "or_device"} <= followed


def test_a_missing_required_seed_is_refused_before_anything_runs(tmp_path):
    def runner(seed: int) -> Path:
        raise AssertionError("nothing may run")

    with pytest.raises(RefusedError, match="missing \\[202\\]"):
        certify(RunRequest(runs_root=tmp_path), (42, 7, 101), runner=runner)


def test_one_seed_missing_b_plus_makes_it_b(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        if seed == 101:
            row = next(r for r in board["tests"] if r["metric_name"] == "p99_devices_per_ip")
            row.update(pass_Bplus=False)

    summary = certified(tmp_path, seeded(edit))
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

    summary = certified(tmp_path, seeded(edit))
    assert summary["decision"] == "PASS_B"
    assert summary["seeds"]["7"]["guards_broken"] == [summary["guards"]["7"][0]["guard_id"]]


@pytest.mark.parametrize(
    ("scatter", "edit", "broken"),
    [
        (False, None, {"region_segment", "product", "device_type"}),
        (True, lambda seed, board: double(board["counts"]["device_types"], seed), {"device_type"}),
        (True, lambda seed, board: double(board["counts"]["segments"], seed), {"region_segment"}),
        (True, None, set()),
    ],
    ids=["copied", "another mix of devices", "another mix of segments", "draws"],
)
def test_seeds_that_do_not_vary_as_draws_are_no_b_plus(
    seeded: Worlds, tmp_path: Path, scatter: bool, edit: Edit | None, broken: set[str]
) -> None:
    """The last case is the null: three ratios of 27 degrees or more, overdispersed by 2.5."""
    summary = certified(tmp_path, seeded(edit, scatter=scatter))
    over = {
        g["guard_id"].removeprefix("seed_variation_"): g for g in summary["guards"]["over_seeds"]
    }
    assert {name for name, guard in over.items() if not guard["holds"]} == broken
    assert summary["decision"] == ("PASS_B" if broken else "PASS_BPLUS")
    assert summary["fails"] == []
    if not scatter:
        assert {guard["value"] for guard in over.values()} == {0.0}


def double(table: dict[str, Any], seed: int) -> None:
    """One seed has its largest cell twice as often."""
    if seed == 101:
        at = int(np.argmax(table["counts"]))
        table["counts"][at] *= 2


def test_one_seed_is_no_evidence_of_variation(demo_world: Path, board: dict[str, Any]) -> None:
    for guard in seed_variation(sealed_policy(demo_world), [board]):
        assert (guard.holds, guard.value) == (False, None)
        assert guard.details["why"] == "support 1 of 2 needed"


@pytest.mark.parametrize(
    ("kind", "area", "holds"),
    [
        ("party", 0.60, True), ("party", 0.59, False), ("party", 0.86, False),
        ("account", 0.5, True), ("account", 0.86, False), ("device", 0.86, False),
        ("ip", 0.85, True), ("ip", 0.86, False), ("ip", float("nan"), False),
    ],
)  # fmt: skip
def test_joined_tables_that_tell_too_much_or_nothing_are_no_b_plus(
    seeded: Worlds, tmp_path: Path, kind: str, area: float, holds: bool
) -> None:
    def measured(seed: int, run: Path) -> None:
        areas = {kind: area} if seed == 202 else {}
        write_leakage(run, sealed_policy(run), leakage_measures(areas))

    summary = certified(tmp_path, seeded(), measure=measured)
    assert summary["decision"] == ("PASS_BPLUS" if holds else "PASS_B")
    assert summary["seeds"]["202"]["guards_broken"] == ([] if holds else [f"leakage_joined_{kind}"])
    assert violations("realism_gate_summary_6A", load_json(tmp_path / SUMMARY)) == []


def test_few_risky_entities_are_no_evidence_of_leakage(seeded: Worlds, tmp_path: Path) -> None:
    def measured(seed: int, run: Path) -> None:
        measures = leakage_measures()
        few = tuple(replace(fold, support=30.0) for fold in measures["device"].folds)
        measures["device"] = replace(measures["device"], folds=few)
        write_leakage(run, sealed_policy(run), measures)

    summary = certified(tmp_path, seeded(), measure=measured)
    assert {tuple(s["guards_broken"]) for s in summary["seeds"].values()} == {
        ("leakage_joined_device",)
    }


def test_a_world_that_is_held_has_no_measure_of_leakage(seeded: Worlds, tmp_path: Path) -> None:
    summary = certified(tmp_path, seeded(copied=True), never, never)
    guard = summary["guards"]["42"][-1]
    assert (guard["guard_id"], guard["holds"]) == ("leakage_joined_ip", False)
    assert guard["details"]["why"].startswith("not measured, as T1–T9")


def test_one_failing_row_holds_and_is_routed_to_its_owner(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        if seed == 202:
            row = next(r for r in board["tests"] if r["metric_name"] == "or_device")
            row.update(value=1.2, pass_B=False, pass_Bplus=False, status="FAIL")

    summary = certified(tmp_path, seeded(edit))
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert {"test_id": "T7_RISK_PROPAGATION_EFFECT", "metric_name": "or_device", "owner": "S5"} in (
        summary["routing"]
    )


def test_seeds_without_circles_are_no_copies() -> None:
    members = "s4_circle_members_6A"

    def copied(**rows: int) -> list[str]:
        of: Any = SimpleNamespace(
            content_digests={members: "0" * 64}, receipt=SimpleNamespace(tables=rows)
        )
        return copied_states({7: of, 42: of})

    assert copied(**{members: 0}) == []
    assert copied(**{members: 1}) == copied() == [f"{members}: seeds 7 and 42"]


def test_copied_seeds_are_detected_and_hold(seeded, tmp_path):
    summary = certified(tmp_path, seeded(copied=True), never, never)
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert any("s2_account_base_6A: seeds 7 and 42" in c for c in summary["copied"])


def test_a_metric_that_varies_over_the_seeds_fails_t9(seeded, tmp_path):
    def edit(seed: int, board: dict[str, Any]) -> None:
        row = next(r for r in board["tests"] if r["metric_name"] == "max_devices_per_ip")
        row["value"] = {42: 100.0, 7: 200.0, 101: 300.0, 202: 345.0}[seed]

    summary = certified(tmp_path, seeded(edit))
    assert summary["decision"] == "HOLD_REMEDIATE"
    t9 = next(r for r in summary["tests"] if r["test_id"] == "T9_CROSS_SEED_STABILITY")
    assert t9["details"]["worst"] == "max_devices_per_ip"
    assert t9["value"] == pytest.approx(0.46, abs=0.01)


def test_pooled_rows_are_the_gates_over_summed_counts(demo_world, board):
    """Pooling a world with itself keeps rates, halves the variance and has no seed."""
    evidence = {7: SimpleNamespace(board=board), 8: SimpleNamespace(board=board)}
    *rows, stability = over_seeds(sealed_policy(demo_world), evidence)
    assert len(rows) == len(board["tests"])
    assert stability.test_id == "T9_CROSS_SEED_STABILITY"
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
