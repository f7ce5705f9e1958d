"""T9: metrics are stable over seeds under one policy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fraudworld.documents import Json, JsonObject
from fraudworld.gates.gate import Row, Status, at_most, number_or_null
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
