"""Exports to general formats: one DuckDB database, or CSV with its metadata."""

from __future__ import annotations

import json
from pathlib import Path

from fraudworld.api import World
from fraudworld.contracts import Kind, Table
from fraudworld.documents import JsonObject, write_json
from fraudworld.export import checked, metadata
from fraudworld.export.graph import EDGES, NODES
from fraudworld.store.sql import quoted

OLDEST_DUCKDB = "v1.0.0"
"""Storage format of the database: the newest one cannot be opened by DuckDB before 2.0."""

_SQL = {Kind.INT: "BIGINT", Kind.CODE: "VARCHAR", Kind.REAL: "DOUBLE"}


def to_duckdb(world: World, folder: Path, *, observable: bool) -> None:
    """`world.duckdb`: tables with keys and foreign keys, comments, and views of the graph.

    Keys are declared before the rows are inserted, so DuckDB rejects orphans and duplicates.
    The identity columns, constant over all rows, become the single row of the table `run`. DuckDB
    1.0 and later can open the file.
    """
    tables = metadata.published(observable=observable)
    source = checked.source(world, tables)
    place = quoted(folder / "world.duckdb")
    source.execute(f"ATTACH {place} AS out (STORAGE_VERSION {quoted(OLDEST_DUCKDB)})")
    here = {t.name for t in tables}
    for table in tables:
        source.execute(f"CREATE TABLE out.{table.name} ({', '.join(_declared(table, here))})")
        source.execute(f"INSERT INTO out.{table.name} SELECT {_columns(table)} FROM {table.name}")
        source.execute(f"COMMENT ON TABLE out.{table.name} IS {quoted(table.meaning)}")
        for column in table.columns:
            source.execute(
                f"COMMENT ON COLUMN out.{table.name}.{column.name} IS {quoted(column.meaning)}"
            )
    source.execute("CREATE TABLE out.run AS SELECT ?::JSON AS receipt", [json.dumps(world.receipt)])
    source.execute("COMMENT ON TABLE out.run IS 'receipt of the run: seed, policy, inputs'")
    source.execute("USE out")
    for node in NODES:
        if node.table or not observable:
            query = node.query(truth=not observable)
            source.execute(f"CREATE VIEW node_{node.entity} AS {query}")
    for edge in EDGES:
        name = f"edge_{edge.source}_{edge.type}_{edge.target}".lower()
        source.execute(f"CREATE VIEW {name} AS {edge.query}")
    source.execute("USE memory")
    source.execute("DETACH out")
    source.close()


def _columns(table: Table) -> str:
    return ", ".join(c.name for c in table.columns)


def _declared(table: Table, here: set[str]) -> list[str]:
    """Column and constraint clauses of CREATE TABLE; a nullable key gets no constraint."""
    columns = [f"{c.name} {_SQL[c.kind]}{'' if c.nullable else ' NOT NULL'}" for c in table.columns]
    nullable = {c.name for c in table.columns if c.nullable}
    if not nullable & set(table.key):
        columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
    columns += [
        f"FOREIGN KEY ({column}) REFERENCES {parent} ({key})"
        for column, (parent, key) in metadata.REFERENCES.get(table.name, {}).items()
        if parent in here
    ]
    return columns


def to_csv(world: World, folder: Path, *, observable: bool) -> None:
    """One CSV a dataset, with `datapackage.json`, `croissant.json` and `sdv_metadata.json`.

    Strings are quoted and an empty cell is a null, so that the country NA is a text to readers
    that tell them apart. The identity columns, constant over all rows, are in `run_receipt.json`.
    """
    tables = metadata.published(observable=observable)
    source = checked.source(world, tables)
    for table in tables:
        path = quoted(folder / f"{table.name}.csv")
        order = ", ".join(table.sort)
        rows = f"SELECT {_columns(table)} FROM {table.name} ORDER BY {order}"
        texts = ", ".join(c.name for c in table.columns if c.kind is Kind.CODE)
        force = f", FORCE_QUOTE ({texts})" if texts else ""
        source.execute(f"COPY ({rows}) TO {path} (HEADER, DELIMITER ','{force})")
    receipt = world.receipt
    name = f"fraudworld-{str(receipt['run_id'])[:12]}"
    documents: dict[str, JsonObject] = {
        "datapackage": metadata.frictionless(tables, name),
        "croissant": metadata.croissant(tables, folder, name, str(receipt["created_at"])[:10]),
        "sdv_metadata": metadata.sdv(tables),
    }
    documents["run_receipt"] = receipt
    for stem, document in documents.items():
        write_json(folder / f"{stem}.json", document)
