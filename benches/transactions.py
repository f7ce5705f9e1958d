"""Seconds of a stream of transactions, and of the floor: encoding its tables again.

    .venv/bin/python benches/transactions.py RUN [--flows 1000000] [--repeats 3]

Every repeat makes the stream in a new process and a fresh folder (kernels compiled), then
measures the floor on it as `benches/authority.py` does for worlds. Prints medians. Exit status 1
if the re-encoded files differ from the published ones.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import measure


def main() -> int:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--flows", type=int, default=1_000_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench-transactions"))
    arguments = options.parse_args()
    streams, floors = [], []
    for number in range(arguments.repeats):
        print(f"repeat {number + 1} of {arguments.repeats}", file=sys.stderr, flush=True)
        shutil.rmtree(arguments.root, ignore_errors=True)
        streams.append(measure.child("stream", arguments.run, arguments.flows, arguments.root))
        floors.append(measure.child("stream_floor", arguments.run, arguments.root))
    report(measure.medians(streams), measure.medians(floors), arguments.flows)
    identical = all(each["identical"] for each in floors)
    if not identical:
        print("the floor's files are not the published ones", file=sys.stderr)
    return int(not identical)


def report(stream: dict[str, Any], floor: dict[str, Any], flows: int) -> None:
    """Prints the tables of one series of repeats."""
    print(f"{flows} flows; {measure.machine()}.\n")
    steps = [(name, seconds) for name, seconds in stream["seconds"].items()]
    steps.append(("all", stream["wall_s"]))
    print(measure.table(("step", "wall s"), steps))
    encode = floor["encode"]
    millions = flows / 1e6
    wall, cpu = stream["wall_s"] / millions, stream["cpu_s"] / millions
    print(f"\nPer million flows {wall:.2f} s wall, {cpu:.2f} CPU-s; peak "
          f"{stream['peak_rss_mib']:.0f} MiB.")  # fmt: skip
    print(f"Floor {encode['wall_s']:.2f} s wall, {encode['cpu_s']:.2f} CPU-s for "
          f"{floor['rows']} rows, {floor['bytes'] / 1e6:.0f} MB: "
          f"{stream['wall_s'] / encode['wall_s']:.1f} × in wall time, "
          f"{stream['cpu_s'] / encode['cpu_s']:.1f} × in CPU-seconds.")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
