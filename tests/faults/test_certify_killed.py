"""`certify` killed half way: the next one reuses finished seeds and gives the same certificate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SEEDS = ("42", "7", "101", "202")
SUMMARY = "reports/layer3/6A/validation/realism_gate_summary_6A.json"


def start(root: Path) -> subprocess.Popen[bytes]:
    words = ["certify", "--no-witness", "--seeds", ",".join(SEEDS), "--runs-root", str(root)]
    return subprocess.Popen(
        [sys.executable, "-m", "fraudworld", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": "src"},
        cwd=Path(__file__).parents[2],
    )


def published(root: Path) -> set[str]:
    return {p.parent.name for p in root.glob("*/run_receipt.json")}


def certificate(root: Path) -> dict[str, Any]:
    assert start(root).wait(timeout=300) == 1, "HOLD: T10 has no witness"
    summary: dict[str, Any] = json.loads((root / SUMMARY).read_text())
    return summary


@pytest.mark.full
def test_certify_killed_in_its_second_seed_can_be_repeated(tmp_path: Path) -> None:
    undisturbed = certificate(tmp_path / "undisturbed")

    root = tmp_path / "killed"
    process = start(root)
    deadline = time.monotonic() + 120
    while not (published(root) and any((root / ".staging").glob("*/run/data"))):
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    first = published(root)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(first) == 1
    assert published(root) == first
    assert not (root / SUMMARY).exists()
    made_at = {p: p.stat().st_mtime_ns for p in (root / next(iter(first))).rglob("*")}

    repeated = certificate(root)
    assert repeated == undisturbed
    assert {p: p.stat().st_mtime_ns for p in made_at} == made_at, "a finished seed is not redone"
    assert not any(p.is_dir() for p in (root / ".staging").iterdir())
