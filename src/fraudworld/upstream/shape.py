"""The shape of an upstream, measured from its files against the published figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Figure:
    """One figure of shape; `target` is the published one at authority volume."""

    what: str
    target: float
    measured: float


def measure(root: Path) -> tuple[Figure, ...]:
    """Figures of page 6 from the files of an upstream folder."""
    sites = pq.read_table(root / "1A/outlet_catalogue.parquet").to_pydict()
    merchant = np.array(sites["merchant_id"])
    home, legal = np.array(sites["home_country_iso"]), np.array(sites["legal_country_iso"])
    outlets = np.unique(merchant, return_counts=True)[1]
    reach = np.unique(
        np.unique(np.stack([merchant.astype(str), legal]), axis=1)[0], return_counts=True
    )[1]
    zones = pq.read_table(root / "3A/zone_alloc.parquet", columns=["merchant_id"]).num_rows
    virtual = np.array(pq.read_table(root / "3B/virtual_classification.parquet")["is_virtual"])
    profile = pq.read_table(root / "5A/merchant_zone_profile_5A.parquet")
    weekly = np.array(profile["weekly_volume_expected"])
    per_merchant = np.bincount(np.array(profile["merchant_id"]), weekly)[1:]
    ascending = np.sort(outlets)
    gini = 1 - 2 * (np.cumsum(ascending) / ascending.sum()).mean() + 1 / outlets.size
    q = np.quantile(outlets, [0.1, 0.5, 0.9, 0.99])
    v = np.quantile(per_merchant, [0.5, 0.9, 0.99])
    rows = (
        ("merchants", 1_238, outlets.size),
        ("outlets", 31_257, merchant.size),
        ("countries", 77, np.unique(legal).size),
        ("outlets per merchant p10", 6, q[0]),
        ("outlets per merchant p50", 16, q[1]),
        ("outlets per merchant p90", 36, q[2]),
        ("outlets per merchant p99", 165, q[3]),
        ("outlets per merchant max", 2_546, outlets.max()),
        ("Gini of outlets", 0.53, gini),
        ("countries per merchant p50", 1, np.quantile(reach, 0.5)),
        ("countries per merchant p90", 5, np.quantile(reach, 0.9)),
        ("countries per merchant max", 11, reach.max()),
        ("outlets away from home", 0.386, (home != legal).mean()),
        ("zone_alloc rows", 16_528, zones),
        ("virtual merchants", 0.03, virtual.mean()),
        ("weekly volume", 9_590_000, weekly.sum()),
        ("weekly volume per merchant p50", 4_509, v[0]),
        ("weekly volume per merchant p90", 16_619, v[1]),
        ("weekly volume per merchant p99", 112_000, v[2]),
        ("weekly volume per merchant max", 1_290_000, per_merchant.max()),
    )
    return tuple(Figure(what, float(target), float(found)) for what, target, found in rows)
