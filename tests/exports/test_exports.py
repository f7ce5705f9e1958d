"""Every export is read by the tool it is meant for."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import fraudworld as fw
from fraudworld.contracts import BY_NAME
from fraudworld.errors import InputError, RefusedError
from fraudworld.export import FORMATS, export, metadata
from fraudworld.export.graph import EDGES, NODES
from fraudworld.verification import verify
from support.upstreams import of_one_country

TRUTH = {"raw_role", "canonical_role_family", "risk_tier"}


@pytest.fixture(scope="module")
def exported(demo_world, tmp_path_factory) -> Callable[..., Path]:
    """Folder of a format, made once."""
    root = tmp_path_factory.mktemp("exports")

    def make(to: str, *, observable: bool = False) -> Path:
        dest = root / f"{to}{observable}"
        if not dest.exists():
            export(fw.open_run(demo_world), to, dest, observable=observable)
        return dest

    return make


@pytest.fixture(scope="module")
def rows(demo_world) -> dict[str, int]:
    return json.loads((demo_world / "run_receipt.json").read_text())["tables"]


def test_duckdb_holds_every_row_under_constraints(exported, rows):
    with duckdb.connect(str(exported("duckdb") / "world.duckdb"), read_only=True) as db:
        for table, n in rows.items():
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (n,)
        constraints = db.execute(
            "SELECT constraint_type, count(*) FROM duckdb_constraints() GROUP BY ALL"
        ).fetchall()
        assert dict(constraints)["FOREIGN KEY"] == sum(map(len, metadata.REFERENCES.values()))
        assert dict(constraints)["PRIMARY KEY"] >= 13
        uncommented = db.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL"
            " AND NOT internal AND table_name LIKE 's%\\_6A' ESCAPE '\\'"
        ).fetchall()
        assert uncommented == []
        hops = db.execute(
            "SELECT count(DISTINCT other.target) FROM edge_party_owns_account own"
            " JOIN edge_device_reaches_account r ON r.target = own.target"
            " JOIN edge_device_seen_on_ip s ON s.source = r.source"
            " JOIN edge_device_seen_on_ip near ON near.target = s.target"
            " JOIN edge_device_used_by_party other ON other.source = near.source"
            " WHERE own.source = 1"
        ).fetchone()
        assert hops
        assert hops[0] >= 1


def test_duckdb_constraints_refuse_invalid_rows(exported, tmp_path):
    copy = tmp_path / "world.duckdb"
    copy.write_bytes((exported("duckdb") / "world.duckdb").read_bytes())
    with duckdb.connect(str(copy)) as db:
        with pytest.raises(duckdb.ConstraintException, match="foreign key"):
            db.execute("UPDATE s2_account_base_6A SET owner_party_id = 0 WHERE account_id = 1")
        with pytest.raises(duckdb.ConstraintException, match=r"[Dd]uplicate key"):
            db.execute(
                "INSERT INTO s1_party_base_6A SELECT * FROM s1_party_base_6A WHERE party_id = 1"
            )


def test_csv_files_hold_the_world_and_follow_rfc_4180(exported, rows):
    folder = exported("csv")
    for table, n in rows.items():
        with (folder / f"{table}.csv").open(newline="") as file:
            reader = csv.reader(file)
            assert next(reader) == [c.name for c in BY_NAME[table].columns]
            if n < 100_000:
                assert sum(1 for _ in reader) == n


@pytest.fixture(scope="module")
def namibia(tmp_path_factory) -> fw.World:
    """The smallest world in countries: all of it in Namibia, whose code is NA."""
    root = tmp_path_factory.mktemp("namibia")
    upstream = of_one_country(root / "up", "NA", "REGION_EMEA", "NAD", 0.005)
    return fw.generate(upstream_dir=upstream, runs_root=root / "runs", workers=1)


def test_a_world_of_one_country_is_made_and_verified(namibia):
    assert verify(namibia.root, upstream=namibia.root.parents[1] / "up").holds
    countries = namibia.duckdb().sql("SELECT DISTINCT country_iso FROM s1_party_base_6A")
    assert countries.fetchall() == [("NA",)]


def test_namibia_is_no_missing_value(namibia, tmp_path):
    """pandas takes NA for missing, also in quotes, unless it is told what the metadata declares."""
    folder = export(namibia, "csv", tmp_path / "csv")
    described = json.loads((folder / "datapackage.json").read_text())
    (resource,) = [r for r in described["resources"] if r["name"] == "s1_party_base_6a"]
    path = folder / resource["path"]
    assert all(',"NA",' in line for line in path.read_text("utf-8").splitlines()[1:])
    here = duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE country_iso = 'NA'").fetchall()
    pandas = pytest.importorskip("pandas")
    missing = resource["schema"]["missingValues"]
    frame = pandas.read_csv(path, keep_default_na=False, na_values=missing)
    assert [((frame["country_iso"] == "NA").sum(),)] == here
    assert here[0][0] > 0
    polars = pytest.importorskip("polars")
    assert (polars.read_csv(path)["country_iso"] == "NA").sum() == here[0][0]


@pytest.mark.full
@pytest.mark.parametrize("version", ["1.1.3", "1.2.2", "1.3.2", "1.4.4"])
def test_earlier_releases_of_duckdb_open_the_database(exported, rows, tmp_path, version):
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run([*install, tmp_path, f"duckdb=={version}"], check=False)
    if done.returncode:
        pytest.skip(f"DuckDB {version} cannot be installed here")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import duckdb\n"
        "db = duckdb.connect(sys.argv[2], read_only=True)\n"
        "n = db.execute('SELECT count(*) FROM s1_party_base_6A').fetchone()[0]\n"
        "edges = db.execute('SELECT count(*) FROM edge_party_owns_account').fetchone()[0]\n"
        "seed = db.execute('SELECT receipt->>\\'seed\\' FROM run').fetchone()[0]\n"
        "print(duckdb.__version__, n, edges, seed)"
    )
    place = str(exported("duckdb") / "world.duckdb")
    words = [sys.executable, "-I", "-c", code, str(tmp_path), place]
    read = subprocess.run(words, capture_output=True, text=True, check=False)
    parties, accounts = rows["s1_party_base_6A"], rows["s2_account_base_6A"]
    assert read.stdout == f"{version} {parties} {accounts} 42\n", read.stderr


def header(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file))


def test_neo4j_headers_and_ids_suit_its_importer(exported):
    """Headers follow the grammar of neo4j-admin; both ends of every relationship exist."""
    folder = exported("neo4j")
    field = re.compile(r"[a-z_]+(:(long|double))?")
    spaces = {}
    command = (folder / "import.sh").read_text()
    for node in NODES:
        path = folder / f"nodes_{node.entity}.csv"
        first, *others = header(path)
        assert first == f"{node.key}:ID({node.label}){{id-type:long}}"
        assert all(field.fullmatch(name) for name in others)
        assert f"--nodes={node.label}={path.name}" in command
        spaces[node.label] = f"(SELECT \"{first}\" AS id FROM read_csv('{path}', header=true))"
    for edge in EDGES:
        path = folder / f"edges_{edge.source}_{edge.type}_{edge.target}.csv".lower()
        assert header(path)[:2] == [f":START_ID({edge.source})", f":END_ID({edge.target})"]
        assert f"--relationships={edge.type}={path.name}" in command
        for end, label in (("START_ID", edge.source), ("END_ID", edge.target)):
            lost = duckdb.sql(
                f"SELECT count(*) FROM read_csv('{path}', header=true) e WHERE NOT EXISTS"
                f' (FROM {spaces[label]} n WHERE n.id = e.":{end}({label})")'
            ).fetchall()
            assert lost == [(0,)]


@pytest.mark.parametrize("to", ["duckdb", "csv", "neo4j"])
def test_observable_exports_hold_no_truth(exported, to):
    folder = exported(to, observable=True)
    if to == "duckdb":
        with duckdb.connect(str(folder / "world.duckdb"), read_only=True) as db:
            names = {
                n for (n,) in db.execute("SELECT column_name FROM duckdb_columns()").fetchall()
            }
    else:
        names = {n.split(":")[0] for path in folder.glob("*.csv") for n in header(path)}
        assert not list(folder.glob("s5_*"))
        assert not TRUTH & set(
            re.findall(r"[a-z_]+", "".join(p.read_text() for p in folder.glob("*.json")))
        )
    assert "party_id" in names
    assert not TRUTH & names


def test_ladybug_answers_three_hops(exported, demo_world):
    """party → device → IP → other parties: Cypher and SQL give the same parties."""
    ladybug = pytest.importorskip("ladybug")
    db = ladybug.Connection(ladybug.Database(str(exported("ladybug") / "world.lbdb")))
    result = db.execute(
        "MATCH (p:Party {party_id: 7})<-[:USED_BY]-(d:Device)-[:SEEN_ON]->(i:Ip)"
        "<-[:SEEN_ON]-(e:Device)-[:USED_BY]->(q:Party) WHERE q.party_id <> 7"
        " RETURN DISTINCT q.party_id ORDER BY q.party_id"
    )
    by_cypher = [row[0] for row in result.get_all()]
    by_sql = (
        fw.open_run(demo_world)
        .duckdb()
        .execute(
            "WITH used AS (SELECT device_id, party_id FROM s4_device_links_6A"
            " WHERE party_id IS NOT NULL)"
            " SELECT DISTINCT q.party_id FROM used p JOIN s4_ip_links_6A a USING (device_id)"
            " JOIN s4_ip_links_6A b ON b.ip_id = a.ip_id JOIN used q ON q.device_id = b.device_id"
            " WHERE p.party_id = 7 AND q.party_id <> 7 ORDER BY 1"
        )
        .fetchall()
    )
    assert by_cypher == [q for (q,) in by_sql]
    assert len(by_cypher) > 3


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_pyg_trains_an_epoch(exported):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    from torch_geometric.nn import HeteroConv, Linear, SAGEConv

    data = torch.load(exported("pyg") / "hetero.pt", weights_only=False)
    assert data.validate()
    torch.manual_seed(1)
    conv = HeteroConv({e: SAGEConv((-1, -1), 8) for e in data.edge_types})
    head = Linear(8, 2)
    with torch.no_grad():
        conv(data.x_dict, data.edge_index_dict)
    optimiser = torch.optim.Adam([*conv.parameters(), *head.parameters()], lr=0.01)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        scores = head(conv(data.x_dict, data.edge_index_dict)["Device"].relu())
        loss = torch.nn.functional.cross_entropy(scores, data["Device"].y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_frictionless_reports_no_error(exported):
    frictionless = pytest.importorskip("frictionless")
    package = frictionless.Package(str(exported("csv") / "datapackage.json"))
    for resource in package.resources:
        resource.schema.foreign_keys = []  # DuckDB checks them; they would load every parent table
        report = resource.validate(frictionless.Checklist(), limit_rows=5_000)
        assert report.valid, report.flatten(["message"])[:3]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_croissant_is_read_by_mlcroissant(exported):
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(exported("csv") / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    record = next(iter(dataset.records(record_set="s1_party_summary_6A")))
    assert set(record) == {
        f"s1_party_summary_6A/{c.name}" for c in BY_NAME["s1_party_summary_6A"].columns
    }


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_the_sdmetrics_diagnostic_score_is_one(exported, demo_world):
    """The multi-table diagnostic over the exported metadata: keys, references, types, ranges."""
    reports = pytest.importorskip("sdmetrics.reports.multi_table")
    described = json.loads((exported("csv") / "sdv_metadata.json").read_text())
    world = fw.open_run(demo_world)
    data = {
        name: world.table(name, list(table["columns"])).to_pandas()
        for name, table in described["tables"].items()
    }
    report = reports.DiagnosticReport()
    report.generate(data, {n: d.copy() for n, d in data.items()}, described, verbose=False)
    assert report.get_score() == 1.0


def test_a_neighbourhood_as_a_networkx_graph(demo_world):
    networkx = pytest.importorskip("networkx")
    from fraudworld.export.graphs import networkx_graph

    graph = networkx_graph(fw.open_run(demo_world), 7, hops=2)
    assert graph.has_node(("Party", 7))
    assert networkx.is_weakly_connected(graph)
    assert {d["label"] for _, d in graph.nodes(data=True)} >= {"Party", "Account", "Device"}
    with pytest.raises(InputError, match="PARTY_NOT_FOUND"):
        networkx_graph(fw.open_run(demo_world), 10**9)


def test_edges_of_one_kind_as_an_igraph_graph(demo_world, rows):
    pytest.importorskip("igraph")
    from fraudworld.export.graphs import igraph_graph

    graph = igraph_graph(fw.open_run(demo_world), "OWNS")
    assert graph.is_bipartite()
    assert graph.ecount() == rows["s2_account_base_6A"]
    with pytest.raises(InputError, match="there is no edge"):
        igraph_graph(fw.open_run(demo_world), "LIKES")


def test_a_failed_export_leaves_nothing(demo_world, tmp_path):
    world = fw.open_run(demo_world)
    with pytest.raises(InputError, match="there is no format 'xls'"):
        export(world, "xls", tmp_path / "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(RefusedError, match="EXPORT_EXISTS"):
        export(world, "csv", tmp_path / "taken")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="EXPORT_FAILED"):
        export(world, "csv", tmp_path / "file" / "below")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


def test_a_missing_library_is_named_with_its_remedy(demo_world, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ladybug", None)
    with pytest.raises(InputError) as error:
        export(fw.open_run(demo_world), "ladybug", tmp_path / "out")
    assert error.value.code == "6A.CLI.EXTRA_MISSING"
    assert "fraudworld[graphdb]" in error.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_and_prints_a_summary(fraudworld, demo_world, tmp_path):
    result = fraudworld("export", demo_world, "--to", "csv", "--out", tmp_path / "csv", "--json")
    assert result.status == 0
    facts = json.loads(result.out)
    assert (facts["format"], facts["files"]) == ("csv", len(BY_NAME) + 4)
    assert {f.name for f in FORMATS} == {"duckdb", "csv", "neo4j", "ladybug", "pyg"}
