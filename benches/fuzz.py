"""Fuzzes all parsers with a million inputs and twenty thousand policy packs.

    nice .venv/bin/python benches/fuzz.py [--cases 1000000] [--packs 20000] [--seed 1]

Parsers and mutations are in `tests/support/fuzzing.py`. Prints cases, typed refusals and the
slowest case of each parser, and peak memory. Exit status 1 if a case raised an untyped exception or
took longer than 10 s, or if memory exceeded a gibibyte.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support import fuzzing

SHOWN = 20


def main() -> int:
    """Fuzzes and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--cases", type=int, default=1_000_000)
    options.add_argument("--packs", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    arguments = options.parse_args()
    memory = Path("/dev/shm")  # a RAM disk for thousands of small files
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        run = demo_run(folder / "runs")
        parsers = fuzzing.parsers(folder, run)
        before = fuzzing.Tally().peak_bytes
        tally = fuzzing.series(parsers, arguments.cases, arguments.seed)
        tally = fuzzing.series(
            (fuzzing.pack_loads(folder),), arguments.packs, arguments.seed, tally
        )
    print(f"{'parser':<16}{'cases':>10}{'refused':>10}{'slowest':>11}")
    for parser, cases in tally.cases.items():
        slow = f"{1e3 * tally.slowest[parser]:.0f} ms"
        print(f"{parser:<16}{cases:>10}{tally.refused.get(parser, 0):>10}{slow:>11}")
    grown = (tally.peak_bytes - before) / (1 << 20)
    print(f"peak {tally.peak_bytes / (1 << 20):.0f} MiB, {grown:.0f} MiB more than at the start")
    print(f"{len(tally.findings)} findings")
    for finding in tally.findings[:SHOWN]:
        print(finding)
    return 1 if tally.findings or tally.peak_bytes > fuzzing.MOST_MEMORY else 0


def demo_run(root: Path) -> Path:
    """A demo run, whose documents are the corpus."""
    return pipeline.run(RunRequest(profile="demo", scale=0.4, runs_root=root)).place.root


if __name__ == "__main__":
    sys.exit(main())
