"""Upstreams of few countries, made from the embedded one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.inputs import embedded
from fraudworld.store import bundle


def of_one_country(folder: Path, country: str, region: str, currency: str, size: float) -> Path:
    """An upstream whose merchants all are in one country; size as `volume_scale`."""
    embedded.build(folder, volume_scale=size)
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(path)
        for at, name in enumerate(table.column_names):
            if name.endswith("country_iso"):
                table = table.set_column(at, name, pa.array([country] * table.num_rows))
        if "site_order" in table.column_names:
            table = _numbered(table)
        if path.stem == "country_geography":
            row = {"country_iso": country, "region_id": region, "currency": currency}
            table = pa.Table.from_pylist([row], table.schema)
        pq.write_table(table, path)
    for segment in sorted(p for p in folder.iterdir() if p.is_dir()):
        own = {bundle.FLAG, bundle.INDEX}
        bundle.seal(segment, [p.name for p in segment.iterdir() if p.name not in own])
    return folder


def _numbered(sites: pa.Table) -> pa.Table:
    """Sites with a number each within their merchant, and the merchant's number of sites."""
    merchant = sites["merchant_id"].to_numpy()
    order = np.zeros(len(merchant), np.int64)
    for one in np.unique(merchant):
        here = np.flatnonzero(merchant == one)
        order[here] = np.arange(1, len(here) + 1)
    counted = np.bincount(merchant)[merchant]
    for name, values in (("site_order", order), ("final_country_outlet_count", counted)):
        if name in sites.column_names:
            at = sites.column_names.index(name)
            sites = sites.set_column(at, name, pa.array(values))
    return sites
