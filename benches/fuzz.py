"""A million inputs for the parsers, and twenty thousand whole policy packs.

    nice .venv/bin/python benches/fuzz.py [--cases 1000000] [--packs 20000] [--seed 1]

Parsers and mutations are in `tests/support/fuzzing.py`. Prints cases, typed refusals and the
slowest case of each parser, and the most memory held. Exit status 1 where a case ended in an
exception that is not a typed refusal, took longer than 10 s, or memory passed a gibibyte.
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
    """Fuzz, print, judge."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--cases", type=int, default=1_000_000)
    options.add_argument("--packs", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    memory = Path("/dev/shm")  # thousands of small files: the disk need not see them
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        run = made(folder / "runs")
        among = fuzzing.parsers(folder, run)
        before = fuzzing.Tally().peak_bytes
        tally = fuzzing.series(among, asked.cases, asked.seed)
        tally = fuzzing.series((fuzzing.pack_loads(folder),), asked.packs, asked.seed, tally)
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


def made(root: Path) -> Path:
    """A demo run whose documents are mutated."""
    return pipeline.run(RunRequest(profile="demo", scale=0.4, runs_root=root)).place.root


if __name__ == "__main__":
    sys.exit(main())
