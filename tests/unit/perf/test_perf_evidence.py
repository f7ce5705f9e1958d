"""Timings are read back complete, or refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fraudworld.contracts import TABLES
from fraudworld.errors import InputError
from fraudworld.perf.evidence import read_evidence
from fraudworld.perf.recorder import REQUIRED_STEPS, Event, budget_check, summary
from support.calling import CallResult

EVENTS = "perf_events_6A.jsonl"


@pytest.fixture
def run(demo_world: Path, tmp_path: Path) -> Path:
    """A copy of a run with its own reports, which a test may break; its data is hard-linked."""
    root = tmp_path / "run"
    shutil.copytree(demo_world, root, copy_function=os.link)
    shutil.rmtree(root / "reports")
    shutil.copytree(demo_world / "reports", root / "reports")
    return root


def file(run: Path, name: str) -> Path:
    (path,) = run.rglob(name)
    return path


def test_a_run_has_complete_evidence(demo_world: Path) -> None:
    evidence = read_evidence(demo_world)
    assert evidence.missing == ()
    assert {e.state for e in evidence.events} == {"S0", *REQUIRED_STEPS, "gates"}
    assert set(evidence.summary["states_cpu_s"]) == set(evidence.summary["states"])


def rows(edit_events: Callable[[list[dict[str, Any]]], None]) -> Callable[[Path], None]:
    """A change of the list of events, as a change of the run."""

    def edit(run: Path) -> None:
        path = file(run, EVENTS)
        events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        edit_events(events)
        path.write_text("".join(json.dumps(e) + "\n" for e in events), "utf-8")

    return edit


def edit_summary(run: Path, **changes: object) -> None:
    path = file(run, "perf_summary_6A.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


BREAKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no events": (lambda run: file(run, EVENTS).unlink(), "No such file"),
    "not JSON": (lambda run: file(run, EVENTS).write_text("{\n"), "Expecting"),
    "a list": (lambda run: file(run, EVENTS).write_text("[]\n"), "not a JSON object"),
    "a key missing": (rows(lambda e: e[3].pop("cpu_s")), "cpu_s"),
    "a key too many": (rows(lambda e: e[3].update(host="x")), "host"),
    "a text for seconds": (rows(lambda e: e[3].update(elapsed_s="1")), "elapsed_s is '1'"),
    "true for rows": (rows(lambda e: e[3].update(rows=True)), "rows is True"),
    "another run": (rows(lambda e: e[3].update(seed=7)), "another run"),
    "a gap": (rows(lambda e: e.pop(3)), "without a gap"),
    "faster than it was": (rows(lambda e: e[3].update(elapsed_s=0.0)), "summary does not follow"),
    "another segment": (rows(lambda e: e[3].update(segment="6B")), "segment is '6B'"),
    "a status of its own": (rows(lambda e: e[3].update(status="OK")), "status 'OK'"),
    "a failure without its type": (rows(lambda e: e[3].update(status="FAIL")), "error_type None"),
    "time that runs backwards": (rows(lambda e: e[3].update(cpu_s=-1.0)), "negative figure"),
    "no start": (
        lambda run: file(run, "perf_summary_6A.json").write_text("{}"),
        "the start None",
    ),
    "an unknown start": (
        lambda run: edit_summary(run, start="hot"),
        "the start 'hot'",
    ),
    "an edited budget": (
        lambda run: file(run, "perf_budget_check_6A.json").write_text("{}"),
        "budget check does not follow",
    ),
}


@pytest.mark.parametrize("name", list(BREAKS))
def test_broken_evidence_is_refused(run: Path, name: str) -> None:
    spoil, message = BREAKS[name]
    spoil(run)
    with pytest.raises(InputError, match=message) as caught:
        read_evidence(run)
    assert caught.value.code == "6A.PERF.EVIDENCE_INVALID"


def forget(run: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Removes events of a run, and derives summary and budgets from those that are left."""
    path = file(run, EVENTS)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    kept = [{**row, "sequence": i} for i, row in enumerate(r for r in rows if not wanted(r))]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
    names = [f.name for f in fields(Event)]
    events = [Event(**{name: row[name] for name in names}) for row in kept]
    who = {k: v for k, v in rows[0].items() if k not in names}
    for name, document in (
        ("perf_summary_6A", summary(events, start="cold")),
        ("perf_budget_check_6A", budget_check(events)),
    ):
        file(run, f"{name}.json").write_text(json.dumps({**who, **document}), "utf-8")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_show_refuses_evidence_without_a_required_step(
    fraudworld: Callable[..., CallResult], run: Path, options: tuple[str, ...]
) -> None:
    assert fraudworld("perf", "show", run, *options).status == 0
    forget(run, lambda row: row["step"] == "enforce_kmax")
    result = fraudworld("perf", "show", run, *options)
    assert result.status == 2
    assert "6A.PERF.STEPS_MISSING" in result.err
    assert "S2 enforce_kmax" in result.err
    assert "Seconds per state" not in result.out
    if options:
        assert json.loads(result.out)["error"]["code"] == "6A.PERF.STEPS_MISSING"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_show_refuses_a_run_without_events(
    fraudworld: Callable[..., CallResult], run: Path, options: tuple[str, ...]
) -> None:
    file(run, EVENTS).unlink()
    result = fraudworld("perf", "show", run, *options)
    assert (result.status, "6A.PERF.EVIDENCE_INVALID" in result.err) == (2, True)


def test_show_prints_states_with_their_encoding(
    fraudworld: Callable[..., CallResult], demo_world: Path
) -> None:
    result = fraudworld("perf", "show", demo_world)
    assert result.status == 0
    assert "encoding" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    summed = json.loads(fraudworld("perf", "show", demo_world, "--json").out)["summary"]
    assert set(summed["encoding"]) == set(REQUIRED_STEPS)
    tables = [name for of_state in summed["encoding"].values() for name in of_state]
    assert sorted(tables) == sorted(t.name for t in TABLES)
    for state, of_state in summed["encoding"].items():
        assert sum(t["cpu_s"] for t in of_state.values()) < summed["states_cpu_s"][state]
