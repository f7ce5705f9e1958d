"""Timings of steps: recording, budgets, summary, written evidence."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from fraudworld.perf.child import measure
from fraudworld.perf.recorder import (
    BUDGETS_S,
    REQUIRED_STEPS,
    Event,
    Recorder,
    budget_check,
    summary,
    write_evidence,
)
from fraudworld.store.identity import Identity

IDENTITY = Identity(42, "a" * 64, "b" * 64)


def event(state: str, step: str, elapsed: float = 1.0, status: str = "PASS") -> Event:
    error = None if status == "PASS" else "OSError"
    return Event("6A", state, step, 0, elapsed, elapsed, 100.0, 5, status, error)


def full(elapsed: float = 1.0) -> list[Event]:
    return [event(s, step, elapsed) for s, steps in REQUIRED_STEPS.items() for step in steps]


def test_steps_are_timed_in_order_with_their_rows() -> None:
    recorder = Recorder()
    with recorder.step("S1", "plan_counts"):
        time.sleep(0.02)
    with recorder.step("S1", "emit_party_base"):
        recorder.rows += 7
    first, second = recorder.events
    assert (first.sequence, second.sequence) == (0, 1)
    assert 0.02 <= first.elapsed_s < 2
    assert (first.rows, second.rows) == (0, 7)
    assert first.peak_rss_mib > 10
    assert recorder.seconds("S1") == first.elapsed_s + second.elapsed_s


def test_a_failing_step_is_recorded_and_raised() -> None:
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), recorder.step("S2", "allocate_accounts"):
        raise ZeroDivisionError
    assert (recorder.events[0].status, recorder.events[0].error_type) == (
        "FAIL",
        "ZeroDivisionError",
    )


def test_a_disabled_recorder_records_nothing() -> None:
    recorder = Recorder(enabled=False)
    with recorder.step("S1", "plan_counts"):
        pass
    assert recorder.events == []


def test_only_the_first_run_of_a_process_is_cold() -> None:
    say = "from fraudworld.perf.recorder import Recorder; print(Recorder().cold, Recorder().cold)"
    assert measure([sys.executable, "-c", say]).out == "True False\n"


def test_a_step_costs_less_than_half_a_millisecond() -> None:
    recorder = Recorder()
    start = time.process_time()
    for _ in range(1_000):
        with recorder.step("S1", "plan_counts"):
            pass
    # A run has about 40 steps: 40 × 0.5 ms is 1 % of two seconds, and this bound is generous.
    assert time.process_time() - start < 0.5


def test_complete_evidence_within_budget_passes() -> None:
    check = budget_check(full())
    assert all(c["pass"] for c in check["states"])
    steps = sum(map(len, REQUIRED_STEPS.values()))  # a second each
    assert check["segment"] == {"elapsed_s": steps, "budget_s": 540.0, "pass": True}


@pytest.mark.parametrize("state", list(REQUIRED_STEPS))
def test_a_state_without_events_fails(state: str) -> None:
    check = budget_check([e for e in full() if e.state != state])
    assert {c["state"]: c["pass"] for c in check["states"]}[state] is False
    assert check["segment"]["pass"] is False


def test_a_missing_or_failed_step_fails_its_state() -> None:
    missing = [e for e in full() if (e.state, e.step) != ("S4", "merge_parts")]
    (s4,) = [c for c in budget_check(missing)["states"] if c["state"] == "S4"]
    assert (s4["missing_steps"], s4["pass"]) == (["merge_parts"], False)
    failed = [*full(), event("S3", "rng_publish", status="FAIL")]
    (s3,) = [c for c in budget_check(failed)["states"] if c["state"] == "S3"]
    assert (s3["failed_steps"], s3["pass"]) == (["rng_publish"], False)


@pytest.mark.parametrize("state", list(BUDGETS_S))
def test_a_state_beyond_its_budget_fails(state: str) -> None:
    late = [*full(0.1), event(state, "rng_publish", BUDGETS_S[state])]
    check = budget_check(late)
    assert [c["state"] for c in check["states"] if not c["pass"]] == [state]
    assert check["segment"]["pass"] is False


def test_summary_ranks_and_totals() -> None:
    summed = summary([event("S1", "plan_counts", 2.0), event("S4", "merge_parts", 3.0)], cold=True)
    assert summed["start"] == "cold"
    assert summed["states"] == {"S1": 2.0, "S4": 3.0}
    assert summed["steps"] == {"S1": {"plan_counts": 2.0}, "S4": {"merge_parts": 3.0}}
    assert [h["step"] for h in summed["hotspots"]] == ["merge_parts", "plan_counts"]
    assert summed["segment_elapsed_s"] == 5.0


def test_the_three_files_carry_the_identity(tmp_path: Path) -> None:
    recorder = Recorder(events=full())
    write_evidence(tmp_path, IDENTITY, recorder, cold=False)
    text = (tmp_path / "perf_events_6A.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == len(full())
    assert set(rows[0]) == {
        "segment", "state", "step", "sequence", "elapsed_s", "cpu_s", "peak_rss_mib", "rows",
        "status", "error_type", "seed", "parameter_hash", "manifest_fingerprint",
    }  # fmt: skip
    for name in ("perf_summary_6A", "perf_budget_check_6A"):
        document = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
        assert (document["seed"], document["parameter_hash"]) == (42, "a" * 64)
