"""`fraudworld profiles` refuses bad input and then publishes nothing; `verify` finds changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fraudworld.contracts.profiles import IDENTITIES
from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.layers.beside import accounted
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.policy.profiles import load_profiles
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.layout import RunPlace
from support.calling import CallResult
from support.upstreams import of_one_country

Call = Callable[..., CallResult]
FLAG = "data/layer3/6A/validation/_passed.flag"


@pytest.fixture
def world(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world that a test may break."""
    run = tmp_path / "runs" / small_world.name
    shutil.copytree(small_world, run)
    (run.parent / ".upstream").symlink_to(small_world.parent / ".upstream")
    return run


def refuse(request: ProfilesRequest, error: type[FraudworldError], code: str) -> FraudworldError:
    with pytest.raises(error) as refused:
        make_profiles(request)
    assert refused.value.code == code
    assert not ProfilesPlace.below(request.to or request.run).layer.exists()
    return refused.value


def test_a_run_without_flag_is_refused_unless_allowed(world: Path, fraudworld: Call) -> None:
    (world / FLAG).unlink()
    refuse(ProfilesRequest(run=world), RefusedError, "6P.S0.RUN_NOT_PASSED")
    assert fraudworld("profiles", world, "--quiet").status == 3
    assert fraudworld("profiles", world, "--quiet", "--allow-unflagged").status == 0


@pytest.mark.parametrize(
    "victim",
    ["data/layer3/6A/**/part-00000.parquet", "data/layer3/6A/resolved_policy_6A.json"],
)
def test_a_tampered_run_is_refused(world: Path, victim: str) -> None:
    path = next(iter(world.glob(victim)))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    refuse(ProfilesRequest(run=world), RefusedError, "6A.S5.OUTPUT_CONFLICT")


def test_a_run_of_an_earlier_contract_needs_another_folder(world: Path, tmp_path: Path) -> None:
    receipt = world / "run_receipt.json"
    document = json.loads(receipt.read_text())
    document["versions"]["contract"] = "6A.1"
    receipt.write_text(json.dumps(document))
    error = refuse(ProfilesRequest(run=world), RefusedError, "6P.S0.RUN_OF_EARLIER_CONTRACT")
    assert "--to" in error.remedy
    assert make_profiles(ProfilesRequest(run=world, to=tmp_path / "to")).passed


def test_profiles_of_another_policy_in_the_place_are_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_profiles(ProfilesRequest(run=world))
    other = replace(load_profiles(), profile_policy_hash="0" * 64)
    monkeypatch.setattr("fraudworld.layers.profiles.layer.load_profiles", lambda: other)
    with pytest.raises(RefusedError, match="profile_policy_hash"):
        make_profiles(ProfilesRequest(run=world))


def test_without_identities_no_table_of_them_is_listed(world: Path) -> None:
    make_profiles(ProfilesRequest(run=world, identities=False))
    place = ProfilesPlace.below(world)
    receipt = json.loads(place.receipt.read_text())
    hidden = [t.name for t in IDENTITIES]
    assert not set(receipt["tables"]) & set(hidden)
    assert not any((place.layer / name).exists() for name in hidden)


def test_verify_admits_sealed_profiles_and_names_a_changed_one(world: Path) -> None:
    place = RunPlace(world)
    make_profiles(ProfilesRequest(run=world))
    found = {name: (holds, what) for name, holds, what in accounted(place)}
    assert found["every file of its layer of profiles is sealed"] == (True, "")
    assert found["its layer of profiles was made over this run"] == (True, "")
    part = next(ProfilesPlace.below(world).layer.rglob("part-00000.parquet"))
    part.write_bytes(part.read_bytes() + b"!")
    found = {name: (holds, what) for name, holds, what in accounted(place)}
    holds, what = found["every file of its layer of profiles is sealed"]
    assert not holds
    assert part.name in what


def test_the_script_inside_a_run_checks_the_seal_of_profiles(world: Path) -> None:
    make_profiles(ProfilesRequest(run=world))
    script = [sys.executable, "-I", world / "reports/verify.py", world]
    honest = subprocess.run(script, capture_output=True, text=True, check=False)
    assert honest.returncode == 0, honest.stdout + honest.stderr
    assert "6P: flag belongs to the index" in honest.stdout
    part = next(ProfilesPlace.below(world).layer.rglob("part-00000.parquet"))
    part.write_bytes(part.read_bytes() + b"!")
    forged = subprocess.run(script, capture_output=True, text=True, check=False)
    assert forged.returncode == 1
    (line,) = [line for line in forged.stdout.splitlines() if "FAIL" in line]
    assert "6P: " in line
    assert part.name in line


def test_a_bad_argument_is_named(world: Path) -> None:
    with pytest.raises(InputError) as refused:
        ProfilesRequest(run=world, workers=0)
    assert refused.value.code == "6A.CLI.ARGUMENT_INVALID"


@pytest.mark.parametrize(
    ("country", "region", "currency"),
    [("TH", "REGION_APAC", "THB"), ("EG", "REGION_EMEA", "EGP"), ("HK", "REGION_APAC", "HKD")],
)
def test_a_world_of_one_country_has_profiles(
    country: str, region: str, currency: str, tmp_path: Path
) -> None:
    """Some countries lack IBAN, tax id or postal code: then nobody in the world has a template."""
    upstream = of_one_country(tmp_path / "up", country, region, currency, 0.002)
    world = pipeline.run(RunRequest(upstream_dir=upstream, runs_root=tmp_path / "runs", workers=1))
    outcome = make_profiles(
        ProfilesRequest(run=world.place.root, upstream_dir=upstream, allow_unflagged=True)
    )
    assert not [c for c in outcome.report["checks"] if c["violations"]]
    assert {t.name for t in IDENTITIES} <= outcome.rows.keys()
