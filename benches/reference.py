"""The plain twins, timed by state, and whether the tables of a run equal theirs.

    .venv/bin/python benches/reference.py [--profile demo] [--scale 0.6] [--seed 42]

Makes one run, makes its tables again by `tests/reference`, row by row in plain Python, and compares
all values. Writes the input of `benches/lanes.py`. Exit status 1 if a table differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import numpy as np
from measure import STATES

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from differential.compare import first_difference  # noqa: E402 - in tests/
from fraudworld.contracts import TABLES, Kind  # noqa: E402
from fraudworld.request import RunRequest  # noqa: E402
from fraudworld.run import pipeline  # noqa: E402
from fraudworld.stages.network.tables import METRICS  # noqa: E402
from fraudworld.store.reader import read_columns  # noqa: E402
from reference import world  # noqa: E402


def main() -> int:
    """Runs, makes the tables again, compares and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--profile", default="demo")
    options.add_argument("--scale", type=float, default=0.6)
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--root", type=Path, default=Path("build/bench"))
    options.add_argument("--out", type=Path, default=Path("build/bench-reference.json"))
    arguments = options.parse_args()
    request = RunRequest(
        profile=arguments.profile,
        scale=arguments.scale,
        seed=arguments.seed,
        runs_root=arguments.root,
    )
    run, ready = pipeline.run(request), pipeline.prepare(request)
    seconds: dict[str, float] = dict.fromkeys(STATES, 0.0)

    def clock(state: str, make: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = make()
        seconds[state] += time.process_time() - began
        return result

    inputs = (ready.loaded.pack, arguments.seed, ready.world.geo, ready.world.merchants)
    tables = world.generate(*inputs, clock=clock)
    equal = dict.fromkeys(STATES, True)
    for table in TABLES:
        difference = first_difference({table.name: published(run, ready, table)},
                                      {table.name: tables[table.name]})  # fmt: skip
        if difference:
            equal[table.state] = False
            print(difference, file=sys.stderr)
    parties = run.rows["s1_party_base_6A"]
    document = {"machine": measure.machine(), "parties": parties, "cpu_s": seconds, "equal": equal}
    measure.save(arguments.out, document)
    print(f"{parties} parties, {measure.machine()}.\n")
    rows = [(s, seconds[s], 1e6 * seconds[s] / parties, equal[s]) for s in STATES]
    print(measure.table(("state", "CPU s", "CPU µs per party", "equal to the run"), rows))
    return int(not all(equal.values()))


def published(
    run: pipeline.RunOutcome, ready: pipeline.Prepared, table: Any
) -> dict[str, np.ndarray]:
    """All columns of a published table."""
    geo = ready.world.geo
    known = {"country": geo.countries, "currency": geo.currencies}
    codes = {
        c.name: known.get(c.codes) or ready.loaded.pack.codes(c.codes) if c.codes else METRICS
        for c in table.columns
        if c.kind is Kind.CODE
    }
    codes = {name: sorted(of) if of is METRICS else of for name, of in codes.items()}
    names = [c.name for c in table.columns]
    return read_columns(run.place.dataset(table.name, run.identity), table, names, codes)


if __name__ == "__main__":
    sys.exit(main())
