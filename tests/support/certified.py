"""Evidence of a certificate without its cost: boards of other seeds, measures that pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudworld.certification import leakage_report
from fraudworld.certification.features import FAMILIES, KINDS
from fraudworld.certification.leakage import KindMeasures, Lead, Measures
from fraudworld.documents import pretty_json
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.estimators import Share

DRAWN = ("segments", "held", "device_types")
"""Counts of a board that differ between seeds as draws do."""


def scattered(counts: dict[str, Any], seed: int, overdispersion: float = 2.5) -> None:
    """Draws these counts of a copied board again around themselves, as those of another seed.

    A Dirichlet-multinomial of n units with concentration n / (overdispersion − 1), as a seed is.
    """
    rng = np.random.default_rng(seed)
    for name in DRAWN:
        table = counts[name]
        n = np.array(table["counts"], dtype=np.float64)
        shares = rng.dirichlet(np.maximum(n / (overdispersion - 1), 1e-9))
        table["counts"] = np.maximum(rng.multinomial(int(n.sum()), shares), 1).tolist()


def leakage_measures(areas: Mapping[str, float] | None = None) -> Measures:
    """Measures of `leakage_joined` that hold under the shipped bounds, but for the given areas."""
    out = {}
    for kind in KINDS:
        fold = Share((areas or {}).get(kind, 0.7), 0.01, 400.0)
        out[kind] = KindMeasures(
            entities=100_000, risky=1_200, clean=9_600, features=(f"{kind}_id", "users"),
            folds=(fold,) * 3, ids_alone=(replace(fold, value=0.5),) * 3,
            families=dict.fromkeys(FAMILIES, 0.0), leading=(Lead("users", "others", 0.1),),
        )  # fmt: skip
    return out


def write_leakage(run: Path, pack: PolicyPack, measures: Measures | None = None) -> Path:
    """Writes the evidence of `leakage_joined` for a run, as if it had been measured."""
    path = leakage_report.place(run.parent, run.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    receipt = read_receipt(RunPlace(run))
    path.write_bytes(
        pretty_json(leakage_report.document(pack, receipt, measures or leakage_measures()))
    )
    return path


def without_models(
    monkeypatch: pytest.MonkeyPatch, areas: Mapping[str, float] | None = None
) -> None:
    """Nothing is fitted: certifying and verifying find these areas in every world."""
    monkeypatch.setattr(leakage_report, "measure", lambda run: leakage_measures(areas))
