"""Every stream a world is drawn from is in its RNG logs, and no other is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fraudworld.rng import stream as rng
from golden import golden_worlds as golden


def test_the_audit_names_exactly_the_streams_whose_keys_were_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: set[str] = set()
    drawn_from: set[str] = set()
    derive_key, write = rng._key, golden.write_rng_logs

    def recording_key(seed: int, label: str) -> object:
        requested.add(label)
        return derive_key(seed, label)

    def recording_logs(*arguments: object) -> object:
        drawn_from.update(requested)  # before the logs themselves request keys
        return write(*arguments)

    monkeypatch.setattr(rng, "_key", recording_key)
    monkeypatch.setattr(golden, "write_rng_logs", recording_logs)
    golden.tiny(tmp_path)
    (audit,) = tmp_path.rglob("rng_audit_6A.jsonl")
    stated = json.loads(audit.read_text("utf-8"))["key_sha256"]
    assert {label.partition("/")[0] for label in drawn_from} == {"s1", "s2", "s3", "s4", "s5"}
    assert drawn_from == set(stated)


def test_events_of_cap_passes_state_how_many_entities_drew(demo_world: Path) -> None:
    (events,) = demo_world.rglob("rng_events_6A.jsonl")
    entities = dict.fromkeys(("s2", "s3", "s4"), 0)
    for line in events.read_text("utf-8").splitlines():
        event = json.loads(line)
        state, law, *_ = event["stream"].split("/")
        if law.endswith("_redistribution"):
            entities[state] += event["entities"]
    assert all(entities.values()), entities
