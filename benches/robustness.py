"""Every metric and guard over many seeds at demo scale, as quantiles and worst seeds.

    .venv/bin/python benches/robustness.py [--seeds 40] [--profile demo] [--root build/robustness]

Seeds are 1001, 1002, …, which no certificate uses. Gateboards are kept below the root and worlds
are removed, so that an interrupted run resumes. Prints Markdown (benches/results/robustness.md)
and writes the figures to `quantiles-<profile>.json` below the root.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudworld.request import RunRequest
from fraudworld.run import pipeline

FIRST_SEED = 1001
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
AT_LEAST = ("linked_device_fraction", "mapped_role_fraction", "or_account", "or_device")
Board = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A metric or guard over the seeds: bound of B+, quantiles, the seed nearest to the bound."""

    name: str
    bound: str
    quantiles: tuple[float, ...]
    worst_seed: int


def main() -> int:
    """Makes missing gateboards, prints the table; status 1 if any row or guard misses B+."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seeds", type=int, default=40)
    options.add_argument("--profile", default="demo")
    options.add_argument("--root", type=Path, default=Path("build/robustness"))
    arguments = options.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    boards = {seed: board(seed, arguments.profile, arguments.root) for seed in seeds}
    missing = sorted(misses(boards))
    print(f"Seeds {seeds[0]}–{seeds[-1]}, profile {arguments.profile}; ", end="")
    print(f"{sum(b['grade'] == 'B+' for b in boards.values())} of {len(boards)} are B+.\n")
    rows = list(figures(boards))
    print("\n".join(markdown(rows)))
    path = arguments.root / f"quantiles-{arguments.profile}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1), "utf-8")
    print("\nMissing B+: " + ("; ".join(missing) or "nothing."))
    return 1 if missing else 0


def board(seed: int, profile: str, root: Path) -> Board:
    """The gateboard of one seed, made unless an earlier call kept it."""
    path = root / f"{profile}-{seed}.json"
    if not path.is_file():
        print(f"seed {seed}", file=sys.stderr, flush=True)
        outcome = pipeline.run(RunRequest(profile=profile, seed=seed, runs_root=root / "runs"))
        shutil.rmtree(outcome.place.root)
        path.write_text(json.dumps(outcome.gateboard), "utf-8")
    document: Board = json.loads(path.read_text("utf-8"))
    return document


def misses(boards: dict[int, Board]) -> Iterator[str]:
    """Rows that miss B+ and guards that do not hold."""
    for seed, board in boards.items():
        for row in board["tests"]:
            if not row["pass_Bplus"]:
                yield f"seed {seed} {row['test_id']} {row['metric_name']} = {row['value']}"
        for guard in board["guards"]:
            if not guard["holds"]:
                yield f"seed {seed} {guard['guard_id']} = {guard['value']}, not {guard['bound']}"


def figures(boards: dict[int, Board]) -> Iterator[Figure]:
    """Every metric, then every guard, over the seeds."""
    first = next(iter(boards.values()))
    for n, row in enumerate(first["tests"]):
        values = {seed: board["tests"][n]["value"] for seed, board in boards.items()}
        metric = row["metric_name"]
        sense = ">=" if metric in AT_LEAST else "<="
        name = f"{row['test_id'].split('_')[0]} {metric}"
        yield figure(name, f"{sense} {row['threshold_Bplus']:g}", values)
    for n, guard in enumerate(first["guards"]):
        values = {seed: board["guards"][n]["value"] for seed, board in boards.items()}
        yield figure(guard["guard_id"], guard["bound"], values)


def figure(name: str, bound: str, values: dict[int, float | None]) -> Figure:
    """Quantiles over the seeds. A seed without a value is the worst, and quantiles are NaN."""
    known = {seed: math.nan if v is None else v for seed, v in values.items()}
    room = {s: -math.inf if math.isnan(v) else room_left(bound, v) for s, v in known.items()}
    quantiles = np.quantile(list(known.values()), QUANTILES).tolist()
    return Figure(name, bound, tuple(quantiles), min(room, key=lambda s: room[s]))


def room_left(bound: str, value: float) -> float:
    """Distance of a value from its bound, in the unit of the metric, up to a constant.

    Only the order of the results is used.
    """
    if between := re.search(r"([\d.]+) \.\. ([\d.]+)", bound):
        low, high = map(float, between.groups())
        return min(value - low, high - value)
    return value if bound.startswith((">=", "policy required")) else -value


def markdown(rows: Sequence[Figure]) -> Iterator[str]:
    """The table of benches/results/robustness.md."""
    yield "| metric | B+ | min | 5 % | median | 95 % | max | worst seed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        cells = " | ".join(f"{v:.4g}" for v in row.quantiles)
        yield f"| {row.name} | {row.bound} | {cells} | {row.worst_seed} |"


if __name__ == "__main__":
    sys.exit(main())
