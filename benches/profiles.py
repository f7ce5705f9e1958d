"""Seconds of a layer of profiles, and of the floor: encoding its tables again.

    .venv/bin/python benches/profiles.py RUN [--repeats 3]

Every repeat makes the profiles in a new process and a fresh folder (kernels compiled), then
measures the floor on them as `benches/authority.py` does for worlds. Prints medians, and ratios of
every repeat to its own floor. Exit status 1 if the re-encoded files differ from the published ones.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import measure

CHECKED = "P5.checks"
"""The step of checks and guards; all others make and seal."""


def main() -> int:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench-profiles"))
    arguments = options.parse_args()
    layers, floors = [], []
    for number in range(arguments.repeats):
        print(f"repeat {number + 1} of {arguments.repeats}", file=sys.stderr, flush=True)
        shutil.rmtree(arguments.root, ignore_errors=True)
        layers.append(measure.child("profiles", arguments.run, arguments.root))
        floors.append(measure.child("profiles_floor", arguments.run, arguments.root))
    report(measure.medians(layers), measure.medians(floors))
    ratios = [a["cpu_s"] / b["encode"]["cpu_s"] for a, b in zip(layers, floors, strict=True)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"Each over its own floor: {middle:.2f} × ({low:.2f}–{high:.2f}) in CPU-seconds.")
    identical = all(each["identical"] for each in floors)
    if not identical:
        print("the floor's files are not the published ones", file=sys.stderr)
    return int(not identical)


def report(layer: dict[str, Any], floor: dict[str, Any]) -> None:
    """Prints the tables of one series of repeats."""
    encode = floor["encode"]
    print(f"{floor['rows']} rows, {floor['bytes'] / 1e6:.0f} MB; {measure.machine()}.\n")
    steps = [(name, seconds) for name, seconds in layer["seconds"].items()]
    steps.append(("all", layer["wall_s"]))
    print(measure.table(("step", "wall s"), steps))
    print(f"\n{layer['wall_s']:.1f} s wall, of which {CHECKED} {layer['seconds'][CHECKED]:.1f} s; "
          f"{layer['cpu_s']:.1f} CPU-s; peak {layer['peak_rss_mib']:.0f} MiB.")  # fmt: skip
    print(f"Floor {encode['wall_s']:.1f} s wall, {encode['cpu_s']:.1f} CPU-s.")
    floors = [(name, seconds) for name, seconds in floor["cpu_per_table"].items()]
    print(measure.table(("table", "floor, CPU s"), floors))


if __name__ == "__main__":
    sys.exit(main())
