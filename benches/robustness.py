"""Every metric and guard over many seeds at demo scale, as quantiles and worst seeds.

    .venv/bin/python benches/robustness.py [--seeds 40] [--profile demo] [--root build/robustness]

Seeds are 1001, 1002, …: none a certificate rests on. Gateboards are kept below the root and
worlds are not, so a stopped run resumes where it was. Prints Markdown
(benches/results/robustness.md) and writes the same figures to `quantiles-<profile>.json` there.
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
    """A metric or guard over the seeds: what B+ asks, quantiles, the seed nearest to failing."""

    name: str
    bound: str
    quantiles: tuple[float, ...]
    worst_seed: int


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
    found = list(figures(boards))
    print("\n".join(markdown(found)))
    kept = asked.root / f"quantiles-{asked.profile}.json"
    kept.write_text(json.dumps([asdict(one) for one in found], indent=1), "utf-8")
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


def figures(boards: dict[int, Board]) -> Iterator[Figure]:
    """Every metric, then every guard, over the seeds."""
    first = next(iter(boards.values()))
    for n, row in enumerate(first["tests"]):
        values = {seed: one["tests"][n]["value"] for seed, one in boards.items()}
        metric = row["metric_name"]
        sense = ">=" if metric in AT_LEAST else "<="
        name = f"{row['test_id'].split('_')[0]} {metric}"
        yield figure(name, f"{sense} {row['threshold_Bplus']:g}", values)
    for n, guard in enumerate(first["guards"]):
        values = {seed: one["guards"][n]["value"] for seed, one in boards.items()}
        yield figure(guard["guard_id"], guard["bound"], values)


def figure(name: str, bound: str, values: dict[int, float | None]) -> Figure:
    """Quantiles over the seeds. A seed without a value is the worst, and there are none then."""
    known = {seed: math.nan if v is None else v for seed, v in values.items()}
    room = {s: -math.inf if math.isnan(v) else room_left(bound, v) for s, v in known.items()}
    quantiles = np.quantile(list(known.values()), QUANTILES).tolist()
    return Figure(name, bound, tuple(quantiles), min(room, key=lambda s: room[s]))


def room_left(bound: str, value: float) -> float:
    """How far a value is from the bound a row or guard states, in the metric's unit.

    Where the bound is no number, only the order of the values is meant.
    """
    if between := re.search(r"([\d.]+) \.\. ([\d.]+)", bound):
        low, high = map(float, between.groups())
        return min(value - low, high - value)
    return value if bound.startswith((">=", "policy required")) else -value


def markdown(found: Sequence[Figure]) -> Iterator[str]:
    """The table of benches/results/robustness.md."""
    yield "| metric | B+ | min | 5 % | median | 95 % | max | worst seed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for one in found:
        cells = " | ".join(f"{v:.4g}" for v in one.quantiles)
        yield f"| {one.name} | {one.bound} | {cells} | {one.worst_seed} |"


if __name__ == "__main__":
    sys.exit(main())
