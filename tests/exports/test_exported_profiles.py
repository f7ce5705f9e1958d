"""Exports carry layer 6P whole where a run has it, and refuse a layer that is not sealed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fraudworld as fw
from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.contracts.profiles import IDENTITIES, PROFILE_TABLES, PROFILES_BY_NAME
from fraudworld.errors import RefusedError
from fraudworld.export import checked, export, metadata
from fraudworld.export.graph import NODES
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from support.calling import CallResult
from support.exported import differing, read_csv

Call = Callable[..., CallResult]
Make = Callable[[str], Path]
CONFLICT = "6P.P5.OUTPUT_CONFLICT"


@pytest.fixture(scope="module")
def exported(profiled_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Folder of a format, made once."""
    root = tmp_path_factory.mktemp("profiled-exports")

    def make(to: str) -> Path:
        if not (root / to).exists():
            export(fw.open_run(profiled_world), to, root / to)
        return root / to

    return make


@pytest.fixture
def copy(profiled_world: Path, tmp_path: Path) -> Path:
    """A copy of the world whose files a test may replace."""
    run = tmp_path / "runs" / profiled_world.name
    return Path(shutil.copytree(profiled_world, run, copy_function=os.link))


@pytest.mark.parametrize("table", PROFILE_TABLES, ids=lambda table: table.name)
def test_a_csv_holds_every_value_of_a_profile(
    exported: Make, profiled_world: Path, table: Table
) -> None:
    sql = fw.open_run(profiled_world).duckdb()
    path = exported("csv") / f"{table.name}.csv"
    assert differing(sql, table, table.name, read_csv(path, table)) == []
    with path.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == [c.name for c in table.columns]


def test_a_moment_is_written_in_utc_whatever_the_zone_of_the_session(exported: Make) -> None:
    lines = (exported("csv") / "p5_entity_event_6P.csv").read_text("utf-8").splitlines()
    assert all(re.match(r"\d+,\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z,", line) for line in lines[1:])


def test_a_database_holds_every_value_of_profiles_under_constraints(
    exported: Make, profiled_world: Path
) -> None:
    sql = fw.open_run(profiled_world).duckdb()
    sql.execute(f"ATTACH '{exported('duckdb') / 'world.duckdb'}' AS db (READ_ONLY)")
    for table in PROFILE_TABLES:
        assert differing(sql, table, table.name, f"db.{table.name}") == []
    keys = sql.execute(
        "SELECT count(*) FROM duckdb_constraints()"
        " WHERE database_name = 'db' AND constraint_type = 'FOREIGN KEY'"
    ).fetchone()
    every = {**metadata.REFERENCES, **metadata.PROFILE_REFERENCES}
    assert keys == (sum(map(len, every.values())),)
    bare = sql.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'db'"
        " AND comment IS NULL AND table_name LIKE 'p%\\_6P' ESCAPE '\\'"
    ).fetchall()
    assert bare == []
    nodes = sql.execute("SELECT count(email), count(*) FROM db.node_party").fetchone()
    assert nodes == (fw.open_run(profiled_world).receipt["tables"]["s1_party_base_6A"],) * 2


def test_the_metadata_describes_every_column_of_profiles(exported: Make) -> None:
    folder = exported("csv")
    package = json.loads((folder / "datapackage.json").read_text())
    resources = {r["path"]: r["schema"]["fields"] for r in package["resources"]}
    sets = {r["@id"] for r in json.loads((folder / "croissant.json").read_text())["recordSet"]}
    sdv = json.loads((folder / "sdv_metadata.json").read_text())["tables"]
    for table in PROFILE_TABLES:
        fields = {f["name"]: f["type"] for f in resources[f"{table.name}.csv"]}
        assert list(fields) == [c.name for c in table.columns]
        assert sdv[table.name]["columns"].keys() == fields.keys()
        assert table.name in sets
    assert {f["name"]: f["type"] for f in resources["p2_account_profile_6P.csv"]}[
        "opened_on"
    ] == "date"


def test_neo4j_nodes_have_the_columns_of_profiles(exported: Make, profiled_world: Path) -> None:
    rows = fw.open_run(profiled_world).receipt["tables"]
    field = re.compile(r"[a-z0-9_]+(:(long|double|date|boolean))?")
    for node in NODES:
        path = exported("neo4j") / f"nodes_{node.entity}.csv"
        with path.open(newline="", encoding="utf-8") as file:
            header, *cells = list(csv.reader(file))
        assert all(field.fullmatch(name) for name in header[1:])
        names = {name.partition(":")[0] for name in header}
        for name in node.profiles:
            assert {c.name for c in PROFILES_BY_NAME[name].columns} <= names
        if node.table:
            assert len(cells) == rows[node.table]
        if node.label == "Party":
            assert {"born_on:date", "email", "home_lat:double"} <= set(header)


def test_no_property_of_a_node_has_the_name_of_another() -> None:
    """A name in two tables of a node would be ambiguous in its query."""
    for node in NODES:
        tables = [t for t in (*TABLES, *PROFILE_TABLES) if t.name in (
            node.table, node.roles, *node.profiles)]  # fmt: skip
        names = [c.name for t in tables for c in t.columns if c.name != node.key]
        assert len(names) == len(set(names))


def test_ladybug_answers_by_a_column_of_profiles(exported: Make, profiled_world: Path) -> None:
    ladybug = pytest.importorskip("ladybug")
    db = ladybug.Connection(ladybug.Database(str(exported("ladybug") / "world.lbdb")))
    result = db.execute(
        "MATCH (p:Party) WHERE p.born_on IS NOT NULL RETURN p.party_id, p.born_on, p.email"
        " ORDER BY p.party_id LIMIT 20"
    )
    expected = (
        fw.open_run(profiled_world)
        .duckdb()
        .execute(
            "SELECT party_id, born_on, email FROM p1_party_profile_6P JOIN p1_party_identity_6P"
            " USING (party_id) WHERE born_on IS NOT NULL ORDER BY 1 LIMIT 20"
        )
    )
    assert [tuple(row) for row in result.get_all()] == expected.fetchall()


def test_an_export_without_profiles_is_that_of_a_run_without_them(
    profiled_world: Path, copy: Path, tmp_path: Path
) -> None:
    left_out = export(fw.open_run(profiled_world), "csv", tmp_path / "a", profiles=False)
    shutil.rmtree(ProfilesPlace.below(copy).layer)
    never_there = export(fw.open_run(copy), "csv", tmp_path / "b")
    names = sorted(p.name for p in never_there.iterdir())
    assert sorted(p.name for p in left_out.iterdir()) == names
    assert not any(name.startswith("p") and name.endswith("_6P.csv") for name in names)
    for name in names:
        assert (left_out / name).read_bytes() == (never_there / name).read_bytes()


def test_a_layer_without_identities_is_exported_without_them(
    copy: Path, profiled_world: Path, tmp_path: Path
) -> None:
    shutil.rmtree(ProfilesPlace.below(copy).layer)
    make_profiles(
        ProfilesRequest(
            run=copy,
            identities=False,
            upstream_dir=profiled_world.parents[1] / "up",
            allow_unflagged=True,
            workers=1,
        )
    )
    world = fw.open_run(copy)
    names = {p.stem for p in export(world, "csv", tmp_path / "csv").glob("p*_6P.csv")}
    assert names == {t.name for t in PROFILE_TABLES if t not in IDENTITIES}
    graph = export(world, "neo4j", tmp_path / "neo4j")
    header = (graph / "nodes_party.csv").read_text("utf-8").splitlines()[0]
    assert "born_on:date" in header
    assert "email" not in header
    banks = export(world, "csv", tmp_path / "banks", by_bank=True)
    assert not list(banks.glob("*/p1_party_identity_6P.csv"))
    assert list(banks.glob("*/p1_party_profile_6P.csv"))


def changed(place: ProfilesPlace) -> None:
    part = next(place.layer.rglob("part-00000.parquet"))
    data = part.read_bytes()
    part.unlink()
    part.write_bytes(data[:-1] + b"!")


def unsealed(place: ProfilesPlace) -> None:
    place.index.unlink()


def half(place: ProfilesPlace) -> None:
    shutil.rmtree(place.layer / "p3_instrument_profile_6P")


def stray(place: ProfilesPlace) -> None:
    (place.layer / "stray").write_text("x")


def foreign(place: ProfilesPlace) -> None:
    rewritten(place, world_bundle_digest="0" * 64)


def named_otherwise(place: ProfilesPlace) -> None:
    rewritten(place, tables=["s1_party_base_6A"])


def rewritten(place: ProfilesPlace, **facts: object) -> None:
    """Another receipt under a seal that fits it."""
    document = json.loads(place.receipt.read_text()) | facts
    for path in (place.receipt, place.index, place.flag):
        path.unlink(missing_ok=True)
    place.receipt.write_text(json.dumps(document))
    place.seal([], passed=False)


@pytest.mark.parametrize("spoil", [changed, unsealed, half, stray, foreign, named_otherwise])
@pytest.mark.parametrize("by_bank", [False, True], ids=["whole", "by-bank"])
def test_a_layer_that_is_not_as_it_was_sealed_is_refused(
    copy: Path, tmp_path: Path, spoil: Callable[[ProfilesPlace], None], by_bank: bool
) -> None:
    spoil(ProfilesPlace.below(copy))
    with pytest.raises(RefusedError) as refused:
        export(fw.open_run(copy), "csv", tmp_path / "out", by_bank=by_bank)
    assert refused.value.code == CONFLICT
    assert "--without-profiles" in refused.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]
    assert export(fw.open_run(copy), "csv", tmp_path / "out", profiles=False).is_dir()


def test_the_command_leaves_profiles_out_if_asked(
    fraudworld: Call, profiled_world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "csv"
    words = ["export", profiled_world, "--to", "csv", "--without-profiles", "--json", "--out", out]
    result = fraudworld(*words)
    assert result.status == 0, result.err
    assert json.loads(result.out)["files"] == len(TABLES) + 4
    assert not list(out.glob("p*_6P.csv"))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_frictionless_accepts_the_tables_of_profiles(exported: Make) -> None:
    frictionless = pytest.importorskip("frictionless")
    package = frictionless.Package(str(exported("csv") / "datapackage.json"))
    seen = 0
    for resource in package.resources:
        if not resource.name.endswith("_6p"):
            continue
        resource.schema.foreign_keys = []  # DuckDB checks them
        report = resource.validate(frictionless.Checklist(), limit_rows=5_000)
        assert report.valid, report.flatten(["message"])[:3]
        seen += 1
    assert seen == len(PROFILE_TABLES)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["p5_entity_event_6P", "p4_ip_profile_6P", "p2_account_profile_6P"]
)
def test_croissant_reads_the_tables_of_profiles(exported: Make, name: str) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(exported("csv") / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    record = next(iter(dataset.records(record_set=name)))
    assert set(record) == {f"{name}/{c.name}" for c in PROFILES_BY_NAME[name].columns}


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_the_sdmetrics_diagnostic_of_profiles_is_one(exported: Make) -> None:
    """Over the CSV files, read as pandas reads them: keys, references, types, ranges."""
    reports = pytest.importorskip("sdmetrics.reports.multi_table")
    pandas = pytest.importorskip("pandas")
    described = json.loads((exported("csv") / "sdv_metadata.json").read_text())
    data = {}
    for name, table in described["tables"].items():
        frame = pandas.read_csv(
            exported("csv") / f"{name}.csv", keep_default_na=False, na_values=[""]
        )
        for column, what in table["columns"].items():
            if what["sdtype"] == "datetime":
                frame[column] = pandas.to_datetime(frame[column], format=what["datetime_format"])
        data[name] = frame
    report = reports.DiagnosticReport()
    report.generate(data, {n: d.copy() for n, d in data.items()}, described, verbose=False)
    assert report.get_score() == 1.0


def test_every_kind_of_column_has_a_type_in_every_format() -> None:
    for types in (checked.TYPES, metadata._FRICTIONLESS, metadata._CROISSANT, metadata._SDV):
        assert set(types) == set(Kind)
