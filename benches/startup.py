"""How long one waits: for help, for a demo world, and for the first one ever.

    .venv/bin/python benches/startup.py [--repeats 3]

*Warm*: a new process and a fresh run folder, kernels compiled, upstream built. *First ever*:
an empty kernel cache and no upstream, as on a fresh clone. Prints medians and their targets;
exit status 1 where one is missed.
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
WARM_S = 6.0
FIRST_MORE_S = 30.0


def main() -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--repeats", type=int, default=3)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        call("--help")
        help_s = [call("--help").wall_s for _ in range(asked.repeats)]
        first = [first_ever(place / f"first-{n}") for n in range(asked.repeats)]
        warm_root = place / "warm"
        demo(warm_root)
        warm = []
        for _ in range(asked.repeats):
            for made in warm_root.glob("[0-9a-f]" * 32):
                shutil.rmtree(made)
            warm.append(demo(warm_root).wall_s)
    found = (
        ("fraudworld --help", statistics.median(help_s), HELP_S),
        ("run --profile demo, warm", statistics.median(warm), WARM_S),
        (
            "run --profile demo, first ever, more than warm",
            statistics.median(first) - statistics.median(warm),
            FIRST_MORE_S,
        ),
    )
    print(f"{measure.machine()}; medians of {asked.repeats}.\n")
    print(measure.table(("what", "wall s", "at most"), found))
    return int(any(seconds > most for _, seconds, most in found))


def first_ever(place: Path) -> float:
    """Wall seconds of a demo run with nothing compiled and nothing built."""
    return demo(place / "runs", {"NUMBA_CACHE_DIR": str(place / "kernels")}).wall_s


def demo(root: Path, env: dict[str, str] | None = None) -> Child:
    """A demo run by the command line."""
    return call("run", "--profile", "demo", "--quiet", "--runs-root", str(root), env=env)


def call(*words: str, env: dict[str, str] | None = None) -> Child:
    """The program in a new process. Raises RuntimeError where it does not end with 0."""
    done = timed([sys.executable, "-m", "fraudworld", *words], env)
    if done.status:
        raise RuntimeError(f"{words}: {done.err}")
    return done


if __name__ == "__main__":
    sys.exit(main())
