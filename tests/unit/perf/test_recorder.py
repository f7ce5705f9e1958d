"""Timings of steps: recording, budgets, summary, written evidence."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraudworld import jit
from fraudworld.engine.local import LocalEngine
from fraudworld.perf.child import measure
from fraudworld.perf.meter import MeteredExecutor
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
from support.clocks import FakeClocks

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
    assert recorder.seconds("S1") == pytest.approx(first.elapsed_s + second.elapsed_s, abs=2e-6)


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


@pytest.fixture
def fake() -> FakeClocks:
    return FakeClocks()


def test_tasks_are_charged_to_the_step_that_started_them(fake: FakeClocks) -> None:
    recorder = Recorder(clocks=fake.clocks)
    go = threading.Event()

    def late(cpu: float) -> None:
        assert go.wait(60)
        fake.spend(cpu, 0.0)

    with LocalEngine(1, meter=lambda: recorder.account) as engine:
        with recorder.step("S1", "plan_counts"):
            fake.spend(1.0, 2.0)
            items = engine.submit(late, [4.0])
        with recorder.step("S2", "allocate_accounts"):
            fake.spend(8.0, 8.0)
            go.set()
            engine.fetch(items)
            engine.collect(lambda cpu: fake.spend(cpu, 0.0), [16.0, 16.0])
    first, second = recorder.events
    assert (first.cpu_s, first.elapsed_s) == (1.0 + 4.0, 2.0)
    assert (second.cpu_s, second.elapsed_s) == (8.0 + 32.0, 8.0)
    assert sum(e.cpu_s for e in recorder.events) == fake.process


def test_encoding_is_charged_to_the_state_of_its_table(fake: FakeClocks) -> None:
    recorder = Recorder(clocks=fake.clocks)
    with LocalEngine(1, meter=lambda: recorder.account) as engine:
        with recorder.step("S1", "emit_party_base"):
            with recorder.table("S1", "s1_party_base_6A", 7):
                parts = engine.submit(lambda k: fake.spend(2.0, 3.0), [0, 1], later=True)
            recorder.rows += 7
            engine.fetch(parts)
        with recorder.step("S2", "plan_counts"):
            fake.spend(1.0, 1.0)
    step, _, table = recorder.events
    assert (table.state, table.step, table.rows, table.status) == (
        "S1", "encode:s1_party_base_6A", 7, "PASS",
    )  # fmt: skip
    assert (table.cpu_s, table.elapsed_s, step.cpu_s) == (4.0, 6.0, 0.0)
    assert [e.sequence for e in recorder.events] == [0, 1, 2]
    summed = summary(recorder.events, start="cold")
    assert summed["states_cpu_s"] == {"S1": 4.0, "S2": 1.0}
    assert summed["segment_cpu_s"] == fake.process
    assert summed["encoding"] == {
        "S1": {"s1_party_base_6A": {"elapsed_s": 6.0, "cpu_s": 4.0, "rows": 7}}
    }
    # Encoding passes beside the steps, so no wall total holds it.
    assert summed["states"] == {"S1": step.elapsed_s, "S2": 1.0}
    assert "encode:s1_party_base_6A" not in summed["steps"]["S1"]
    assert recorder.seconds("S1") == step.elapsed_s


def test_a_step_that_runs_alone_counts_the_threads_of_libraries_once(fake: FakeClocks) -> None:
    recorder = Recorder(clocks=fake.clocks)
    with (
        LocalEngine(1, meter=lambda: recorder.account) as engine,
        recorder.step("gates", "judge", alone=True),
    ):
        thread = threading.Thread(target=fake.spend, args=(5.0, 0.0))
        thread.start()
        thread.join()
        fake.spend(1.0, 1.0)
        engine.collect(lambda cpu: fake.spend(cpu, 0.0), [2.0])
    assert recorder.events[0].cpu_s == fake.process == 8.0


def test_a_table_whose_task_fails_is_recorded_as_failed(fake: FakeClocks) -> None:
    recorder = Recorder(clocks=fake.clocks)
    with LocalEngine(1, meter=lambda: recorder.account) as engine:
        with recorder.table("S3", "s3_instrument_base_6A", 1):
            (item,) = engine.submit(lambda _: 1 / 0, [0], later=True)
        with pytest.raises(ZeroDivisionError):
            engine.fetch([item])
    (event,) = recorder.events
    assert (event.status, event.error_type) == ("FAIL", "ZeroDivisionError")
    (s3,) = [c for c in budget_check([*full(), event])["states"] if c["state"] == "S3"]
    assert (s3["failed_steps"], s3["pass"]) == (["encode:s3_instrument_base_6A"], False)


def test_a_pool_is_charged_to_one_table(fake: FakeClocks) -> None:
    recorder = Recorder(clocks=fake.clocks)
    with ThreadPoolExecutor(2) as pool:
        with recorder.table("S1", "s1_party_base_6A", 1) as account:
            assert account is not None
            future = MeteredExecutor(pool, account).submit(fake.spend, 2.0, wall=1.0)
        future.result()
    assert (recorder.events[0].cpu_s, recorder.events[0].elapsed_s) == (2.0, 1.0)


def test_tables_do_not_lengthen_a_state() -> None:
    table = event("S2", "encode:s2_account_base_6A", 1_000.0)
    assert budget_check([*full(), table]) == budget_check(full())
    reused = [event("S1", "read_base"), event("S1", "encode:s1_party_base_6A")]
    (s1,) = [c for c in budget_check(reused)["states"] if c["state"] == "S1"]
    assert (s1["missing_steps"], s1["pass"]) == ([], True)


def test_a_disabled_recorder_charges_nobody() -> None:
    recorder = Recorder(enabled=False)
    with recorder.step("S1", "plan_counts"), recorder.table("S1", "t", 1) as account:
        assert account is None
        assert recorder.account is None
    assert recorder.events == []


def starts(script: str, cache: Path) -> list[str]:
    """What a new process prints that has two recorders and, in between, runs `script`."""
    code = (
        "from fraudworld.perf.recorder import Recorder\n"
        f"a = Recorder()\n{script}\nb = Recorder()\nprint(a.start, b.start)"
    )
    done = measure([sys.executable, "-c", code], {"NUMBA_CACHE_DIR": str(cache)})
    assert done.status == 0, done.err
    return done.out.split()


CALL = (
    "import numpy as np\n"
    "from fraudworld.stages.batches import _count_up\n"
    "_count_up(0, np.zeros(3, dtype=np.int64))"
)


def test_first_ever_cold_and_warm_follow_from_the_kernel_cache(tmp_path: Path) -> None:
    assert starts(CALL, tmp_path) == ["first_ever", "warm"]  # an empty cache
    assert starts(CALL, tmp_path) == ["cold", "warm"]  # the kernel is loaded
    assert starts("", tmp_path) == ["cold", "warm"]
    for index in tmp_path.rglob("*.nbi"):
        index.write_bytes(b"stale")
    assert starts(CALL, tmp_path) == ["first_ever", "warm"]


def test_a_later_run_that_compiles_is_first_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = iter([3, 3, 5])
    monkeypatch.setattr(jit, "compiled", lambda: next(compiled))
    recorder = Recorder(_first=False, _compiled_before=jit.compiled())
    assert [recorder.start, recorder.start] == ["warm", "first_ever"]


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
    summed = summary(
        [event("S1", "plan_counts", 2.0), event("S4", "merge_parts", 3.0)], start="cold"
    )
    assert summed["start"] == "cold"
    assert summed["states"] == {"S1": 2.0, "S4": 3.0}
    assert summed["steps"] == {"S1": {"plan_counts": 2.0}, "S4": {"merge_parts": 3.0}}
    assert [h["step"] for h in summed["hotspots"]] == ["merge_parts", "plan_counts"]
    assert summed["segment_elapsed_s"] == 5.0


def test_the_three_files_carry_the_identity(tmp_path: Path) -> None:
    recorder = Recorder()
    for state, steps in REQUIRED_STEPS.items():
        for name in steps:
            with recorder.step(state, name):
                pass
    write_evidence(tmp_path, IDENTITY, recorder)
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
