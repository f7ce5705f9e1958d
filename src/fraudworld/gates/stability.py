"""Seeds of one policy: metrics are stable over them (T9), and yet every seed is a draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fraudworld.documents import Json, JsonObject
from fraudworld.gates.counts import Counts
from fraudworld.gates.gate import Guard, Row, Status, at_most, number_or_null
from fraudworld.gates.statistics import homogeneity, join_rare
from fraudworld.gates.tally import I64
from fraudworld.policy.pack import PolicyPack

Board = Mapping[str, Json]
DISTANCES = ("T3_IP_PRIOR_ALIGNMENT", "T8_DISTRIBUTION_ALIGNMENT_JSD")
RATIOS = ("T4_DEVICE_IP_COVERAGE", "T5_IP_REUSE_TAIL_BOUNDS", "T7_RISK_PROPAGATION_EFFECT")


@dataclass(frozen=True)
class Stability:
    """Spread of one metric over the seeds; `scale` is what its sd is divided by."""

    metric_name: str
    values: tuple[float, ...]
    spread: float
    scale: str

    def status(self, bound: float) -> Status:
        """PASS or FAIL at T9's B threshold; INSUFFICIENT_EVIDENCE where there is no spread."""
        if not math.isfinite(self.spread):
            return "INSUFFICIENT_EVIDENCE"
        return "PASS" if self.spread <= bound else "FAIL"

    def as_dict(self) -> JsonObject:
        """Plain data for the summary; non-finite values are null."""

        return {
            "metric_name": self.metric_name,
            "value": number_or_null(self.spread),
            "scale": self.scale,
            "values": [number_or_null(v) for v in self.values],
        }


def spreads(boards: Sequence[Board]) -> tuple[Stability, ...]:
    """Coefficient of variation of every critical metric; sd over the B threshold for distances."""
    out = []
    for number, row in enumerate(boards[0]["tests"]):
        values = tuple(_value(b["tests"][number]) for b in boards)
        if row["test_id"] in RATIOS:
            out.append(_spread(row["metric_name"], values, float(np.mean(values)), "mean"))
        elif row["test_id"] in DISTANCES:
            out.append(_spread(row["metric_name"], values, row["threshold_B"], "threshold_B"))
    for name in boards[0]["measures"]:
        values = tuple(float(b["measures"][name]) for b in boards)
        out.append(_spread(name, values, float(np.mean(values)), "mean"))
    return tuple(out)


def t9_cross_seed_stability(pack: PolicyPack, boards: Sequence[Board]) -> Row:
    """T9: the worst spread over the seeds."""
    stabilities = spreads(boards)
    worst = max(stabilities, key=lambda s: s.spread if np.isfinite(s.spread) else np.inf)
    return at_most(
        "T9_CROSS_SEED_STABILITY", "worst_cv", worst.spread,
        pack.validation_policy.gates["T9_worst_cv"],
        seed=None, support=len(boards), minimum_support=4, worst=worst.metric_name,
        no_interval="a spread over four seeds carries none",
    )  # fmt: skip


def _value(row: Mapping[str, Json]) -> float:
    return float("nan") if row["value"] is None else float(row["value"])


def _spread(name: str, values: tuple[float, ...], scale: float, of: str) -> Stability:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Stability(name, values, sd / scale if scale else float("nan"), of)


LEAST_SEEDS = 2
"""Seeds without which nothing can vary."""


def seed_variation(pack: PolicyPack, boards: Sequence[Board]) -> Iterator[Guard]:
    """Seeds differ as draws of one policy do: χ² of homogeneity over its degrees of freedom."""
    bounds, support = pack.validation_policy.guards, pack.validation_policy.support
    counts = [Counts.from_dict(board["counts"]) for board in boards]
    for name, of in _DRAWN.items():
        seeds = np.stack([of(one).ravel() for one in counts])
        cells = join_rare(seeds, support.min_expected_per_category)
        chi2, freedom = homogeneity(cells)
        ratio = chi2 / freedom if freedom else float("nan")
        known = len(boards) >= LEAST_SEEDS and math.isfinite(ratio)
        yield Guard(
            f"seed_variation_{name}",
            known and bounds.seed_variation_low <= ratio <= bounds.seed_variation_high,
            number_or_null(ratio),
            f"{bounds.seed_variation_low:g} .. {bounds.seed_variation_high:g}",
            {
                "chi2": number_or_null(chi2),
                "degrees_of_freedom": freedom,
                "cells": cells.shape[1],
                "occupied": int(np.count_nonzero(seeds.sum(axis=0))),
                "support": len(boards),
                "minimum_support": LEAST_SEEDS,
                **({} if known else {"why": f"support {len(boards)} of {LEAST_SEEDS} needed"}),
            },
        )


def _products(counts: Counts) -> I64:
    """Accounts by product."""
    return np.asarray(counts.held @ np.arange(counts.held.shape[1]))


_DRAWN: Mapping[str, Callable[[Counts], I64]] = {
    "region_segment": lambda counts: counts.segments,
    "product": _products,
    "device_type": lambda counts: counts.device_types,
}
"""What a seed draws: parties by region and segment, accounts by product, devices by type."""
