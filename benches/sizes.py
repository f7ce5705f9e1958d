"""Compares rates, shares and odds ratios of three sizes of world. Prints Markdown.

    .venv/bin/python benches/sizes.py [--seed 42] [--root build/sizes]

Two sizes differ in a figure if the difference exceeds 1.96 standard errors. Of k comparisons
0.05 · k differ by chance, fewer with exact quotas. Rates of IPs are compared at one mix of groups:
a larger world has busier endpoints and so another mix, though every group has the same rate.
Size-biased metrics (maxima, worst cells, distances) only have to pass.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.counts import Counts
from fraudworld.policy.pack import PolicyPack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.published import sealed_policy

PROFILES = ("demo", "small", "authority")
Z = 1.959964
SIZE_BIASED = ("T3", "T5", "T8")


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error, on a scale where the error is symmetric."""

    name: str
    value: float
    error: float


def main() -> int:
    """Makes the worlds and prints the tables; status 1 for more differences than chance allows."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--root", type=Path, default=Path("build/sizes"))
    arguments = options.parse_args()
    worlds = {p: judged(p, arguments.seed, arguments.root) for p in PROFILES}
    largest = Counts.from_dict(worlds[PROFILES[-1]][0]["counts"]).roles["ip"].sum(axis=(0, 2))
    by_profile = {p: list(estimates(board, pack, largest)) for p, (board, pack) in worlds.items()}

    print(f"| seed {arguments.seed} | " + " | ".join(PROFILES) + " | pairs apart |")
    print("|---|" + "--:|" * (len(PROFILES) + 1))
    apart = compared = 0
    for row in zip(*by_profile.values(), strict=True):
        differ = sum(
            abs(a.value - b.value) > Z * math.hypot(a.error, b.error)
            for a, b in itertools.combinations(row, 2)
        )
        apart, compared = apart + differ, compared + 3
        shown = " | ".join(f"{e.value:.4f} ± {Z * e.error:.4f}" for e in row)
        print(f"| {row[0].name} | {shown} | {differ} |")
    print(f"\n{apart} of {compared} pairs apart; {0.05 * compared:.1f} expected by chance.\n")

    print("| size-biased | " + " | ".join(PROFILES) + " |\n|---|" + "--:|" * len(PROFILES))
    failing = 0
    for rows in zip(*(board["tests"] for board, _ in worlds.values()), strict=True):
        if rows[0]["test_id"].startswith(SIZE_BIASED):
            failing += sum(not r["pass_Bplus"] for r in rows)
            print(
                f"| {rows[0]['metric_name']} | "
                + " | ".join(f"{r['value']:.4g}" for r in rows)
                + " |"
            )
    print(f"\n{failing} of them miss B+.")
    return int(apart > 0.1 * compared or failing > 0)


def judged(profile: str, seed: int, root: Path) -> tuple[dict[str, Any], PolicyPack]:
    """Gateboard and policy of one world; the board is kept, the world is removed."""
    path = root / f"{profile}-{seed}.json"
    policy = root / f"{profile}-{seed}-policy" / "data/layer3/6A/resolved_policy_6A.json"
    if not path.is_file():
        print(profile, file=sys.stderr, flush=True)
        outcome = pipeline.run(RunRequest(profile=profile, seed=seed, runs_root=root / "runs"))
        policy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(outcome.place.layer / policy.name, policy)
        shutil.rmtree(outcome.place.root)
        path.write_text(json.dumps(outcome.gateboard), "utf-8")
    return json.loads(path.read_text("utf-8")), sealed_policy(policy.parents[3])


def estimates(
    board: dict[str, Any], pack: PolicyPack, ip_mix: NDArray[np.int64]
) -> Iterator[Estimate]:
    """Rates, shares and log odds ratios of one world."""
    counts = Counts.from_dict(board["counts"])
    linked, devices = (int(n) for n in counts.coverage)
    yield rate("linked devices", linked, devices)
    for entity in ("party", "account", "device"):
        families = counts.families[entity].sum(axis=(0, 1))
        clean = pack.fraud_role_taxonomy.entities[entity].clean_family
        n = int(families.sum())
        yield rate(
            f"non-clean {entity}", n - int(families[pack.codes(f"{entity}_family").index(clean)]), n
        )
    yield high_risk_ips(counts.roles["ip"].sum(axis=0), pack, ip_mix / ip_mix.sum())
    links = counts.link_types.sum(axis=0)
    for ip_type, n in zip(pack.codes("ip_type"), links.tolist(), strict=True):
        if n >= 0.02 * links.sum():
            yield rate(f"links to {ip_type}", n, int(links.sum()))
    for row in board["tests"]:
        if row["test_id"].startswith("T7"):
            width = math.log(row["ci_high"]) - math.log(row["ci_low"])
            yield Estimate(f"log {row['metric_name']}", math.log(row["value"]), width / (2 * Z))


def high_risk_ips(roles: NDArray[np.int64], pack: PolicyPack, mix: NDArray[np.float64]) -> Estimate:
    """Share of HIGH_RISK_IP at a given mix of groups; roles: (groups, raw roles)."""
    n = roles.sum(axis=1)
    p = roles[:, pack.codes("ip_raw_role").index("HIGH_RISK_IP")] / n
    error = float(np.sqrt((mix**2 * p * (1 - p) / n).sum()))
    return Estimate("HIGH_RISK_IP at one mix of groups", float(mix @ p), error)


def rate(name: str, hits: int, n: int) -> Estimate:
    """A share and its binomial standard error."""
    p = hits / n
    return Estimate(name, p, math.sqrt(p * (1 - p) / n))


if __name__ == "__main__":
    sys.exit(main())
