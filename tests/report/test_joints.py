"""Figures that cross columns agree with the published tables, and say so where there is nothing."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fraudworld.documents import load_json
from fraudworld.report import joints, readings
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import open_world

EMPTY = ("circle_risk", "circle_nodes", "circle_edges", "transmission", "living_together",
         "systems_by_country", "cards_by_country", "homes")  # fmt: skip


def table(run: Path, name: str, *columns: str) -> list[dict[str, Any]]:
    """Rows of a dataset in plain Python."""
    folder = RunPlace(run).layer / f"{name}_6A"
    return pq.read_table(folder, columns=list(columns), partitioning=None).to_pylist()


def risky_parties(run: Path) -> set[int]:
    roles = table(run, "s5_party_fraud_roles", "party_id", "canonical_role_family")
    return {r["party_id"] for r in roles if r["canonical_role_family"] != "CLEAN"}


@pytest.fixture(scope="module")
def drawn(demo_world: Path) -> dict[str, list[dict[str, Any]]]:
    return joints.circles(open_world(demo_world))


def test_homes_count_every_retail_party_once(demo_world: Path) -> None:
    people = table(demo_world, "s1_party_base", "household_id", "segment_id")
    members = Counter(p["household_id"] for p in people if p["household_id"] is not None)
    expected = Counter(
        (p["segment_id"], min(members[p["household_id"]], 6))
        for p in people
        if p["household_id"] is not None
    )
    rows = joints.homes(open_world(demo_world))
    assert {(r["segment"], r["lives_with"]): r["parties"] for r in rows} == expected
    for segment in {r["segment"] for r in rows}:
        assert sum(r["share"] for r in rows if r["segment"] == segment) == pytest.approx(1)


def test_pairs_of_a_home_and_their_expectation(demo_world: Path) -> None:
    """Expected pairs have the observed sums of every segment: they exchange members only."""
    homes = defaultdict(list)
    for p in table(demo_world, "s1_party_base", "household_id", "segment_id"):
        if p["household_id"] is not None:
            homes[p["household_id"]].append(p["segment_id"])
    pairs = Counter(
        (a, b)
        for members in homes.values()
        for i, a in enumerate(members)
        for j, b in enumerate(members)
        if i != j
    )
    rows = joints.living_together(open_world(demo_world))
    assert {(r["segment"], r["other"]): r["pairs"] for r in rows if r["pairs"]} == pairs
    for segment in {r["segment"] for r in rows}:
        of_segment = [r for r in rows if r["segment"] == segment]
        assert sum(r["expected"] for r in of_segment) == pytest.approx(
            sum(r["pairs"] for r in of_segment)
        )
    assert all(r["lift"] is None for r in rows if r["expected"] < 5)


def test_shares_by_country(demo_world: Path) -> None:
    devices = table(demo_world, "s4_device_base", "device_type", "os_family", "home_country_iso",
                    "primary_party_id")  # fmt: skip
    phones = [d for d in devices if d["device_type"] == "MOBILE_PHONE" and d["primary_party_id"]]
    total = Counter(d["home_country_iso"] for d in phones)
    ios = Counter(d["home_country_iso"] for d in phones if d["os_family"] == "IOS")
    world = open_world(demo_world)
    rows = {r["country"]: r for r in joints.systems_by_country(world)}
    assert rows.keys() == {c for c, n in total.items() if n >= joints.LEAST_PHONES}
    assert all(r["observed"] == ios[c] / total[c] for c, r in rows.items())
    assert all(r["low"] < r["observed"] < r["high"] for r in rows.values() if r["ios"])
    people = table(demo_world, "s1_party_base", "party_id", "party_type", "country_iso")
    lives = {p["party_id"]: p["country_iso"] for p in people if p["party_type"] == "RETAIL"}
    accounts = table(demo_world, "s2_account_base", "owner_party_id", "account_type")
    holders = {
        a["owner_party_id"] for a in accounts if a["account_type"].startswith("RETAIL_CREDIT_CARD")
    }
    held, of = Counter(lives[p] for p in holders), Counter(lives.values())
    for row in joints.cards_by_country(world):
        country = row["country"]
        assert (row["holders"], row["parties"]) == (held[country], of[country])


def test_circles_by_share_of_risky_members(
    demo_world: Path, drawn: dict[str, list[dict[str, Any]]]
) -> None:
    risky = risky_parties(demo_world)
    circles = defaultdict(list)
    for row in table(demo_world, "s4_circle_members", "circle_id", "party_id"):
        circles[row["circle_id"]].append(row["party_id"] in risky)
    expected = Counter(math.ceil(10 * sum(bad) / len(bad)) for bad in circles.values())
    assert {r["tenths"]: r["circles"] for r in drawn["circle_risk"]} == expected
    assert sum(r["share"] for r in drawn["circle_risk"]) == pytest.approx(1)


def test_the_two_circles_are_circles_of_the_world(
    demo_world: Path, drawn: dict[str, list[dict[str, Any]]]
) -> None:
    risky = risky_parties(demo_world)
    circles = defaultdict(set)
    for row in table(demo_world, "s4_circle_members", "circle_id", "party_id"):
        circles[row["circle_id"]].add(row["party_id"])
    users = defaultdict(set)
    for link in table(demo_world, "s4_device_links", "device_id", "party_id"):
        users[link["device_id"]].add(link["party_id"])
    bad = {}
    for which in ("a circle with risk", "an innocent circle"):
        nodes = [n for n in drawn["circle_nodes"] if n["which"] == which]
        members = {n["id"] for n in nodes if n["kind"] == "party"}
        assert members in circles.values()
        assert {n["id"] for n in nodes if n["kind"] == "party" and n["risky"]} == members & risky
        bad[which] = len(members & risky)
        for device in (n for n in nodes if n["kind"] == "device"):
            assert len(users[device["id"]] & members) > 1
        at = {(n["x"], n["y"]) for n in nodes if n["kind"] == "party"}
        edges = [e for e in drawn["circle_edges"] if e["which"] == which]
        assert edges
        assert {(e["x2"], e["y2"]) for e in edges} <= at
    assert bad["an innocent circle"] == 0
    assert bad["a circle with risk"] == max(
        len(c & risky) for c in circles.values() if joints.FEWEST <= len(c) <= joints.MOST
    )


def test_transmission_is_that_of_the_guards(demo_world: Path) -> None:
    board = load_json(RunPlace(demo_world).gateboard)
    guards = {g["guard_id"]: g for g in board["guards"]}
    rows = list(joints.transmission(board["guards"]))
    assert [r["odds_ratio"] for r in rows] == [
        guards[f"network_transmission_{place}"]["value"] for place in ("device", "endpoint")
    ]
    assert list(joints.transmission([{**g, "value": None} for g in board["guards"]])) == []


def test_a_world_without_circles_says_so(demo_world: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(demo_world, tmp_path / "run", copy_function=os.link))
    for part in (RunPlace(run).layer / "s4_circle_members_6A").rglob("part-*.parquet"):
        empty = pq.read_table(part, partitioning=None).slice(0, 0)
        part.unlink()
        pq.write_table(empty, part)
    assert joints.circles(open_world(run)) == {
        "circle_risk": [], "circle_nodes": [], "circle_edges": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "reading",
    [readings.homes, readings.living_together, readings.systems_by_country,
     readings.cards_by_country, readings.transmission, readings.circle_risk, readings.circles],
    ids=lambda reading: reading.__name__,
)  # fmt: skip
def test_every_reading_has_words_for_nothing(reading: Any) -> None:
    said = reading({"figures": {name: [] for name in EMPTY}})
    assert said.startswith(("No", "This world has no"))
