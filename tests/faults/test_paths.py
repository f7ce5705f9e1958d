"""Paths: every character of a name means itself, and a relative path means one place.

DuckDB reads some characters as patterns and shells read others; beside every hostile name stands a
decoy, another run, that a pattern would match.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_origin, get_type_hints

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

import fraudworld as fw
from fraudworld.cli import options
from fraudworld.cli.app import app
from fraudworld.errors import InputError
from fraudworld.request import RunRequest
from fraudworld.store.layout import RunPlace
from fraudworld.store.sql import parquet
from support.calling import CallResult

Call = Callable[..., CallResult]

NAMES = {
    "w[1]": "w1", "w?": "wx", "w*": "wx", "**": "w", "[!w]": "x", "{a,b}": "a", "[": "w",
    "w\\1": "w", "w'q": "wq", 'w"q': "wq", "$(y) `z`": "z", "~": "home", "$HOME": "HOME",
    "%41": "A", "#x": "x", "file:": "file", "s3:x": "x", "a b": "ab", "ü": "u", "w\n1": "w",
    ".hidden": "hidden", "_ignored": "ignored", "seed=7": "seed=9",
}  # fmt: skip
"""Hostile name → name of the decoy beside it."""
ALL = "w[1]*?{a,b}'\"$x ~ü"
DECOY = "w1zz{a,b}'\"$x ~ü"
PARTIES = "s1_party_base_6A"


def paths_of(program: typer.Typer) -> Iterator[tuple[str, object]]:
    """Every parameter of a program that is a path, and the callback typer gives its value to."""
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from paths_of(group.typer_instance)
    for command in program.registered_commands:
        assert command.callback is not None
        hints = get_type_hints(command.callback, include_extras=True)
        for name, hint in hints.items():
            if get_origin(hint) is Annotated and hint.__origin__ in (Path, Path | None):
                yield f"{command.name} {name}", hint.__metadata__[0].callback


@pytest.fixture(scope="module")
def beside(small_world: Path, demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ALL`, the small world, beside `DECOY`, the demo world."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / ALL).symlink_to(small_world)
    (folder / DECOY).symlink_to(demo_world)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_world_is_read_from_the_folder_named_and_from_no_other(
    small_world: Path, demo_world: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to(small_world)
    (tmp_path / NAMES[name]).symlink_to(demo_world)
    rows = fw.open_run(small_world).receipt["tables"][PARTIES]
    world = fw.open_run(tmp_path / name)
    assert world.table(PARTIES, ["party_id"]).num_rows == rows
    counted = world.duckdb().sql(f"SELECT count(*) FROM {PARTIES}").fetchall()
    assert counted == [(rows,)]


@pytest.mark.parametrize("name", NAMES)
def test_sql_reads_a_file_by_its_name_alone(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, value in ((name, 1), (NAMES[name], 2)):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"a": [value]}), tmp_path / folder / "part-0.parquet")
    with duckdb.connect() as sql:
        table = parquet([tmp_path / name / "part-0.parquet"])
        assert sql.execute(f"FROM {table}").fetchall() == [(1,)]


def test_a_path_that_duckdb_cannot_take_literally_is_refused(tmp_path: Path) -> None:
    """A wildcard makes DuckDB read the backslash before it as the end of a folder's name."""
    (tmp_path / "w" / "1").mkdir(parents=True)
    with pytest.raises(InputError, match=r"6A\.CLI\.PATH_INVALID.*backslash"):
        parquet([tmp_path / "w\\[1]" / "part-0.parquet"])


@pytest.mark.parametrize(
    "words",
    [
        ("gates", "{run}", "--json"),
        ("verify", "{run}"),
        ("report", "{run}", "--out", "{tmp}/page"),
        ("export", "{run}", "--to", "csv", "--out", "{tmp}/[1]*"),
        ("export", "{run}", "--to", "duckdb", "--out", "{tmp}/[1]*"),
        ("profiles", "{run}", "--workers", "1", "--quiet", "--json", "--to", "{tmp}/[1]*"),
        ("transactions", "{run}", "--days", "1", "--quiet", "--json", "--to", "{tmp}/[1]*"),
    ],
    ids=lambda words: " ".join(words[:1] + words[2:4]),
)
def test_commands_read_the_run_named_and_no_other(
    fraudworld: Call, beside: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "1x").mkdir()
    called = [word.format(run=beside / ALL, tmp=tmp_path) for word in words]
    result = fraudworld(*called)
    assert result.status == 0, result.err
    rows = fw.open_run(beside / ALL).receipt["tables"][PARTIES]
    if words[0] == "gates":
        assert json.loads(result.out)["seed"] == 7
    elif "csv" in words:
        lines = (tmp_path / "[1]*" / f"{PARTIES}.csv").read_text("utf-8").splitlines()
        assert len(lines) == rows + 1
    elif "duckdb" in words:
        with duckdb.connect(tmp_path / "[1]*" / "world.duckdb", read_only=True) as sql:
            assert sql.execute(f"SELECT count(*) FROM {PARTIES}").fetchall() == [(rows,)]
    elif words[0] in ("profiles", "transactions"):
        assert json.loads(result.out)["passed"] is True
    assert list((tmp_path / "1x").iterdir()) == []


def test_the_script_of_a_run_reads_the_run_named_and_no_other(beside: Path) -> None:
    words = [sys.executable, "-I", beside / ALL / "reports/verify.py", beside / ALL]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_path_of_the_command_line_is_made_absolute() -> None:
    found = dict(paths_of(app))
    assert len(found) > 20
    assert [name for name, callback in found.items() if callback is not options.absolute] == []


def test_paths_of_a_request_are_absolute_whatever_the_working_folder_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    request = RunRequest(
        runs_root="runs",  # type: ignore[arg-type]
        policy_dir=Path("~/pack"),
        overlays=("delta_b_ip", "./mine.yaml"),
    )
    monkeypatch.chdir("/")
    assert request.runs_root == tmp_path / "runs"
    assert request.policy_dir == tmp_path / "home" / "pack"
    assert request.overlays == ("delta_b_ip", str(tmp_path / "mine.yaml"))


def test_a_home_folder_means_the_same_to_the_command_line(
    fraudworld: Call, small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").symlink_to(small_world.parent)
    monkeypatch.setenv("HOME", str(tmp_path))
    listed = json.loads(fraudworld("runs", "list", "--runs-root", "~/x", "--json").out)
    assert [run["run_id"] for run in listed] == [small_world.name]
    run = f"~/x/{small_world.name}"
    assert fraudworld("gates", run, "--json").status == 0


def test_a_world_is_found_after_the_working_folder_changes(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_world.parent)
    world = fw.open_run(small_world.name)
    monkeypatch.chdir("/")
    assert world.receipt["seed"] == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a\udce9b", "its name is no UTF-8"),
        ("", "empty or holds a NUL"),
        ("a\0b", "empty or holds a NUL"),
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/x", "no home folder ~nobody-of-this-name"),
    ],
)
def test_a_text_that_is_no_path_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        RunRequest(runs_root=text)  # type: ignore[arg-type]
    assert caught.value.code == "6A.CLI.PATH_INVALID"
    str(caught.value).encode("utf-8")


def test_a_deleted_working_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match="the working folder was deleted"):
        RunRequest()
    assert RunRequest(runs_root=tmp_path).runs_root == tmp_path


def test_a_runs_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    root = RunRequest(runs_root=tmp_path / "link").runs_root
    assert root == tmp_path / "link"
    assert os.path.realpath(RunPlace(root).root) == str(tmp_path / "real")
