"""The floor benchmark re-encodes the files of a run byte for byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fraudworld.contracts import TABLES
from fraudworld.errors import InputError
from fraudworld.perf import floor


def test_every_file_is_encoded_again_byte_for_byte(demo_world: Path) -> None:
    measured = floor.measure(demo_world)
    parts = list((demo_world / "data").rglob("part-*.parquet"))
    assert measured.identical
    assert measured.bytes == sum(path.stat().st_size for path in parts)
    assert set(measured.cpu_per_table) == {t.name for t in TABLES}
    assert measured.encode.cpu_s == pytest.approx(sum(measured.cpu_per_table.values()), abs=0.01)
    assert min(measured.digest.cpu_s, measured.sha256.cpu_s) > 0


def test_small_groups_change_nothing(demo_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "GROUP_BYTES", 1)
    measured = floor.measure(demo_world, threads=1)
    assert measured.identical
    assert measured.rows == floor.measure(demo_world).rows


def test_a_file_of_another_writer_is_not_identical(demo_world: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    root = shutil.copytree(demo_world, tmp_path / "run", copy_function=os.link)
    (path,) = root.rglob("s1_party_base_6A/**/part-00000.parquet")
    data = pq.read_table(path, partitioning=None)
    path.unlink()
    pq.write_table(data, path, compression="snappy")
    assert not floor.measure(root).identical


def test_a_dataset_without_parts_is_refused(demo_world: Path, tmp_path: Path) -> None:
    root = shutil.copytree(demo_world, tmp_path / "run", copy_function=os.link)
    for path in root.rglob("s3_instrument_base_6A/**/part-*.parquet"):
        path.unlink()
    with pytest.raises(InputError) as caught:
        floor.measure(root)
    assert caught.value.code == "6A.PERF.DATASET_MISSING"
