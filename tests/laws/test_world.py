"""A published world: every invariant by SQL, and which requests change its values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fraudworld.errors import InputError, RefusedError
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.published import open_world
from fraudworld.verification import fidelity, invariants

SMALL = {"profile": "demo", "scale": 0.6, "workers": 1}


def _run(root: Path, **changes: object) -> pipeline.RunOutcome:
    return pipeline.run(RunRequest(**{**SMALL, "runs_root": root, **changes}))


def _digests(outcome: pipeline.RunOutcome) -> dict[str, str]:
    return json.loads(outcome.place.bundle_index.read_text())["content_digests"]


def _files(outcome: pipeline.RunOutcome) -> dict[str, bytes]:
    root = outcome.place.root
    return {
        str(p.relative_to(root)): p.read_bytes()
        for top in ("data", "logs")
        for p in sorted((root / top).rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> pipeline.RunOutcome:
    return _run(tmp_path_factory.mktemp("world"))


def test_every_invariant_holds(published):
    """All invariants, by SQL over the published Parquet."""
    world = open_world(published.place.root)
    outcomes = invariants.check(world)
    assert len(outcomes) > 60
    assert [o for o in outcomes if not o.holds] == []


def test_a_broken_world_fails_the_invariants_it_breaks(published):
    """One account of a non-existent owner breaks exactly the invariants about ownership."""
    world = open_world(published.place.root)
    world.sql.execute(
        "CREATE OR REPLACE TEMP VIEW s2_account_base AS SELECT * REPLACE"
        " (CASE WHEN account_id = 1 THEN 999999999 ELSE owner_party_id END AS owner_party_id)"
        f" FROM read_parquet('{published.place.layer}/s2_account_base_6A/**/*.parquet',"
        " hive_partitioning=false)"
    )
    broken = {o.name for o in invariants.check(world) if not o.holds}
    assert "s2_account_base.owner_party_id exists in s1_party_base" in broken
    assert "holdings equal accounts grouped by owner and product" in broken
    assert not any("device" in name and "PRIMARY_OWNER" in name for name in broken)


def test_fidelity_tables_compare_policy_and_world(published):
    tables = {t.title: t for t in fidelity.compare(open_world(published.place.root))}
    links = tables["IP types by region of the device"].lines
    assert len(links) == 40
    assert max(abs(line.observed - line.policy) for line in links) < 0.01
    party_types = tables["Party types by region"].lines
    assert max(abs(line.observed - line.policy) for line in party_types) < 0.001
    means = tables["Instruments by account type"].lines
    assert max(abs(line.observed / line.policy - 1) for line in means if line.policy > 0.05) < 0.03


def test_the_same_request_writes_nothing(published):
    before = {p: p.stat().st_mtime_ns for p in published.place.root.rglob("*")}
    repeated = _run(published.place.root.parent)
    assert repeated.reused
    assert repeated.rows == published.rows
    assert {p: p.stat().st_mtime_ns for p in published.place.root.rglob("*")} == before


def test_the_same_seed_elsewhere_gives_the_same_bytes(published, tmp_path):
    assert _files(_run(tmp_path)) == _files(published)


@pytest.mark.parametrize("cut", [{"shard_parties": 0}, {"shard_parties": 5_000, "workers": 2}])
def test_shards_and_workers_never_change_a_value(published, tmp_path, cut):
    other = _run(tmp_path, **cut)
    assert _digests(other) == _digests(published)
    assert _files(other) == _files(published)


def test_size_comes_from_the_sealed_upstream_alone(published, tmp_path):
    """`upstream_dir` alone decides the size of the world; profile and scale change nothing."""
    upstream = next((published.place.root.parent / ".upstream").iterdir())
    other = _run(tmp_path, profile="small", scale=1.0, upstream_dir=upstream)
    assert other.run_id == published.run_id
    assert _digests(other) == _digests(published)


def test_another_seed_changes_every_table(published, tmp_path):
    digests, digests_of_43 = _digests(published), _digests(_run(tmp_path, seed=43))
    assert [name for name in digests if digests[name] == digests_of_43[name]] == []


def test_seal_covers_every_file_of_data_and_logs(published):
    index = json.loads(published.place.bundle_index.read_text())
    listed = {m["path"] for m in index["members"]}
    own = {
        str(p.relative_to(published.place.root))
        for p in (published.place.bundle_index, published.place.flag)
    }
    assert set(_files(published)) - own == listed
    assert published.passed
    assert published.place.flag.read_text().startswith("sha256_hex = ")


def test_a_tampered_run_is_refused_and_left_alone(tmp_path):
    outcome = _run(tmp_path)
    victim = next(outcome.place.layer.rglob("part-00000.parquet"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(RefusedError, match="OUTPUT_CONFLICT"):
        _run(tmp_path)
    assert victim.read_bytes() == bytes(data)


def test_another_policy_in_the_same_place_is_refused(tmp_path):
    place = "0123456789abcdef" * 2
    _run(tmp_path, run_id=place)
    with pytest.raises(RefusedError, match="another run is already published"):
        _run(tmp_path, run_id=place, seed=8)


def test_a_world_that_cannot_be_built_publishes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "require_floors", lambda *_: None)  # so that a state finds it
    with pytest.raises(InputError, match="PARTY_TARGETS_INCONSISTENT"):
        _run(tmp_path, scale=0.05)
    left = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    shown = [p.as_posix() for p in left if not p.parts[0].startswith(".")]
    (timings,) = shown  # nothing but the events of the failed run
    assert re.fullmatch(r"reports/refused/[0-9a-f]{32}/perf_events_6A\.jsonl", timings)
    assert not any(p.is_dir() for p in (tmp_path / ".staging").iterdir())
