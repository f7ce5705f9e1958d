"""Figures of profiles agree with the published tables; only an intact layer of a run is shown."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import combinations
from math import floor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fraudworld import report
from fraudworld.documents import canonical_json, load_json
from fraudworld.errors import InputError, RefusedError
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.parties import DAY_0
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.profiles.sharing_gate import SUSPICIOUS
from fraudworld.policy.profiles import load_profiles
from fraudworld.report import facts, profiles, readings, sections
from fraudworld.report.figures import FIGURES
from fraudworld.store.bundle import bundle_digest, flag_line, sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import open_world
from fraudworld.verification import outside

OWN = [figure for figure in FIGURES if figure.section == "profiles"]
START = date(1970, 1, 1) + timedelta(days=DAY_0)


@pytest.fixture(scope="module")
def profiled(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world with profiles inside, its report made before them; for reading only."""
    run = tmp_path_factory.mktemp("profiled") / demo_world.name
    shutil.copytree(demo_world, run, copy_function=os.link)
    assert make_profiles(ProfilesRequest(run=run, workers=1)).passed
    return run


@pytest.fixture
def copy(profiled: Path, tmp_path: Path) -> Path:
    """A copy whose files a test may replace."""
    return Path(shutil.copytree(profiled, tmp_path / profiled.name, copy_function=os.link))


@pytest.fixture(scope="module")
def collected(profiled: Path) -> dict[str, Any]:
    """Facts of the profiled world."""
    return facts.collect(profiled, facts.beside(profiled, profiled.parent))


def table(run: Path, name: str, *columns: str) -> list[dict[str, Any]]:
    """Rows of a dataset of the world or of its profiles in plain Python."""
    layer = RunPlace(run).layer if name.endswith("6A") else ProfilesPlace.below(run).layer
    return pq.read_table(layer / name, columns=list(columns), partitioning=None).to_pylist()


def people(run: Path) -> dict[int, dict[str, Any]]:
    """Persons by party id: segment, region, household, birth date, coordinates of the home."""
    base = table(run, "s1_party_base_6A", "party_id", "party_type", "segment_id", "region_id",
                 "household_id")  # fmt: skip
    profile = table(run, "p1_party_profile_6P", "party_id", "born_on", "home_lat", "home_lon")
    by_id = {row["party_id"]: row for row in profile}
    return {p["party_id"]: {**p, **by_id[p["party_id"]]}
            for p in base if p["party_type"] == "RETAIL"}  # fmt: skip


def years_before_start(day: date) -> int:
    return floor((START - day).days / 365.2425)


def test_ages_are_those_of_the_tables(profiled: Path, collected: dict[str, Any]) -> None:
    expected = Counter(
        (p["segment_id"], years_before_start(p["born_on"]) // 5 * 5)
        for p in people(profiled).values()
    )
    rows = collected["figures"]["profile_ages"]
    seen = {(r["segment"], r["from_age"]): r["persons"] for r in rows if r["persons"]}
    assert seen == expected
    for segment in {r["segment"] for r in rows}:
        of = [r for r in rows if r["segment"] == segment]
        assert sum(r["observed"] for r in of) == pytest.approx(1)
        assert sum(r["law"] for r in of) == pytest.approx(1)


def test_the_law_of_ages_is_that_of_the_policy(profiled: Path, collected: dict[str, Any]) -> None:
    """Inside an interval of the policy ages are uniform; regions weigh as many persons."""
    law = load_profiles().pack.people
    regions = Counter((p["segment_id"], p["region_id"]) for p in people(profiled).values())
    for row in collected["figures"]["profile_ages"]:
        shares = []
        for (segment, region), n in regions.items():
            if segment == row["segment"]:
                of = law.ages.get(segment) or law.adult_ages.regions[region]
                low, high = row["from_age"], row["from_age"] + 5
                parts = zip(of.edges, of.edges[1:], of.shares, strict=False)
                inside = sum(s * max(min(b, high) - max(a, low), 0) / (b - a) for a, b, s in parts)
                shares.append((n, inside))
        persons = sum(n for n, _ in shares)
        assert row["law"] == pytest.approx(sum(n * s for n, s in shares) / persons)


def test_age_differences_are_those_of_households(profiled: Path, collected: dict[str, Any]) -> None:
    generation = load_profiles().pack.people.generations
    homes = defaultdict(list)
    for p in people(profiled).values():
        if p["household_id"] is not None:
            homes[p["household_id"]].append((generation[p["segment_id"]], p["born_on"]))
    expected: Counter[tuple[str, int]] = Counter()
    for members in homes.values():
        for (rank, born), (other, others) in combinations(members, 2):
            if abs(rank - other) > 1:
                continue
            same = "PARTNERS" if rank else "SIBLINGS_AND_FLATMATES"
            relation = same if rank == other else "GENERATIONS"
            days = abs((born - others).days)
            if relation == "GENERATIONS":
                days = (others - born).days if rank > other else (born - others).days
            expected[relation, max(min(floor(days / 365.2425), 60), -60)] += 1
    rows = collected["figures"]["age_differences"]
    assert {(r["relation"], r["years"]): r["pairs"] for r in rows} == expected
    assert {relation for relation, _ in expected} == {r["relation"] for r in rows}


def test_cells_hold_every_home_of_persons_once(profiled: Path, collected: dict[str, Any]) -> None:
    homes = {}
    for party, p in sorted(people(profiled).items()):
        # A home in a building of many lies where the building does, and is a home of its own.
        home = ("household", p["household_id"]) if p["household_id"] else ("party", party)
        homes.setdefault(home, (floor(p["home_lat"] / 2) * 2, floor(p["home_lon"] / 2) * 2))
    rows = collected["figures"]["homes_by_cell"]
    assert {(r["south"], r["west"]): r["homes"] for r in rows} == Counter(homes.values())
    assert [r["homes"] for r in rows] == sorted((r["homes"] for r in rows), reverse=True)
    assert all(r["north"] - r["south"] == r["east"] - r["west"] == 2 for r in rows)


def test_accounts_are_those_open_at_the_start(profiled: Path, collected: dict[str, Any]) -> None:
    kinds = open_world(profiled).pack.account_taxonomy.account_types
    accounts = table(profiled, "s2_account_base_6A", "account_id", "account_type")
    group = {r["account_id"]: kinds[r["account_type"]].group for r in accounts}
    rows = table(profiled, "p2_account_profile_6P", "account_id", "opened_on", "closed_on")
    expected = Counter(
        (group[r["account_id"]], min(years_before_start(r["opened_on"]), 30))
        for r in rows
        if r["opened_on"] < START and (r["closed_on"] is None or r["closed_on"] >= START)
    )
    seen = collected["figures"]["account_ages"]
    assert {(r["group"], r["years"]): r["accounts"] for r in seen} == expected
    said = readings.account_ages(collected)
    closed = sum(r["closed_on"] is not None for r in rows) / len(rows)
    inside = sum(r["opened_on"] >= START for r in rows) / len(rows)
    assert said.startswith(f"{closed:.2%} of all accounts closed before")
    assert f"{inside:.2%} open inside it" in said
    assert all(r["closed_on"] < START for r in rows if r["closed_on"])


def test_sharing_is_that_of_the_guard(profiled: Path, collected: dict[str, Any]) -> None:
    board = load_json(ProfilesPlace.below(profiled).gateboard)["tests"]
    wanted = {t["metric_name"]: t for t in board if t["test_id"] == "P4_SHARING"}
    crowd = wanted.pop("crowded_addresses")
    assert wanted.pop("households_with_one_tax_id")["value"] == 0
    for rule in SUSPICIOUS:
        assert wanted.pop(rule)["value"] <= 0.60
    rows = {r["sharing"]: r for r in collected["figures"]["sharing_kinds"]}
    assert rows.keys() == wanted.keys()
    for kind, row in rows.items():
        assert (row["observed"], row["expected"]) == (
            wanted[kind]["details"]["observed"], wanted[kind]["details"]["expected"],
        )  # fmt: skip
        if wanted[kind]["value"] is None:
            assert (row["ratio"], row["verdict"]) == (None, "NO EVIDENCE")
        else:
            assert abs(row["ratio"] - 1) == pytest.approx(wanted[kind]["value"])
    innocent, synthetic = collected["figures"]["crowded_addresses"]
    assert synthetic["parties"] / innocent["parties"] == pytest.approx(crowd["value"])
    assert synthetic["parties"] <= synthetic["allowed"]


@pytest.mark.parametrize("figure", OWN, ids=lambda f: f.name)
def test_every_figure_has_rows_and_a_text_with_numbers(
    figure: Any, collected: dict[str, Any]
) -> None:
    assert all(collected["figures"][name] for name in figure.rows)
    drawn = set(re.findall(r'"data": \{"name": "(\w+)"', json.dumps(figure.spec)))
    assert drawn == set(figure.rows)
    assert re.search(r"\d", figure.reading(collected))


def test_what_the_layer_publishes_for_it_is_small(profiled: Path) -> None:
    assert ProfilesPlace.below(profiled).report.stat().st_size < 150_000


def test_the_section_is_there_only_with_a_layer(demo_world: Path, copy: Path) -> None:
    plain = facts.collect(demo_world, facts.beside(demo_world, demo_world.parent))
    assert plain["profiles"] is None
    assert all(plain["figures"][name] == [] for name in profiles.ROWS)
    assert '<section id="profiles">' not in RunPlace(demo_world).report.read_text("utf-8")
    written = report.refresh(copy)
    html = written.page.read_text("utf-8")
    assert html.count('<section id="profiles">') == 1
    for figure in OWN:
        assert f'id="figure-{figure.name}"' in html
    guards = load_json(written.twin)["profiles"]["guards"]
    assert {g["test_id"][:2] for g in guards} == {"P1", "P2", "P3", "P4", "P5", "P6"}
    assert written.page.stat().st_size <= 3_000_000


def test_verify_accepts_reports_before_and_after_the_layer(copy: Path) -> None:
    assert all(check.holds for check in outside.page(RunPlace(copy)))
    report.refresh(copy)
    assert all(check.holds for check in outside.page(RunPlace(copy)))
    shutil.rmtree(ProfilesPlace.below(copy).layer)
    assert not any(check.holds for check in outside.page(RunPlace(copy)))


@pytest.mark.parametrize("name", ["report", "gateboard", "receipt"])
def test_a_layer_that_was_changed_is_refused(copy: Path, name: str) -> None:
    path = getattr(ProfilesPlace.below(copy), name)
    replace(path, path.read_bytes().replace(b"0", b"1"))
    before = RunPlace(copy).report.read_bytes()
    with pytest.raises(RefusedError) as refused:
        report.refresh(copy)
    assert refused.value.code == "6P.P5.OUTPUT_CONFLICT"
    assert path.name in refused.value.what
    assert RunPlace(copy).report.read_bytes() == before


def test_a_layer_of_another_run_is_refused(copy: Path) -> None:
    place = ProfilesPlace.below(copy)
    reseal(place, place.receipt, {**load_json(place.receipt), "world_bundle_digest": "0" * 64})
    place.check()
    with pytest.raises(RefusedError) as refused:
        profiles.published(copy)
    assert refused.value.code == "6P.P5.OUTPUT_CONFLICT"
    assert "another run" in refused.value.what


def test_a_layer_without_what_is_drawn_is_named(copy: Path) -> None:
    place = ProfilesPlace.below(copy)
    document = load_json(place.report)
    del document["summary"]["homes_by_cell"]
    reseal(place, place.report, document)
    with pytest.raises(InputError) as refused:
        facts.collect(copy, facts.beside(copy, copy.parent))
    assert refused.value.code == "6A.REPORT.EVIDENCE_UNREADABLE"
    assert "homes_by_cell" in refused.value.what


def test_a_layer_without_identities_says_so(profiled: Path) -> None:
    layer = profiles.published(profiled)
    assert layer is not None
    layer["guards"] = [g for g in layer["guards"] if g["test_id"] != "P4_SHARING"]
    _, rows = profiles.facts_of(layer, profiled)
    assert rows["sharing_kinds"] == rows["crowded_addresses"] == []
    assert "without identities" in readings.crowded_addresses({"figures": rows})


def test_a_layer_that_fails_is_shown_as_such(collected: dict[str, Any]) -> None:
    layer = collected["profiles"]
    broken = [{**g, "verdict": "FAIL"} if g["test_id"] == "P6_HOMES" else g
              for g in layer["guards"]]  # fmt: skip
    html = sections.profiles({"profiles": {**layer, "passed": False, "guards": broken}})
    assert "without flag" in html
    assert html.count("✕ broken") == 2


@pytest.mark.parametrize("figure", OWN, ids=lambda f: f.name)
def test_every_reading_has_words_for_nothing(figure: Any) -> None:
    said = figure.reading({"figures": {name: [] for name in profiles.ROWS}, "profiles": None})
    assert said.startswith("No ")


def replace(path: Path, data: bytes) -> None:
    """Gives a file, which may be a link to another's, new bytes of its own."""
    path.unlink()
    path.write_bytes(data)


def reseal(place: ProfilesPlace, path: Path, document: dict[str, Any]) -> None:
    """Replaces a document of a layer, and its line in the index and the flag."""
    replace(path, canonical_json(document))
    index = load_json(place.index)
    (row,) = (m for m in index["members"] if place.layer / m["path"] == path)
    row.update(bytes=path.stat().st_size, sha256_hex=sha256_file(path))
    replace(place.index, canonical_json(index) + b"\n")
    replace(place.flag, flag_line(bundle_digest(index)).encode())
