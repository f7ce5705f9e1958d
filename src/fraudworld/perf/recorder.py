"""Times substeps and writes the three files of performance evidence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fraudworld import jit
from fraudworld.documents import canonical_json, write_json
from fraudworld.perf.meter import Account, Clocks, peak_rss_mib
from fraudworld.store.identity import Identity

EVENTS = "perf_events_6A.jsonl"
FIRST_EVER, COLD, WARM = "first_ever", "cold", "warm"
STARTS = (FIRST_EVER, COLD, WARM)
"""How a run started: kernels were compiled; loaded by a new process; used before in the process."""

ENCODE = "encode:"
"""Prefix of the events of a table: `encode:s1_party_base_6A`."""

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
    """One timed substep, or the writing of one table beside the steps (`ENCODE`).

    A step: `elapsed_s` is wall time, `cpu_s` the CPU of the thread that ran it and of the tasks
    it started. A table: both are sums over the tasks that wrote its parts.
    """

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

    @property
    def beside(self) -> bool:
        """The event is of a table, written on other threads while steps run."""
        return self.step.startswith(ENCODE)


@dataclass
class _Entry:
    """An event in the making: tasks may add to its account after its step has ended."""

    state: str
    step: str
    account: Account
    rows: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    peak_rss_mib: float = 0.0
    error_type: str | None = None

    def event(self, sequence: int) -> Event:
        account = self.account
        beside = self.step.startswith(ENCODE)
        error = self.error_type or (account.error_type if beside else None)
        return Event(
            segment="6A",
            state=self.state,
            step=self.step,
            sequence=sequence,
            elapsed_s=round(account.elapsed_s if beside else self.elapsed_s, 6),
            cpu_s=round(self.cpu_s + account.cpu_s, 6),
            peak_rss_mib=round(account.peak_rss_mib if beside else self.peak_rss_mib, 1),
            rows=self.rows,
            status="FAIL" if error else "PASS",
            error_type=error,
        )


@dataclass
class Recorder:
    """Collects events; `rows` written inside a step are counted to it.

    With `enabled` off nothing is measured, to find the cost of timing. Peak memory is the
    process's high-water mark at the end of a step. Steps are opened by one thread.
    """

    rows: int = 0
    enabled: bool = True
    clocks: Clocks = field(default_factory=Clocks)
    _steps: list[_Entry] = field(default_factory=list)
    _tables: list[_Entry] = field(default_factory=list)
    _open: list[Account] = field(default_factory=list)
    _first: bool = field(default_factory=lambda: next(_STARTED) == 0)
    _compiled_before: int = field(default_factory=jit.compiled)

    @property
    def start(self) -> str:
        """`first_ever` where kernels were compiled since the process, or a later run, started.

        Otherwise `cold` for the first run of a process and `warm` for later ones.
        """
        before = 0 if self._first else self._compiled_before
        if jit.compiled() > before:
            return FIRST_EVER
        return COLD if self._first else WARM

    @property
    def events(self) -> list[Event]:
        """Steps in the order in which they ended, then tables in the order they were started."""
        return [e.event(i) for i, e in enumerate([*self._steps, *self._tables])]

    @property
    def account(self) -> Account | None:
        """The account of the step or table that is open now; the `Meter` of an engine."""
        return self._open[-1] if self._open else None

    @contextmanager
    def step(self, state: str, name: str, *, alone: bool = False) -> Iterator[None]:
        """Times a substep; an exception is recorded with its type and raised again.

        alone: no task of another step runs meanwhile, so the CPU of all threads of the process
        is this step's: for libraries with threads of their own.
        """
        if not self.enabled:
            yield
            return
        clocks, entry, rows = self.clocks, _Entry(state, name, Account(self.clocks)), self.rows
        cpu_clock = clocks.process if alone else clocks.thread
        wall, cpu = clocks.wall(), cpu_clock()
        try:
            with self._charging(entry.account):
                yield
        except BaseException as caught:
            entry.error_type = type(caught).__name__
            raise
        finally:
            entry.elapsed_s = clocks.wall() - wall
            entry.cpu_s = cpu_clock() - cpu
            entry.peak_rss_mib = peak_rss_mib()
            entry.rows = self.rows - rows
            if alone:  # the process's CPU holds that of its tasks already
                entry.account = Account(clocks)
            self._steps.append(entry)

    @contextmanager
    def table(self, state: str, name: str, rows: int) -> Iterator[Account | None]:
        """Charges the tasks submitted inside to the event `encode:<name>` of the table's state.

        rows: of the table. Yields the account; None where nothing is measured.
        """
        if not self.enabled:
            yield None
            return
        entry = _Entry(state, f"{ENCODE}{name}", Account(self.clocks), rows)
        self._tables.append(entry)
        with self._charging(entry.account):
            yield entry.account

    @contextmanager
    def _charging(self, account: Account) -> Iterator[None]:
        self._open.append(account)
        try:
            yield
        finally:
            self._open.pop()

    def seconds(self, state: str) -> float:
        """Wall seconds of the steps of one state."""
        return sum(e.elapsed_s for e in self._steps if e.state == state)


def summary(events: Sequence[Event], *, start: str) -> dict[str, object]:
    """Totals per state and step, hottest first.

    `states`: wall seconds of the steps. `states_cpu_s`: CPU-seconds of the steps and of the
    tables of the state, each counted once. `encoding`: the tables alone, whose wall seconds are
    in no total because they pass beside the steps. start: one of `STARTS`.
    """
    steps = [e for e in events if not e.beside]
    states: dict[str, float] = {}
    cpu: dict[str, float] = {}
    by_step: dict[str, dict[str, float]] = {}
    encoding: dict[str, dict[str, dict[str, float]]] = {}
    for event in events:
        cpu[event.state] = cpu.get(event.state, 0.0) + event.cpu_s
        if event.beside:
            encoding.setdefault(event.state, {})[event.step.removeprefix(ENCODE)] = {
                "elapsed_s": event.elapsed_s, "cpu_s": event.cpu_s, "rows": event.rows,
            }  # fmt: skip
            continue
        states[event.state] = states.get(event.state, 0.0) + event.elapsed_s
        of_state = by_step.setdefault(event.state, {})
        of_state[event.step] = round(of_state.get(event.step, 0.0) + event.elapsed_s, 6)
    hot = sorted(steps, key=lambda e: -e.elapsed_s)
    return {
        "start": start,
        "segment_elapsed_s": round(sum(states.get(s, 0.0) for s in REQUIRED_STEPS), 6),
        "segment_cpu_s": round(sum(e.cpu_s for e in events if e.state in REQUIRED_STEPS), 6),
        "peak_rss_mib": max((e.peak_rss_mib for e in events), default=0.0),
        "states": {s: round(v, 6) for s, v in states.items()},
        "states_cpu_s": {s: round(v, 6) for s, v in cpu.items()},
        "encoding": encoding,
        "steps": by_step,
        "hotspots": [
            {"state": e.state, "step": e.step, "elapsed_s": e.elapsed_s, "rows": e.rows}
            for e in hot[:10]
        ],
    }


def budget_check(events: Sequence[Event]) -> dict[str, object]:
    """Per state and segment: elapsed, budget, pass.

    A state fails whose evidence is missing or incomplete, or one of whose steps or tables
    failed; S1 has no budget of its own. Only steps count as elapsed.
    """
    checks: list[dict[str, object]] = []
    steps_only = [e for e in events if not e.beside]
    for state, steps in REQUIRED_STEPS.items():
        of_state = [e for e in steps_only if e.state == state]
        done = {e.step for e in of_state}
        missing = [] if done == {REUSED_STEP} else sorted(set(steps) - done)
        failed = sorted({e.step for e in events if e.state == state and e.status != "PASS"})
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
    total = sum(e.elapsed_s for e in steps_only if e.state in REQUIRED_STEPS)
    return {
        "states": checks,
        "segment": {
            "elapsed_s": round(total, 6),
            "budget_s": SEGMENT_BUDGET_S,
            "pass": total <= SEGMENT_BUDGET_S and all(bool(c["pass"]) for c in checks),
        },
    }


def write_evidence(folder: Path, identity: Identity, recorder: Recorder) -> None:
    """Writes `perf_events_6A.jsonl`, `perf_summary_6A.json`, `perf_budget_check_6A.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    events, who = recorder.events, asdict(identity)
    (folder / EVENTS).write_bytes(event_lines(events, identity))
    for name, document in (
        ("perf_summary_6A", summary(events, start=recorder.start)),
        ("perf_budget_check_6A", budget_check(events)),
    ):
        write_json(folder / f"{name}.json", {**who, **document})


def event_lines(events: Sequence[Event], identity: Identity) -> bytes:
    """Events as JSON lines, each with the identity of its run."""
    who = asdict(identity)
    return b"".join(canonical_json({**asdict(e), **who}) + b"\n" for e in events)
