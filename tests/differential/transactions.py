"""Tables of a published stream and of its twin in one form.

The only module of these tests that makes a stream and reads its rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from differential.small_bank import Bank
from fraudworld.contracts import TABLES, Table
from fraudworld.contracts.transactions import DOWNSTREAM_TABLES
from fraudworld.layers.transactions.inputs import open_inputs
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.store.layout import RunPlace
from reference.transactions.arrivals import Upstream
from reference.transactions.stream import generate

Row = dict[str, Any]
Columns = dict[str, dict[str, list[Any]]]
"""Table → column → values: codes by name, None for null."""


def published_stream(bank: Bank, to: Path, **request: Any) -> Columns:
    """Publish a stream below `to`; returns its tables. request: fields of `StreamRequest`."""
    outcome = stream(
        StreamRequest(
            run=bank.run, to=to, upstream_dir=bank.upstream, allow_unflagged=True, **request
        )
    )
    return {
        table.name: columns(table, rows(outcome.layer / table.name, table))
        for table in DOWNSTREAM_TABLES
    }


def twin_stream(bank: Bank, **window: Any) -> Columns:
    """The same tables from the twin. window: arguments of its `generate`."""
    inputs = open_inputs(bank.run, bank.upstream, allow_unflagged=True)
    place, seed = RunPlace(bank.run), inputs.identity.seed
    world = {t.name: rows(place.dataset(t.name, inputs.identity), t) for t in TABLES}
    tables = generate(inputs.pack, seed, read_upstream(bank.upstream), world, **window)
    return {table.name: columns(table, tables[table.name]) for table in DOWNSTREAM_TABLES}


def read_upstream(folder: Path) -> Upstream:
    """Rows of a sealed upstream."""

    def read(table: str) -> list[Row]:
        rows_of_table: list[Row] = pq.read_table(folder / f"{table}.parquet").to_pylist()
        return rows_of_table

    return Upstream(
        places=read("1A/country_geography"),
        sites=read("1A/outlet_catalogue"),
        effects=read("2B/day_effects"),
        virtual=read("3B/virtual_classification"),
        profile=read("5A/merchant_zone_profile_5A"),
        law=json.loads((folder / "5B/arrival_law.json").read_text("utf-8")),
    )


def rows(folder: Path, table: Table) -> list[Row]:
    """Rows of a published dataset, in order."""
    names = [column.name for column in table.columns]
    return [
        row
        for part in sorted(folder.rglob("part-*.parquet"))
        for row in pq.read_table(part, columns=names, partitioning=None).to_pylist()
    ]


def columns(table: Table, table_rows: list[Row]) -> dict[str, list[Any]]:
    """Rows as columns."""
    return {column.name: [row[column.name] for row in table_rows] for column in table.columns}
