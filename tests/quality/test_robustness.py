"""`benches/robustness.py`: its figures, and B+ on seeds that no document uses."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import pytest

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "benches" / "robustness.py"))
UNSEEN = (5001, 5002, 5003)


@pytest.mark.parametrize(
    ("bound", "values", "worst"),
    [
        ("<= 8", {1: 0.1, 2: 0.3, 3: 0.2}, 2),
        (">= 2", {1: 2.5, 2: 3.1, 3: 2.2}, 3),
        ("0.8 .. 1.25 where >= 400 expected", {1: 1.14, 2: 0.84, 3: 1.0}, 2),
        ("median 0.03 .. 0.1, max <= 0.18", {1: 0.05, 2: 0.06, 3: 0.098}, 3),
        ("policy required_coverage", {1: 0.95, 2: 0.94, 3: 0.96}, 2),
        ("<= 8", {1: 7.9, 2: None, 3: 0.2}, 2),
    ],
)
def test_the_worst_seed_is_nearest_to_its_bound(bound, values, worst):
    assert BENCH["figure"]("metric", bound, values).worst_seed == worst


def test_a_seed_without_a_value_is_the_worst_and_quantiles_are_missing():
    figure = BENCH["figure"]("metric", "<= 8", {1: 0.1, 2: None})
    assert all(math.isnan(q) for q in figure.quantiles)


def test_the_table_has_every_metric_and_guard_and_misses_are_named(demo_world):
    name = "data/layer3/6A/validation/realism_gate_6A.json"
    board: dict[str, Any] = json.loads((demo_world / name).read_text("utf-8"))
    figures = list(BENCH["figures"]({42: board}))
    assert len(figures) == len(board["tests"]) + len(board["guards"])
    assert list(BENCH["misses"]({42: board})) == []
    row = next(r for r in board["tests"] if r["metric_name"] == "or_device")
    row.update(value=1.9, pass_Bplus=False)
    board["guards"][0].update(holds=False)
    missed = list(BENCH["misses"]({42: board}))
    assert len(missed) == 2
    assert "or_device = 1.9" in missed[0]
    assert board["guards"][0]["guard_id"] in missed[1]


@pytest.mark.full
def test_further_seeds_are_b_plus_and_their_boards_are_reused(tmp_path):
    """Null: a default world is B+; three demo worlds, seeds fixed, so it never fails by chance.

    The smallest of them has too few devices for one guard, by three: it fails closed.
    """
    boards = {seed: BENCH["board"](seed, "demo", tmp_path) for seed in UNSEEN}
    (missed,) = BENCH["misses"](boards)
    assert missed.startswith("seed 5001 role_coherence_shared_devices")
    (guard,) = [g for g in boards[5001]["guards"] if not g["holds"]]
    assert guard["details"]["support"] == guard["details"]["minimum_support"] - 3
    assert not list((tmp_path / "runs").glob("*/run_receipt.json"))
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.json")}
    assert {seed: BENCH["board"](seed, "demo", tmp_path) for seed in UNSEEN} == boards
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.json")} == written
