"""Surroundings a program may be started in: limits, masks, owners, homes, other systems."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import disturbance

STRANGER = 54_321
"""A user id that nobody has here."""
WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overlay") / "tiny.yaml"
    path.write_text(disturbance.OVERLAY, "utf-8")
    return path


def start(
    *words: object, before: str = "", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Calls the program in a process of its own, after a line of shell."""
    called = [sys.executable, "-m", "fraudworld", *map(str, words)]
    return subprocess.run(
        ["sh", "-c", f'{before}\nexec "$@"', "sh", *called],
        env=dict(os.environ if environ is None else environ),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def tiny(overlay: Path, root: Path) -> list[object]:
    return ["run", "--scale", 0.05, "--overlay", overlay, "--runs-root", root, "--quiet",
            "--workers", 1, "--json"]  # fmt: skip


def test_a_mask_keeps_runs_private_and_readable(overlay: Path, tmp_path: Path) -> None:
    made = start(*tiny(overlay, tmp_path), before="umask 077")
    run = Path(json.loads(made.stdout)["path"])
    assert all(not p.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for p in run.rglob("*"))
    assert start("verify", run, before="umask 077").returncode == 0


def test_no_home_is_needed(overlay: Path, tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    made = start(*tiny(overlay, tmp_path), environ=environ)
    assert made.returncode in (0, 1), made.stderr
    assert "run_id" in json.loads(made.stdout)


@pytest.mark.full
@pytest.mark.parametrize("gib", [0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0])
def test_a_limit_on_memory_ends_in_a_run_or_in_bad_input(
    overlay: Path, tmp_path: Path, gib: float
) -> None:
    made = start(*tiny(overlay, tmp_path), before=f"ulimit -v {int(gib * 2**20)}")
    if made.returncode == 2:
        assert json.loads(made.stdout)["error"]["code"] == "6A.CLI.OUT_OF_MEMORY"
        assert not list(tmp_path.glob("*/run_receipt.json"))
    elif made.returncode < 0:
        # Libraries may die where the system gives them no memory; then nothing is published.
        assert made.returncode in (-signal.SIGSEGV, -signal.SIGABRT), made.stderr
        assert not list(tmp_path.glob("*/run_receipt.json"))
    else:
        assert made.returncode in (0, 1), made.stderr
        assert (Path(json.loads(made.stdout)["path"]) / "run_receipt.json").is_file()


@pytest.mark.full
def test_a_limit_on_open_files_ends_in_a_run_or_in_bad_input(overlay: Path, tmp_path: Path) -> None:
    for most in (12, 24, 48):
        made = start(*tiny(overlay, tmp_path / str(most)), before=f"ulimit -n {most}")
        assert made.returncode in (0, 1, 2), made.stderr
        assert "Traceback" not in made.stderr


@pytest.fixture
def of_another(small_world: Path, tmp_path: Path) -> Path:
    """A run below a root, both of another user, and this process without root's privilege."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give files to another user, and setpriv takes its privilege")
    root = tmp_path / "theirs"
    run = Path(shutil.copytree(small_world, root / small_world.name))  # no links: owners change
    for path in (root, *root.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    return run


def as_other(*words: object) -> subprocess.CompletedProcess[str]:
    called = [*WITHOUT_PRIVILEGE, sys.executable, "-m", "fraudworld", *map(str, words)]
    return subprocess.run(called, capture_output=True, text=True, check=False, timeout=300)


def test_a_run_of_another_user_is_read(of_another: Path, tmp_path: Path) -> None:
    for words in (
        ("gates", of_another),
        ("verify", of_another),
        ("runs", "list", "--runs-root", of_another.parent),
        ("export", of_another, "--to", "csv", "--out", tmp_path / "csv"),
        ("report", of_another, "--out", tmp_path / "page"),
    ):
        done = as_other(*words)
        assert done.returncode == 0, done.stderr


def test_a_run_of_another_user_is_not_changed(of_another: Path, tmp_path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in of_another.parent.rglob("*")}
    for words in (
        ("report", of_another),
        ("attest", of_another),
        ("runs", "pin", of_another, "candidate"),
        ("runs", "prune", "--yes", "--runs-root", of_another.parent),
        ("transactions", of_another, "--days", 1, "--allow-unflagged", "--quiet"),
        ("run", "--scale", 0.4, "--runs-root", of_another.parent, "--quiet"),
    ):
        done = as_other(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert "Permission denied" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in of_another.parent.rglob("*")} == before


def test_a_run_that_may_not_be_read_is_named(of_another: Path) -> None:
    of_another.chmod(0o700)
    for words in (("gates", of_another), ("runs", "list", "--runs-root", of_another.parent)):
        done = as_other(*words)
        assert done.returncode == 2
        assert str(of_another) in done.stderr


@pytest.mark.parametrize(
    ("code", "status"),
    [("import fraudworld.cli", 2), ("import fraudworld; fraudworld.generate", 1)],
)
def test_other_systems_are_refused_in_one_sentence(code: str, status: int) -> None:
    before = "import os; os.name = 'nt'; "
    done = subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "use it inside WSL" in done.stderr) == (status, True)
