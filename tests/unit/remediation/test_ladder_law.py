"""Conditions of every ladder phase, one by one; missing evidence never passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fraudworld.errors import InputError
from fraudworld.gates.gate import OWNERS
from fraudworld.remediation import law
from fraudworld.remediation.law import EVERY, HARD, PhaseEvidence
from fraudworld.remediation.phases import LADDER, NAMES, Phase, chosen, overlays
from fraudworld.store.decisions import Finding


def row(test: str, metric: str = "m", grade: str = "B+", **fields: Any) -> dict[str, Any]:
    """A row of a gateboard with the given grade."""
    status = {"FAIL": "FAIL", "none": "INSUFFICIENT_EVIDENCE"}.get(grade, "PASS")
    plain = {
        "test_id": f"{test}_NAME", "metric_name": metric, "value": 1.0, "threshold_B": 2.0,
        "threshold_Bplus": 3.0, "pass_B": status == "PASS", "pass_Bplus": grade == "B+",
        "status": status, "owner_state": "S4", "seed": 42,
    }  # fmt: skip
    return plain | fields


GREEN = tuple(row(test) for test in HARD)
CHECK = {"check_id": "accounts_without_floor", "severity": "REQUIRED", "status": "PASS",
         "observed": 0.0}  # fmt: skip
COUNTERS = {
    "kmax_overflow_rows": 3, "kmax_redistributed_rows": 3, "kmax_dropped_rows": 0,
    "kmax_postcheck_violations": 0,
}  # fmt: skip
GUARDS = tuple(
    {"guard_id": name, "holds": True, "value": 0.0, "bound": "0"}
    for name in ("instrument_means", "country_heterogeneity", "conservation")
)
CERTIFICATE = {
    "decision": "PASS_BPLUS", "fails": [], "copied": [], "guards": {"42": GUARDS},
}  # fmt: skip
GOOD = PhaseEvidence(
    rows=GREEN, before=GREEN, guards=GUARDS, checks=(CHECK,), counters=COUNTERS, flagged=True,
    mix_moved=0, summary=CERTIFICATE, repeated=(),
)  # fmt: skip
LOCK = {
    "tests": [row(test, details={"why": "one seed"}) for test in EVERY], "owners": OWNERS,
    "published": {"grade": "B-"}, "veto_rules": ["no flag"], "evidence": {"gateboard": "path"},
}  # fmt: skip
BASELINE = replace(
    GOOD,
    rows=(row("T1", grade="FAIL"), *GREEN[1:], row("T9", grade="none", value=None),
          row("T10", grade="none", value=None)),
    routing=({"test_id": "T1_NAME", "metric_name": "m", "owner": "S2"},),
    role="baseline", vetoes=("no flag",), sealed="ab", lock=LOCK,
)  # fmt: skip


def phase(name: str) -> Phase:
    return LADDER[NAMES.index(name)]


def unmet(name: str, evidence: PhaseEvidence) -> list[str]:
    return [f.what for f in phase(name).law(evidence) if not f.holds]


@pytest.mark.parametrize("name", NAMES)
def test_good_evidence_meets_every_phase(name: str) -> None:
    assert unmet(name, BASELINE if name == "P0" else GOOD) == []


BROKEN: tuple[tuple[str, str, PhaseEvidence, str], ...] = (
    ("the baseline holds no role", "P0", replace(BASELINE, role="none"), "baseline run pinned"),
    ("a test is not judged", "P0", replace(BASELINE, rows=BASELINE.rows[:-1]),
     "every test tagged for B and B+"),
    ("a verdict has no value", "P0",
     replace(BASELINE, rows=(row("T1", value=None), *BASELINE.rows[1:])),
     "every test tagged for B and B+"),
    ("a failure has no owner", "P0", replace(BASELINE, routing=()), "owners attributed"),
    ("the upstream is not sealed", "P0", replace(BASELINE, sealed=""), "frozen upstream recorded"),
    ("the lock has no T10", "P0",
     replace(BASELINE, lock={**LOCK, "tests": LOCK["tests"][:-1]}), "baseline gateboard locked"),
    ("the lock gives T9 no reason", "P0", replace(BASELINE, lock={**LOCK, "tests": [
        row(t, details={}, value=None) for t in EVERY]}), "baseline gateboard locked"),
    ("the lock has no veto rules", "P0", replace(BASELINE, lock={**LOCK, "veto_rules": []}),
     "baseline gateboard locked"),
    ("the lock has no owner of T3", "P0", replace(BASELINE, lock={
        **LOCK, "owners": {t: o for t, o in OWNERS.items() if t != "T3"}}),
     "baseline gateboard locked"),
    ("there is no lock", "P0", replace(BASELINE, lock=None), "baseline gateboard locked"),
    ("the baseline could be promoted", "P0", replace(BASELINE, vetoes=()), "promotion vetoed"),
    ("T2 fails", "P1", replace(GOOD, rows=(GREEN[0], row("T2", grade="FAIL"), *GREEN[2:])),
     "T1, T2 pass B"),
    ("T2 is not there", "P1", replace(GOOD, rows=(GREEN[0], *GREEN[2:])), "T1, T2 pass B"),
    ("T2 has no evidence", "P1",
     replace(GOOD, rows=(GREEN[0], row("T2", grade="none"), *GREEN[2:])), "T1, T2 pass B"),
    ("a green test turned red", "P1", replace(GOOD, rows=(*GREEN[:4], row("T5", grade="FAIL"))),
     "tests that passed still pass"),
    ("a green metric went away", "P1", replace(GOOD, before=(*GREEN, row("T3", "other"))),
     "tests that passed still pass"),
    ("there was nothing before", "P1", replace(GOOD, before=()), "tests that passed still pass"),
    ("a counter is missing", "P1", replace(GOOD, counters={}), "counters emitted"),
    ("T4 fails", "P2", replace(GOOD, rows=(*GREEN[:3], row("T4", grade="FAIL"), *GREEN[4:])),
     "T3, T4, T5 pass B"),
    ("T7 fails", "P3", replace(GOOD, rows=(*GREEN[:6], row("T7", grade="FAIL"), *GREEN[7:])),
     "T7 pass B"),
    ("a check is advisory", "P4", replace(GOOD, checks=(CHECK | {"severity": "ADVISORY"},)),
     "no check is advisory, none fails, the run has its flag"),
    ("a check fails", "P4", replace(GOOD, checks=(CHECK | {"status": "FAIL"},)),
     "no check is advisory, none fails, the run has its flag"),
    ("no flag", "P4", replace(GOOD, flagged=False),
     "no check is advisory, none fails, the run has its flag"),
    ("HOLD", "P5", replace(GOOD, summary=CERTIFICATE | {"decision": "HOLD_REMEDIATE"}),
     "T1–T10 pass B per seed and pooled"),
    ("no certificate", "P5", replace(GOOD, summary=None), "T1–T10 pass B per seed and pooled"),
    ("copied seeds", "P5", replace(GOOD, summary=CERTIFICATE | {"copied": ["s1"]}),
     "no state copied between seeds"),
    ("another world than climbed", "P5", replace(GOOD, repeated=("s4_ip_links_6A",)),
     "the full chain makes the world the ladder climbed to"),
    ("a floor is broken", "P6_1", replace(GOOD, checks=(CHECK | {"status": "FAIL"},)),
     "floors by account type hold"),
    ("means are inflated", "P6_1", replace(GOOD, guards=({**GUARDS[0], "holds": False},)),
     "no mean of a product is inflated"),
    ("a region's mix moved", "P6_2", replace(GOOD, mix_moved=1), "regional mix conserved"),
    ("countries are too similar", "P6_2",
     replace(GOOD, guards=(GUARDS[0], GUARDS[1] | {"holds": False}, GUARDS[2])),
     "deltas bounded, heterogeneity in band"),
    ("only B", "P6_3", replace(GOOD, summary=CERTIFICATE | {"decision": "PASS_B"}),
     "T1–T10 pass B+ per seed and pooled"),
    ("a guard is broken", "P6_3",
     replace(GOOD, summary=CERTIFICATE | {"guards": {"7": [GUARDS[0] | {"holds": False}]}}),
     "every guard holds on every seed and over all"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("why", "name", "evidence", "condition"), BROKEN, ids=[b[0] for b in BROKEN]
)
def test_broken_evidence_leaves_its_condition_unmet(
    why: str, name: str, evidence: PhaseEvidence, condition: str
) -> None:
    assert condition in unmet(name, evidence), why
    blockers = law.blockers(phase(name).law(evidence), evidence)
    assert f"not met: {condition}" in blockers


def test_pass_b_is_enough_for_p5_and_not_for_p6_3() -> None:
    evidence = replace(GOOD, summary=CERTIFICATE | {"decision": "PASS_B"})
    assert unmet("P5", evidence) == []
    assert unmet("P6_3", evidence) != []


def test_blockers_name_the_owner_and_require_t10_only_where_it_is_judged() -> None:
    rows = (row("T4", grade="FAIL", value=0.14), row("T10", grade="none", value=None))
    unmet_findings = [Finding("something", False, {})]
    assert law.blockers(unmet_findings, PhaseEvidence(rows=rows)) == (
        "not met: something", "T4 m is 0.14, seed 42, B asks 2: work for S4",
    )  # fmt: skip
    assert law.blockers(unmet_findings, PhaseEvidence(rows=rows, summary={}))[-1].startswith(
        "T10 m is no evidence"
    )
    assert law.blockers([Finding("something", True, {})], PhaseEvidence(rows=rows)) == ()
    b = row("T10", "sensitivity", "B", value=0.9, seed=7, details={"failed_Bplus": ["S2p"]})
    assert law.blockers(unmet_findings, PhaseEvidence(rows=(b,), summary={}), "B+")[-1] == (
        "T10 sensitivity is 0.9, seed 7, B+ asks 3 (S2p): work for S4"
    )


def test_a_table_cell_shows_the_worst_metric_of_its_test() -> None:
    shown = law.cells([row("T3", "a"), row("T3", "b", "FAIL"), row("T3", "c", "B")])
    assert shown == {"T3": {"metric": "b", "value": 1.0, "verdict": "FAIL"}}
    assert tuple(law.cells([row(t) for t in EVERY])) == EVERY


def test_the_phases_apply_every_overlay_once() -> None:
    assert overlays(phase("P0")) == ("published_baseline",)
    assert len(set(overlays(LADDER[-1]))) == len(overlays(LADDER[-1])) == 10


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", NAMES),
        ("P0", ("P0",)),
        ("P1,P0", ("P0", "P1")),
        ("P3..P6.1", ("P3", "P4", "P5", "P6_1")),
        ("P0,P2..P3", ("P0", "P2", "P3")),
    ],
)
def test_phases_are_chosen_by_name_and_range(text: str, names: tuple[str, ...]) -> None:
    assert chosen(text) == names


@pytest.mark.parametrize("text", ["", "P7", "P3..P1", "P0..", "..P2", "P0,,P1", "p0"])
def test_an_unknown_phase_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a phase or range"):
        chosen(text)
