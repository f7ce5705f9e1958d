"""Lanes POPT.1–POPT.5: CPU-seconds per party against the plain twins and the published system.

    .venv/bin/python benches/authority.py
    .venv/bin/python benches/reference.py
    .venv/bin/python benches/lanes.py [--runs-root DIR]

Reads the files that the other two benches write, and measures nothing. The plain twins write no
files, which favours them over a run, which encodes and publishes. Prints factors and writes one
decision per lane below RUNS_ROOT/reports/decisions; lane POPT.0 (benches/overhead.py) comes first.
Exit status 1 unless every lane unlocks the next.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from measure import STATES

from fraudworld.errors import RefusedError
from fraudworld.perf.lanes import (
    FEWEST_REPEATS,
    LANES,
    PUBLISHED_CPU_S,
    PUBLISHED_PARTIES,
    SEGMENT,
    Lane,
    Sample,
    alike,
    conclude,
    write_decision,
)
from fraudworld.request import RUNS_ROOT
from fraudworld.store.decisions import Decision, Finding


@dataclass(frozen=True)
class Rival:
    """CPU-microseconds per party of another implementation, by state."""

    name: str
    per_party: dict[str, float]

    def of(self, state: str) -> float:
        """Cost of a state, or of S1–S5 together."""
        return sum(self.per_party.values()) if state == SEGMENT else self.per_party[state]


def main() -> int:
    """Compares, prints and decides."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--authority", type=Path, default=Path("build/bench-authority.json"))
    options.add_argument("--reference", type=Path, default=Path("build/bench-reference.json"))
    options.add_argument("--runs-root", type=Path, default=RUNS_ROOT)
    arguments = options.parse_args()
    runs = json.loads(arguments.authority.read_text("utf-8"))["runs"]
    reference = json.loads(arguments.reference.read_text("utf-8"))
    rivals = (
        Rival(
            "published", {s: 1e6 * used / PUBLISHED_PARTIES for s, used in PUBLISHED_CPU_S.items()}
        ),
        Rival(
            "reference",
            {s: 1e6 * used / reference["parties"] for s, used in reference["cpu_s"].items()},
        ),
    )
    costs = {state: cost(runs, state) for state in (*STATES, SEGMENT)}
    print(
        f"{runs[0]['parties']} parties, {measure.machine()}; reference at {reference['parties']}.\n"
    )
    head = ("CPU µs per party", "ours", *(w for r in rivals for w in (r.name, "factor")))
    rows = [
        (state, used, *(x for r in rivals for x in (r.of(state), r.of(state) / used)))
        for state, used in costs.items()
    ]
    print(measure.table(head, rows) + "\n")
    not_unlocked = 0
    for lane in list(LANES.values())[1:]:
        decision = decide(lane, runs, costs, rivals, reference["equal"])
        try:
            path = write_decision(
                arguments.runs_root, lane, decision, {"ours": costs, "rows": rows}
            )
        except RefusedError as error:
            print(f"{lane.name} {lane.state}: {error}", file=sys.stderr)
            return 1
        print(f"{lane.name} {lane.state}: {decision.decision} → {path}")
        not_unlocked += not decision.decision.startswith("UNLOCK")
    return int(not_unlocked > 0)


def cost(runs: list[dict[str, Any]], state: str) -> float:
    """Median CPU-microseconds per party of a state; for the segment, publishing included."""
    used = [run["segment" if state == SEGMENT else "cpu_s"] for run in runs]
    seconds = [each["cpu_s" if state == SEGMENT else state] for each in used]
    return 1e6 * statistics.median(seconds) / runs[0]["parties"]


def decide(
    lane: Lane,
    runs: list[dict[str, Any]],
    costs: dict[str, float],
    rivals: tuple[Rival, ...],
    equal: dict[str, bool],
) -> Decision:
    """Decides one lane on the samples of the authority bench.

    equal: state → whether its plain twin makes the same rows.
    """
    samples = [Sample(**run["sample"]) for run in runs]
    states = STATES if lane.state == SEGMENT else (lane.state,)
    safe = (
        alike("content digests equal in every run", [s.digests for s in samples]),
        alike("RNG logs byte-identical in every run", [s.rng_logs for s in samples]),
        Finding(
            "the reference makes the same rows",
            all(equal.get(state, False) for state in states),
            {state: equal.get(state, False) for state in states},
        ),
    )
    missing = sorted({step for s in samples for step in s.missing})
    enough = (
        Finding("every required step is timed", not missing, {"missing": missing}),
        Finding(
            f"at least {FEWEST_REPEATS} runs", len(runs) >= FEWEST_REPEATS, {"runs": len(runs)}
        ),
        Finding("every run is within its budgets", all(s.within_budget for s in samples), {}),
        *beats(lane, costs[lane.state], rivals),
    )
    return conclude(lane, samples, safe, enough)


def beats(lane: Lane, cost: float, rivals: tuple[Rival, ...]) -> Iterator[Finding]:
    """Whether the target of the lane is met against each rival."""
    for rival in rivals:
        rival_cost = rival.of(lane.state)
        yield Finding(
            f"{lane.state} saves at least {lane.target:.0%} of the {rival.name} cost",
            1.0 - cost / rival_cost >= lane.target,
            {"ours_cpu_us_per_party": cost, f"{rival.name}_cpu_us_per_party": rival_cost,
             "saved": 1.0 - cost / rival_cost, "factor": rival_cost / cost},
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
