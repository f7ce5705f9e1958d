"""Seconds per state of a cold run, and the floor: its own tables encoded again.

    .venv/bin/python benches/authority.py [--profile authority] [--repeats 3]

Every repeat makes the world in a new process and a fresh folder (upstream built, kernels
compiled), then measures the floor on it in another one. Medians are printed as Markdown and
written as JSON with every sample. Exit status 1 where the re-encoded files are not the
published ones byte for byte: the floor would not be that of this run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import measure
from measure import APART, STATES


def main() -> int:
    """Measure, print, write."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--profile", default="authority")
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench"))
    options.add_argument("--out", type=Path, default=Path("build/bench-authority.json"))
    asked = options.parse_args()
    # Compiles the kernels; a first cold run of this size would build the upstream inside S0.
    measure.cold_run(asked.root, "demo", 1.0, asked.seed)
    runs, floors = [], []
    for number in range(asked.repeats):
        print(f"repeat {number + 1} of {asked.repeats}", file=sys.stderr, flush=True)
        runs.append(measure.cold_run(asked.root, asked.profile, asked.scale, asked.seed))
        floors.append(measure.child("floor", runs[-1]["run"]))
    run, floor = measure.medians(runs), measure.medians(floors)
    identical = all(each["identical"] for each in floors)
    measure.save(
        asked.out,
        {"machine": measure.machine(), "runs": runs, "floors": floors, "identical": identical},
    )
    report(run, floor, asked.profile, asked.repeats)
    if not identical:
        print("the floor's files are not the published ones", file=sys.stderr)
    return int(not identical)


def report(run: dict[str, Any], floor: dict[str, Any], profile: str, repeats: int) -> None:
    """Print the tables of one sitting."""
    print(f"{profile}, {run['parties']} parties, {run['rows']} rows, grade {run['grade']};")
    print(f"{measure.machine()}; medians of {repeats} cold runs.\n")
    segment = run["segment"]
    recorded = sum(run["wall_s"][s] for s in STATES), sum(run["cpu_s"][s] for s in STATES)
    rows = [_line(s, run["rows_per_state"][s], run["wall_s"][s], run["cpu_s"][s]) for s in STATES]
    rows.append(_line("outside steps", 0, segment["wall_s"] - recorded[0],
                      segment["cpu_s"] - recorded[1]))  # fmt: skip
    rows.append(_line("S1–S5", run["rows"], segment["wall_s"], segment["cpu_s"]))
    rows += [_line(s, 0, run["wall_s"][s], run["cpu_s"][s]) for s in APART]
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
    cores = segment["cpu_s"] / segment["wall_s"]
    print(f"Cores busy in S1–S5: {cores:.2f}. Peak memory: {run['segment_peak_rss_mib']:.0f} MiB "
          f"before the gates, {run['peak_rss_mib']:.0f} MiB in all.")  # fmt: skip
    print(f"On disk: {run['bytes'] / 1e6:.1f} MB, {run['bytes'] / run['rows']:.2f} bytes a row.")


def _line(name: str, rows: int, wall: float, cpu: float) -> tuple[object, ...]:
    return name, rows or "", wall, cpu, rows / wall / 1e6 if rows else ""


if __name__ == "__main__":
    sys.exit(main())
