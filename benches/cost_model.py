"""A linear cost model of runs, and its error on sizes it was not fitted to.

    .venv/bin/python benches/cost_model.py [--fit demo authority] [--check small authority:0.3]

Seconds, CPU-seconds, bytes and peak memory are lines in the number of parties, through the medians
of the two sizes of --fit. Sizes are PROFILE or PROFILE:SCALE. Every run is cold. Prints the lines
and the error on the sizes of --check. Exit status 1 if seconds or bytes are off by more than 20 %.
Memory is printed and not judged, as blocks have a fixed size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from measure import STATES

WITHIN = 0.20
JUDGED = ("S1–S5 wall s", "S1–S5 CPU s", "MB on disk")


@dataclass(frozen=True)
class Line:
    """Fixed cost, and the cost of a million parties."""

    fixed: float
    per_million: float

    def at(self, parties: float) -> float:
        """The cost of a run of `parties` parties."""
        return self.fixed + self.per_million * parties / 1e6


def main() -> int:
    """Measures, fits and predicts."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--fit", nargs=2, default=["demo", "authority"], metavar="SIZE")
    options.add_argument("--check", nargs="+", default=["small", "authority:0.3"], metavar="SIZE")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--root", type=Path, default=Path("build/bench"))
    options.add_argument("--out", type=Path, default=Path("build/bench-cost-model.json"))
    arguments = options.parse_args()
    measure.cold_run(arguments.root, "demo", 1.0, arguments.seed)
    runs = {
        size: costs(arguments.root, size, arguments.seed, arguments.repeats)
        for size in (*arguments.fit, *arguments.check)
    }
    low, high = (runs[size] for size in arguments.fit)
    model = {name: line(low, high, name) for name in low if name != "parties"}
    measure.save(arguments.out, {"machine": measure.machine(), "runs": runs})

    print(
        f"{measure.machine()}; seed {arguments.seed}, medians of {arguments.repeats} cold runs.\n"
    )
    rows = [(name, fitted.fixed, fitted.per_million) for name, fitted in model.items()]
    print(measure.table(("cost", "fixed", "per million parties"), rows))
    print()
    print(per_party(runs))
    print()
    worst = errors(model, runs, arguments.check)
    print(f"\nLargest error of a total: {worst:.1%}; at most {WITHIN:.0%} is allowed.")
    return int(worst > WITHIN)


def costs(root: Path, size: str, seed: int, repeats: int) -> dict[str, float]:
    """Median costs of a size, and its number of parties."""
    profile, _, scale = size.partition(":")
    print(size, file=sys.stderr, flush=True)
    runs = [measure.cold_run(root, profile, float(scale or 1), seed) for _ in range(repeats)]
    return flat(measure.medians(runs))


def flat(run: dict[str, Any]) -> dict[str, float]:
    """Figures of a run that the model predicts, by name; totals first."""
    return {
        "parties": run["parties"],
        "S1–S5 wall s": run["segment"]["wall_s"],
        "S1–S5 CPU s": run["segment"]["cpu_s"],
        "MB on disk": run["bytes"] / 1e6,
        "peak MiB": run["peak_rss_mib"],
        **{f"{state} wall s": run["wall_s"][state] for state in (*STATES, "gates")},
    }


def line(low: dict[str, float], high: dict[str, float], name: str) -> Line:
    """The line through two sizes."""
    slope = (high[name] - low[name]) / (high["parties"] - low["parties"])
    return Line(low[name] - slope * low["parties"], slope * 1e6)


def per_party(runs: dict[str, dict[str, float]]) -> str:
    """Cost of one party at every size."""
    rows = [
        (
            size,
            int(run["parties"]),
            1e6 * run["S1–S5 wall s"] / run["parties"],
            1e6 * run["S1–S5 CPU s"] / run["parties"],
            1e6 * run["MB on disk"] / run["parties"],
        )
        for size, run in sorted(runs.items(), key=lambda item: item[1]["parties"])
    ]
    return measure.table(("size", "parties", "wall µs", "CPU µs", "bytes, each per party"), rows)


def errors(
    model: dict[str, Line], runs: dict[str, dict[str, float]], check: Sequence[str]
) -> float:
    """Prints predicted and measured totals of the checked sizes; returns the largest error."""
    rows: list[tuple[object, ...]] = []
    worst = 0.0
    for size in check:
        for name in (*JUDGED, "peak MiB"):
            predicted, measured = model[name].at(runs[size]["parties"]), runs[size][name]
            worst = max(worst, abs(predicted / measured - 1.0) if name in JUDGED else 0.0)
            rows.append(
                (f"{size}, {name}", predicted, measured, f"{predicted / measured - 1.0:+.1%}")
            )
    print(measure.table(("unseen run", "predicted", "measured", "error"), rows))
    return worst


if __name__ == "__main__":
    sys.exit(main())
