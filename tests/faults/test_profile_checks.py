"""Every check of profiles finds the one row that breaks its rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from fraudworld.layers.profiles.checks import CHECKS, connect
from fraudworld.layers.profiles.gates import judge
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.profiles.traces import _single, _tree, halves
from fraudworld.layers.transactions.checks import violations
from fraudworld.layers.transactions.inputs import Inputs, open_inputs
from fraudworld.policy.profiles import load_profiles

BROKEN: dict[str, tuple[str, str]] = {
    "places_dense_and_of_known_countries": ("p0_place_6P", "lat = 91 where place_id = 7"),
    "outlets_lie_at_places_of_their_country": ("p0_outlet_6P", """place_id = case when place_id = 1
        then (select max(place_id) from p0_place_6P) else 1 end where site_id = 3"""),
    "merchants_count_their_outlets": ("p0_merchant_6P", "outlets = 0 where merchant_id = 2"),
    "every_outlet_has_a_terminal": ("p0_terminal_6P", "site_id = null where site_id = 5"),
    "every_place_has_a_cash_machine": ("p0_terminal_6P", "kind = 'KIOSK' where place_id = 9"),
    "terminals_of_the_world_stand_somewhere_once": ("p0_terminal_6P",
        "device_id = null where device_id is not null"),
    "terminals_belong_to_their_merchant": ("p0_terminal_6P",
        "merchant_id = merchant_id + 1 where device_id is not null"),
    "p1_party_profile_has_every_party": ("p1_party_profile_6P", "party_id = 2 where party_id = 1"),
    "p2_account_profile_has_every_account": ("p2_account_profile_6P",
        "account_id = 2 where account_id = 1"),
    "p3_instrument_profile_has_every_instrument": ("p3_instrument_profile_6P",
        "instrument_id = 2 where instrument_id = 1"),
    "p4_device_profile_has_every_device": ("p4_device_profile_6P",
        "device_id = 2 where device_id = 1"),
    "p4_ip_profile_has_every_ip": ("p4_ip_profile_6P", "ip_id = 2 where ip_id = 1"),
    "P2_persons_are_born_and_firms_founded": ("p1_party_profile_6P",
        "founded_on = born_on where party_id = 4"),
    "P2_customers_are_sixteen_and_firms_exist": ("p1_party_profile_6P",
        "customer_since = born_on + 5000 where born_on is not null"),
    "P2_accounts_open_with_their_owner_and_close_later": ("p2_account_profile_6P",
        "opened_on = opened_on - 30000 where account_id = 6"),
    "P2_instruments_are_issued_while_the_account_is_open": ("p3_instrument_profile_6P",
        "issued_on = issued_on - 30000 where instrument_id = 6"),
    "P2_cards_in_use_are_valid_when_the_horizon_starts": ("p3_instrument_profile_6P",
        "expires_on = issued_on + 1 where expires_on is not null"),
    "P2_devices_are_seen_after_their_owner_joined": ("p4_device_profile_6P",
        "first_seen_on = first_seen_on - 40000 where device_id = 1"),
    "P6_members_of_a_home_live_at_one_point": ("p1_party_profile_6P",
        "home_lat = home_lat + party_id / 1e5"),
    "P6_homes_lie_at_places_of_their_country": ("p1_party_profile_6P",
        "home_place_id = (select max(place_id) from p0_place_6P) where party_id = 1"),
    "employers_are_firms_of_the_country": ("p1_party_profile_6P",
        "employer_party_id = party_id where employer_party_id is not null"),
    "banks_are_of_the_country": ("p2_account_profile_6P", "bank_id = 1"),
    "second_holders_share_the_household": ("p2_account_profile_6P",
        "joint_party_id = 1 where joint_party_id is not null"),
    "limits_and_incomes_are_amounts": ("p1_party_profile_6P",
        "monthly_income_minor = 0 where party_id = 3"),
    "pool_is_dense_and_of_devices_or_endpoints": ("p4_unlinked_pool_6P",
        "model_class = null where pool_id = 1"),
    "events_are_dense_by_party_and_time": ("p5_entity_event_6P",
        "party_id = 1 where event_id = 5000"),
    "P2_events_lie_between_joining_and_the_horizon": ("p5_entity_event_6P",
        "ts_utc = timestamptz '2026-01-02 00:00:00+00' where event_id = 5"),
    "P2_events_of_accounts_agree_with_their_profiles": ("p5_entity_event_6P",
        "ts_utc = ts_utc + interval 2 day where event = 'ACCOUNT_OPENED'"),
}  # fmt: skip
"""Check → the table and the update that it must find."""


@pytest.fixture(scope="module")
def inputs(small_world: Path) -> Inputs:
    """The small world, opened."""
    return open_inputs(small_world, None, allow_unflagged=False)


@pytest.fixture(scope="module")
def place(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> ProfilesPlace:
    """Profiles of the small world."""
    to = tmp_path_factory.mktemp("profiles")
    make_profiles(ProfilesRequest(run=small_world, to=to))
    return ProfilesPlace.below(to)


@pytest.fixture
def sql(inputs: Inputs, place: ProfilesPlace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Views of one test."""
    with connect(inputs, place) as connection:
        yield connection


def break_table(sql: duckdb.DuckDBPyConnection, table: str, update: str) -> None:
    """Replaces a view by a table with an update."""
    sql.execute(f"create table broken as from {table}")
    sql.execute(f"update broken set {update}")
    sql.execute(f"create or replace view {table} as from broken")


MORE = (
    ("p2_account_profile_has_every_account", "p2_account_profile_6P",
        "account_id = null where account_id = 9"),
    ("P2_events_of_accounts_agree_with_their_profiles", "p5_entity_event_6P",
        "ts_utc = ts_utc + interval 2 day where event = 'ACCOUNT_CLOSED'"),
    ("P2_events_of_accounts_agree_with_their_profiles", "p5_entity_event_6P",
        "entity_type = 'PARTY' where event = 'ACCOUNT_OPENED' and entity_id = 3"),
    ("P2_accounts_open_with_their_owner_and_close_later", "p2_account_profile_6P",
        "account_id = 8 - account_id where account_id in (3, 5)"),
    ("P2_instruments_are_issued_while_the_account_is_open", "p3_instrument_profile_6P",
        "instrument_id = 8 - instrument_id where instrument_id in (3, 5)"),
    ("P2_devices_are_seen_after_their_owner_joined", "p4_device_profile_6P",
        "device_id = 8 - device_id where device_id in (3, 5)"),
)  # fmt: skip
"""Further tables that checks must find broken: nulls, other events, rows out of place."""


def test_every_check_has_a_broken_table() -> None:
    assert set(BROKEN) == {check.name for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_finds_what_breaks_its_rule(sql: duckdb.DuckDBPyConnection, check) -> None:  # type: ignore[no-untyped-def]
    assert violations(sql, check) == 0
    break_table(sql, *BROKEN[check.name])
    assert violations(sql, check) > 0


@pytest.mark.parametrize(("name", "table", "update"), MORE)
def test_a_check_finds_a_row_that_is_missing_or_out_of_place(
    sql: duckdb.DuckDBPyConnection, name: str, table: str, update: str
) -> None:
    (check,) = [c for c in CHECKS if c.name == name]
    break_table(sql, table, update)
    assert violations(sql, check) > 0


@pytest.mark.parametrize("step", [1, 2, 64])
def test_both_halves_of_a_sample_have_cases(step: int) -> None:
    ids = np.arange(step, 4_000 * step, step)
    half = halves(ids)
    assert 0.4 < half.mean() < 0.6
    cases = np.arange(ids.size) % 20 == 0
    told = {"column": cases.astype(np.float64)}
    assert _tree(told, cases, half) == 1.0
    assert 0.4 < _tree({"column": np.sin(ids * 1.0)}, cases, half) < 0.6


def test_what_no_half_can_judge_counts_as_told() -> None:
    cases = np.arange(4_000) < 200
    assert _tree({"column": np.zeros(4_000)}, cases, cases) == 1.0
    (trace,) = _single({"column": np.zeros(4_000)}, cases, cases, "party", "MULE")
    assert trace.area == 1.0


@pytest.mark.parametrize(
    ("metric", "table", "update"),
    [
        ("worst_divergence", "p1_party_profile_6P", "born_on = born_on - 700"),
        ("place_divergence", "p1_party_profile_6P", """home_place_id = (select min(place_id)
            from p0_place_6P join s1_party_base_6A p using (country_iso)
            where p.party_id = broken.party_id) where party_id % 3 = 0"""),
        ("worst_column_area", "p1_party_profile_6P", """kyc_risk = 'HIGH' where party_id in (select
            party_id from s5_party_fraud_roles_6A where raw_role = 'MULE' and party_id % 3 > 0)"""),
        ("tenure_area", "p1_party_profile_6P", """customer_since = '2025-12-01' where party_id in
            (select party_id from s5_party_fraud_roles_6A where raw_role = 'SYNTHETIC_ID')"""),
        ("home_phone", "p1_party_identity_6P", "phone_e164 = '+1' || party_id"),
        ("home_mailbox", "p1_party_identity_6P", "email = 'a' || party_id || '@mail.de.example'"),
        ("building_student_hall", "p1_party_identity_6P",
            "street_address = street_address || party_id"),
        ("relatives_mailbox", "p1_party_identity_6P", "email = party_id || '@mail.de.example'"),
        ("relatives_phone", "p1_party_identity_6P", "phone_e164 = '+1' || party_id"),
        ("mistyped_tax_ids", "p1_party_identity_6P",
            "tax_id = party_id where tax_id is not null"),
        ("mailboxes_of_homes", "p1_party_identity_6P", """email = party_id || '@mail.de.example'
            where party_id not in (select party_id from s5_party_fraud_roles_6A
              where raw_role = 'SYNTHETIC_ID')"""),
        ("numbers_of_homes", "p1_party_identity_6P", """phone_e164 = '+1' || party_id
            where party_id not in (select party_id from s5_party_fraud_roles_6A
              where raw_role = 'SYNTHETIC_ID')"""),
        ("tax_ids_of_parties", "p1_party_identity_6P", """tax_id = 'one' where party_id in (
            select party_id from s5_party_fraud_roles_6A where raw_role = 'SYNTHETIC_ID')"""),
        ("households_with_one_tax_id", "p1_party_identity_6P", """tax_id = 'one' where party_id in (
            select party_id from s1_party_base_6A where household_id = (
              select household_id from s1_party_base_6A where household_id is not null
              group by all having count(*) > 1 order by household_id limit 1))"""),
        ("earlier_owners", "p1_party_identity_6P", "phone_e164 = '+1' || party_id // 3"),
        ("cells_phone", "p1_party_identity_6P", "phone_e164 = '+1' || party_id"),
        ("cells_mailbox", "p1_party_identity_6P", "email = 'a' || party_id || '@mail.de.example'"),
        ("crowded_addresses", "p1_party_identity_6P", """street_address = 'Street 1'
            where party_id in (select party_id from s5_party_fraud_roles_6A
              where raw_role = 'SYNTHETIC_ID')"""),
        ("worst_tree_area", "p1_party_identity_6P", """phone_e164 = '+1' || party_id % 50 where
            party_id in (select party_id from s5_party_fraud_roles_6A where raw_role = 'MULE')"""),
    ],
)  # fmt: skip
def test_a_guard_fails_where_its_law_is_broken(
    sql: duckdb.DuckDBPyConnection, inputs: Inputs, metric: str, table: str, update: str
) -> None:
    policy = load_profiles().pack
    before = {row.metric_name: row.status for row in judge(sql, inputs, policy, [])}
    assert before[metric] == "PASS"
    break_table(sql, table, update)
    after = {row.metric_name: row.status for row in judge(sql, inputs, policy, [])}
    assert after[metric] == "FAIL"


def test_guards_fail_closed_on_a_broken_check(
    sql: duckdb.DuckDBPyConnection, inputs: Inputs
) -> None:
    results = [{"check": "P2_anything", "violations": 1}]
    rows = judge(sql, inputs, load_profiles().pack, results)  # type: ignore[arg-type]
    assert {r.test_id for r in rows if r.status == "FAIL"} == {"P2_CAUSAL_DATES"}
