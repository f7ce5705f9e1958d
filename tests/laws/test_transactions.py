"""Blocks, threads and the length of the window do not change the flows of a stream."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts.table import Visibility
from fraudworld.contracts.transactions import DOWNSTREAM_TABLES
from fraudworld.layers.transactions.layout import INDEX, LAYER
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_run

BY_FLOW = [t.name for t in DOWNSTREAM_TABLES if t.name != "s3_campaign_catalogue_6B"]


def digests(to: Path) -> dict[str, str]:
    content = json.loads((to / LAYER / INDEX).read_text())["content_digests"]
    assert isinstance(content, dict)
    return content


def table(to: Path, name: str) -> pa.Table:
    """A dataset without identity columns, codes as strings."""
    columns = [c.name for t in DOWNSTREAM_TABLES if t.name == name for c in t.columns]
    data = pq.read_table(to / LAYER / name, columns=columns, partitioning=None)
    plain = [pa.string() if pa.types.is_dictionary(f.type) else f.type for f in data.schema]
    return data.cast(pa.schema([f.with_type(t) for f, t in zip(data.schema, plain, strict=True)]))


def make(world: Path, to: Path, **request: object) -> Path:
    stream(StreamRequest(run=world, to=to, **request))  # type: ignore[arg-type]
    return to


@pytest.mark.parametrize(("block", "workers"), [(1_000, 1), (7_777, 3)])
def test_block_size_and_threads_change_no_byte(
    small_world: Path, small_stream: Path, tmp_path: Path, block: int, workers: int
) -> None:
    other = make(small_world, tmp_path, days=12, block_flows=block, workers=workers)
    assert (other / LAYER / INDEX).read_bytes() == (small_stream / LAYER / INDEX).read_bytes()


@pytest.mark.parametrize("name", BY_FLOW)
def test_a_longer_stream_begins_with_the_shorter_one(
    small_stream: Path, shorter: Path, name: str
) -> None:
    short, long = table(shorter, name), table(small_stream, name)
    last = table(shorter, "s1_arrival_entities_6B").num_rows
    key = "case_id" if name == "s4_case_timeline_6B" else "flow_id"
    assert short.equals(long.filter(pc.less_equal(long[key], last)))


@pytest.mark.parametrize("name", BY_FLOW)
def test_a_later_window_holds_the_same_flows(small_stream: Path, later: Path, name: str) -> None:
    window, whole = table(later, name), table(small_stream, name)
    ids = table(later, "s1_arrival_entities_6B")["flow_id"]
    key = "case_id" if name == "s4_case_timeline_6B" else "flow_id"
    inside = pc.and_(
        pc.greater_equal(whole[key], pc.min(ids)), pc.less_equal(whole[key], pc.max(ids))
    )
    assert window.num_rows
    assert window.equals(whole.filter(inside))


@pytest.fixture(scope="module")
def shorter(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(small_world, tmp_path_factory.mktemp("shorter"), flows=20_001)


@pytest.fixture(scope="module")
def later(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(small_world, tmp_path_factory.mktemp("later"), from_day=4, days=3)


def test_a_stream_has_exactly_the_requested_flows(shorter: Path) -> None:
    for name in ("s1_arrival_entities_6B", "s2_flow_anchor_6B", "s4_flow_bank_view_6B"):
        assert table(shorter, name).num_rows == 20_001


def test_observable_streams_hold_no_truth_and_are_otherwise_the_same(
    small_world: Path, small_stream: Path, tmp_path: Path
) -> None:
    observable = make(small_world, tmp_path, days=12, observable=True)
    truth = {t.name for t in DOWNSTREAM_TABLES if t.visibility is Visibility.TRUTH}
    everything = digests(small_stream)
    assert digests(observable) == {n: d for n, d in everything.items() if n not in truth}
    assert not any((observable / LAYER / name).exists() for name in truth)
    report = (observable / LAYER / "validation/s5_validation_report_6B.json").read_text()
    assert "CAMPAIGN" not in report
    assert "prevalence" not in report


def test_a_stream_inside_its_run_leaves_the_run_unchanged(
    small_world: Path, small_stream: Path, tmp_path: Path
) -> None:
    import shutil

    run = tmp_path / small_world.name
    shutil.copytree(small_world, run)
    (tmp_path / ".upstream").symlink_to(small_world.parent / ".upstream")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    sealed = check_run(RunPlace(run))
    request = StreamRequest(run=run, days=12)
    outcome = stream(request)
    assert {p: p.read_bytes() for p in before} == before
    assert check_run(RunPlace(run)) == sealed
    assert digests(run) == digests(small_stream)
    repeated = stream(request)
    assert repeated.reused
    assert repeated.rows == {t.name: outcome.rows[t.name] for t in DOWNSTREAM_TABLES}


def test_another_seed_gives_another_stream(
    small_stream: Path, small_world: Path, tmp_path: Path
) -> None:
    from fraudworld.request import RunRequest
    from fraudworld.run import pipeline

    place = pipeline.run(
        RunRequest(profile="demo", scale=0.4, seed=8, runs_root=tmp_path / "runs")
    ).place
    other = make(place.root, tmp_path / "to", days=2)
    assert (
        digests(other)["s1_arrival_entities_6B"] != digests(small_stream)["s1_arrival_entities_6B"]
    )
