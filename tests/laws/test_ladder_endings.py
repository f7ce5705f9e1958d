"""Every ending of the phases that certify, over real worlds.

Only T10's streams are not made, and the models of `leakage_joined` not fitted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudworld.certification import SUMMARY, chain
from fraudworld.remediation import climb
from fraudworld.remediation.baseline import FIGURES
from fraudworld.request import RunRequest
from fraudworld.store import decisions
from fraudworld.store.decisions import Decision
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.figures import Measures
from fraudworld.verification import verify_certificate
from fraudworld.verification.certificate import ladder_checks
from support.calling import CallResult
from support.certified import without_models
from support.witnessed import edit_json, passing, write_t10

SEEDS = (42, 7, 101, 202)
SCALE = 1.0  # smaller worlds have too few parties a country for P6_2
Call = Callable[..., CallResult]
Spoil = Callable[[Measures], Measures]


def leaks(measures: Measures) -> Measures:
    """Fails B: roles of accounts do not predict fraud."""
    return replace(measures, account=replace(measures.account, value=1.1))


def misses_b_plus(measures: Measures) -> Measures:
    """Passes B and misses B+: too few accounts are attacked again."""
    return replace(measures, again=replace(measures.again, value=0.05))


def as_it_is(measures: Measures) -> Measures:
    return measures


def judge_with(monkeypatch: pytest.MonkeyPatch, spoil: Spoil, of: int = 101) -> None:
    """Replaces the arms of T10 by evidence that passes, spoilt for one seed; fits no models."""

    def witness(run: Path, **options: object) -> None:
        seed = read_receipt(RunPlace(run)).seed
        measures = passing(seed)
        write_t10(run, sealed_policy(run), spoil(measures) if seed == of else measures)

    monkeypatch.setattr(chain, "witness", witness)
    without_models(monkeypatch)


def climbed(root: Path, *phases: str) -> tuple[Decision, ...]:
    return climb(RunRequest(runs_root=root, scale=SCALE), SEEDS, phases)


@pytest.fixture(scope="module")
def before_p5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("before-p5")
    assert climbed(root, "P0", "P1", "P2", "P3", "P4")[-1].decision == "UNLOCK_P5"
    return root


@pytest.fixture(scope="module")
def before_p6_3(before_p5: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("before-p6-3") / "root"
    shutil.copytree(before_p5, root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        judge_with(monkeypatch, misses_b_plus)
        *_, p5, _, p6_2 = climbed(root, "P5", "P6_1", "P6_2")
    assert (p5.decision, p6_2.decision) == ("PASS_B", "UNLOCK_P6_3")
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda root: Path(shutil.copytree(root, tmp_path / "root"))


def test_p0_locks_the_baseline_beside_what_was_published(before_p5: Path) -> None:
    lock = json.loads(decisions.place(before_p5, "P0_gateboard").read_text())
    decision = decisions.read_decision(before_p5, "P0")
    assert decision is not None
    assert f"{decisions.FOLDER}/P0_gateboard.json" in decision.digests
    rows = {row["metric_name"]: row for row in lock["tests"]}
    assert {name: rows[name]["published"] for name in FIGURES} == dict(FIGURES)
    assert {row["test_id"].partition("_")[0] for row in rows.values()} == set(lock["owners"])
    for name in ("worst_cv", "non_regression", "sensitivity"):
        assert rows[name]["status"] == "INSUFFICIENT_EVIDENCE"
        assert rows[name]["details"]["why"]
    assert all((before_p5 / path).is_file() for path in lock["evidence"].values())
    assert {f.what for f in decision.done_when} >= {"baseline gateboard locked"}


def test_one_failing_seed_holds_p5(
    before_p5: Path, copy: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(before_p5)
    judge_with(monkeypatch, leaks)
    last = climbed(root, "P5")[-1]
    assert (last.phase, last.decision, last.done) == ("P5", "HOLD_REMEDIATE", False)
    assert any("S1_account of seed 101" in b and "cross-layer" in b for b in last.blockers)
    assert json.loads((root / SUMMARY).read_text())["decision"] == "HOLD_REMEDIATE"
    assert verify_certificate(root).holds


def test_p5_ends_as_its_certificate_decides(
    before_p5: Path, copy: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(before_p5)
    judge_with(monkeypatch, as_it_is)
    last = climbed(root, "P5")[-1]
    # The odds ratios of P5's policy aim at B: its worlds may miss B+, and the decision says which.
    assert last.done
    assert last.decision == json.loads((root / SUMMARY).read_text())["decision"]
    assert last.decision in ("PASS_B", "PASS_BPLUS")


def test_one_failing_seed_retains_b(
    before_p6_3: Path, copy: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(before_p6_3)
    judge_with(monkeypatch, leaks, of=7)
    last = climbed(root, "P6_3")[-1]
    assert (last.phase, last.decision, last.done) == ("P6_3", "RETAIN_PASS_B", False)
    assert any("S1_account of seed 7" in blocker for blocker in last.blockers)
    verdict = verify_certificate(root)
    assert verdict.holds, verdict.first_failure


def test_every_seed_passing_ends_in_b_plus(
    before_p6_3: Path, copy: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(before_p6_3)
    judge_with(monkeypatch, as_it_is)
    last = climbed(root, "P6_3")[-1]
    assert (last.decision, last.blockers) == ("PASS_BPLUS", ())
    left = {p.parent.name for p in root.glob("*/run_receipt.json")}
    p0 = decisions.read_decision(root, "P0")
    assert p0 is not None
    assert left == {*p0.run_ids, *last.run_ids}, "superseded runs are gone after the freeze"
    verdict = verify_certificate(root)
    assert verdict.holds, verdict.first_failure


def test_a_graph_that_tells_nothing_retains_b(
    before_p6_3: Path, copy: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(before_p6_3)
    judge_with(monkeypatch, as_it_is)
    without_models(monkeypatch, {"party": 0.59})
    last = climbed(root, "P6_3")[-1]
    assert (last.decision, last.done) == ("RETAIN_PASS_B", False)
    (unmet,) = (f for f in last.done_when if not f.holds and "guard" in f.what)
    assert "leakage_joined_party" in str(unmet.evidence)
    assert verify_certificate(root).holds


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(decision="PASS_BPLUS"),
        lambda d: d["done_when"][0].update(holds=False),
        lambda d: d.update(done_when=[]),
        lambda d: d["digests"].update({next(iter(d["digests"])): "0" * 64}),
    ],
)
def test_an_edited_decision_is_detected(
    before_p6_3: Path, copy: Callable[[Path], Path], edit: Callable[[dict[str, Any]], object]
) -> None:
    root = copy(before_p6_3)
    assert all(check.holds for check in ladder_checks(root))
    edit_json(decisions.place(root, "P5"), edit)
    assert [c.name.partition(" ")[0] for c in ladder_checks(root) if not c.holds] == ["P5"]


def test_the_certificate_of_the_baseline_is_to_hold(fraudworld: Call, tmp_path: Path) -> None:
    result = fraudworld(
        "certify", "--overlay", "published_baseline", "--scale", SCALE, "--runs-root", tmp_path,
        "--json", "--quiet",
    )  # fmt: skip
    assert result.status == 1, result.err
    summary = json.loads(result.out)
    assert summary["decision"] == "HOLD_REMEDIATE"
    assert {r["owner"] for r in summary["routing"]} >= {"S2", "S4", "S5"}
    why = {r["details"]["why"] for r in summary["t10"]["rows"] if r["seed"] is not None}
    assert why == {"candidate not passed"}
    assert not (tmp_path / ".witness").exists(), "no stream was made"
    assert fraudworld("verify", tmp_path, "--quiet").status == 0
