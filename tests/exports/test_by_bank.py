"""`export --by-bank`: every bank gets the rows it sees, and no other."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import fraudworld as fw
from fraudworld.contracts import BY_NAME, TABLES, Kind, Table, Visibility
from fraudworld.contracts.profiles import ENTITY_TYPES, PROFILE_TABLES, PROFILES_BY_NAME
from fraudworld.errors import InputError
from fraudworld.export import by_bank, export
from fraudworld.request import Progress
from support.calling import CallResult
from support.exported import differing, read_csv

Call = Callable[..., CallResult]
Row = dict[str, Any]
ALL = {t.name: t for t in (*TABLES, *PROFILE_TABLES)}
TRUTH = {t.name for t in TABLES if t.visibility is Visibility.TRUTH}


@pytest.fixture(scope="module")
def folder(profiled_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole world by bank, as CSV, truth included."""
    dest = tmp_path_factory.mktemp("by-bank") / "csv"
    return export(fw.open_run(profiled_world), "csv", dest, by_bank=True)


@pytest.fixture(scope="module")
def rows(profiled_world: Path) -> dict[str, list[Row]]:
    """Every dataset of the world in plain Python."""
    world = fw.open_run(profiled_world)
    return {
        name: world.table(name, [c.name for c in ALL[name].columns]).to_pylist() for name in ALL
    }


def banks(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("bank-*"):
        yield int(path.name.removeprefix("bank-")), path


def cells(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_text(table: Table, row: Row) -> Row:
    """A row as the cells of a CSV; numbers that are real are compared as numbers."""
    said: Row = {}
    for column in table.columns:
        value = row[column.name]
        if value is None:
            said[column.name] = ""
        elif column.kind is Kind.FLAG:
            said[column.name] = str(value).lower()
        elif column.kind is Kind.MOMENT:
            said[column.name] = value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        else:
            said[column.name] = str(value)
    return said


def comparable(table: Table, row: Row) -> tuple[object, ...]:
    real = {c.name for c in table.columns if c.kind is Kind.REAL}
    return tuple(float(v) if k in real else v for k, v in row.items())


class Sees:
    """What every bank sees, row by row: sets of ids by bank."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self.rows = rows
        owner = {r["account_id"]: r["owner_party_id"] for r in rows["s2_account_base_6A"]}
        bank_of = {r["account_id"]: r["bank_id"] for r in rows["p2_account_profile_6P"]}
        self.account: dict[int, set[int]] = defaultdict(set)
        self.party: dict[int, set[int]] = defaultdict(set)
        self.instrument: dict[int, set[int]] = defaultdict(set)
        self.device: dict[int, set[int]] = defaultdict(set)
        self.ip: dict[int, set[int]] = defaultdict(set)
        for account, bank in bank_of.items():
            self.account[bank].add(account)
            self.party[bank].add(owner[account])
        for r in rows["p2_account_profile_6P"]:
            if r["joint_party_id"] is not None:
                self.party[r["bank_id"]].add(r["joint_party_id"])
        for r in rows["s3_instrument_base_6A"]:
            self.instrument[bank_of[r["account_id"]]].add(r["instrument_id"])
        self.banks = sorted(self.account)

        def inverse(sets: dict[int, set[int]]) -> dict[int, list[int]]:
            seen: dict[int, list[int]] = defaultdict(list)
            for bank, ids in sets.items():
                for id_ in ids:
                    seen[id_].append(bank)
            return seen

        self.of = {
            name: inverse(getattr(self, name)) for name in ("account", "party", "instrument")
        }
        for r in rows["s4_device_links_6A"]:
            for bank in self.of_link(r):
                self.device[bank].add(r["device_id"])
        self.of["device"] = inverse(self.device)
        for r in rows["s4_ip_links_6A"]:
            for bank in self.of["device"].get(r["device_id"], ()):
                self.ip[bank].add(r["ip_id"])
        self.of["ip"] = inverse(self.ip)

    def of_link(self, row: Row) -> Iterable[int]:
        """The banks that see the target of a link of a device."""
        for entity in ("party", "account", "instrument"):
            if row[f"{entity}_id"] is not None:
                return self.of[entity].get(row[f"{entity}_id"], ())
        return ()

    def of_event(self, row: Row) -> Iterable[int]:
        entity = row["entity_type"].lower()
        if entity in ("party", "device"):
            return self.of["party"].get(row["party_id"], ())
        return self.of[entity].get(row["entity_id"], ())

    def expected(self, name: str) -> dict[int, list[Row]]:
        """Rows of a dataset by bank, ids of strangers left out."""
        table, found = ALL[name], defaultdict(list)
        nulled = {"p1_party_profile_6P": "employer_party_id",
                  "s4_device_base_6A": "primary_party_id"}.get(name)  # fmt: skip
        for row in self.rows[name]:
            if name == "s4_device_links_6A":
                seers = self.of_link(row)
            elif name == "p5_entity_event_6P":
                seers = self.of_event(row)
            elif name == "s4_ip_links_6A":
                seers = self.of["device"].get(row["device_id"], ())
            elif name == "s3_account_instrument_links_6A":
                seers = self.of["instrument"].get(row["instrument_id"], ())
            else:
                key = table.key[-1]
                seers = self.of[key.removesuffix("_id")].get(row[key], ())
            for bank in seers:
                mine = dict(row)
                if nulled and mine[nulled] not in self.party[bank]:
                    mine[nulled] = None
                found[bank].append(mine)
        return found


@pytest.fixture(scope="module")
def sees(rows: dict[str, list[Row]]) -> Sees:
    return Sees(rows)


def test_every_table_is_shared_by_bank_whole_or_left_out() -> None:
    named = [*by_bank.SHARES, *by_bank.REFERENCE, *by_bank.NO_BANK]
    assert sorted(named) == sorted([*BY_NAME, *PROFILES_BY_NAME])


@pytest.mark.parametrize("name", by_bank.SHARES)
def test_every_folder_has_the_rows_that_its_bank_sees(folder: Path, sees: Sees, name: str) -> None:
    table, expected = ALL[name], sees.expected(name)
    found = dict(banks(folder))
    assert sorted(found) == sees.banks
    for bank, path in found.items():
        here = sorted(comparable(table, r) for r in cells(path / f"{name}.csv"))
        there = sorted(comparable(table, as_text(table, r)) for r in expected[bank])
        assert here == there


def test_every_account_is_in_exactly_one_folder(folder: Path, rows: dict[str, list[Row]]) -> None:
    for name in ("s2_account_base_6A", "p2_account_profile_6P"):
        ids = [int(r["account_id"]) for _, p in banks(folder) for r in cells(p / f"{name}.csv")]
        assert len(ids) == len(set(ids))
        assert set(ids) == {r["account_id"] for r in rows["s2_account_base_6A"]}


def test_a_party_is_in_the_folder_of_each_of_its_banks(
    folder: Path, rows: dict[str, list[Row]]
) -> None:
    folders: dict[int, set[int]] = defaultdict(set)
    for bank, path in banks(folder):
        for row in cells(path / "s1_party_base_6A.csv"):
            folders[int(row["party_id"])].add(bank)
    owner = {r["account_id"]: r["owner_party_id"] for r in rows["s2_account_base_6A"]}
    held: dict[int, set[int]] = defaultdict(set)
    for r in rows["p2_account_profile_6P"]:
        held[owner[r["account_id"]]].add(r["bank_id"])
        if r["joint_party_id"] is not None:
            held[r["joint_party_id"]].add(r["bank_id"])
    assert folders == held
    assert any(len(seen) > 1 for seen in folders.values())


def test_rows_are_in_the_order_of_their_table(folder: Path) -> None:
    path = max(
        (p for _, p in banks(folder)), key=lambda p: (p / "s2_account_base_6A.csv").stat().st_size
    )
    for name in by_bank.SHARES:
        (sort, *_) = ALL[name].sort
        ids = [int(r[sort]) for r in cells(path / f"{name}.csv")]
        assert ids == sorted(ids)


def test_a_manifest_counts_the_rows_of_its_folder(folder: Path, profiled_world: Path) -> None:
    receipt = fw.open_run(profiled_world).receipt
    for path in (*(p for _, p in banks(folder)), folder / "reference"):
        manifest = json.loads((path / "manifest.json").read_text())
        counted = {p.stem: len(cells(p)) for p in path.glob("*.csv")}
        assert manifest["tables"] == counted
        assert manifest["run_id"] == receipt["run_id"]
        assert manifest.get("bank_id") == (
            None if path.name == "reference" else int(path.name.removeprefix("bank-"))
        )
    assert not list(folder.glob(".*"))


def test_reference_tables_are_whole(folder: Path, rows: dict[str, list[Row]]) -> None:
    names = {p.stem for p in (folder / "reference").glob("*.csv")}
    assert names == set(by_bank.REFERENCE)
    for name in names:
        assert [as_text(ALL[name], r) for r in rows[name]] == cells(
            folder / "reference" / f"{name}.csv"
        )


def test_events_of_every_type_of_entity_are_shared(rows: dict[str, list[Row]]) -> None:
    assert {r["entity_type"] for r in rows["p5_entity_event_6P"]} == set(ENTITY_TYPES)


def test_databases_hold_the_same_rows_under_constraints(
    folder: Path, profiled_world: Path, tmp_path: Path
) -> None:
    steps: list[Progress] = []
    dest = export(
        fw.open_run(profiled_world), "duckdb", tmp_path / "db", by_bank=True, progress=steps.append
    )
    assert steps[-1].done == steps[-1].total == sum(1 for _ in banks(folder))
    assert sorted(dict(banks(dest))) == sorted(dict(banks(folder)))
    sizes = {b: (p / "s2_account_base_6A.csv").stat().st_size for b, p in banks(folder)}
    chosen = sorted(sizes, key=sizes.__getitem__)
    for bank in (chosen[0], chosen[-1]):
        manifest = json.loads((folder / f"bank-{bank}/manifest.json").read_text())
        assert json.loads((dest / f"bank-{bank}/manifest.json").read_text()) == manifest
        with duckdb.connect(str(dest / f"bank-{bank}/world.duckdb"), read_only=True) as sql:
            for name in by_bank.SHARES:
                text = read_csv(folder / f"bank-{bank}/{name}.csv", ALL[name])
                assert differing(sql, ALL[name], name, text) == []
            edges = sql.execute("SELECT count(*) FROM edge_party_owns_account").fetchone()
            assert edges == (manifest["tables"]["s2_account_base_6A"],)
            assert sql.execute("SELECT count(*) FROM node_party").fetchone() == (
                manifest["tables"]["s1_party_base_6A"],
            )
            kinds = dict(
                sql.execute(
                    "SELECT constraint_type, count(*) FROM duckdb_constraints() GROUP BY ALL"
                ).fetchall()
            )
            assert kinds["FOREIGN KEY"] > 20
    with duckdb.connect(str(dest / "reference/world.duckdb"), read_only=True) as sql:
        assert sql.execute("SELECT count(*) > 0 FROM p0_terminal_6P").fetchone() == (True,)
        assert sql.execute("SELECT receipt->>'seed' FROM run").fetchone() == ("42",)


def test_an_observable_export_holds_no_truth(profiled_world: Path, tmp_path: Path) -> None:
    world = fw.open_run(profiled_world)
    dest = export(world, "csv", tmp_path / "csv", observable=True, by_bank=True)
    names = {p.stem for p in dest.glob("*/*.csv")}
    assert names == {*by_bank.SHARES, *by_bank.REFERENCE} - TRUTH
    headers = {c for p in dest.glob("*/*.csv") for row in cells(p)[:1] for c in row}
    assert not {"raw_role", "canonical_role_family", "risk_tier", "circle_id"} & headers


def test_a_run_without_profiles_names_the_command_that_makes_them(
    small_world: Path, tmp_path: Path, fraudworld: Call
) -> None:
    with pytest.raises(InputError) as error:
        export(fw.open_run(small_world), "csv", tmp_path / "out", by_bank=True)
    assert error.value.code == "6A.CLI.DATASET_NOT_FOUND"
    assert f"fraudworld profiles {small_world.name}" in error.value.remedy
    words = ["export", small_world, "--to", "csv", "--by-bank", "--out", tmp_path / "out"]
    assert fraudworld(*words).status == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "profiles"), [("neo4j", True), ("ladybug", True), ("pyg", True), ("csv", False)]
)
def test_an_export_that_cannot_be_divided_is_bad_input(
    profiled_world: Path, tmp_path: Path, to: str, profiles: bool
) -> None:
    with pytest.raises(InputError) as error:
        export(fw.open_run(profiled_world), to, tmp_path / "x", profiles=profiles, by_bank=True)
    assert (error.value.code, error.value.where) == ("6A.CLI.ARGUMENT_INVALID", "--by-bank")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0, 7])
def test_a_full_disk_leaves_nothing(
    profiled_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    calls, honest = [], by_bank.cut

    def full(rows: Path, *arguments: Any) -> None:
        calls.append(rows)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(rows))
        honest(rows, *arguments)

    monkeypatch.setattr(by_bank, "cut", full)
    with pytest.raises(InputError, match="No space left") as error:
        export(fw.open_run(profiled_world), "csv", tmp_path / "out", by_bank=True)
    assert error.value.code == "6A.CLI.EXPORT_FAILED"
    assert len(calls) == after + 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_progress_and_a_summary(
    fraudworld: Call, profiled_world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "csv"
    words = ["export", profiled_world, "--to", "csv", "--by-bank", "--observable", "--out", out]
    result = fraudworld(*words)
    assert result.status == 0, result.err
    assert "rows" in result.err
    assert "for every bank" in result.out
    quiet = fraudworld(*words[:-1], tmp_path / "again", "--quiet", "--json")
    assert quiet.err == ""
    assert json.loads(quiet.out)["by_bank"] is True


@pytest.mark.parametrize("chunk", [1, 2, 3, 64])
@pytest.mark.parametrize("counts", [[0, 0], [3, 0, 4], [0, 7], [7, 0, 0], [1] * 7])
def test_a_csv_is_cut_at_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int], chunk: int
) -> None:
    monkeypatch.setattr(by_bank, "_CHUNK", chunk)
    lines = ["", "1,a", "22,é", "3,", "", "5,b", "666,c"][: sum(counts)]
    (tmp_path / "rows").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    paths = [tmp_path / f"{i}.csv" for i in range(len(counts))]
    by_bank.cut(tmp_path / "rows", "id,x", counts, paths)
    start = 0
    for n, path in zip(counts, paths, strict=True):
        expected = "".join(f"{line}\n" for line in ["id,x", *lines[start : start + n]])
        assert path.read_text("utf-8") == expected
        start += n
    assert not (tmp_path / "rows").exists()


def test_the_ends_of_lines_are_found_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_bank, "_CHUNK", 5)
    path = tmp_path / "text"
    path.write_bytes(b"a\nbb\n\nccc\n")
    assert by_bank.line_ends(path, np.array([0, 0, 1, 2, 3, 3, 4])).tolist() == [
        0, 0, 2, 5, 6, 6, 10,
    ]  # fmt: skip
