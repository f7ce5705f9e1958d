"""The size of a world is estimated before it is made, and one beyond its ids is refused."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from fraudworld.errors import InputError
from fraudworld.inputs import embedded
from fraudworld.policy.loader import load_pack
from fraudworld.request import MOST_ENTITIES, PROFILES, RunRequest
from fraudworld.run import pipeline, size
from support import worlds
from support.calling import CallResult

TABLES = {
    "parties": "s1_party_base_6A",
    "accounts": "s2_account_base_6A",
    "instruments": "s3_instrument_base_6A",
    "devices": "s4_device_base_6A",
    "endpoints": "s4_ip_base_6A",
}


def overlay(folder: Path, **sections: object) -> str:
    path = folder / "larger.yaml"
    path.write_text(yaml.safe_dump({"name": "larger", "why": "a test", **sections}))
    return str(path)


def test_the_estimate_is_within_a_tenth_of_the_small_world(
    small_world: Path, tmp_path: Path
) -> None:
    request = RunRequest(profile="demo", scale=0.4, seed=7, runs_root=tmp_path)
    ready = pipeline.prepare(request)
    expected = size.estimate(ready.loaded.pack, 7, ready.world.geo, ready.world.merchants)
    assert set(expected) == set(TABLES)
    for name, table in TABLES.items():
        files = (small_world / "data/layer3/6A" / table).rglob("part-*.parquet")
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        assert rows > 10_000
        assert expected[name] == pytest.approx(rows, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "entity"),
    [
        ({"population_priors": {"arrivals_per_active_party": 1e-9}}, "parties"),
        ({"population_priors": {"active_share": 0.0}}, "parties"),
        ({"population_priors": {"active_share": 1e-300}}, "parties"),
    ],
)
def test_a_world_beyond_its_ids_is_refused_before_any_work(
    fraudworld: Callable[..., CallResult], tmp_path: Path, changes: object, entity: str
) -> None:
    larger, root = overlay(tmp_path, set=changes), tmp_path / "runs"
    result = fraudworld("run", "--overlay", larger, "--runs-root", root, "--quiet")
    assert result.status == 2
    assert "6A.S0.WORLD_TOO_LARGE" in result.err
    assert entity in result.err
    assert "1.07e+09" in result.err
    assert "arrivals_per_active_party" in result.err
    assert [p.name for p in root.iterdir()] == [".upstream"]


def test_each_entity_has_the_limit() -> None:
    pack = load_pack().pack
    geo, merchants = worlds.geography(pack, 400_000_000), worlds.merchants(pack)
    expected = size.estimate(pack, 7, geo, merchants)
    assert expected["parties"] < MOST_ENTITIES < expected["accounts"] < expected["instruments"]
    with pytest.raises(InputError, match=r"6A\.S0\.WORLD_TOO_LARGE.*instruments"):
        size.require_size(pack, 7, geo, merchants)
    size.require_size(pack, 7, worlds.geography(pack, 200_000_000), merchants)


def test_terminals_are_counted_up_to_the_cap_of_a_merchant() -> None:
    pack = load_pack().pack
    geo, few = worlds.geography(pack), worlds.merchants(pack)
    many = replace(few, outlets=np.full(few.n, 10**12))
    cap = pack.device_linkage_rules.max_devices_per_merchant
    more, less = (size.estimate(pack, 7, geo, one)["devices"] for one in (many, few))
    assert more - less == pytest.approx(cap * few.n, rel=0.05)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_scale_beyond_its_ids_is_refused(
    fraudworld: Callable[..., CallResult], profile: str, tmp_path: Path
) -> None:
    most = MOST_ENTITIES / PROFILES[profile]
    RunRequest(profile=profile, scale=0.999 * most)
    with pytest.raises(InputError) as caught:
        RunRequest(profile=profile, scale=1.001 * most)
    assert (caught.value.code, caught.value.where) == ("6A.CLI.ARGUMENT_INVALID", "--scale")
    assert f"at most {most:.6g}" in caught.value.remedy
    for command in (("run",), ("upstream", "build", tmp_path / "up")):
        result = fraudworld(*command, "--profile", profile, "--scale", "1e300")
        assert (result.status, "6A.CLI.ARGUMENT_INVALID" in result.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_world_too_small_is_refused_with_the_smallest_scale_that_does(
    fraudworld: Callable[..., CallResult], tmp_path: Path
) -> None:
    refused = fraudworld("run", "--scale", 0.05, "--runs-root", tmp_path, "--quiet")
    assert (refused.status, "6A.S1.PARTY_TARGETS_INCONSISTENT" in refused.err) == (2, True)
    named = re.search(r"give --scale ([0-9.]+) or more", refused.err)
    assert named is not None
    smallest = float(named[1])
    below = fraudworld("run", "--scale", smallest * 0.999, "--runs-root", tmp_path, "--quiet")
    assert below.status == 2
    assert f"give --scale {smallest:g} or more" in below.err
    made = pipeline.run(RunRequest(scale=smallest, runs_root=tmp_path, workers=1))
    per_country = pq.read_table(
        next(made.place.layer.glob("s1_party_base_6A/**/*.parquet")).parent, columns=["country_iso"]
    )["country_iso"]
    counted = per_country.combine_chunks().value_counts().to_pylist()
    assert min(row["counts"] for row in counted) == 400
    assert max(row["counts"] for row in counted) < 420


def test_an_own_upstream_too_small_is_told_its_factor(tmp_path: Path) -> None:
    embedded.build(tmp_path / "up", volume_scale=0.002)
    with pytest.raises(InputError, match=r"an upstream with 4\.[0-9]+ times its weekly arrivals"):
        pipeline.run(RunRequest(upstream_dir=tmp_path / "up", runs_root=tmp_path / "runs"))


def test_floors_that_no_size_can_hold_say_so() -> None:
    pack = load_pack().pack
    floors = pack.population_priors.country_floor.model_copy(
        update={"parties_at_authority": 10**6, "minimum": 1}
    )
    priors = pack.population_priors.model_copy(update={"country_floor": floors})
    greedy = pack.model_copy(update={"population_priors": priors})
    with pytest.raises(InputError, match="a larger world has larger floors, too"):
        size.require_floors(greedy, 7, worlds.geography(pack, 3_000_000), 1.0)


def test_a_world_beyond_this_memory_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size.os, "sysconf", lambda _: 2**14)  # 256 MiB
    with pytest.raises(InputError, match=r"0\.3 GB of memory, and there are 0\.3 GB in") as caught:
        pipeline.run(RunRequest(runs_root=tmp_path))
    assert caught.value.code == "6A.S0.WORLD_TOO_LARGE"
    assert "give a smaller --scale" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
    size.require_memory(1e9, "dask")


def test_a_world_beyond_this_disk_is_refused_unless_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest(scale=0.4, runs_root=tmp_path / "there", workers=1)
    made = pipeline.run(request)
    free = namedtuple("free", "total used free")
    monkeypatch.setattr(size.shutil, "disk_usage", lambda _: free(10**9, 10**9, 10**6))
    with pytest.raises(InputError, match=r"GB of disk, and there are 0\.0 GB below"):
        pipeline.run(replace(request, runs_root=tmp_path / "not" / "yet"))
    assert pipeline.run(request).place == made.place
