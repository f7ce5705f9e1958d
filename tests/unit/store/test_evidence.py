"""RNG logs: one event per stream and cell for any shards, with draws that add up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fraudworld.errors import InternalError
from fraudworld.rng import Stream, StreamUse
from fraudworld.store.evidence import encode_rng, merge, write_rng_logs, write_rng_shares

WIDE = Stream(42, "s1/attributes", "party_attribute_sampling", 3)
NARROW = Stream(42, "s2/allocation/RETAIL", "account_allocation_sampling")
USES = [WIDE.use("DE", 0, 10), WIDE.use("GB", 10, 5), NARROW.use("world", 0, 15, entities=6)]


def logs(folder: Path, uses: list[StreamUse]) -> dict[str, list[dict[str, object]]]:
    paths = write_rng_logs(folder, 42, uses)
    assert [p.relative_to(folder).as_posix() for p in paths] == [
        f"{name}/rng_{name}_6A.jsonl" for name in ("audit", "trace", "events")
    ]
    return {
        p.parent.name: [json.loads(line) for line in p.read_text("utf-8").splitlines()]
        for p in paths
    }


def test_logs_state_streams_counters_and_draws(tmp_path: Path) -> None:
    written = logs(tmp_path, USES)
    (audit,) = written["audit"]
    assert audit["engine"] == "philox4x64-10"
    assert audit["streams"] == 2
    assert set(audit["key_sha256"]) == {"s1/attributes", "s2/allocation/RETAIL"}
    assert [(t["stream"], t["entities"], t["draws"], t["blocks"]) for t in written["trace"]] == [
        # 0…29 and 30…44 are flat positions: blocks 0–7 and 7–11.
        ("s1/attributes", 15, 45, 8 + 5),
        ("s2/allocation/RETAIL", 6, 6, 4),
    ]
    assert written["events"][1] == {
        "stream": "s1/attributes",
        "cell": "GB",
        "counter_before": f"{30:016x}",
        "counter_after": f"{45:016x}",
        "entities": 5,
        "draws": 15,
    }


def test_shards_and_their_order_do_not_change_the_logs(tmp_path: Path) -> None:
    logs(tmp_path / "whole", USES)
    shards = [WIDE.use("GB", 12, 3), NARROW.use("world", 8, 7, entities=2), WIDE.use("DE", 4, 6)]
    shards += [NARROW.use("world", 0, 8, entities=4), WIDE.use("DE", 0, 4), WIDE.use("GB", 10, 2)]
    logs(tmp_path / "cut", shards)
    for path in (tmp_path / "whole").rglob("*.jsonl"):
        assert path.read_bytes() == (tmp_path / "cut" / path.parent.name / path.name).read_bytes()


def test_an_empty_shard_does_not_stretch_the_range() -> None:
    (use,) = merge([WIDE.use("DE", 100, 0), WIDE.use("DE", 0, 10)])
    assert (use.first_entity, use.last_entity, use.draws) == (0, 9, 30)


def test_a_cell_without_draws_moves_no_counter(tmp_path: Path) -> None:
    (event,) = logs(tmp_path, [WIDE.use("DE", 7, 0)])["events"]
    assert event["counter_before"] == event["counter_after"]
    assert event["draws"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        replace(USES[0], width=2, draws=20),
        replace(USES[0], family="party_count_realisation"),
        replace(USES[0], draws=29),
    ],
)
def test_contradicting_evidence_is_an_internal_error(wrong: StreamUse) -> None:
    with pytest.raises(InternalError) as caught:
        merge([USES[1], wrong])
    assert caught.value.code == "6A.S0.RNG_ACCOUNTING_MISMATCH"


def test_shares_of_states_make_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    whole = write_rng_logs(tmp_path / "whole", 42, USES)
    shares = [encode_rng(42, USES[:2]), encode_rng(42, []), encode_rng(42, USES[2:])]
    for n, order in enumerate((shares, shares[::-1])):
        parts = write_rng_shares(tmp_path / str(n), 42, order)
        assert [p.read_bytes() for p in parts] == [p.read_bytes() for p in whole]


def test_two_states_that_share_a_stream_are_an_error(tmp_path: Path) -> None:
    shares = [encode_rng(42, USES[:1]), encode_rng(42, USES[1:])]
    with pytest.raises(InternalError, match="s1/attributes") as caught:
        write_rng_shares(tmp_path, 42, shares)
    assert caught.value.code == "6A.S0.RNG_ACCOUNTING_MISMATCH"
    assert list(tmp_path.iterdir()) == []
