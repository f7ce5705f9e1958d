"""Every check of 6B.S5 catches a stream that breaks it, and passes an intact one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from fraudworld.layers.transactions.checks import CHECKS, connect, run_checks, violations
from fraudworld.layers.transactions.inputs import Inputs, open_inputs
from fraudworld.layers.transactions.layout import StreamPlace

ENTITIES, ANCHOR, EVENTS = "s1_arrival_entities_6B", "s2_flow_anchor_6B", "s2_event_stream_6B"
CATALOGUE, TRUTH = "s3_campaign_catalogue_6B", "s4_flow_truth_labels_6B"
VIEW, CASES = "s4_flow_bank_view_6B", "s4_case_timeline_6B"

LAST = "flow_id = (select max(flow_id) from t)"
MUTANTS: tuple[tuple[str, str, str], ...] = (
    ("flow_ids_dense_and_in_time", ENTITIES, "delete from t where flow_id = 77"),
    ("flow_ids_dense_and_in_time", ENTITIES, "update t set ts_utc = 0 where flow_id = 77"),
    ("every_flow_has_money_and_view", ANCHOR, f"delete from t where {LAST}"),
    ("every_flow_has_money_and_view", VIEW, f"delete from t where {LAST}"),
    (
        "account_exists_and_is_the_partys",
        ENTITIES,
        f"update t set account_id = 1000000000 where {LAST}",
    ),
    (
        "account_exists_and_is_the_partys",
        ENTITIES,
        f"update t set party_id = party_id + 1 where {LAST}",
    ),
    (
        "instrument_exists_and_is_the_accounts",
        ENTITIES,
        f"update t set instrument_id = instrument_id % 5 + 1 where {LAST}",
    ),
    (
        "party_device_endpoint_merchant_exist",
        ENTITIES,
        f"update t set merchant_id = 99999 where {LAST}",
    ),
    (
        "party_device_endpoint_merchant_exist",
        ENTITIES,
        f"update t set ip_id = 99999999 where {LAST}",
    ),
    (
        "roles_of_every_entity_exist",
        ENTITIES,
        f"update t set device_id = 99999999 where {LAST}",
    ),
    (
        "a_visit_is_one_party_device_endpoint_within_an_hour",
        ENTITIES,
        "update t set device_id = device_id % 7 + 1 where flow_id = "
        "(select max(flow_id) from t where session_id <> flow_id)",
    ),
    (
        "a_visit_is_one_party_device_endpoint_within_an_hour",
        ENTITIES,
        f"update t set session_id = 1 where {LAST}",
    ),
    (
        "visits_begin_with_their_first_flow",
        ENTITIES,
        f"update t set session_id = flow_id + 5 where {LAST}",
    ),
    (
        "amounts_positive_one_currency_a_country",
        ANCHOR,
        f"update t set amount_minor = 0 where {LAST}",
    ),
    (
        "amounts_positive_one_currency_a_country",
        ANCHOR,
        f"update t set currency = case currency when 'USD' then 'EUR' else 'USD' end where {LAST}",
    ),
    (
        "events_in_order_and_complete",
        EVENTS,
        f"update t set amount_minor = amount_minor + 1 where {LAST}",
    ),
    (
        "events_in_order_and_complete",
        EVENTS,
        "delete from t where event_type = 'AUTH' and flow_id = 5",
    ),
    (
        "events_in_order_and_complete",
        EVENTS,
        "update t set ts_utc = 1 where event_type = 'CLEARING' and flow_id = "
        "(select max(flow_id) from t where event_type = 'CLEARING')",
    ),
    (
        "every_flow_begins_with_its_authorisation",
        EVENTS,
        "update t set ts_utc = ts_utc - 1 where flow_id = 5 and event_seq = 1",
    ),
    (
        "bank_view_agrees_with_itself",
        VIEW,
        "update t set bank_status = 'NO_SIGNAL' where bank_status = 'DISPUTED'",
    ),
    (
        "bank_view_agrees_with_itself",
        VIEW,
        f"update t set resolution = 'CONFIRMED' where {LAST}",
    ),
    ("cases_match_the_view_in_order", CASES, "delete from t where case_event = 'CASE_OPENED'"),
    (
        "cases_match_the_view_in_order",
        CASES,
        "delete from t where case_id = (select max(case_id) from t)",
    ),
    ("every_flow_has_a_label", TRUTH, f"delete from t where {LAST}"),
    (
        "no_label_without_cause",
        TRUTH,
        "update t set cause = 'NONE' where flow_id = (select max(flow_id) from t where "
        "truth_label = 'FRAUD')",
    ),
    (
        "no_label_without_cause",
        TRUTH,
        "update t set campaign_id = null where cause = 'CAMPAIGN'",
    ),
    (
        "cause_agrees_with_its_campaign",
        TRUTH,
        "update t set truth_subtype = 'CARD_TESTING' where truth_subtype = 'REFUND_ABUSE'",
    ),
    (
        "cause_agrees_with_its_campaign",
        CATALOGUE,
        "update t set end_ts_utc = start_ts_utc where flow_count > 0",
    ),
    ("catalogue_counts_its_flows", CATALOGUE, "update t set flow_count = flow_count + 1"),
    (
        "posture_fraud_has_a_risky_asset",
        TRUTH,
        "update t set cause = 'POSTURE' where cause = 'BACKGROUND'",
    ),
    (
        "devices_follow_links_unless_swapped",
        TRUTH,
        "update t set tactic = 'NONE' where tactic = 'DEVICE_SWAP'",
    ),
)


@pytest.fixture(scope="module")
def inputs(small_world: Path) -> Inputs:
    return open_inputs(small_world, None, allow_unflagged=False)


@pytest.fixture(scope="module")
def copy(small_stream: Path, tmp_path_factory: pytest.TempPathFactory) -> StreamPlace:
    """A stream whose tables a test may replace; the fixture `place` restores them."""
    folder = tmp_path_factory.mktemp("broken") / "stream"
    shutil.copytree(small_stream, folder)
    return StreamPlace.below(folder)


@pytest.fixture
def place(
    copy: StreamPlace, inputs: Inputs, request: pytest.FixtureRequest
) -> Iterator[StreamPlace]:
    """The copy with one table changed by SQL."""
    table, change = request.param
    folder = copy.dataset(table, inputs.identity)
    original = folder.with_name("kept")
    folder.rename(original)
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            f"create table t as select * from read_parquet('{original}/*.parquet', "
            "hive_partitioning = false)"
        )
        connection.execute(change)
        connection.execute(f"copy t to '{folder}/part-00000.parquet' (format parquet)")
    yield copy
    shutil.rmtree(folder)
    original.rename(folder)


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, (table, change)) for name, table, change in MUTANTS],
    indirect=["place"],
)
def test_a_broken_stream_is_caught(name: str, place: StreamPlace, inputs: Inputs) -> None:
    (check,) = [check for check in CHECKS if check.name == name]
    with connect(inputs, place) as connection:
        assert violations(connection, check) > 0


def test_an_intact_stream_passes(copy: StreamPlace, inputs: Inputs) -> None:
    results = run_checks(inputs, copy, observable=False)
    assert [c["check"] for c in results] == [c.name for c in CHECKS]
    assert all(c["violations"] == 0 for c in results)


def test_every_check_has_a_mutant() -> None:
    assert {name for name, *_ in MUTANTS} == {check.name for check in CHECKS}
