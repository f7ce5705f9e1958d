"""What reusing earlier states saves: the same world from scratch and from a base, in turns.

    .venv/bin/python benches/reuse.py [--profile authority] [--repeats 3]

Overlays are those of the ladder's P1 to P3, each on top of the ones before. Every run is a new
process; CPU-seconds are user and system together. Exit status 1 where the two ways do not
seal the same bundle.
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
    """Measure, print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--profile", default="authority")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, default=Path("build/bench-reuse"))
    asked = options.parse_args()
    shutil.rmtree(asked.root, ignore_errors=True)
    base, _ = run(asked.root, asked.profile, LADDER[0], None)
    made, rows, equal = base, [], True
    for phase in PHASES:
        seconds: dict[bool, list[float]] = {True: [], False: []}
        bundles = set()
        for number in range(asked.repeats):
            for reuse in (True, False) if number % 2 else (False, True):
                if made != base:
                    shutil.rmtree(made)  # or it would be found, not made
                made, used = run(asked.root, asked.profile, phase, base if reuse else None)
                seconds[reuse].append(used)
                index = RunPlace(made).bundle_index.read_bytes()
                bundles.add(hashlib.sha256(index).hexdigest())
        base, equal = made, equal and len(bundles) == 1
        scratch, reused = (statistics.median(seconds[way]) for way in (False, True))
        saved = f"{100 * (1 - reused / scratch):.0f} %"
        rows.append((f"`{phase.adds[0]}`", phase.from_state or "", scratch, reused, saved))
    head = ("added overlay", "from", "from scratch", "reused", "saved")
    print(f"{asked.profile}, {measure.machine()}; CPU-seconds, medians of {asked.repeats}.\n")
    print(measure.table(head, rows))
    return int(not equal)


def run(root: Path, profile: str, phase: Phase, base: Path | None) -> tuple[Path, float]:
    """Make a phase's world in a new process: its folder, its CPU-seconds."""
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
