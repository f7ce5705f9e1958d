"""Lanes: which samples revert, hold or unlock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fraudworld.perf.lanes import LANES, SEGMENT, Sample, changes, decide, write_decision
from fraudworld.perf.recorder import REQUIRED_STEPS


def sample(seconds: float = 10.0, **state: float) -> Sample:
    """A sample of `seconds` in every state, except the states given."""
    wall = dict.fromkeys(REQUIRED_STEPS, seconds) | state
    return Sample(
        run_id="a" * 32,
        seed=42,
        wall_s={**wall, "S0": 5.0, "gates": 7.0},
        cpu_s=wall,
        digests={"s1_party_base_6A": "d" * 64},
        rng_logs={"rng_audit_6A.jsonl": "e" * 64},
        steps=40,
        missing=(),
        within_budget=True,
        peak_rss_mib=100.0,
    )


BASE = [sample(), sample(12.0), sample(9.0)]
MEASURED = [lane for name, lane in LANES.items() if name != "POPT.0"]


def faster(state: str, share: float) -> list[Sample]:
    """Samples that save `share` of the median time of a state; for SEGMENT, of every state."""
    if state == SEGMENT:
        return [sample(10.0 * (1.0 - share))] * 3
    return [sample(**{state: 10.0 * (1.0 - share)})] * 3


def test_states_and_targets_of_the_lanes() -> None:
    assert {lane.name: (lane.state, lane.target) for lane in MEASURED} == {
        "POPT.1": ("S3", 0.30),
        "POPT.2": ("S5", 0.25),
        "POPT.3": ("S2", 0.25),
        "POPT.4": ("S4", 0.20),
        "POPT.5": (SEGMENT, 0.0),
    }


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
def test_a_lane_that_reaches_its_target_unlocks_the_next(lane) -> None:
    decision = decide(lane, BASE, faster(lane.state, lane.target + 0.05))
    assert decision.decision == f"UNLOCK_{lane.unlocks}"
    assert (decision.vetoes, decision.blockers) == ((), ())
    assert all(f.holds for f in decision.done_when)


def test_a_lane_unlocks_the_next_and_the_last_one_p5() -> None:
    names = [lane.name.replace(".", "") for lane in LANES.values()]
    assert [lane.unlocks for lane in LANES.values()] == [*names[1:], "P5"]


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
def test_a_missed_target_holds(lane) -> None:
    decision = decide(lane, BASE, faster(lane.state, lane.target - 0.05))
    assert decision.decision == "HOLD_" + lane.name.replace(".", "")
    assert decision.vetoes == ()
    assert decision.blockers == (f"{lane.state} saves at least {lane.target:.0%}",)


def test_a_candidate_slower_than_every_base_run_reverts() -> None:
    decision = decide(LANES["POPT.1"], BASE, [sample(S3=12.5)] * 3)
    assert decision.decision == "REVERT_POPT1"
    assert decision.vetoes == ("S3 is not slower",)


def test_a_faster_state_that_slows_the_segment_reverts() -> None:
    cand = [sample(S3=1.0, S4=40.0)] * 3
    decision = decide(LANES["POPT.1"], BASE, cand)
    assert decision.decision == "REVERT_POPT1"
    assert decision.vetoes == (f"{SEGMENT} is not slower",)


@pytest.mark.parametrize(
    ("change", "veto"),
    [
        ({"digests": {"s1_party_base_6A": "0" * 64}}, "content digests equal in every run"),
        ({"digests": {}}, "content digests equal in every run"),
        ({"rng_logs": {"rng_audit_6A.jsonl": "0" * 64}}, "RNG logs byte-identical in every run"),
    ],
)
def test_one_run_with_other_bytes_reverts_at_any_speed(change: dict, veto: str) -> None:
    fast = faster("S3", 0.9)
    decision = decide(LANES["POPT.1"], BASE, [*fast[:2], replace(fast[2], **change)])
    assert decision.decision == "REVERT_POPT1"
    assert decision.vetoes == (veto,)


def test_runs_without_any_digest_are_not_equal() -> None:
    empty = [replace(s, digests={}) for s in BASE]
    decision = decide(LANES["POPT.1"], empty, [replace(s, digests={}) for s in faster("S3", 0.9)])
    assert decision.decision == "REVERT_POPT1"


@pytest.mark.parametrize(
    ("change", "blocker"),
    [
        ({"missing": ("S3 rng_publish",)}, "every required step is timed"),
        ({"within_budget": False}, "every candidate run is within its budgets"),
    ],
)
def test_incomplete_evidence_or_a_budget_exceeded_holds(change: dict, blocker: str) -> None:
    cand = [replace(s, **change) for s in faster("S3", 0.9)]
    decision = decide(LANES["POPT.1"], BASE, cand)
    assert (decision.decision, decision.blockers) == ("HOLD_POPT1", (blocker,))


def test_two_repeats_do_not_decide() -> None:
    decision = decide(LANES["POPT.1"], BASE[:2], faster("S3", 0.9))
    assert decision.decision == "HOLD_POPT1"
    assert decision.blockers == ("at least 3 interleaved repeats of each",)


def test_medians_exclude_gates_and_intake() -> None:
    by_state = {c.state: c for c in changes(BASE, faster("S3", 0.5))}
    assert list(by_state) == [*REQUIRED_STEPS, SEGMENT]
    assert (by_state["S3"].base_s, by_state["S3"].cand_s, by_state["S3"].saved) == (10.0, 5.0, 0.5)
    assert (by_state[SEGMENT].base_s, by_state[SEGMENT].base_slowest_s) == (50.0, 60.0)


def test_a_decision_is_written_under_its_name_with_every_field(tmp_path: Path) -> None:
    decision = decide(LANES["POPT.1"], BASE, faster("S3", 0.5))
    path = write_decision(tmp_path, LANES["POPT.1"], decision, {"medians": [1.0]})
    assert path == tmp_path / "reports/decisions/POPT_1.json"
    document = json.loads(path.read_text("utf-8"))
    assert set(document) == {
        "phase", "decision", "seeds", "run_ids", "digests", "done_when", "vetoes", "blockers",
    }  # fmt: skip
    assert (document["seeds"], document["run_ids"]) == ([42], ["a" * 32])
    beside = path.with_name("POPT_1_comparison.json")
    assert json.loads(beside.read_text("utf-8")) == {"medians": [1.0]}
