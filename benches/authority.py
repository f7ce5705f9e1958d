"""Seconds per state of a cold run, and of the floor: encoding its tables again.

    .venv/bin/python benches/authority.py [--profile authority] [--repeats 3]

Every repeat makes the world in a new process and a fresh folder (upstream built, kernels
compiled), then measures the floor on it in another process. Prints medians as Markdown and writes
JSON with every sample. Exit status 1 if the re-encoded files differ from the published ones: the
floor would not be that of this run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import measure
from measure import APART, STATES


def main() -> int:
    """Measures, prints and writes."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--profile", default="authority")
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench"))
    options.add_argument("--out", type=Path, default=Path("build/bench-authority.json"))
    arguments = options.parse_args()
    # Compiles the kernels. The first repeat builds the upstream of its size inside S0.
    measure.cold_run(arguments.root, "demo", 1.0, arguments.seed)
    runs, floors = [], []
    for number in range(arguments.repeats):
        print(f"repeat {number + 1} of {arguments.repeats}", file=sys.stderr, flush=True)
        runs.append(
            measure.cold_run(arguments.root, arguments.profile, arguments.scale, arguments.seed)
        )
        floors.append(measure.child("floor", runs[-1]["run"]))
    run, floor = measure.medians(runs), measure.medians(floors)
    identical = all(each["identical"] for each in floors)
    measure.save(
        arguments.out,
        {"machine": measure.machine(), "runs": runs, "floors": floors, "identical": identical},
    )
    starts = " and ".join(sorted({each["start"] for each in runs}))
    report(run, floor, arguments.profile, f"{arguments.repeats} {starts} runs")
    print(_paired_ratios(runs, floors))
    if not identical:
        print("the floor's files are not the published ones", file=sys.stderr)
    return int(not identical)


def report(run: dict[str, Any], floor: dict[str, Any], profile: str, series: str) -> None:
    """Prints the tables of one series: `5 cold runs`."""
    print(f"{profile}, {run['parties']} parties, {run['rows']} rows, grade {run['grade']};")
    print(f"{measure.machine()}; medians of {series}.\n")
    segment = run["segment"]
    rows = [_state(run, s, run["rows_per_state"][s]) for s in STATES]
    rows.append(_state(run, "outside", 0, "outside steps"))
    rows.append(("S1–S5", run["rows"], *_rate(run["rows"], segment)))
    rows += [_state(run, s, 0) for s in APART]
    print(measure.table(("state", "rows", "wall s", "CPU s", "M rows/s"), rows))
    passes = (("encode", "the floor"), ("digest", "digest of values"), ("sha256", "hash of files"))
    print()
    print(
        measure.table(
            ("encoded again", "wall s", "CPU s"),
            [(name, floor[key]["wall_s"], floor[key]["cpu_s"]) for key, name in passes],
        )
    )
    encode = floor["encode"]
    print(f"\nS1–S5 over the floor: {segment['wall_s'] / encode['wall_s']:.2f} × in wall time, "
          f"{segment['cpu_s'] / encode['cpu_s']:.2f} × in CPU-seconds.")  # fmt: skip
    with_s0 = [(segment[k] + run[k]["S0"]) / encode[k] for k in ("wall_s", "cpu_s")]
    print(f"With S0, beside which kernels are loaded: {with_s0[0]:.2f} × and {with_s0[1]:.2f} ×.")
    cores = segment["cpu_s"] / segment["wall_s"]
    print(f"Cores busy in S1–S5: {cores:.2f}. Peak memory: {run['segment_peak_rss_mib']:.0f} MiB "
          f"before the gates, {run['peak_rss_mib']:.0f} MiB in all.")  # fmt: skip
    print(f"Events hold {run['accounted']:.1%} of the process's CPU-seconds.")
    print(f"On disk: {run['bytes'] / 1e6:.1f} MB, {run['bytes'] / run['rows']:.2f} bytes a row.")


def _paired_ratios(runs: list[dict[str, Any]], floors: list[dict[str, Any]]) -> str:
    """Ratio of every run to the floor measured right after it.

    On a shared machine, speed changes less within such a pair than between repeats.
    """
    words = []
    for key, unit in (("wall_s", "wall time"), ("cpu_s", "CPU-seconds")):
        pairs = zip(runs, floors, strict=True)
        ratios = [run["segment"][key] / floor["encode"][key] for run, floor in pairs]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        words.append(f"{middle:.2f} × ({low:.2f}–{high:.2f}) in {unit}")
    return f"Each over its own floor: {', '.join(words)}."


def _state(run: dict[str, Any], key: str, rows: int, name: str = "") -> tuple[object, ...]:
    used = {"wall_s": run["wall_s"][key], "cpu_s": run["cpu_s"][key]}
    return (name or key, rows or "", *_rate(rows, used))


def _rate(rows: int, used: dict[str, float]) -> tuple[object, ...]:
    """Wall seconds, CPU-seconds, and million rows per wall second if there are rows."""
    return used["wall_s"], used["cpu_s"], rows / used["wall_s"] / 1e6 if rows else ""


if __name__ == "__main__":
    sys.exit(main())
