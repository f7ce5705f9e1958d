"""Exports to general formats: one DuckDB database, or CSV with its metadata."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fraudworld.api import World
from fraudworld.contracts import Column, Kind, Table
from fraudworld.documents import JsonObject, write_json
from fraudworld.export import checked, metadata
from fraudworld.export.graph import EDGES, NODES
from fraudworld.store.sql import quoted

if TYPE_CHECKING:
    import duckdb

OLDEST_DUCKDB = "v1.0.0"
"""Storage format of the database: the newest one cannot be opened by DuckDB before 2.0."""

DATABASE = "world.duckdb"


def to_duckdb(
    world: World, folder: Path, *, observable: bool, profiles: Sequence[Table] = ()
) -> None:
    """`world.duckdb`: tables with keys and foreign keys, comments, and views of the graph.

    Keys are declared before the rows are inserted, so DuckDB rejects orphans and duplicates.
    The identity columns, constant over all rows, become the single row of the table `run`. DuckDB
    1.0 and later can open the file.
    """
    tables = (*metadata.published(observable=observable), *profiles)
    source = checked.source(world, tables)
    attach(source, folder / DATABASE)
    here = {t.name for t in tables}
    for table in tables:
        declare(source, table, here)
        source.execute(f"INSERT INTO out.{table.name} SELECT {names(table)} FROM {table.name}")
        comment(source, table)
    state_run(source, world)
    source.execute("USE out")
    for node in NODES:
        if node.table or not observable:
            query = node.query(truth=not observable, profiles=profiles)
            source.execute(f"CREATE VIEW node_{node.entity} AS {query}")
    for edge in EDGES:
        source.execute(f"CREATE VIEW {edge.view} AS {edge.query}")
    source.execute("USE memory")
    source.execute("DETACH out")
    source.close()


def attach(source: duckdb.DuckDBPyConnection, path: Path, *, block: int | None = None) -> None:
    """Opens or creates a database as `out`, in the storage format of `OLDEST_DUCKDB`.

    block: bytes of its blocks; by default DuckDB's 262 144.
    """
    size = "" if block is None else f", BLOCK_SIZE {block}"
    source.execute(f"ATTACH {quoted(path)} AS out (STORAGE_VERSION {quoted(OLDEST_DUCKDB)}{size})")


def declare(source: duckdb.DuckDBPyConnection, table: Table, here: Collection[str]) -> None:
    """Creates a table in `out`, without rows, with its keys.

    here: names of the tables of the export; those it refers to must be there already.
    """
    source.execute(f"CREATE TABLE out.{table.name} ({', '.join(_declared(table, here))})")


def comment(source: duckdb.DuckDBPyConnection, table: Table) -> None:
    """States the meaning of a table in `out`, and of its columns."""
    source.execute(f"COMMENT ON TABLE out.{table.name} IS {quoted(table.meaning)}")
    for column in table.columns:
        where = f"out.{table.name}.{column.name}"
        source.execute(f"COMMENT ON COLUMN {where} IS {quoted(column.meaning)}")


def state_run(source: duckdb.DuckDBPyConnection, world: World) -> None:
    """Creates the table `run` in `out`: one row, the receipt."""
    source.execute("CREATE TABLE out.run AS SELECT ?::JSON AS receipt", [json.dumps(world.receipt)])
    source.execute("COMMENT ON TABLE out.run IS 'receipt of the run: seed, policy, inputs'")


def names(table: Table) -> str:
    """The columns of a table, for SELECT."""
    return ", ".join(c.name for c in table.columns)


def _declared(table: Table, here: Collection[str]) -> list[str]:
    """Column and constraint clauses of CREATE TABLE; a nullable key gets no constraint."""
    columns = [
        f"{c.name} {checked.TYPES[c.kind]}{'' if c.nullable else ' NOT NULL'}"
        for c in table.columns
    ]
    nullable = {c.name for c in table.columns if c.nullable}
    if not nullable & set(table.key):
        columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
    columns += [
        f"FOREIGN KEY ({column}) REFERENCES {parent} ({key})"
        for column, (parent, key) in metadata.foreign_keys(table, here).items()
    ]
    return columns


def to_csv(world: World, folder: Path, *, observable: bool, profiles: Sequence[Table] = ()) -> None:
    """One CSV a dataset, with `datapackage.json`, `croissant.json` and `sdv_metadata.json`.

    Strings are quoted and an empty cell is a null, so that the country NA is a text to readers
    that tell them apart. Days and moments are written as ISO 8601 has them, moments in UTC. The
    identity columns, constant over all rows, are in `run_receipt.json`.
    """
    tables = (*metadata.published(observable=observable), *profiles)
    source = checked.source(world, tables)
    for table in tables:
        rows = f"SELECT {cells(table)} FROM {table.name} ORDER BY {', '.join(table.sort)}"
        write_csv(source, rows, table, folder / f"{table.name}.csv")
    receipt = world.receipt
    name = package_name(receipt)
    documents: dict[str, JsonObject] = {
        "datapackage": metadata.frictionless(tables, name),
        "croissant": metadata.croissant(tables, folder, name, str(receipt["created_at"])[:10]),
        "sdv_metadata": metadata.sdv(tables),
    }
    documents["run_receipt"] = receipt
    for stem, document in documents.items():
        write_json(folder / f"{stem}.json", document)


def write_csv(
    source: duckdb.DuckDBPyConnection, rows: str, table: Table, path: Path, *, header: bool = True
) -> None:
    """Writes the rows of a query, which selects `cells(table)`, as CSV."""
    strings = (Kind.CODE, Kind.WORD, Kind.TEXT)
    texts = ", ".join(c.name for c in table.columns if c.kind in strings)
    force = f", FORCE_QUOTE ({texts})" if texts else ""
    first = "HEADER" if header else "HEADER false"
    source.execute(f"COPY ({rows}) TO {quoted(path)} (FORMAT csv, {first}, DELIMITER ','{force})")


def cells(table: Table) -> str:
    """The columns of a table as cells of a CSV, for SELECT."""
    return ", ".join(_cell(c) for c in table.columns)


def _cell(column: Column) -> str:
    if column.kind is not Kind.MOMENT:
        return column.name
    # A timestamp without zone: no setting of a session changes how it is written.
    utc = f"make_timestamp(epoch_us({column.name}))"
    return f"strftime({utc}, '%Y-%m-%dT%H:%M:%S.%gZ') AS {column.name}"


def package_name(receipt: JsonObject) -> str:
    """Name of the data package of a run."""
    return f"fraudworld-{str(receipt['run_id'])[:12]}"
