"""Lanes: which samples revert, hold or unlock, how often noise deceives, and their order."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from fraudworld.errors import InputError, RefusedError
from fraudworld.perf.lanes import (
    CONFIDENCE,
    LANES,
    LEAST_EFFECT,
    SEGMENT,
    Lane,
    Sample,
    changes,
    decide,
    require_open,
    saving_interval,
    stopped,
    witness,
    write_decision,
)
from fraudworld.perf.recorder import REQUIRED_STEPS
from fraudworld.remediation.phases import LADDER


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


NOISE = (1.0, 1.02, 0.99)
BASE = [sample(10.0 * x) for x in NOISE]
MEASURED = [lane for name, lane in LANES.items() if name != "POPT.0"]


def faster(state: str, share: float) -> list[Sample]:
    """Samples that save about `share` of the time of a state; for SEGMENT, of every state.

    Their noise differs from that of BASE by half a per cent.
    """
    left = [1.0 - share, 1.003 - share, 0.998 - share]
    if state == SEGMENT:
        return [sample(10.0 * x * y) for x, y in zip(NOISE, left, strict=True)]
    return [sample(10.0 * x, **{state: 10.0 * x * y}) for x, y in zip(NOISE, left, strict=True)]


def test_states_and_targets_of_the_lanes() -> None:
    assert {lane.name: (lane.state, lane.target) for lane in MEASURED} == {
        "POPT.1": ("S3", 0.30),
        "POPT.2": ("S5", 0.25),
        "POPT.3": ("S2", 0.25),
        "POPT.4": ("S4", 0.20),
        "POPT.5": (SEGMENT, LEAST_EFFECT),
    }


def test_words_of_lanes_and_of_the_ladder_are_unique_to_their_phase() -> None:
    shared = {"HOLD_REMEDIATE", "PASS_BPLUS"}  # a certificate's own words
    words = Counter(
        [lane.word(verb) for lane in LANES.values() for verb in ("UNLOCK", "HOLD", "REVERT")]
        + [word for phase in LADDER for word in (phase.unlock, phase.hold)]
    )
    assert {word for word, n in words.items() if n > 1} == shared
    assert LANES["POPT.5"].word("UNLOCK") == "UNLOCK_CERTIFICATION"


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
def test_a_lane_that_reaches_its_target_unlocks_the_next(lane) -> None:
    decision = decide(lane, BASE, faster(lane.state, lane.target + 0.05))
    assert decision.decision == f"UNLOCK_{lane.unlocks}"
    assert (decision.vetoes, decision.blockers) == ((), ())
    assert all(f.holds for f in decision.done_when)


def test_a_lane_unlocks_the_next_and_the_last_one_certification() -> None:
    names = [lane.name.replace(".", "") for lane in LANES.values()]
    assert [lane.unlocks for lane in LANES.values()] == [*names[1:], "CERTIFICATION"]


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
def test_a_missed_target_holds(lane) -> None:
    decision = decide(lane, BASE, faster(lane.state, lane.target - 0.02))
    assert decision.decision == "HOLD_" + lane.name.replace(".", "")
    assert decision.vetoes == ()
    assert decision.blockers[0] == f"{lane.state} saves at least {lane.target:.0%}"


def test_a_target_reached_within_the_noise_holds() -> None:
    cand = [sample(S3=seconds) for seconds in (2.0, 9.5, 6.0)]
    decision = decide(LANES["POPT.1"], BASE, cand)
    assert decision.decision == "HOLD_POPT1"
    assert decision.blockers == ("the interval of the S3 saving excludes zero",)
    (finding,) = [f for f in decision.done_when if f.what == decision.blockers[0]]
    assert finding.evidence["saved_low"] < 0 < finding.evidence["saved_high"]
    assert finding.evidence["confidence"] == CONFIDENCE


def test_the_whole_chain_must_improve() -> None:
    same = decide(LANES["POPT.5"], BASE, BASE)
    assert same.decision == "HOLD_POPT5"
    assert f"the interval of the {SEGMENT} saving excludes zero" in same.blockers


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
def test_a_surely_slower_candidate_reverts(lane) -> None:
    decision = decide(lane, BASE, faster(lane.state, -0.25))
    assert decision.decision == "REVERT_" + lane.name.replace(".", "")
    assert f"{lane.state} is not slower" in decision.vetoes


def test_a_slow_down_below_the_least_effect_does_not_revert() -> None:
    decision = decide(LANES["POPT.1"], BASE, faster("S3", -0.04))
    assert decision.decision == "HOLD_POPT1"
    assert changes(BASE, faster("S3", -0.04))[2].saved_high < 0


def test_a_slow_down_within_the_noise_does_not_revert() -> None:
    cand = [sample(S3=seconds) for seconds in (11.0, 30.0, 13.0)]
    assert decide(LANES["POPT.1"], BASE, cand).decision == "HOLD_POPT1"


def test_a_faster_state_that_slows_the_segment_reverts() -> None:
    cand = [sample(10.0 * x, S3=1.0, S4=40.0 * x) for x in NOISE]
    decision = decide(LANES["POPT.1"], BASE, cand)
    assert decision.decision == "REVERT_POPT1"
    assert decision.vetoes == (f"{SEGMENT} is not slower",)


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    base, cand = [10.0, 12.0, 9.0, 11.0], [7.0, 9.0, 6.5, 7.2]
    paired = DescrStatsW(np.log(cand) - np.log(base))
    least, most = paired.tconfint_mean(alpha=1 - CONFIDENCE)
    low, high = saving_interval(base, cand)
    assert low == pytest.approx(1 - math.exp(most), abs=1e-4)
    assert high == pytest.approx(1 - math.exp(least), abs=1e-4)


@pytest.mark.parametrize(
    ("base", "cand"), [([10.0], [9.0]), ([10.0, 0.0], [9.0, 9.0]), ([1.0, 1.0], [0.0, 1.0])]
)
def test_too_few_pairs_or_a_state_without_time_have_no_interval(base, cand) -> None:
    assert saving_interval(base, cand) is None


def noisy(rng: np.random.Generator, repeats: int, shared: float) -> list[Sample]:
    """Runs of one program whose seconds vary by up to 15 %: runs as a whole, and each state."""
    whole = rng.uniform(-0.15, 0.15, repeats) * shared
    each = rng.uniform(-0.15, 0.15, (repeats, len(REQUIRED_STEPS))) * (1 - shared)
    return [
        sample(**{s: 10.0 * (1 + w + e) for s, e in zip(REQUIRED_STEPS, row, strict=True)})
        for w, row in zip(whole, each, strict=True)
    ]


def verdicts(lane: Lane, n: int, repeats: int, shared: float) -> Counter[str]:
    """Decisions on `n` comparisons of a program with itself; the quick witness comes first."""
    rng, words = np.random.default_rng([42, repeats]), Counter()
    for _ in range(n):
        pairs = [noisy(rng, repeats, shared) for _ in range(4)]
        quick = witness(lane, pairs[0], pairs[1])
        if all(f.holds for f in quick):
            decision = decide(lane, pairs[2], pairs[3], quick)
        else:
            decision = stopped(lane, pairs[0], quick)
        words[decision.decision.partition("_")[0]] += 1
    return words


@pytest.mark.parametrize("lane", MEASURED, ids=lambda lane: lane.name)
@pytest.mark.parametrize("repeats", [3, 5])
def test_a_program_compared_with_itself_twenty_times_holds_twenty_times(lane, repeats) -> None:
    assert verdicts(lane, 20, repeats, shared=0.5) == {"HOLD": 20}


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_noise_reverts_or_unlocks_fewer_than_one_comparison_in_two_hundred(shared: float) -> None:
    words = verdicts(LANES["POPT.5"], 2_000, 3, shared)
    assert words["HOLD"] > 1_990
    assert words["REVERT"] + words["UNLOCK"] < 10


def test_the_quick_witness_looks_at_the_own_state_only() -> None:
    slow_elsewhere = [sample(10.0 * x, S4=40.0 * x) for x in NOISE]
    assert all(f.holds for f in witness(LANES["POPT.1"], BASE, slow_elsewhere))
    slow_here = witness(LANES["POPT.1"], BASE, faster("S3", -0.25))
    assert [f.what for f in slow_here if not f.holds] == ["quick witness: S3 is not slower"]


def test_a_failed_quick_witness_reverts_without_the_full_chain() -> None:
    cand = faster("S3", -0.25)
    decision = stopped(LANES["POPT.1"], [*BASE, *cand], witness(LANES["POPT.1"], BASE, cand))
    assert decision.decision == "REVERT_POPT1"
    assert decision.vetoes == ("quick witness: S3 is not slower",)
    assert decision.blockers == ("the full chain was compared",)


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
    decision = decide(LANES["POPT.1"], BASE[:2], faster("S3", 0.9)[:2])
    assert decision.decision == "HOLD_POPT1"
    assert "at least 3 interleaved repeats of each" in decision.blockers


def test_medians_exclude_gates_and_intake() -> None:
    by_state = {c.state: c for c in changes(BASE, [sample(S3=5.0)] * 3)}
    assert list(by_state) == [*REQUIRED_STEPS, SEGMENT]
    assert (by_state["S3"].base_s, by_state["S3"].cand_s, by_state["S3"].saved) == (10.0, 5.0, 0.5)
    assert (by_state[SEGMENT].base_s, by_state[SEGMENT].base_slowest_s) == (50.0, 51.0)


def unlocked(root: Path, *names: str) -> None:
    """Records the decision UNLOCK of lanes."""
    for name in names:
        lane = LANES[name]
        decision = replace(decide(lane, BASE, BASE), decision=lane.word("UNLOCK"))
        write_decision(root, lane, decision, {})


def test_lanes_open_in_order(tmp_path: Path) -> None:
    require_open(tmp_path, LANES["POPT.0"])
    for n, name in enumerate(list(LANES)[1:]):
        with pytest.raises(RefusedError, match=f"POPT.{n} is not decided") as caught:
            require_open(tmp_path, LANES[name])
        assert caught.value.code == "6A.PERF.LANE_CLOSED"
        unlocked(tmp_path, f"POPT.{n}")
        require_open(tmp_path, LANES[name])


@pytest.mark.parametrize("verb", ["HOLD", "REVERT"])
def test_a_lane_that_holds_or_reverts_closes_all_later_ones(tmp_path: Path, verb: str) -> None:
    unlocked(tmp_path, *list(LANES)[:3])
    lane = LANES["POPT.1"]
    decision = replace(decide(lane, BASE, BASE), decision=lane.word(verb))
    write_decision(tmp_path, lane, decision, {})
    with pytest.raises(RefusedError, match=f"POPT.1 is decided {verb}_POPT1") as caught:
        require_open(tmp_path, LANES["POPT.3"])
    assert "--lane POPT.1" in caught.value.remedy


def test_a_decision_on_a_closed_lane_is_not_written(tmp_path: Path) -> None:
    lane = LANES["POPT.2"]
    with pytest.raises(RefusedError, match=r"POPT\.0") as caught:
        write_decision(tmp_path, lane, decide(lane, BASE, BASE), {})
    assert "benches/overhead.py" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_earlier_decision_is_refused(tmp_path: Path) -> None:
    unlocked(tmp_path, "POPT.0")
    (tmp_path / "reports/decisions/POPT_0.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        require_open(tmp_path, LANES["POPT.1"])
    assert caught.value.code == "6A.LADDER.DECISION_INVALID"


def test_a_decision_is_written_under_its_name_with_every_field(tmp_path: Path) -> None:
    unlocked(tmp_path, "POPT.0")
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
