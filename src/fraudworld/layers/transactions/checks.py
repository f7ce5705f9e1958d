"""6B.S5: checks of a stream, SQL over its files and those of its world.

A check counts the rows that break one rule. Only published files are read, so a published stream
can be checked again at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from fraudworld.contracts import transactions as tables
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import parts
from fraudworld.store.sql import identifier, in_memory, parquet, quoted

if TYPE_CHECKING:
    import duckdb

MEMORY = "2GB"
"""DuckDB's limit; it spills beyond."""

WORLD = (
    "s1_party_base_6A", "s2_account_base_6A", "s3_instrument_base_6A", "s4_device_base_6A",
    "s4_ip_base_6A", "s4_device_links_6A", "s5_account_fraud_roles_6A",
    "s5_device_fraud_roles_6A", "s5_ip_fraud_roles_6A", "s5_merchant_fraud_roles_6A",
)  # fmt: skip
"""Tables of the world that checks read."""


@dataclass(frozen=True)
class Sealed:
    """The run of a stream, where no more of it is open than checks need."""

    root: Path
    identity: Identity


@dataclass(frozen=True)
class Check:
    """One rule that a stream must obey."""

    name: str
    query: str  # returns the number of rows that break the rule
    truth: bool = False  # whether it reads truth tables


class CheckResult(TypedDict):
    """A row of `checks` in the report of S5."""

    check: str
    violations: int


CHECKS: tuple[Check, ...] = (
    Check("flow_ids_dense_and_in_time", """
        select count(*) from (
          select flow_id <> lag(flow_id) over w + 1 or ts_utc < lag(ts_utc) over w as bad
          from s1_arrival_entities_6B window w as (order by flow_id)) where bad"""),
    Check("every_flow_has_money_and_view", """
        select count(*) from s1_arrival_entities_6B a
        full join s2_flow_anchor_6B f using (flow_id) full join s4_flow_bank_view_6B b
        using (flow_id) where a.ts_utc is null or f.currency is null or b.bank_status is null"""),
    Check("account_exists_and_is_the_partys", """
        select count(*) from s1_arrival_entities_6B f
        left join s2_account_base_6A a using (account_id)
        where a.owner_party_id is distinct from f.party_id"""),
    Check("instrument_exists_and_is_the_accounts", """
        select count(*) from s1_arrival_entities_6B f
        left join s3_instrument_base_6A i using (instrument_id)
        where i.account_id is distinct from f.account_id"""),
    Check("party_device_endpoint_merchant_exist", """
        select count(*) from s1_arrival_entities_6B f
        left join s1_party_base_6A p using (party_id)
        left join s4_device_base_6A d using (device_id)
        left join s4_ip_base_6A i using (ip_id)
        left join s5_merchant_fraud_roles_6A m using (merchant_id)
        where p.party_id is null or m.merchant_id is null
           or (f.device_id is not null and d.device_id is null)
           or (f.ip_id is not null and i.ip_id is null)"""),
    Check("roles_of_every_entity_exist", """
        select count(*) from s1_arrival_entities_6B f
        left join s5_account_fraud_roles_6A a using (account_id)
        left join s5_device_fraud_roles_6A d using (device_id)
        left join s5_ip_fraud_roles_6A i using (ip_id)
        where a.raw_role is null or (f.device_id is not null and d.raw_role is null)
           or (f.ip_id is not null and i.raw_role is null)"""),
    Check("a_visit_is_one_party_device_endpoint_within_an_hour", """
        select count(*) from s1_arrival_entities_6B f
        join s1_arrival_entities_6B v on v.flow_id = f.session_id
        where f.session_id <> f.flow_id and (f.session_id > f.flow_id
           or v.party_id <> f.party_id or v.device_id is distinct from f.device_id
           or v.ip_id is distinct from f.ip_id or f.ts_utc < v.ts_utc
           or f.ts_utc - v.ts_utc >= 3600000)"""),
    Check("visits_begin_with_their_first_flow", """
        select count(*) from (select min(flow_id) as first, session_id
          from s1_arrival_entities_6B group by session_id)
        where first <> session_id
          and session_id >= (select min(flow_id) from s1_arrival_entities_6B)"""),
    Check("amounts_positive_one_currency_a_country", """
        select (select count(*) from s2_flow_anchor_6B
                where amount_minor < 1 or amount_usd_minor < 1 or auth_latency_ms < 1)
             + (select count(*) from (select merchant_country_iso
                from s1_arrival_entities_6B join s2_flow_anchor_6B using (flow_id)
                group by 1 having count(distinct currency) > 1))"""),
    Check("events_in_order_and_complete", """
        select count(*) from (
          select e.flow_id, e.event_seq, e.event_type, f.auth_status,
                 e.ts_utc <= lag(e.ts_utc) over w as early,
                 row_number() over w <> e.event_seq as gap,
                 count(*) over (partition by e.flow_id) as steps,
                 e.amount_minor <> f.amount_minor as other
          from s2_event_stream_6B e left join s2_flow_anchor_6B f using (flow_id)
          window w as (partition by e.flow_id order by e.event_seq))
        where coalesce(early, false) or gap or other or auth_status is null
           or event_type <> ['AUTH', 'CLEARING', 'REFUND'][event_seq]
           or (auth_status = 'DECLINED') <> (steps = 1)"""),
    Check("every_flow_begins_with_its_authorisation", """
        select count(*) from s1_arrival_entities_6B f
        left join (select flow_id, ts_utc from s2_event_stream_6B where event_seq = 1) e
        using (flow_id) where e.ts_utc is distinct from f.ts_utc"""),
    Check("bank_view_agrees_with_itself", """
        select count(*) from s4_flow_bank_view_6B b join s2_flow_anchor_6B f using (flow_id)
        where bank_status <> case when chargeback_ts_utc is not null then 'CHARGEBACK'
                when dispute_ts_utc is not null then 'DISPUTED'
                when alert_ts_utc is not null then 'ALERTED' else 'NO_SIGNAL' end
           or (bank_status = 'NO_SIGNAL') <> (resolution = 'NONE')
           or (dispute_ts_utc is not null and auth_status = 'DECLINED')
           or (chargeback_ts_utc is not null
               and (dispute_ts_utc is null or chargeback_ts_utc <= dispute_ts_utc))"""),
    Check("cases_match_the_view_in_order", """
        select (select count(*) from (select case_id,
                  coalesce(ts_utc < lag(ts_utc) over w, false) as early,
                  row_number() over w <> case_seq as gap,
                  case_seq = 1 and case_event <> 'CASE_OPENED' as unopened
                from s4_case_timeline_6B window w as (partition by case_id order by case_seq))
                where early or gap or unopened)
             + (select count(*) from (select flow_id from s4_flow_bank_view_6B
                where bank_status <> 'NO_SIGNAL') b
                full join (select distinct case_id from s4_case_timeline_6B) c
                on b.flow_id = c.case_id where b.flow_id is null or c.case_id is null)"""),
    Check("every_flow_has_a_label", """
        select count(*) from s1_arrival_entities_6B a
        full join s4_flow_truth_labels_6B t using (flow_id)
        where a.ts_utc is null or t.truth_label is null""", truth=True),
    Check("no_label_without_cause", """
        select count(*) from s4_flow_truth_labels_6B
        where (truth_label = 'LEGIT') <> (cause = 'NONE')
           or (truth_label = 'LEGIT') <> (truth_subtype = 'LEGIT')
           or (campaign_id is not null) <> (cause in ('CAMPAIGN', 'COLLATERAL'))
           or (tactic <> 'NONE' and campaign_id is null)""", truth=True),
    Check("cause_agrees_with_its_campaign", """
        select count(*) from s4_flow_truth_labels_6B t
        join s1_arrival_entities_6B a using (flow_id)
        left join s3_campaign_catalogue_6B c using (campaign_id)
        where t.campaign_id is not null and (c.campaign_type is null
           or c.campaign_type <> t.truth_subtype or a.ts_utc < c.start_ts_utc
           or a.ts_utc >= c.end_ts_utc or a.merchant_country_iso <> c.country_iso
           or (t.truth_label = 'ABUSE') <> (c.campaign_type in ('PROMO_ABUSE', 'REFUND_ABUSE')))
        """, truth=True),
    Check("catalogue_counts_its_flows", """
        select count(*) from s3_campaign_catalogue_6B c left join (
          select campaign_id, count(*) as n from s4_flow_truth_labels_6B group by campaign_id) t
        using (campaign_id) where c.flow_count <> coalesce(t.n, 0)""", truth=True),
    Check("posture_fraud_has_a_risky_asset", """
        select count(*) from s4_flow_truth_labels_6B t
        join s1_arrival_entities_6B f using (flow_id)
        left join s5_account_fraud_roles_6A a using (account_id)
        left join s5_device_fraud_roles_6A d using (device_id)
        left join s5_ip_fraud_roles_6A i using (ip_id)
        left join s5_merchant_fraud_roles_6A m using (merchant_id)
        where t.cause = 'POSTURE' and a.raw_role = 'CLEAN_ACCOUNT'
          and coalesce(d.raw_role, 'NORMAL_DEVICE') = 'NORMAL_DEVICE'
          and coalesce(i.raw_role, 'NORMAL_IP') = 'NORMAL_IP'
          and m.raw_role = 'NORMAL'""", truth=True),
    Check("devices_follow_links_unless_swapped", """
        select count(*) from s1_arrival_entities_6B f
        join s4_flow_truth_labels_6B t using (flow_id)
        left join (select distinct device_id, party_id from s4_device_links_6A
                   where party_id is not null) l using (device_id, party_id)
        left join s1_party_base_6A p using (party_id)
        where f.device_id is not null and l.device_id is null
          and t.tactic not in ('DEVICE_SWAP', 'DEVICE_AND_IP_SWAP')
          and not exists (select 1 from s4_device_links_6A o join s1_party_base_6A q
            on q.party_id = o.party_id where o.device_id = f.device_id
            and (q.household_id = p.household_id
                 or q.business_group_id = p.business_group_id))""", truth=True),
)  # fmt: skip
"""All checks, in the order in which they are run and reported: observable tables first."""


def run_checks(
    inputs: Inputs | Sealed, place: StreamPlace, *, observable: bool
) -> list[CheckResult]:
    """Runs all checks, in order.

    place: a staged or published stream; observable: leaves out the checks that read truth tables.
    """
    with connect(inputs, place) as connection:
        return [
            {"check": check.name, "violations": violations(connection, check)}
            for check in CHECKS
            if not (check.truth and observable)
        ]


def connect(inputs: Inputs | Sealed, place: StreamPlace) -> duckdb.DuckDBPyConnection:
    """A connection with a view of every table of the stream and of the world that exists."""
    connection = in_memory()
    connection.execute(f"set memory_limit = {quoted(MEMORY)}")
    connection.execute("set preserve_insertion_order = false")
    world, identity = RunPlace(inputs.root), inputs.identity
    folders = {name: world.dataset(name, identity) for name in WORLD}
    folders |= {t.name: place.dataset(t.name, identity) for t in tables.DOWNSTREAM_TABLES}
    for name, folder in folders.items():
        if folder.is_dir():
            rows = parquet(parts(folder))
            connection.execute(f"create view {identifier(name)} as select * from {rows}")
    return connection


def violations(connection: duckdb.DuckDBPyConnection, check: Check) -> int:
    """Number of rows that break a check."""
    ((count,),) = connection.execute(check.query).fetchall()
    return int(count)
