"""The Python interface and the commands that read a run, on the published demo world."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fraudworld as fw
from fraudworld.contracts import BY_NAME, TABLES
from fraudworld.errors import InputError
from fraudworld.layers.transactions.request import StreamOptions, StreamRequest
from fraudworld.request import RunOptions, RunRequest
from support.calling import CallResult

Call = Callable[..., CallResult]


def test_a_table_has_the_columns_of_its_contract(demo_world: Path) -> None:
    world = fw.open_run(demo_world)
    assert world.tables == tuple(t.name for t in TABLES)
    for name in ("s1_party_base_6A", "s2_account_summary_6A"):
        assert world.table(name).column_names == [c.name for c in BY_NAME[name].all_columns]
    two_columns = world.table("s1_party_base_6A", ["party_id", "country_iso"])
    assert two_columns.column_names == ["party_id", "country_iso"]


def test_unknown_columns_are_named(demo_world: Path) -> None:
    with pytest.raises(InputError, match="no column colour, size"):
        fw.open_run(demo_world).table("s1_party_base_6A", ["party_id", "size", "colour"])


def test_duckdb_has_one_view_per_dataset_with_the_rows_of_the_receipt(demo_world: Path) -> None:
    world = fw.open_run(demo_world)
    connection = world.duckdb()
    rows = {n: connection.sql(f'select count(*) from "{n}"').fetchall() for n in world.tables}
    assert {name: count[0][0] for name, count in rows.items()} == world.receipt["tables"]


def test_tables_of_profiles_are_read_where_the_run_has_them(
    demo_world: Path, tmp_path: Path
) -> None:
    """The layer is two written tables in the place of 6P, beside the tables of the demo world."""
    (tmp_path / "data/layer3").mkdir(parents=True)
    (tmp_path / "data/layer3/6A").symlink_to(demo_world / "data/layer3/6A")
    shutil.copy(demo_world / "run_receipt.json", tmp_path)
    world = fw.open_run(tmp_path)
    assert world.profile_tables == ()
    with pytest.raises(InputError, match="p0_place_6P") as error:
        world.table("p0_place_6P")
    assert error.value.remedy == "make it with `fraudworld profiles`"
    place, event = pa.table({"place_id": [1, 2]}), pa.table({"event_id": [5]})
    for name, rows in (("p5_entity_event_6P", event), ("p0_place_6P", place)):
        folder = tmp_path / "data/layer3/6P" / name / "seed=42"
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part-00000.parquet")
    assert world.profile_tables == ("p0_place_6P", "p5_entity_event_6P")
    assert world.tables == fw.open_run(demo_world).tables
    assert world.table("p0_place_6P", ["place_id"]).equals(place)
    assert world.scan("p5_entity_event_6P").count_rows() == 1
    with pytest.raises(InputError, match="p0_place_6P has no column colour"):
        world.table("p0_place_6P", ["colour"])
    with pytest.raises(InputError, match="p4_ip_profile_6P") as error:
        world.scan("p4_ip_profile_6P")
    assert error.value.remedy.endswith("p0_place_6P, p5_entity_event_6P")
    found = (
        world.duckdb()
        .sql("""
        select sum(place_id), count(party_id) from p0_place_6P
        full join s1_party_base_6A on place_id = party_id""")
        .fetchall()
    )
    assert found == [(3, world.receipt["tables"]["s1_party_base_6A"])]


def test_recomputed_gates_equal_the_published_gateboard(demo_world: Path, fraudworld: Call) -> None:
    published = json.loads(
        (demo_world / "data/layer3/6A/validation/realism_gate_6A.json").read_text("utf-8")
    )
    assert fw.open_run(demo_world).gates() == published
    result = fraudworld("gates", demo_world)
    assert result.status == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.count("\nT") == len(published["tests"])


def test_runs_and_perf_show_a_published_world(demo_world: Path, fraudworld: Call) -> None:
    root = ("--runs-root", demo_world.parent)
    listed = json.loads(fraudworld("runs", "list", *root, "--json").out)
    assert [r["run_id"] for r in listed] == [demo_world.name]
    assert demo_world.name in fraudworld("runs", "list", *root).out
    shown = fraudworld("runs", "show", demo_world.name[:6], *root)
    assert shown.status == 0
    assert "s5_ip_fraud_roles_6A" in shown.out
    timed = json.loads(fraudworld("perf", "show", demo_world.name[:6], *root, "--json").out)
    assert timed["budgets"]["segment"]["pass"] is True
    assert fraudworld("perf", "show", demo_world.name, *root).status == 0


def test_generate_reuses_the_same_world(demo_world: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo_world.rglob("*")}
    world = fw.generate(profile="demo", seed=42, runs_root=str(demo_world.parent))
    assert world.root == demo_world
    assert {p: p.stat().st_mtime_ns for p in demo_world.rglob("*")} == before


def test_a_table_as_a_pandas_frame(demo_world):
    import pandas

    world = fw.open_run(demo_world)
    frame = world.pandas("s4_device_base_6A", ["device_id", "device_type", "primary_party_id"])
    assert frame["primary_party_id"].dtype == pandas.Int64Dtype()
    assert frame["primary_party_id"].isna().sum() > 0
    assert len(frame) == world.table("s4_device_base_6A", ["device_id"]).num_rows


def test_a_missing_polars_is_named(demo_world, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match="EXTRA_MISSING"):
        fw.open_run(demo_world).polars("s1_party_base_6A")


@pytest.mark.parametrize(
    ("options", "request_type", "without"),
    [(RunOptions, RunRequest, set()), (StreamOptions, StreamRequest, {"run"})],
)
def test_typed_keywords_are_the_fields_of_the_request(
    options: type, request_type: type, without: set[str]
) -> None:
    assert list(options.__annotations__) == [
        name for name in request_type.__dataclass_fields__ if name not in without
    ]


def test_every_public_name_loads() -> None:
    assert [name for name in fw.__all__ if getattr(fw, name) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        fw.fly  # noqa: B018
