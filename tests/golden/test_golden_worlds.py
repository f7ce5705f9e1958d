"""Two worlds and a stream have the committed digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudworld.contracts import TABLES, Table
from fraudworld.contracts.profiles import PROFILE_TABLES
from fraudworld.contracts.transactions import DOWNSTREAM_TABLES
from golden import golden_worlds as golden

REFRESH = (
    "{} changed. A world that was published can no longer be made again: undo the change, or "
    "run `python -m golden.golden_worlds` in tests/ and commit its files alone, saying why. If "
    "only the demo world changed, look for another version of the libraries it takes its "
    "geography from (requirements.lock)."
)


def test_the_demo_world_has_golden_digests(demo_world: Path) -> None:
    moved = golden.changed_digests(golden.read("demo"), golden.of_run(demo_world))
    assert moved == [], REFRESH.format(", ".join(moved))


@pytest.mark.parametrize("parties_per_shard", [None, 1_024, 2_048])
def test_the_tiny_world_has_golden_digests(tmp_path: Path, parties_per_shard: int | None) -> None:
    moved = golden.changed_digests(golden.read("tiny"), golden.tiny(tmp_path, parties_per_shard))
    assert moved == [], REFRESH.format(", ".join(moved))


def test_a_state_with_other_tables_has_another_law_version() -> None:
    states = golden.unversioned(golden.recorded_laws(), golden.of_states(golden.read("tiny")))
    assert states == [], f"raise {', '.join(states)} in stages/versions.py: its tables changed"


def test_a_changed_law_without_a_new_version_is_named() -> None:
    laws = golden.recorded_laws()
    digests = golden.of_states(golden.read("tiny")) | {"S4": "0" * 64}
    assert golden.unversioned(laws, digests) == ["S4"]
    assert golden.unversioned(laws | {"S2": {}}, digests) == ["S2", "S4"]


@pytest.mark.parametrize("block_flows", [1 << 17, 3_000])
def test_the_demo_stream_has_golden_digests(
    demo_world: Path, tmp_path: Path, block_flows: int
) -> None:
    actual = golden.transactions(demo_world, tmp_path, block_flows)
    assert golden.changed_digests(golden.read("demo"), golden.of_run(demo_world)) == [], (
        "its world changed"
    )
    changed = golden.changed_digests(golden.read("transactions"), actual)
    assert changed == [], REFRESH.format(", ".join(changed))


@pytest.mark.parametrize("block_rows", [1 << 17, 9_999])
def test_profiles_of_the_demo_world_have_golden_digests(
    demo_world: Path, tmp_path: Path, block_rows: int
) -> None:
    actual = golden.profiles(demo_world, tmp_path, block_rows)
    changed = golden.changed_digests(golden.read("profiles"), actual)
    assert changed == [], REFRESH.format(", ".join(changed))


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("demo", TABLES),
        ("tiny", TABLES),
        ("profiles", PROFILE_TABLES),
        ("transactions", DOWNSTREAM_TABLES),
    ],
)
def test_golden_files_cover_every_dataset_and_log(name: str, tables: tuple[Table, ...]) -> None:
    digests = golden.read(name)
    assert set(digests["datasets"]) == {t.name for t in tables}
    assert set(digests["rng_logs"]) == {
        "rng_audit_6A.jsonl",
        "rng_events_6A.jsonl",
        "rng_trace_6A.jsonl",
    }


def test_a_changed_digest_is_named() -> None:
    first = {"datasets": {"a": "1", "b": "2"}, "rng_logs": {"x": "3"}}
    other = {"datasets": {"a": "1", "b": "9", "c": "4"}, "rng_logs": {}}
    assert golden.changed_digests(first, other) == ["b", "c", "x"]
    assert golden.changed_digests(first, first) == []
