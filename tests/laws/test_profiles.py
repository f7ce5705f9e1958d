"""Blocks and threads change no profile; homes, ages and places keep their laws."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from fraudworld.contracts.profiles import CODES, PROFILE_TABLES
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.transactions.inputs import open_inputs
from fraudworld.store.content import LISTED
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import recompute_digest
from fraudworld.store.seal import check_run
from support import clusters


@pytest.fixture(scope="module")
def profiles(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> ProfilesPlace:
    """Profiles of the small world, beside a folder of their own."""
    to = tmp_path_factory.mktemp("profiles")
    assert make_profiles(ProfilesRequest(run=small_world, to=to, workers=1)).passed
    return ProfilesPlace.below(to)


@pytest.fixture(scope="module")
def sql(profiles: ProfilesPlace, small_world: Path) -> duckdb.DuckDBPyConnection:
    """Views of the profiles, and of the parties they are of."""
    connection = duckdb.connect()
    folders = [profiles.layer / t.name for t in PROFILE_TABLES]
    folders += [small_world / "data/layer3/6A" / n
                for n in ("s1_party_base_6A", "s5_party_fraud_roles_6A")]  # fmt: skip
    for folder in folders:
        files = [str(path) for path in sorted(folder.rglob("part-*.parquet"))]
        source = f"read_parquet({files}, hive_partitioning = false)"
        connection.execute(f"create view {folder.name} as from {source}")
    return connection


@pytest.mark.parametrize(("block", "workers"), [(1_000, 2), (7_777, 3)])
def test_blocks_and_threads_change_no_byte(
    small_world: Path, profiles: ProfilesPlace, tmp_path: Path, block: int, workers: int
) -> None:
    make_profiles(ProfilesRequest(run=small_world, to=tmp_path, workers=workers, block_rows=block))
    assert ProfilesPlace.below(tmp_path).index.read_bytes() == profiles.index.read_bytes()


def test_a_cluster_of_two_processes_changes_no_byte(
    small_world: Path, profiles: ProfilesPlace, tmp_path: Path
) -> None:
    with clusters.cluster(2, tmp_path / "workers") as started:
        make_profiles(
            ProfilesRequest(
                run=small_world, to=tmp_path, engine="dask", scheduler=started.scheduler_address
            )
        )
    assert ProfilesPlace.below(tmp_path).index.read_bytes() == profiles.index.read_bytes()


def test_the_same_request_finds_the_profiles(small_world: Path, profiles: ProfilesPlace) -> None:
    to = profiles.layer.parent.parent.parent
    before = profiles.index.stat().st_mtime_ns
    outcome = make_profiles(ProfilesRequest(run=small_world, to=to))
    assert outcome.reused
    assert outcome.passed
    assert profiles.index.stat().st_mtime_ns == before


def test_the_world_is_not_touched(small_world: Path, profiles: ProfilesPlace) -> None:
    assert check_run(RunPlace(small_world)).passed
    assert profiles.flag.is_file()


def test_digests_follow_from_the_files(small_world: Path, profiles: ProfilesPlace) -> None:
    """Readers of other tools get the lists of words out of the dictionaries."""
    stated = json.loads(profiles.index.read_text())["content_digests"]
    inputs = open_inputs(small_world, None, allow_unflagged=False)
    for table in PROFILE_TABLES:
        folder = profiles.dataset(table.name, inputs.identity)
        codes = {}
        for column in table.columns:
            if column.kind in LISTED:
                known = CODES.get(str(column.codes))
                codes[column.name] = known or _words(folder, column.name)
        assert recompute_digest(folder, table, codes) == stated[table.name], table.name


def _words(folder: Path, column: str) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    part = sorted(folder.rglob("part-*.parquet"))[0]
    values = pq.read_table(part, columns=[column], read_dictionary=[column], partitioning=None)
    return tuple(values[column].chunk(0).dictionary.to_pylist())


def test_members_of_a_home_fit_each_other(sql: duckdb.DuckDBPyConnection) -> None:
    """Partners are mostly within 12 years; most children are 20 to 42 years younger."""
    sql.execute("""
        create or replace temp view member as select household_id, party_id, born_on,
          case when segment_id in ('RETAIL_STUDENT', 'RETAIL_EARLY_CAREER') then 0
               when segment_id = 'RETAIL_RETIRED' then 2 else 1 end as generation
        from s1_party_base_6A join p1_party_profile_6P using (party_id)
        where household_id is not null""")
    ((partners, gaps),) = sql.execute("""
        select avg((abs(a.born_on - b.born_on) <= 12 * 365.25)::int)
                 filter (where a.generation = b.generation and a.party_id < b.party_id),
               avg((b.born_on - a.born_on between 20 * 365.25 and 42 * 365.25)::int)
                 filter (where a.generation = b.generation + 1)
        from member a join member b using (household_id)""").fetchall()
    assert partners > 0.9
    assert gaps > 0.75


def test_mules_are_younger_and_synthetic_identities_newer(sql: duckdb.DuckDBPyConnection) -> None:
    """Medians of some hundred parties of each role; fixed seed."""
    ((mule, clean, recent, others),) = sql.execute("""
        select median(born_on) filter (raw_role = 'MULE'),
          median(born_on) filter (raw_role = 'CLEAN'),
          avg((customer_since between date '2023-07-01' and date '2025-09-01')::int)
            filter (raw_role = 'SYNTHETIC_ID'),
          avg((customer_since between date '2023-07-01' and date '2025-09-01')::int)
            filter (raw_role = 'CLEAN')
        from p1_party_profile_6P join s5_party_fraud_roles_6A using (party_id)""").fetchall()
    assert mule > clean
    assert recent > 0.5 > 0.25 > others


def test_incomes_follow_planned_spending(profiles: ProfilesPlace) -> None:
    said = json.loads(profiles.report.read_text())["summary"]
    ratio = said["income_to_outflow_median"]
    assert ratio["observed"] == pytest.approx(ratio["policy"], rel=0.1)
    assert said["incomes_at_the_floor_share"]["observed"] <= 0.15
    for share in ("accounts_closed_share", "accounts_opened_inside_share", "joined_inside_share"):
        assert said[share]["observed"] == pytest.approx(said[share]["policy"], rel=0.15)


def test_guards_are_judged(profiles: ProfilesPlace) -> None:
    rows = json.loads(profiles.gateboard.read_text())["tests"]
    assert {row["test_id"] for row in rows} >= {
        "P2_CAUSAL_DATES", "P3_AGE_STRUCTURE", "P4_SHARING", "P5_FAINT_TRACES", "P6_HOMES",
    }  # fmt: skip
    # A world of this size has too few care homes and agents to judge.
    few = {"building_care_home", "building_formation_agent", "building_phone"}
    assert {r["metric_name"] for r in rows if r["status"] == "INSUFFICIENT_EVIDENCE"} <= few
    assert not [r for r in rows if r["status"] == "FAIL"]
