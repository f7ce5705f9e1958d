"""How often the verdict on a lane errs: simulated pairs of runs of equal and unequal programs.

    .venv/bin/python benches/lane_rule.py [--draws 20000]

Seconds of a run vary uniformly by up to the noise given, independently for every run. Prints, for
numbers of repeats, how often a program compared with itself is found slower (REVERT) or faster, and
how often a program that saves 30 % is found faster. Measures nothing on this machine.
"""

from __future__ import annotations

import argparse
import sys

import measure
import numpy as np

from fraudworld.perf.lanes import CONFIDENCE, LEAST_EFFECT, StateChange, state_change

REPEATS = (3, 5, 10)
NOISE = (0.02, 0.05, 0.15)
SAVING = 0.30


def main() -> int:
    """Simulates and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--draws", type=int, default=20_000)
    arguments = options.parse_args()
    rows = [
        (repeats, f"{noise:.0%}", *shares(repeats, noise, arguments.draws))
        for repeats in REPEATS
        for noise in NOISE
    ]
    print(f"Interval at {CONFIDENCE:.1%}, least effect {LEAST_EFFECT:.0%}, in per cent.\n")
    head = ("repeats", "noise", "itself: slower", "itself: faster", f"saves {SAVING:.0%}: faster")
    print(measure.table(head, rows))
    return 0


def shares(repeats: int, noise: float, draws: int) -> tuple[float, float, float]:
    """Per cent of comparisons: equal programs found slower, faster; a better one found faster."""
    rng = np.random.default_rng([repeats, round(1000 * noise)])

    def seconds(mean: float) -> list[float]:
        return list(mean * (1 + rng.uniform(-noise, noise, repeats)))

    same: list[StateChange] = []
    better: list[StateChange] = []
    for _ in range(draws):
        same.append(state_change("S3", seconds(10.0), seconds(10.0)))
        better.append(state_change("S3", seconds(10.0), seconds(10.0 * (1 - SAVING))))
    return (
        100 * float(np.mean([c.slower for c in same])),
        100 * float(np.mean([c.faster and c.saved >= LEAST_EFFECT for c in same])),
        100 * float(np.mean([c.faster for c in better])),
    )


if __name__ == "__main__":
    sys.exit(main())
