"""Every way an upstream can be wrong: refused with its code, the file named, nothing made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fraudworld import pipeline, upstream
from fraudworld.errors import FraudworldError
from fraudworld.request import RunRequest
from fraudworld.stages import intake
from fraudworld.store import bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("upstream") / "frozen"
    upstream.build(folder, volume_scale=0.02)
    return folder


@pytest.fixture
def copy(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "up"))


def _refused(copy: Path, tmp_path: Path) -> FraudworldError:
    runs = tmp_path / "runs"
    with pytest.raises(FraudworldError) as caught:
        pipeline.run(RunRequest(upstream_dir=copy, runs_root=runs, scale=0.6))
    assert not runs.exists() or not any(runs.iterdir()), "nothing was published"
    return caught.value


def _reseal(folder: Path) -> None:
    names = [p.name for p in folder.iterdir() if p.name not in (bundle.INDEX, bundle.FLAG)]
    bundle.seal(folder, names)


def test_missing_flag(copy, tmp_path):
    (copy / "3A" / "_passed.flag").unlink()
    error = _refused(copy, tmp_path)
    assert error.code == "6A.S0.UPSTREAM_HASHGATE_MISSING"
    assert error.exit_code == 3
    assert "3A" in error.what


def test_flipped_bit_names_the_file_and_both_digests(copy, tmp_path):
    victim = copy / "5A" / "merchant_zone_profile_5A.parquet"
    sealed = bundle.sha256_file(victim)
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(data)
    error = _refused(copy, tmp_path)
    assert error.code == "6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH"
    assert error.exit_code == 3
    assert sealed in error.what
    assert bundle.sha256_file(victim) in error.what


def test_extra_file(copy, tmp_path):
    (copy / "1B" / "more.parquet").write_bytes(b"x")
    error = _refused(copy, tmp_path)
    assert (error.code, error.exit_code) == ("6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH", 3)
    assert "more.parquet" in error.what


def test_missing_member(copy, tmp_path):
    (copy / "2A" / "site_timezones.parquet").unlink()
    error = _refused(copy, tmp_path)
    assert (error.code, error.exit_code) == ("6A.S0.UPSTREAM_HASHGATE_MISSING", 3)


@pytest.mark.parametrize("path", ["../1A/index.json", "/etc/hostname", "a/../../b"])
def test_index_that_leaves_its_folder(copy, tmp_path, path):
    index = copy / "2B" / "index.json"
    document = json.loads(index.read_text())
    document["members"][0]["path"] = path
    index.write_text(json.dumps(document))
    (copy / "2B" / "_passed.flag").write_text(bundle.flag_line(bundle.bundle_digest(document)))
    error = _refused(copy, tmp_path)
    assert (error.code, error.exit_code) == ("6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID", 3)
    assert "leaves the bundle" in error.what


def test_link_out_of_the_bundle(copy, tmp_path):
    victim = copy / "1B" / "site_locations.parquet"
    elsewhere = tmp_path / "elsewhere.parquet"
    victim.rename(elsewhere)
    victim.symlink_to(elsewhere)
    error = _refused(copy, tmp_path)
    assert error.code == "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"members": 3}', '{"members": [{}]}'])
def test_index_that_is_no_index(copy, tmp_path, text):
    (copy / "1A" / "index.json").write_text(text)
    error = _refused(copy, tmp_path)
    assert error.exit_code == 3
    assert error.code.startswith("6A.S0.UPSTREAM_HASHGATE_")


def test_missing_column_of_a_resealed_table(copy, tmp_path):
    path = copy / "1A" / "outlet_catalogue.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["mcc"]), path)
    _reseal(copy / "1A")
    error = _refused(copy, tmp_path)
    assert (error.code, error.exit_code) == ("6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID", 3)
    assert "mcc" in error.what


def test_table_without_rows(copy, tmp_path):
    path = copy / "5A" / "merchant_zone_profile_5A.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    _reseal(copy / "5A")
    assert _refused(copy, tmp_path).code == "6A.S0.SEALED_INPUTS_EMPTY"


def test_unknown_region_is_bad_input(copy, tmp_path):
    path = copy / "1A" / "country_geography.parquet"
    table = pq.read_table(path)
    strange = ["REGION_ATLANTIS", *table["region_id"].to_pylist()[1:]]
    pq.write_table(table.set_column(1, "region_id", [strange]), path)
    _reseal(copy / "1A")
    error = _refused(copy, tmp_path)
    assert error.exit_code == 2
    assert "REGION_ATLANTIS" in error.what


def test_change_after_sealing_is_seen_before_reading(copy):
    from fraudworld.policy.loader import load_pack

    loaded = load_pack()
    sealed = intake.seal_inputs(copy, loaded)
    victim = copy / "1A" / "outlet_catalogue.parquet"
    victim.write_bytes(victim.read_bytes() + b"\0")
    with pytest.raises(FraudworldError, match="SEALED_INPUTS_DIGEST_MISMATCH"):
        intake.load_upstream(
            copy, sealed, loaded.pack.codes("region"), loaded.pack.codes("merchant_class")
        )


def test_build_is_the_same_bytes_every_time_and_has_the_published_shape(pristine, tmp_path):
    again = tmp_path / "again"
    upstream.build(again, volume_scale=0.02)
    for path in sorted(p for p in pristine.rglob("*") if p.is_file()):
        assert (again / path.relative_to(pristine)).read_bytes() == path.read_bytes()
    shape = {f.what: f for f in upstream.measure(pristine)}
    exact = ("merchants", "outlets", "countries", "countries per merchant p50")
    for what in exact:
        assert shape[what].measured == shape[what].target
    for what in ("Gini of outlets", "outlets away from home", "outlets per merchant p50"):
        assert shape[what].measured == pytest.approx(shape[what].target, rel=0.02)
