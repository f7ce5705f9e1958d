"""The tables of a run are read by the tools people use, as the note in every run says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pyarrow as pa
import pytest

import fraudworld as fw
from fraudworld.errors import InputError

TABLE = "s1_party_base_6A"
CALL = re.compile(r"\| (\w+) \| `(.*?)`")
MODULES = {"pandas": "pandas", "Polars": "polars", "PyArrow": "pyarrow.parquet",
           "DuckDB": "duckdb", "Dask": "dask.dataframe"}  # fmt: skip


def calls(run: Path) -> dict[str, str]:
    note = (run / "reports" / "reading.md").read_text("utf-8")
    return dict(CALL.findall(note))


def test_the_note_names_every_tool(small_world: Path) -> None:
    assert calls(small_world).keys() == {*MODULES, "fraudworld"}


@pytest.mark.parametrize("tool", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_a_tool_reads_a_dataset_as_the_note_says(small_world: Path, tool: str) -> None:
    module = MODULES[tool]
    pytest.importorskip(module)
    top = module.partition(".")[0]
    scope = {top: importlib.import_module(top), "folder": f"{small_world}/data/layer3/6A/{TABLE}"}
    importlib.import_module(module)
    read = eval(calls(small_world)[tool], scope)
    if tool == "Dask":
        read = read.compute()
    if tool == "DuckDB":
        read = read.arrow()
        read = read.read_all() if hasattr(read, "read_all") else read
    names = list(read.column_names) if isinstance(read, pa.Table) else list(read.columns)
    world = fw.open_run(small_world)
    assert names == world.table(TABLE).column_names
    assert len(read) == world.receipt["tables"][TABLE]


def test_a_dataset_is_scanned_lazily(small_world: Path) -> None:
    import duckdb

    scanned = fw.scan(small_world, TABLE)
    rows = fw.open_run(small_world).receipt["tables"][TABLE]
    assert scanned.count_rows() == rows
    assert scanned.to_table(columns=["party_id"]).num_rows == rows
    assert duckdb.sql("SELECT count(*) FROM scanned").fetchall() == [(rows,)]
    with pytest.raises(InputError, match="DATASET_NOT_FOUND"):
        fw.scan(small_world, "s9_party_base_6A")
