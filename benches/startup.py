"""Seconds of `--help`, of a cold demo run, and of the first run after installation.

    .venv/bin/python benches/startup.py [--repeats 3]

*Cold*: a new process and a fresh run folder, kernels compiled, upstream built. *First ever*:
an empty kernel cache and no upstream, as on a fresh clone. Prints medians and targets; exit status
1 if one is missed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import measure

from fraudworld.perf.child import Child
from fraudworld.perf.child import measure as timed

HELP_S = 0.4
COLD_S = 6.0
FIRST_MORE_S = 30.0


def main() -> int:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--repeats", type=int, default=3)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        call("--help")
        help_s = [call("--help").wall_s for _ in range(arguments.repeats)]
        first = [first_ever(scratch / f"first-{n}") for n in range(arguments.repeats)]
        cold_root = scratch / "cold"
        demo(cold_root)
        cold = []
        for _ in range(arguments.repeats):
            for run in cold_root.glob("[0-9a-f]" * 32):
                shutil.rmtree(run)
            cold.append(demo(cold_root).wall_s)
    rows = (
        ("fraudworld --help", statistics.median(help_s), HELP_S),
        ("run --profile demo, cold", statistics.median(cold), COLD_S),
        (
            "run --profile demo, first ever, more than cold",
            statistics.median(first) - statistics.median(cold),
            FIRST_MORE_S,
        ),
    )
    print(f"{measure.machine()}; medians of {arguments.repeats}.\n")
    print(measure.table(("what", "wall s", "at most"), rows))
    return int(any(seconds > limit for _, seconds, limit in rows))


def first_ever(place: Path) -> float:
    """Wall seconds of a demo run without compiled kernels and without an upstream."""
    return demo(place / "runs", {"NUMBA_CACHE_DIR": str(place / "kernels")}).wall_s


def demo(root: Path, env: dict[str, str] | None = None) -> Child:
    """A demo run by the command line."""
    return call("run", "--profile", "demo", "--quiet", "--runs-root", str(root), env=env)


def call(*words: str, env: dict[str, str] | None = None) -> Child:
    """Runs the program in a new process. Raises RuntimeError unless it ends with 0."""
    done = timed([sys.executable, "-m", "fraudworld", *words], env)
    if done.status:
        raise RuntimeError(f"{words}: {done.err}")
    return done


if __name__ == "__main__":
    sys.exit(main())
