"""A certificate from nothing: four seeds, five streams each, every test T1–T10 at B+."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudworld import api
from fraudworld.gates.certify import SUMMARY
from fraudworld.request import RunRequest
from fraudworld.store.bundle import sha256_file

SEEDS = (42, 7, 101, 202)


@pytest.mark.full
def test_the_default_policy_is_certified(tmp_path: Path) -> None:
    summary = api.certify(RunRequest(profile="demo", runs_root=tmp_path), SEEDS)
    assert summary["fails"] == []
    assert summary["decision"] == "PASS_BPLUS"
    assert summary["t10"]["status"] == "PASS"
    rows = summary["t10"]["rows"]
    assert {row["seed"] for row in rows} == {*SEEDS, None}
    for row in rows:
        if row["seed"] is not None:
            evidence = tmp_path / row["details"]["evidence"]
            assert sha256_file(evidence) == row["details"]["sha256_hex"]
    assert (tmp_path / SUMMARY).is_file()
