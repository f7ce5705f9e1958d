"""Measures the files of an upstream against the published figures of shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Figure:
    """One figure of shape."""

    what: str
    target: float  # the published figure, at authority volume
    measured: float


def measure(root: Path) -> tuple[Figure, ...]:
    """All figures of shape of a verified upstream.

    Merchant ids must be dense from 1, as S0 verifies.
    """
    sites = _columns(root, "1A/outlet_catalogue", "merchant_id", "home_country_iso",
                     "legal_country_iso")  # fmt: skip
    profile = _columns(root, "5A/merchant_zone_profile_5A", "merchant_id", "weekly_volume_expected")
    virtual = _columns(root, "3B/virtual_classification", "is_virtual")["is_virtual"]
    zones = pq.read_metadata(root / "3A/zone_alloc.parquet").num_rows
    merchant, weekly = sites["merchant_id"], profile["weekly_volume_expected"]
    home, legal = sites["home_country_iso"].astype(str), sites["legal_country_iso"].astype(str)
    outlets = np.bincount(merchant)[1:]
    iso, country = np.unique(legal, return_inverse=True)
    footprints = np.unique(merchant * iso.size + country) // iso.size
    served = np.bincount(footprints)[1:]
    per_merchant = np.bincount(profile["merchant_id"], weekly, outlets.size + 1)[1:]
    ascending = np.sort(outlets)
    gini = 1 - 2 * (np.cumsum(ascending) / ascending.sum()).mean() + 1 / outlets.size
    q = np.quantile(outlets, [0.1, 0.5, 0.9, 0.99])
    v = np.quantile(per_merchant, [0.5, 0.9, 0.99])
    rows = (
        ("merchants", 1_238, outlets.size),
        ("outlets", 31_257, merchant.size),
        ("countries", 77, iso.size),
        ("outlets per merchant p10", 6, q[0]),
        ("outlets per merchant p50", 16, q[1]),
        ("outlets per merchant p90", 36, q[2]),
        ("outlets per merchant p99", 165, q[3]),
        ("outlets per merchant max", 2_546, outlets.max()),
        ("Gini of outlets", 0.53, gini),
        ("countries per merchant p50", 1, np.quantile(served, 0.5)),
        ("countries per merchant p90", 5, np.quantile(served, 0.9)),
        ("countries per merchant max", 11, served.max()),
        ("outlets away from home", 0.386, (home != legal).mean()),
        ("zone_alloc rows", 16_528, zones),
        ("virtual merchants", 0.03, virtual.mean()),
        ("weekly volume", 9_590_000, weekly.sum()),
        ("weekly volume per merchant p50", 4_509, v[0]),
        ("weekly volume per merchant p90", 16_619, v[1]),
        ("weekly volume per merchant p99", 112_000, v[2]),
        ("weekly volume per merchant max", 1_290_000, per_merchant.max()),
    )
    return tuple(Figure(what, float(target), float(value)) for what, target, value in rows)


def _columns(root: Path, table: str, *names: str) -> dict[str, np.ndarray]:
    data = pq.read_table(root / f"{table}.parquet", columns=list(names))
    return {name: data[name].to_numpy() for name in names}
