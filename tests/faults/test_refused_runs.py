"""A run that fails leaves its timings, the failed step among them, and names the file."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudworld.errors import InputError, RefusedError
from fraudworld.request import RunRequest
from fraudworld.run import pipeline, refused
from fraudworld.stages.instruments import stage as instruments
from support.calling import CallResult

RUN_ID = "5" * 32
PLACE = Path("reports/refused") / RUN_ID / "perf_events_6A.jsonl"


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return RunRequest(profile="demo", scale=0.4, runs_root=tmp_path / "runs", run_id=RUN_ID)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes S3 raise an exception while it allocates."""

    def fail(error: BaseException) -> None:
        def allocate(*_: object) -> None:
            raise error

        monkeypatch.setattr(instruments, "allocate_instruments", allocate)

    return fail


def events(root: Path) -> list[dict[str, Any]]:
    """Events that the failed run left below a runs root."""
    return [json.loads(line) for line in (root / PLACE).read_text("utf-8").splitlines()]


def test_a_stage_that_raises_leaves_its_events(
    request_: RunRequest, failing: Callable[[BaseException], None]
) -> None:
    failing(ZeroDivisionError("no accounts"))
    with pytest.raises(ZeroDivisionError, match="no accounts") as caught:
        pipeline.run(request_)
    root = request_.runs_root
    assert caught.value.__notes__ == [f"timings of this run: {root / PLACE}"]
    left = events(root)
    steps = [e for e in left if not e["step"].startswith("encode:")]
    (failed,) = [e for e in left if e["status"] == "FAIL"]
    assert failed == steps[-1]
    assert (failed["state"], failed["step"], failed["error_type"]) == (
        "S3", "allocate_instruments", "ZeroDivisionError",
    )  # fmt: skip
    assert [e["sequence"] for e in left] == list(range(len(left)))
    assert {e["seed"] for e in left} == {42}
    assert {e["state"] for e in steps} == {"S0", "S1", "S2", "S3"}
    # Nothing else of the run is left.
    assert not (root / RUN_ID).exists()
    assert [p.name for p in (root / ".staging").iterdir()] == [f"{RUN_ID}.lock"]


def test_the_next_run_of_this_id_removes_them(
    request_: RunRequest,
    failing: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(ZeroDivisionError())
    for _ in range(2):  # a second failure replaces the first
        with pytest.raises(ZeroDivisionError):
            pipeline.run(request_)
    monkeypatch.undo()
    root = request_.runs_root
    assert (root / PLACE).is_file()
    other = root / PLACE.parent.with_name("6" * 32)
    other.mkdir()
    assert pipeline.run(request_).passed
    assert list((root / "reports/refused").iterdir()) == [other]
    # A run that finds its result succeeds as well.
    (root / PLACE).parent.mkdir()
    assert pipeline.run(request_).reused
    assert list((root / "reports/refused").iterdir()) == [other]


def test_the_error_of_the_command_names_the_file(
    fraudworld: Callable[..., CallResult],
    request_: RunRequest,
    failing: Callable[[BaseException], None],
) -> None:
    command = (
        "run", "--profile", "demo", "--scale", "0.4", "--run-id", RUN_ID, "--quiet", "--json",
        "--runs-root", request_.runs_root,
    )  # fmt: skip
    failing(InputError("6A.S3.TEST", "no accounts", where="here", remedy="add some"))
    result = fraudworld(*command)
    named = f"timings of this run: {request_.runs_root / PLACE}"
    assert result.status == 2
    assert named in result.err
    assert json.loads(result.out)["error"]["remedy"] == f"add some; {named}"
    failing(ZeroDivisionError())
    result = fraudworld(*command)
    assert (result.status, "6A.CLI.INTERNAL" in result.err, named in result.err) == (4, True, True)


@pytest.mark.parametrize(
    "error", [InputError("6A.S3.TEST", "no accounts", where="here", remedy="add some"), OSError()]
)
def test_a_full_disk_does_not_hide_the_first_error(
    request_: RunRequest,
    failing: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    failing(error)
    monkeypatch.setattr(refused, "write_atomic", full)
    with pytest.raises(type(error)) as caught:
        pipeline.run(request_)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert not (request_.runs_root / "reports").exists()


def test_a_disk_that_cannot_be_written_does_not_hide_the_first_error(
    request_: RunRequest, failing: Callable[[BaseException], None]
) -> None:
    request_.runs_root.mkdir()
    (request_.runs_root / "reports").write_text("a file where the folder should be")
    failing(ZeroDivisionError("no accounts"))
    with pytest.raises(ZeroDivisionError, match="no accounts"):
        pipeline.run(request_)


def test_a_place_that_is_taken_is_refused_without_timings(request_: RunRequest) -> None:
    pipeline.run(request_)
    with pytest.raises(RefusedError, match="already published"):
        pipeline.run(replace(request_, seed=7))
    assert not (request_.runs_root / "reports/refused").exists()


def test_an_interrupt_is_not_changed(
    request_: RunRequest, failing: Callable[[BaseException], None]
) -> None:
    failing(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(request_)
    assert events(request_.runs_root)[-1]["sequence"] > 0
    (failed,) = [e for e in events(request_.runs_root) if e["status"] == "FAIL"]
    assert failed["error_type"] == "KeyboardInterrupt"
