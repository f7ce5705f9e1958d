"""Cost of timing: the same world with the recorder on and off, in alternation.

    .venv/bin/python benches/overhead.py [--pairs 15] [--runs-root DIR]

Both runs of a pair are made in one warm process, in alternating order. CPU-seconds are compared, as
wall time on a shared machine varies by more than the effect. Prints the median over pairs of
on / off − 1 with a 95 % interval (bootstrap over pairs), and the direct cost, steps times the cost
of a step. Decides lane POPT.0 and writes it below RUNS_ROOT/reports/decisions. Exit status 1 unless
POPT.1 is unlocked.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import measure
import numpy as np

from fraudworld.perf.compare import sample
from fraudworld.perf.lanes import (
    LANES,
    LARGEST_OVERHEAD,
    Sample,
    alike,
    conclude,
    write_decision,
)
from fraudworld.perf.recorder import Recorder
from fraudworld.request import RUNS_ROOT, RunRequest
from fraudworld.run import pipeline
from fraudworld.store.decisions import Finding

STEPS = 2_000
RESAMPLES = 10_000


def main() -> int:
    """Measures, prints and decides lane POPT.0."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--pairs", type=int, default=15)
    options.add_argument("--profile", default="demo")
    options.add_argument("--runs-root", type=Path, default=RUNS_ROOT)
    arguments = options.parse_args()
    samples: dict[bool, list[Sample]] = {True: [], False: []}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(profile=arguments.profile, runs_root=Path(folder))
        timed_run(request, timing=True)  # builds the upstream and compiles the kernels
        for pair in range(arguments.pairs):
            for timing in (True, False) if pair % 2 else (False, True):
                used, sampled = timed_run(request, timing=timing)
                seconds[timing].append(used)
                samples[timing].append(sampled)
    timed = samples[True]
    figures = overhead(np.array(seconds[True]), np.array(seconds[False]), timed)
    print(f"{measure.machine()}; {arguments.profile}, {arguments.pairs} pairs.\n")
    print(measure.table(("overhead", "share"), list(figures.items())))
    everything = [*timed, *samples[False]]
    safe = (
        alike("digests equal with timing on and off", [s.digests for s in everything]),
        alike("RNG logs equal with timing on and off", [s.rng_logs for s in everything]),
    )
    missing = sorted({step for s in timed for step in s.missing})
    enough = (
        Finding(
            "every required step is timed and every file parses",
            not missing,
            {"runs": len(timed), "missing": missing},
        ),
        Finding(
            f"timing costs at most {LARGEST_OVERHEAD:.0%}",
            figures["measured"] <= LARGEST_OVERHEAD,
            dict(figures),
        ),
        Finding("every run is within its budgets", all(s.within_budget for s in timed), {}),
    )
    decision = conclude(LANES["POPT.0"], timed, safe, enough)
    path = write_decision(
        arguments.runs_root,
        LANES["POPT.0"],
        decision,
        {"on_cpu_s": seconds[True], "off_cpu_s": seconds[False]},
    )
    print(f"\nDecision {decision.decision}: {path}")
    return int(not decision.decision.startswith("UNLOCK"))


def timed_run(request: RunRequest, *, timing: bool) -> tuple[float, Sample]:
    """CPU-seconds and sample of one run in this process, whose folder is removed."""
    start = time.process_time()
    outcome = pipeline.run(request, recorder=Recorder(enabled=timing))
    used = time.process_time() - start
    sampled = sample(outcome.place.root, 0.0)
    shutil.rmtree(outcome.place.root)
    return used, sampled


def overhead(on: np.ndarray, off: np.ndarray, timed: list[Sample]) -> dict[str, float]:
    """Measured overhead with its interval, that of the fastest runs, and the direct cost."""
    ratios = on / off - 1.0
    draws = np.random.default_rng(0).choice(ratios, (RESAMPLES, ratios.size))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    cpu_of_run = float(np.median([sum(s.cpu_s.values()) for s in timed]))
    return {
        "measured": float(np.median(ratios)),
        "95 % from": float(low),
        "95 % to": float(high),
        "fastest on over fastest off": float(on.min() / off.min() - 1.0),
        "steps times cost of a step": timed[0].steps * step_cost() / cpu_of_run,
    }


def step_cost() -> float:
    """CPU-seconds of one empty step."""
    recorder = Recorder()
    start = time.process_time()
    for _ in range(STEPS):
        with recorder.step("S1", "plan_counts"):
            pass
    return (time.process_time() - start) / STEPS


if __name__ == "__main__":
    sys.exit(main())
