"""Time saved by reuse: the same world from scratch and from a base run, in alternation.

    .venv/bin/python benches/reuse.py [--profile authority] [--repeats 3]

Overlays are those of phases P1 to P3 of the ladder, each added to the earlier ones. Every run is a
new process; CPU-seconds are user plus system time. Exit status 1 if the two ways do not seal the
same bundle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import measure

from fraudworld.remediation.phases import LADDER, Phase, overlays
from fraudworld.store.layout import RunPlace

PHASES = tuple(phase for phase in LADDER if phase.name in ("P1", "P2", "P3"))


def main() -> int:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--profile", default="authority")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench-reuse"))
    arguments = options.parse_args()
    shutil.rmtree(arguments.root, ignore_errors=True)
    base, _ = run(arguments.root, arguments.profile, LADDER[0], None)
    latest, rows, equal = base, [], True
    for phase in PHASES:
        seconds: dict[bool, list[float]] = {True: [], False: []}
        bundles = set()
        for number in range(arguments.repeats):
            for reuse in (True, False) if number % 2 else (False, True):
                if latest != base:
                    shutil.rmtree(latest)  # else the run would be reused
                latest, used = run(
                    arguments.root, arguments.profile, phase, base if reuse else None
                )
                seconds[reuse].append(used)
                index = RunPlace(latest).bundle_index.read_bytes()
                bundles.add(hashlib.sha256(index).hexdigest())
        base, equal = latest, equal and len(bundles) == 1
        scratch, reused = (statistics.median(seconds[way]) for way in (False, True))
        saved = f"{100 * (1 - reused / scratch):.0f} %"
        rows.append((f"`{phase.adds[0]}`", phase.from_state or "", scratch, reused, saved))
    head = ("added overlay", "from", "from scratch", "reused", "saved")
    print(
        f"{arguments.profile}, {measure.machine()}; CPU-seconds, medians of {arguments.repeats}.\n"
    )
    print(measure.table(head, rows))
    return int(not equal)


def run(root: Path, profile: str, phase: Phase, base: Path | None) -> tuple[Path, float]:
    """Makes the world of a phase in a new process; returns its folder and CPU-seconds."""
    words = [sys.executable, "-m", "fraudworld", "run", "--json", "--quiet"]
    words += ["--profile", profile, "--runs-root", str(root)]
    for overlay in overlays(phase):
        words += ["--overlay", overlay]
    if base is not None:
        words += ["--from", str(phase.from_state), "--base", str(base)]
    before = os.times()
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    after = os.times()
    document: dict[str, Any] = json.loads(done.stdout)
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return Path(document["path"]), used


if __name__ == "__main__":
    sys.exit(main())
