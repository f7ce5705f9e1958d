"""Runs found in their place: a seal says that nobody changed them since, not who made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fraudworld import api, certification
from fraudworld.errors import RefusedError
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support import tampering
from support.calling import CallResult
from support.forger import Forger

Call = Callable[..., CallResult]


@pytest.fixture
def asked(small_world: Path, tmp_path: Path) -> RunRequest:
    """A request that finds a forged run: its report of S5 says that a check failed."""
    copy = tampering.copied(small_world, tmp_path / "runs" / small_world.name)
    forger = Forger(copy)
    forger.edit("s5_validation_report_6A.json", lambda r: r["checks"][3].update(observed=17.0))
    forger.seal()
    return RunRequest(profile="demo", scale=0.4, seed=7, runs_root=tmp_path / "runs")


def test_a_run_that_is_found_is_not_called_verified(asked: RunRequest, fraudworld: Call) -> None:
    found = pipeline.run(asked)
    assert (found.reused, found.verified) == (True, False)
    words = ("run", "--profile", "demo", "--scale", 0.4, "--seed", 7, "--runs-root")
    result = fraudworld(*words, asked.runs_root)
    assert "found again as sealed, not verified anew" in result.out
    assert '"verified": false' in fraudworld(*words, asked.runs_root, "--json").out


def test_a_forged_run_that_is_found_is_not_believed(asked: RunRequest) -> None:
    with pytest.raises(RefusedError, match=r"RUN_NOT_BELIEVED.*posture"):
        pipeline.run(asked, believe=api.require_verified)


def test_an_honest_run_that_is_found_is_verified(small_world: Path) -> None:
    asked = RunRequest(profile="demo", scale=0.4, seed=7, runs_root=small_world.parent)
    found = pipeline.run(asked, believe=api.require_verified)
    assert (found.reused, found.verified) == (True, True)


def test_a_forged_base_is_not_believed(asked: RunRequest) -> None:
    base = asked.runs_root / next(p.name for p in asked.runs_root.iterdir() if p.name[0] != ".")
    again = replace(asked, from_state="S5", base=base, run_id="0" * 32)
    with pytest.raises(RefusedError, match="RUN_NOT_BELIEVED"):
        pipeline.run(again, believe=api.require_verified)
    assert not (asked.runs_root / ("0" * 32)).exists()


def test_a_run_from_a_base_is_verified_as_its_base_is(small_world: Path, tmp_path: Path) -> None:
    asked = RunRequest(
        profile="demo", scale=0.4, seed=7, runs_root=tmp_path, from_state="S5", base=small_world
    )
    made = pipeline.run(asked)
    assert (made.reused, made.verified) == (False, False)
    again = replace(asked, run_id="0" * 32)
    assert pipeline.run(again, believe=api.require_verified).verified


def test_a_certificate_does_not_rest_on_a_forged_run(asked: RunRequest) -> None:
    with pytest.raises(RefusedError, match="RUN_NOT_BELIEVED"):
        certification.certify(asked, (7, 42, 101, 202), believe=api.require_verified)
    assert not (asked.runs_root / certification.SUMMARY).exists()


def test_certify_ladder_and_witness_verify_what_they_find(
    monkeypatch: pytest.MonkeyPatch, small_world: Path, tmp_path: Path
) -> None:
    told: list[object] = []
    monkeypatch.setattr(certification, "certify", lambda *_, **more: told.append(more["believe"]))
    monkeypatch.setattr(
        "fraudworld.remediation.climb", lambda *_, **more: told.append(more["believe"])
    )
    monkeypatch.setattr(
        "fraudworld.t10.arms.witness", lambda *_, **more: told.append(more["believe"])
    )
    verified: list[Path] = []
    monkeypatch.setattr(api, "require_verified", lambda root, upstream: verified.append(root))
    request = RunRequest(runs_root=tmp_path)
    api.certify(request, (7,))
    api.ladder(request, (7,))
    world = api.open_run(small_world)
    api.witness(world, world)
    assert verified == [small_world, small_world]
    assert [believe.func is api.require_verified for believe in told  # type: ignore[attr-defined]
            if isinstance(believe, partial)] == [True] * 3  # fmt: skip
