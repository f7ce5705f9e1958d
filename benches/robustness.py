"""Every metric and guard over many seeds at demo scale, as quantiles and worst seeds.

    .venv/bin/python benches/robustness.py [--seeds 40] [--profile demo] [--root build/robustness]

Seeds are 1001, 1002, …: none a certificate rests on. Gateboards are kept below the root and
worlds are not, so a stopped run goes on where it was. Prints Markdown (docs/robustness.md).
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fraudworld import pipeline
from fraudworld.request import RunRequest

FIRST_SEED = 1001
Board = dict[str, Any]


def main() -> int:
    """Make what is missing, print the tables; exit status 1 if any row or guard misses B+."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seeds", type=int, default=40)
    options.add_argument("--profile", default="demo")
    options.add_argument("--root", type=Path, default=Path("build/robustness"))
    asked = options.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + asked.seeds)
    boards = {seed: board(seed, asked.profile, asked.root) for seed in seeds}
    missing = sorted(misses(boards))
    print(f"Seeds {seeds[0]}–{seeds[-1]}, profile {asked.profile}; ", end="")
    print(f"{sum(b['grade'] == 'B+' for b in boards.values())} of {len(boards)} are B+.\n")
    print("\n".join(table(boards)))
    print("\nMissing B+: " + ("; ".join(missing) or "nothing."))
    return 1 if missing else 0


def board(seed: int, profile: str, root: Path) -> Board:
    """The gateboard of one seed, kept from an earlier call or made."""
    kept = root / f"{profile}-{seed}.json"
    if not kept.is_file():
        print(f"seed {seed}", file=sys.stderr, flush=True)
        outcome = pipeline.run(RunRequest(profile=profile, seed=seed, runs_root=root / "runs"))
        shutil.rmtree(outcome.place.root)
        kept.write_text(json.dumps(outcome.gateboard), "utf-8")
    found: Board = json.loads(kept.read_text("utf-8"))
    return found


def misses(boards: dict[int, Board]) -> Iterator[str]:
    """Rows that miss B+ and guards that do not hold."""
    for seed, one in boards.items():
        for row in one["tests"]:
            if not row["pass_Bplus"]:
                yield f"seed {seed} {row['test_id']} {row['metric_name']} = {row['value']}"
        for guard in one["guards"]:
            if not guard["holds"]:
                yield f"seed {seed} {guard['guard_id']} = {guard['value']}, not {guard['bound']}"


def table(boards: dict[int, Board]) -> Iterator[str]:
    """A Markdown line per metric and guard."""
    yield "| metric | B+ | min | 5 % | median | 95 % | max | worst seed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    first = next(iter(boards.values()))
    for n, row in enumerate(first["tests"]):
        values = {s: b["tests"][n]["value"] for s, b in boards.items()}
        smaller_is_worse = row["threshold_B"] < row["threshold_Bplus"] or (
            row["metric_name"] == "mapped_role_fraction"
        )
        bound = f"{row['threshold_Bplus']:g}"
        yield line(
            f"{row['test_id'].split('_')[0]} {row['metric_name']}", bound, values, smaller_is_worse
        )
    for n, guard in enumerate(first["guards"]):
        values = {s: b["guards"][n]["value"] for s, b in boards.items()}
        yield line(guard["guard_id"], guard["bound"], values, guard["bound"].startswith(">"))


def line(name: str, bound: str, values: dict[int, float | None], smaller_is_worse: bool) -> str:
    """Quantiles over the seeds; a value that is missing is the worst there can be."""
    lost = -math.inf if smaller_is_worse else math.inf
    known = {s: lost if v is None else v for s, v in values.items()}
    worst = (min if smaller_is_worse else max)(known, key=lambda s: known[s])
    shown = np.quantile(list(known.values()), [0, 0.05, 0.5, 0.95, 1])
    cells = " | ".join(f"{v:.4g}" for v in shown)
    return f"| {name} | {bound} | {cells} | {worst} |"


if __name__ == "__main__":
    sys.exit(main())
