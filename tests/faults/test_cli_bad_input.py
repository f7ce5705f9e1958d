"""Bad arguments on the command line: a typed error, status 2, nothing published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld import api
from fraudworld.errors import InputError
from fraudworld.request import RunRequest
from support.calling import CallResult

Call = Callable[..., CallResult]


@pytest.mark.parametrize(
    "words",
    [
        "run --seed abc",
        "run --seed -1",
        "run --seed 9223372036854775808",
        "run --seed 1.5",
        "run --profile huge",
        "run --scale 0",
        "run --scale nan",
        "run --scale inf",
        "run --scale -1",
        "run --workers 0",
        "run --shard-parties -1",
        "run --engine spark",
        "run --scheduler tcp://there:8786",
        "run --engine dask --memory 2",
        "run --role best",
        "run --run-id ../x",
        "run --colour red",
        "run surplus",
        "fly",
        "gates",
        "policy show no_such_file",
        "policy lint --overlay no_such_overlay",
        "policy lint --policy no/such/folder",
        "policy diff",
        "certify --seeds 42,42,7,101",
        "certify --seeds 42;7",
        "certify --seeds ,",
        "certify --seeds -1,7,101,202",
        "upstream build",
    ],
)
def test_bad_arguments_end_with_2_and_publish_nothing(
    fraudworld: Call, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = fraudworld(*words.split(" "))
    assert result.status == 2
    assert result.err.strip()
    assert "Traceback" not in result.err + result.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("gates",), ("runs", "show"), ("perf", "show")])
@pytest.mark.parametrize("run", ["", "abcd", "no/such/folder", "../..", "."])
def test_a_folder_that_is_not_a_run_is_refused(
    fraudworld: Call, command: tuple[str, ...], run: str, tmp_path: Path
) -> None:
    result = fraudworld(*command, run, "--runs-root", tmp_path)
    assert result.status == 2
    assert "6A.CLI.RUN_NOT_FOUND" in result.err


def receipt(root: Path, name: str, text: str = "{}") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "run_receipt.json").write_text(text)
    return folder


def test_a_prefix_must_match_exactly_one_run(tmp_path: Path) -> None:
    receipt(tmp_path, "abcd1111")
    receipt(tmp_path, "abcd2222")
    assert api.find_run("abcd1", tmp_path).root.name == "abcd1111"
    with pytest.raises(InputError, match="2 runs begin with 'abcd'"):
        api.find_run("abcd", tmp_path)
    with pytest.raises(InputError, match="no run 'abc'"):
        api.find_run("abc", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_an_unreadable_receipt_is_named(fraudworld: Call, tmp_path: Path, text: str) -> None:
    receipt(tmp_path, "abcd1111", text)
    result = fraudworld("runs", "list", "--runs-root", tmp_path)
    assert result.status == 2
    assert "6A.CLI.EVIDENCE_UNREADABLE" in result.err
    assert "run_receipt.json" in result.err


def test_folders_without_a_receipt_are_not_listed(fraudworld: Call, tmp_path: Path) -> None:
    (tmp_path / ".staging").mkdir()
    (tmp_path / "notes").mkdir()
    assert api.list_runs(tmp_path) == ()
    assert fraudworld("runs", "list", "--runs-root", tmp_path).status == 0


def test_an_unknown_dataset_is_refused(tmp_path: Path) -> None:
    world = api.open_run(receipt(tmp_path, "abcd1111"))
    with pytest.raises(InputError, match=r"6A\.CLI\.DATASET_NOT_FOUND"):
        world.table("s9_party_base_6A")


def test_open_run_refuses_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"6A\.CLI\.RUN_NOT_FOUND"):
        api.open_run(tmp_path)


def test_generate_names_an_unknown_keyword() -> None:
    with pytest.raises(InputError, match=r"takes no colour.*profile, seed"):
        api.generate(colour="red")


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"profile": "huge"}, "--profile"),
        ({"scale": float("nan")}, "--scale"),
        ({"workers": 0}, "--workers"),
        ({"shard_parties": -1}, "--shard-parties"),
        ({"role": "witness:"}, "--role"),
        ({"engine": "spark"}, "--engine"),
        ({"scheduler": "tcp://there:8786"}, "--scheduler"),
        ({"engine": "dask", "scheduler": "there"}, "--scheduler"),
        ({"engine": "dask", "scheduler": "there://8786"}, "--scheduler"),
        ({"memory": 0.0}, "--memory"),
        ({"memory": float("inf")}, "--memory"),
        ({"engine": "dask", "memory": 1.0}, "--memory"),
    ],
)
def test_a_request_names_its_invalid_option(values: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as caught:
        RunRequest(**values)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.where) == ("6A.CLI.ARGUMENT_INVALID", where)
