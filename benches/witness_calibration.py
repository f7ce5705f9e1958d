"""T10 on seeds that no certificate uses: range of every metric, and how often it passes.

    .venv/bin/python benches/witness_calibration.py [--seeds 1001-1008] [--profile demo]

Worlds, arms and streams are made below --root and reused. Prints the table of docs/witness.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from fraudworld.gates.gate import Row
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.t10.arms import witness


def main() -> int:
    """Judges every seed and prints the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seeds", default="1001-1008", help="FIRST-LAST")
    options.add_argument("--profile", default="demo")
    options.add_argument(
        "--flows", type=int, help="flows of every arm; by default those of the policy"
    )
    options.add_argument("--root", type=Path, default=Path("build/witness"))
    arguments = options.parse_args()
    first, last = map(int, arguments.seeds.split("-"))
    workers = os.cpu_count() or 1
    judged: list[dict[str, Row]] = []
    for seed in range(first, last + 1):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        request = RunRequest(profile=arguments.profile, seed=seed, runs_root=arguments.root)
        run = pipeline.run(request).place.root
        verdict = witness(run, flows=arguments.flows, workers=workers)
        judged.append({row.metric_name: row for row in (*verdict.rows, *verdict.binding)})
    print("| metric | bound | least | median | largest | B | B+ |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in judged[0].items():
        rows = [of_seed[name] for of_seed in judged]
        values = np.array([np.nan if r.value is None else r.value for r in rows])
        spread = " | ".join(f"{q:.4g}" for q in np.nanquantile(values, (0, 0.5, 1)))
        passes = f"{sum(r.pass_B for r in rows)} | {sum(r.pass_Bplus for r in rows)}"
        print(f"| {name} | {row.threshold_B:g} | {spread} | {passes} |")
    print(f"\n{len(judged)} seeds, {arguments.seeds}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
