"""The evidence file of T10: rows follow from its measures, and seeds can be pooled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudworld.documents import plain_json
from fraudworld.errors import InputError
from fraudworld.policy.loader import load_pack
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.arms import Verdict, identity, witness
from fraudworld.t10.figures import Measures, pooled_measures
from fraudworld.t10.judge import judge, summary
from fraudworld.t10.report import differences, document, read_measures, read_report

FLOWS = 20_000
BOUNDS = load_pack().pack.downstream_witness


@pytest.fixture(scope="module")
def verdict(small_world: Path) -> Verdict:
    return witness(small_world, flows=FLOWS, workers=2)


@pytest.fixture
def evidence(verdict: Verdict) -> dict[str, Any]:
    """A short stream's evidence that states the policy's length, as no test makes that one."""
    return json.loads(verdict.report.read_text()) | {"flows": BOUNDS.flows}


@pytest.fixture
def candidate(small_world: Path) -> dict[str, Any]:
    return identity(read_receipt(RunPlace(small_world)))


def wrong(evidence: dict[str, Any], candidate: dict[str, Any]) -> list[str]:
    return list(differences(evidence, BOUNDS, candidate, Path("t10.json")))


def test_an_honest_file_follows_from_its_measures(verdict, evidence, candidate, small_world):
    assert wrong(evidence, candidate) == []
    measures = read_measures(evidence, verdict.report)
    bounds = sealed_policy(small_world).downstream_witness
    rows = [plain_json(row.as_dict()) for row in judge(measures, bounds)]
    assert rows == evidence["rows"]
    assert read_report(verdict.report) == evidence | {"flows": FLOWS}


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e["rows"][0].update(pass_B=not e["rows"][0]["pass_B"]),
        lambda e: e["rows"].pop(),
        lambda e: e["binding"][1].update(pass_B=True, status="PASS", value=1.0),
        lambda e: e.update(grade="B+"),
        lambda e: e.update(flows=1),
        lambda e: e.update(seed=8),
        lambda e: e.update(surprise=1),
        lambda e: e["bounds"].update(min_exposed_events=1),
        lambda e: e["arms"].pop("rewired"),
        lambda e: e["arms"]["candidate"].update(bundle_digest="0" * 64),
        lambda e: e["measures"]["account"].update(value=2.5),
        lambda e: e["measures"]["violations"].update(keys=1),
        lambda e: e["measures"].update(seeds=[7, 8]),
    ],
)
def test_an_edited_file_is_detected(
    evidence: dict[str, Any], candidate: dict[str, Any], edit: Callable[[dict[str, Any]], object]
) -> None:
    edit(evidence)
    assert wrong(evidence, candidate) != []


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e.clear(),
        lambda e: e["measures"].pop("account"),
        lambda e: e["measures"]["account"].update(value="2.5"),
        lambda e: e["measures"]["candidate"].update(flows=None),
        lambda e: e.update(measures=[]),
    ],
)
def test_malformed_measures_are_refused(evidence, candidate, edit):
    edit(evidence)
    with pytest.raises(InputError) as error:
        wrong(evidence, candidate)
    assert error.value.code == "6B.S5.WITNESS_EVIDENCE_INVALID"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}'])
def test_a_file_that_is_no_object_is_refused(tmp_path, content):
    path = tmp_path / "t10.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_report(path)
    assert error.value.code == "6B.S5.WITNESS_EVIDENCE_INVALID"


def of_seed(measures: Measures, seed: int) -> Measures:
    return replace(measures, seeds=(seed,))


def test_pooled_seeds_add_counts_and_narrow_intervals(verdict: Verdict) -> None:
    one = verdict.measures
    four = pooled_measures([of_seed(one, seed) for seed in (42, 7, 101, 202)])
    assert four.seeds == (42, 7, 101, 202)
    assert four.candidate.flows == 4 * one.candidate.flows
    assert four.candidate.prevalence.value == pytest.approx(one.candidate.prevalence.value)
    rows = {row.metric_name: row for row in judge(four, BOUNDS)}
    for single in judge(one, BOUNDS):
        row = rows[single.metric_name]
        assert row.seed is None
        if single.ci_low is None:
            assert row.ci_low is None
            assert row.details["no_interval"]
        elif single.value is not None and single.ci_high > single.ci_low:
            assert row.value == pytest.approx(single.value, rel=1e-9)
            ratio = (row.ci_high - row.ci_low) / (single.ci_high - single.ci_low)
            assert ratio < 0.8, "four times the evidence halves the error"


def test_the_pooled_verdict_names_the_seed_that_fails(verdict: Verdict) -> None:
    good = [row for row in verdict.rows if row.pass_Bplus]
    assert all(r.pass_Bplus for r in summary(good, None, {42: good, 7: good}))
    struck = next(row for row in good if row.metric_name.startswith("S"))
    failing = struck.metric_name
    broken = replace(struck, pass_B=False, pass_Bplus=False, status="FAIL")
    bad = [broken if row is struck else row for row in good]
    _, sensitivity = summary(good, None, {42: good, 7: bad})
    assert not sensitivity.pass_B
    assert sensitivity.details["failed_B"] == [f"{failing} of seed 7"]
    assert f"{failing} of seed 7" in sensitivity.details["failed_Bplus"]


def test_one_seed_without_an_estimate_pools_to_none(verdict: Verdict) -> None:
    blank = replace(verdict.measures, leaks={}, violations={"keys": 1}, unpaired=("rewired",))
    pooled = pooled_measures([verdict.measures, of_seed(blank, 8)])
    rows = {row.metric_name: row for row in judge(pooled, BOUNDS)}
    assert rows["label_leak_tree"].status == "INSUFFICIENT_EVIDENCE"
    assert rows["N1_violations"].value == 1.0
    assert rows["N1_unpaired_arms"].details["arms"] == ["rewired of seed 8"]


def test_the_document_states_what_lacks_an_interval(verdict: Verdict) -> None:
    stated = document(verdict.measures, BOUNDS, FLOWS, {})
    for row in [*stated["rows"], *stated["binding"]]:
        assert row["ci_low"] is not None or row["details"]["no_interval"], row["metric_name"]
