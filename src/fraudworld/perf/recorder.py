"""Times substeps and writes the three files of performance evidence."""

from __future__ import annotations

import itertools
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fraudworld.documents import canonical_json, write_json
from fraudworld.store.identity import Identity

REQUIRED_STEPS: dict[str, tuple[str, ...]] = {
    "S1": ("load_contracts_inputs", "plan_counts", "emit_party_base", "rng_publish"),
    "S2": (
        "load_contracts_inputs", "load_party_base", "allocate_accounts", "enforce_kmax",
        "emit_account_base", "emit_holdings", "emit_summary", "rng_publish",
    ),
    "S3": (
        "load_contracts_inputs", "load_account_base", "plan_counts", "allocate_instruments",
        "emit_instrument_base_links", "rng_publish",
    ),
    "S4": (
        "load_contracts_inputs", "load_party_base", "plan_device_counts", "plan_ip_counts",
        "emit_ip_base", "emit_regions", "merge_parts", "rng_publish",
    ),
    "S5": (
        "load_contracts_inputs", "score_entities", "assign_party_roles",
        "assign_account_roles", "assign_merchant_roles", "assign_device_roles",
        "assign_ip_roles", "validation_checks", "bundle_publish", "rng_publish",
    ),
}  # fmt: skip

REUSED_STEP = "read_base"
"""The only step of a reused state: its tables are read back."""

BUDGETS_S = {"S2": 120.0, "S3": 180.0, "S4": 90.0, "S5": 120.0}
SEGMENT_BUDGET_S = 540.0


_STARTED = itertools.count()
"""Number of recorders this process has created."""


@dataclass(frozen=True)
class Event:
    """One timed substep."""

    segment: str
    state: str
    step: str
    sequence: int
    elapsed_s: float
    cpu_s: float
    peak_rss_mib: float
    rows: int
    status: str
    error_type: str | None


@dataclass
class Recorder:
    """Collects events; `rows` written inside a step are counted to it.

    With `enabled` off nothing is measured, to find the cost of timing. Peak memory is the
    process's high-water mark at the end of a step. `cold`: the first recorder of its process;
    later runs find libraries loaded and memory mapped.
    """

    events: list[Event] = field(default_factory=list)
    rows: int = 0
    enabled: bool = True
    cold: bool = field(default_factory=lambda: next(_STARTED) == 0)

    @contextmanager
    def step(self, state: str, name: str) -> Iterator[None]:
        """Times a substep; an exception is recorded with its type and raised again."""
        if not self.enabled:
            yield
            return
        wall, cpu, rows = time.perf_counter(), time.process_time(), self.rows
        error: str | None = None
        try:
            yield
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self.events.append(
                Event(
                    segment="6A",
                    state=state,
                    step=name,
                    sequence=len(self.events),
                    elapsed_s=round(time.perf_counter() - wall, 6),
                    cpu_s=round(time.process_time() - cpu, 6),
                    peak_rss_mib=round(_peak_rss_mib(), 1),
                    rows=self.rows - rows,
                    status="FAIL" if error else "PASS",
                    error_type=error,
                )
            )

    def seconds(self, state: str) -> float:
        """Wall seconds of one state."""
        return sum(e.elapsed_s for e in self.events if e.state == state)


def summary(events: list[Event], *, cold: bool) -> dict[str, object]:
    """Totals per state and step, hottest first.

    CPU-seconds are those of the whole process while a step ran: a table that is encoded
    while a later state computes counts there. `cold`: a new process and a fresh run folder.
    """
    states: dict[str, float] = {}
    cpu: dict[str, float] = {}
    steps: dict[str, dict[str, float]] = {}
    for event in events:
        states[event.state] = states.get(event.state, 0.0) + event.elapsed_s
        cpu[event.state] = cpu.get(event.state, 0.0) + event.cpu_s
        of_state = steps.setdefault(event.state, {})
        of_state[event.step] = round(of_state.get(event.step, 0.0) + event.elapsed_s, 6)
    hot = sorted(events, key=lambda e: -e.elapsed_s)
    return {
        "start": "cold" if cold else "warm",
        "segment_elapsed_s": round(sum(states.get(s, 0.0) for s in REQUIRED_STEPS), 6),
        "segment_cpu_s": round(sum(e.cpu_s for e in events if e.state in REQUIRED_STEPS), 6),
        "peak_rss_mib": max((e.peak_rss_mib for e in events), default=0.0),
        "states": {s: round(v, 6) for s, v in states.items()},
        "states_cpu_s": {s: round(v, 6) for s, v in cpu.items()},
        "steps": steps,
        "hotspots": [
            {"state": e.state, "step": e.step, "elapsed_s": e.elapsed_s, "rows": e.rows}
            for e in hot[:10]
        ],
    }


def budget_check(events: list[Event]) -> dict[str, object]:
    """Per state and segment: elapsed, budget, pass.

    A state fails whose evidence is missing or incomplete, or one of whose steps failed;
    S1 has no budget of its own.
    """
    checks: list[dict[str, object]] = []
    for state, steps in REQUIRED_STEPS.items():
        of_state = [e for e in events if e.state == state]
        done = {e.step for e in of_state}
        missing = [] if done == {REUSED_STEP} else sorted(set(steps) - done)
        failed = sorted({e.step for e in of_state if e.status != "PASS"})
        elapsed = sum(e.elapsed_s for e in of_state)
        budget = BUDGETS_S.get(state)
        checks.append(
            {
                "state": state,
                "elapsed_s": round(elapsed, 6),
                "budget_s": budget,
                "missing_steps": missing,
                "failed_steps": failed,
                "pass": not missing and not failed and (budget is None or elapsed <= budget),
            }
        )
    total = sum(e.elapsed_s for e in events if e.state in REQUIRED_STEPS)
    return {
        "states": checks,
        "segment": {
            "elapsed_s": round(total, 6),
            "budget_s": SEGMENT_BUDGET_S,
            "pass": total <= SEGMENT_BUDGET_S and all(bool(c["pass"]) for c in checks),
        },
    }


def write_evidence(folder: Path, identity: Identity, recorder: Recorder, *, cold: bool) -> None:
    """Writes `perf_events_6A.jsonl`, `perf_summary_6A.json`, `perf_budget_check_6A.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    who = asdict(identity)
    lines = [canonical_json({**asdict(e), **who}) + b"\n" for e in recorder.events]
    (folder / "perf_events_6A.jsonl").write_bytes(b"".join(lines))
    for name, document in (
        ("perf_summary_6A", summary(recorder.events, cold=cold)),
        ("perf_budget_check_6A", budget_check(recorder.events)),
    ):
        write_json(folder / f"{name}.json", {**who, **document})


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2
