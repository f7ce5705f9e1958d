"""The arms of T10 share their arrivals, and each differs from the candidate in one thing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.layers.transactions.inputs import open_inputs
from fraudworld.layers.transactions.world import load_world
from fraudworld.policy.loader import load_pack, parameter_hash, write_pack
from fraudworld.store.bundle import sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.t10.arms import (
    Arms,
    _ArmRunner,
    half_dose,
    without_propagation,
    witness,
)
from fraudworld.t10.judge import summary

FLOWS = 20_000
COLUMNS = ["flow_id", "ts_utc", "merchant_id", "channel_group"]


@pytest.fixture(scope="module")
def runner(small_world: Path) -> _ArmRunner:
    return _ArmRunner(small_world, None, FLOWS, 2, lambda title: None)


@pytest.fixture(scope="module")
def arms(runner: _ArmRunner) -> Arms:
    return runner.arms(None)


def column(stream: Path, table: str, names: list[str]) -> pa.Table:
    folder = stream / "data/layer3/6B" / table
    return pq.read_table(folder, columns=names, partitioning=None)


def diagnostics(run: Path) -> dict[str, Any]:
    path = RunPlace(run).document("s5_propagation_diagnostics_6A")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_all_arms_share_their_arrivals(arms: Arms) -> None:
    expected = column(arms.candidate.stream, "s1_arrival_entities_6B", COLUMNS)
    assert expected.num_rows == FLOWS
    for arm in (arms.baseline, arms.dose_zero, arms.dose_half, arms.rewired):
        actual = column(arm.stream, "s1_arrival_entities_6B", COLUMNS)
        for name in ("flow_id", "ts_utc", "merchant_id"):
            assert actual[name].equals(expected[name]), (arm.name, name)


def test_doses_change_only_the_propagation(arms: Arms) -> None:
    none, half, full = (
        diagnostics(arm.run) for arm in (arms.dose_zero, arms.dose_half, arms.candidate)
    )
    for entity in ("account", "device"):
        odds = [arm[entity]["implied_odds_ratio"] for arm in (none, half, full)]
        assert odds[0] == pytest.approx(1.0, abs=0.1)
        assert 1.5 < odds[1] < odds[2] - 1.0
    lift = [arm["ip"]["uplift_log_odds"]["risky_device"] for arm in (none, half, full)]
    assert lift == pytest.approx([0.0, lift[2] / 2, lift[2]])
    half_pack, full_pack = sealed_policy(arms.dose_half.run), sealed_policy(arms.candidate.run)
    # What half the factors imply is below the guards: lint accepts it of a replay only.
    same = {"risk_propagation_coeffs": full_pack.risk_propagation_coeffs, "posture": "certifiable"}
    assert half_pack.model_copy(update=same) == full_pack


def test_rewiring_keeps_every_degree(small_world: Path) -> None:
    inputs = open_inputs(small_world, None, allow_unflagged=False)
    before, after = load_world(inputs), load_world(inputs, rewired=True)
    assert np.array_equal(before.endpoint_start, after.endpoint_start)
    assert (before.device_endpoint != after.device_endpoint).mean() > 0.9
    degrees = [np.bincount(w.device_endpoint, minlength=w.ip_type.size) for w in (before, after)]
    assert np.array_equal(*degrees)
    country = np.repeat(before.device_country, np.diff(before.endpoint_start))
    for code in np.unique(country)[:5]:
        inside = country == code
        assert np.array_equal(
            np.sort(before.device_endpoint[inside]), np.sort(after.device_endpoint[inside])
        )


def test_a_rewired_stream_never_gets_a_flag(arms: Arms) -> None:
    flag = "data/layer3/6B/validation/_passed.flag"
    assert (arms.candidate.stream / flag).is_file()
    assert not (arms.rewired.stream / flag).exists()


def test_worlds_are_made_once_and_streams_are_not_believed(runner: _ArmRunner, arms: Arms) -> None:
    def made(kind: str) -> dict[Path, tuple[int, str]]:
        files = (runner.home / kind).rglob("*.parquet")
        return {p: (p.stat().st_mtime_ns, sha256_file(p)) for p in files}

    worlds, streams = made("worlds"), made("streams")
    assert worlds
    again = _ArmRunner(runner.candidate, None, FLOWS, 1, lambda title: None)
    assert again.arms(None) == arms
    assert made("worlds") == worlds
    remade = made("streams")
    assert {p: sha for p, (_, sha) in remade.items()} == {p: sha for p, (_, sha) in streams.items()}
    assert not set(remade.values()) & set(streams.values()), "every file was written again"


def test_the_verdict_names_arms_bounds_and_rows(small_world: Path, arms: Arms) -> None:
    verdict = witness(small_world, flows=FLOWS, workers=2)
    document = json.loads(verdict.report.read_text())
    assert set(document["arms"]) == {
        "baseline", "candidate", "dose_zero", "dose_half", "rewired",
    }  # fmt: skip
    assert document["arms"]["candidate"]["run_id"] == small_world.name
    assert document["grade"] == verdict.grade
    assert [row["metric_name"] for row in document["binding"]] == ["non_regression", "sensitivity"]
    assert document["bounds"] == sealed_policy(small_world).downstream_witness.model_dump()
    # Twenty thousand flows are too few to detect an owner effect: no pass by default.
    blind = {row.metric_name for row in verdict.rows if row.status == "INSUFFICIENT_EVIDENCE"}
    assert blind
    assert verdict.grade == "<C"


def test_a_grade_needs_both_binding_rows(small_world: Path, arms: Arms) -> None:
    verdict = witness(small_world, flows=FLOWS, workers=2)
    sound = [row for row in verdict.rows if row.pass_Bplus]
    assert replace(verdict, binding=summary(sound, 7)).grade == "B+"
    none = [row for row in sound if row.metric_name.startswith("N")]
    assert replace(verdict, binding=summary(none, 7)).grade == "<C"


@pytest.mark.parametrize("overlays", [(), ("published_baseline",)])
def test_a_written_pack_is_the_same_policy(tmp_path: Path, overlays: tuple[str, ...]) -> None:
    loaded = load_pack(None, overlays)
    needed = write_pack(loaded.pack, tmp_path)
    reloaded = load_pack(tmp_path, needed)
    assert reloaded.pack == loaded.pack
    assert reloaded.parameter_hash == loaded.parameter_hash == parameter_hash(loaded.pack)


def test_overlays_of_the_doses_name_what_they_change() -> None:
    pack = load_pack().pack
    assert without_propagation()["set"] == {"risk_propagation_coeffs": {"propagation": "off"}}
    half = half_dose(pack)["set"]["risk_propagation_coeffs"]
    law = pack.risk_propagation_coeffs
    assert set(half) == {"role_pairs", "device_to_ip"}
    full, halved = law.role_pairs.model_dump(), half["role_pairs"]
    tables = [(asset, "factors") for asset in ("account", "device")] + [("device", "users")]
    for asset, table in tables:
        for row, factors in full[asset][table].items():
            for name, factor in factors.items():
                assert halved[asset][table][row][name] ** 2 == pytest.approx(factor)


def test_half_the_dose_by_risk_halves_the_targets() -> None:
    law = load_pack().pack.risk_propagation_coeffs.model_copy(update={"propagation_by": "risk"})
    pack = load_pack().pack.model_copy(update={"risk_propagation_coeffs": law})
    half = half_dose(pack)["set"]["risk_propagation_coeffs"]
    assert set(half) == {"owner_to_account", "owner_to_device", "device_to_ip"}
    for name in ("owner_to_account", "owner_to_device"):
        full = getattr(law, name).target_odds_ratio
        assert half[name]["target_odds_ratio"] ** 2 == pytest.approx(full, abs=1e-5)
