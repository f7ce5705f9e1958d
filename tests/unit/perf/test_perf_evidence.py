"""Timings are read back complete, or refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudworld.errors import InputError
from fraudworld.perf.evidence import read_evidence
from fraudworld.perf.recorder import REQUIRED_STEPS

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
