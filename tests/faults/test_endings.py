"""Exit statuses: 1 means that a gate or a check failed, and nothing else does.

Every command meets every kind of lost output and an empty input. Whatever happens to them, its
status is its own, or 2 where its result could not be written; and no traceback is printed.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pytest

import fraudworld as fw
from fraudworld.cli import environment
from fraudworld.errors import RefusedError
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support import disturbance, tampering
from support.calling import CallResult
from support.disturbance import COMMANDS, Stage

Call = Callable[..., CallResult]

TINY = "--profile demo --scale 0.05 --overlay {overlay} --runs-root {root} --quiet --workers 1"
WORDS: Mapping[str, str] = {
    "help": "--help",
    "nothing": "",
    "run": f"run {TINY} --json",
    "run refused": "run --scale 0 --json",
    "gates": "gates {run}",
    "gates --json": "gates {run} --json",
    "certify": "certify --seeds 1,2,3,4 --runs-root {root}/none",
    "ladder": "ladder --phases P9 --runs-root {root}",
    "profiles": "profiles {run} --allow-unflagged --json --quiet --to {tmp}/to6p",
    "transactions": "transactions {run} --days 1 --allow-unflagged --json --quiet --to {tmp}/to",
    "witness": "witness {run} {run} --runs-root {root}",
    "verify": "verify {run}",
    "verify, forged": "verify {forged} --json",
    "attest": "attest {run} --out {tmp}/a.json --json",
    "report": "report {run} --out {tmp}/page",
    "export": "export {run} --to csv --out {tmp}/csv",
    "doctor": "doctor --runs-root {root}",
    "runs list": "runs list --runs-root {root} --json",
    "runs show": "runs show {run}",
    "runs pin": "runs pin {run} none --json",
    "runs promote": "runs promote {run}",
    "runs prune": "runs prune --runs-root {root}",
    "runs freeze": "runs freeze accepted none --runs-root {root}",
    "runs reopen": "runs reopen accepted --reason why --runs-root {root}",
    "perf show": "perf show {run} --json",
    "perf compare": "perf compare {run} {run} --runs-root {tmp}/none",
    "policy lint": "policy lint",
    "policy show": "policy show party_taxonomy",
    "policy diff": "policy diff --overlay delta_b_ip",
    "upstream build": "upstream build {tmp}/up --scale 0.01",
    "upstream check": "upstream check {root}/none",
}
"""One call of every command; names in braces are filled in."""
DISTURBED = ("stdout closed", "stderr closed", "stdout full", "stderr full", "reader gone", "no in")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """A tiny run, a forged copy of it, and the overlay it is made with."""
    folder = tmp_path_factory.mktemp("endings")
    overlay = folder / "tiny.yaml"
    overlay.write_text(disturbance.OVERLAY, "utf-8")
    request = RunRequest(scale=0.05, overlays=(str(overlay),), runs_root=folder / "runs", workers=1)
    run = pipeline.run(request).place.root
    make_profiles(ProfilesRequest(run=run, identities=False, allow_unflagged=True))
    forged = tampering.copied(run, folder / "forged")
    board = forged / "data/layer3/6A/validation/realism_gate_6A.json"
    tampering.replace(board, board.read_bytes() + b"\n")
    return {"run": run, "forged": forged, "overlay": overlay, "root": folder / "runs"}


def start(words: list[str], disturbance: str) -> tuple[int, bytes, bytes]:
    """Calls the program in a process of its own: (status, stdout, stderr), as far as captured."""
    full = os.open("/dev/full", os.O_WRONLY)
    read, gone = os.pipe()
    os.close(read)
    out: int = {"stdout full": full, "reader gone": gone}.get(disturbance, subprocess.PIPE)
    err: int = full if disturbance == "stderr full" else subprocess.PIPE
    closed = {"stdout closed": "1", "stderr closed": "2", "no in": "0"}.get(disturbance)
    shell = f'exec "$@" {closed}>&-' if closed else 'exec "$@"'
    called = ["sh", "-c", shell, "sh", sys.executable, "-m", "fraudworld", *words]
    try:
        done = subprocess.run(
            called, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False, timeout=300
        )
    finally:
        os.close(full)
        os.close(gone)
    return done.returncode, done.stdout or b"", done.stderr or b""


def problems(name: str, disturbed: str, given: Mapping[str, object], tmp: Path) -> list[str]:
    """What is wrong with the ending of a command: nothing, or one line each."""

    def called(case: str) -> tuple[int, bytes, bytes]:
        place = tmp / case.replace(" ", "-")  # words are split at spaces
        place.mkdir(parents=True)
        return start(WORDS[name].format(**given, tmp=place).split(), case)

    own, said, _ = called("undisturbed")
    status, out, err = called(disturbed)
    full = disturbed == "stdout full" and own == 0 and said
    wrong = []
    if status != (2 if full else own):
        wrong.append(f"status {status}, its own is {own}: {err.decode()}")
    if own == 4 or b"Traceback" in out + err or b"Exception ignored" in out + err:
        wrong.append(f"it is an internal error: {err.decode()}")
    if full and b"6A.CLI.OUTPUT_LOST" not in err:
        wrong.append("it does not say that its output is lost")
    if "--json" in WORDS[name] and disturbed in ("stderr closed", "stderr full", "no in"):
        json.loads(out)
    return [f"{name}, {disturbed}: {line}" for line in wrong]


@pytest.mark.parametrize("disturbed", DISTURBED)
def test_a_lost_output_does_not_look_like_a_failed_gate(
    tiny: Mapping[str, object], tmp_path: Path, disturbed: str
) -> None:
    for name in ("policy lint", "verify, forged"):
        assert problems(name, disturbed, tiny, tmp_path / name) == []


@pytest.mark.full
@pytest.mark.parametrize("disturbed", DISTURBED)
@pytest.mark.parametrize("name", WORDS)
def test_no_command_loses_its_status_with_its_output(
    tiny: Mapping[str, object], tmp_path: Path, name: str, disturbed: str
) -> None:
    assert problems(name, disturbed, tiny, tmp_path) == []


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (EOFError("ends early"), 4, "6A.CLI.INTERNAL"),
        (ValueError("a bug"), 4, "6A.CLI.INTERNAL"),
        (SystemError("a bug"), 4, "6A.CLI.INTERNAL"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "6A.CLI.IO_FAILED"),
        (OSError(errno.ENOSPC, "No space left on device", "/full"), 2, "6A.CLI.IO_FAILED"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "6A.CLI.IO_FAILED"),
        (duckdb.IOException("could not write"), 2, "6A.CLI.IO_FAILED"),
        (MemoryError(), 2, "6A.CLI.OUT_OF_MEMORY"),
        (duckdb.OutOfMemoryException("failed to allocate"), 2, "6A.CLI.OUT_OF_MEMORY"),
        (RefusedError("6A.X", "no", where="x", remedy="x"), 3, "6A.X"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_whatever_leaves_a_command_has_its_status(
    fraudworld: Call,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    status: int,
    code: str,
) -> None:
    def examine(_: Path) -> None:
        raise raised

    monkeypatch.setattr(environment, "examine", examine)
    result = fraudworld("doctor", "--json")
    assert (result.status, code in result.err) == (status, True)
    assert "Traceback" not in result.err
    if status != 130:
        assert json.loads(result.out)["error"]["code"] == code


@pytest.mark.parametrize(
    "words", ["run --colour", "run --seed x", "fly", "gates", "runs pin 3f2a", "run surplus"]
)
def test_usage_errors_answer_in_json(fraudworld: Call, words: str) -> None:
    result = fraudworld(*words.split(), "--json")
    error = json.loads(result.out)["error"]
    assert (result.status, error["code"]) == (2, "6A.CLI.USAGE")
    assert error["remedy"].endswith("--help")


@pytest.mark.parametrize("words", [(), ("runs",), ("policy",)])
def test_a_group_without_a_command_prints_its_help(
    fraudworld: Call, words: tuple[str, ...]
) -> None:
    result = fraudworld(*words)
    assert result.status == 2
    assert "Usage" in result.out + result.err
    assert "error" not in result.err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-16", "cp1252"])
def test_json_is_the_same_in_every_encoding_of_the_terminal(
    tiny: Mapping[str, object], tmp_path: Path, encoding: str
) -> None:
    root = tmp_path / "weltü€\N{SNOWMAN}"
    root.symlink_to(str(tiny["root"]))
    words = [sys.executable, "-m", "fraudworld", "run", *TINY.split()[:-3], "--json", "--quiet"]
    called = [w.format(overlay=tiny["overlay"], root=root) for w in words]
    environ = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(called, env=environ, capture_output=True, check=False)
    said = done.stdout.decode(encoding if encoding == "utf-16" else "ascii")
    assert fw.open_run(json.loads(said)["path"]).root.parent == root


READ_ONLY = [command for command in COMMANDS if command.name in ("run", "report", "pin")]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Commands on a disk that takes no change."""
    folder = tmp_path_factory.mktemp("read-only")
    library = disturbance.compiled(folder)
    if library is None:
        pytest.skip("NO FAULTS INJECTED: no C compiler here, or no LD_PRELOAD on this system")
    return Stage(folder / "stage", library)


def refused(stage: Stage, command: disturbance.Command, error: int) -> None:
    if not disturbance.changes(stage, command):
        return
    status, faults = disturbance.failing_at(stage, command, 1, error)
    assert (status, faults) == (2, [])


@pytest.mark.parametrize("command", READ_ONLY, ids=lambda command: command.name)
def test_a_read_only_root_is_bad_input(stage: Stage, command: disturbance.Command) -> None:
    refused(stage, command, errno.EROFS)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_root_that_takes_no_change_is_bad_input_to_every_command(
    stage: Stage, command: disturbance.Command, error: int
) -> None:
    refused(stage, command, error)
