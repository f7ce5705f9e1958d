"""`fraudworld doctor` finds obstacles and names a remedy for each."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

from fraudworld import jit
from fraudworld.cli import environment as doctor
from fraudworld.cli.environment import examine


def failing(root: Path) -> list[str]:
    return [f.what for f in examine(root) if f.holds is False]


def test_the_machine_of_these_tests_passes(tmp_path):
    findings = examine(tmp_path / "not" / "yet")
    assert [f for f in findings if f.holds is False and not f.what.startswith("memory")] == []
    assert {"Python", "numpy", "compiled kernels", "cores", "memory for demo"} <= {
        f.what for f in findings
    }


def test_a_missing_library_is_named_with_its_install_command(tmp_path, monkeypatch):
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "pyarrow":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (lost,) = [f for f in examine(tmp_path) if f.what == "pyarrow"]
    assert (lost.holds, lost.found) == (False, "missing")
    assert lost.remedy.startswith("pip install 'pyarrow")


def test_a_full_disk_and_an_unwritable_folder_are_found(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage(100, 100, 0))

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    assert failing(tmp_path) == [f"writing below {tmp_path}", "disk for authority"]


def test_the_command_ends_with_1_if_a_check_fails(fraudworld, tmp_path, monkeypatch):
    assert fraudworld("doctor", "--runs-root", tmp_path, "--json").status == 0
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: 1024)
    result = fraudworld("doctor", "--runs-root", tmp_path)
    assert result.status == 1
    assert "memory for demo: use a smaller --profile or --scale" in result.out
    rows = json.loads(fraudworld("doctor", "--runs-root", tmp_path, "--json").out)
    assert {r["holds"] for r in rows} == {True, False, None}


def kernels(root: Path) -> list[tuple[str, str, bool | None]]:
    return [(f.what, f.found, f.holds) for f in examine(root) if f.what.endswith("kernels")]


def test_a_cache_of_kernels_is_an_accelerator_and_no_need(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "_CACHES", [])
    none = ("compiled kernels", "compiled in every run: no place to keep", None)
    assert kernels(tmp_path) == [none]
    monkeypatch.setattr(jit, "_CACHES", [SimpleNamespace(cache_path=str(tmp_path))])
    assert kernels(tmp_path) == [("compiled kernels", "compiled at the first run", None)]
    (tmp_path / "a.1.nbc").write_bytes(b"too short")
    assert kernels(tmp_path) == [
        ("compiled kernels", "1 kept", None),
        ("damaged kernels", "1: compiled again", None),
    ]
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert ("place of compiled kernels", "cannot be written", None) in kernels(tmp_path)


def test_a_compiler_that_is_switched_off_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "fraudworld", "doctor", "--json"],
        capture_output=True, text=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {row["what"]: row["found"] for row in json.loads(done.stdout)}
    assert found["compiled kernels"] == "the compiler is switched off"


def test_doctor_does_not_depend_on_what_it_examines(tmp_path, monkeypatch, fraudworld):
    monkeypatch.setitem(sys.modules, "fraudworld.kernels", None)
    assert ("compiled kernels", False) in [(w, holds) for w, _, holds in kernels(tmp_path)]

    def broken(name: str) -> int:
        raise OSError(22, "no such figure")

    monkeypatch.setattr(doctor.os, "sysconf", broken)
    result = fraudworld("doctor", "--runs-root", tmp_path)
    assert result.status == 1
    assert "no such figure" in result.out
