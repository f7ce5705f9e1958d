"""6P.P5: checks of profiles, SQL over their files and those of their world.

A check counts the rows that break one rule, or 1 where only sums tell. Only published files are
read, so published profiles can be checked again at any time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fraudworld.contracts import profiles as tables
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.parties import DAY_0
from fraudworld.layers.transactions.checks import Check, CheckResult, violations
from fraudworld.layers.transactions.checks import Sealed as Run
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import parts
from fraudworld.store.sql import identifier, in_memory, parquet, quoted

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
"""DuckDB's limit; it spills beyond."""

WORLD = (
    "s1_party_base_6A", "s2_account_base_6A", "s3_instrument_base_6A", "s4_device_base_6A",
    "s4_device_links_6A", "s4_ip_base_6A",
    *(f"s5_{entity}_fraud_roles_6A" for entity in ("party", "account", "merchant", "device", "ip")),
)  # fmt: skip
"""Tables of the world that checks read."""

START = f"(date '1970-01-01' + {DAY_0})"
"""The first day of the horizon, in SQL."""


def _one_row_each(profile: str, world: str, key: str) -> Check:
    # Ids of a world are 1 … n by its contract; files are read in their order.
    return Check(f"{profile.removesuffix('_6P')}_has_every_{key.removesuffix('_id')}", f"""
        select abs((select count(*) from {world}) - (select count(*) from {profile}))
             + (select count(*) from (select {key} is distinct from row_number() over () as off
                from {profile})
                where off)""")  # fmt: skip


CHECKS: tuple[Check, ...] = (
    Check("places_dense_and_of_known_countries", """
        select (select count(*) from (select place_id <> row_number() over (order by place_id) as
        off
                from p0_place_6P) where off)
             + (select count(*) from p0_place_6P where abs(lat) > 90 or abs(lon) > 180
                or population < 1)"""),
    Check("outlets_lie_at_places_of_their_country", """
        select count(*) from p0_outlet_6P o left join p0_place_6P p using (place_id)
        where p.country_iso is distinct from o.country_iso"""),
    Check("merchants_count_their_outlets", """
        select count(*) from p0_merchant_6P m full join (select merchant_id, count(*) as n
          from p0_outlet_6P group by 1) o using (merchant_id) where m.outlets is distinct from
          o.n"""),
    Check("every_outlet_has_a_terminal", """
        select count(*) from p0_outlet_6P o left join (select distinct site_id from p0_terminal_6P
          where site_id is not null) t using (site_id) where t.site_id is null"""),
    Check("every_place_has_a_cash_machine", """
        select count(*) from p0_place_6P p left join (select distinct place_id from p0_terminal_6P
          where kind = 'ATM' and bank_id is not null) t using (place_id) where t.place_id is
          null"""),
    Check("terminals_of_the_world_stand_somewhere_once", """
        select count(*) from (select device_id from s4_device_base_6A
          where primary_merchant_id is not null) d
        full join (select device_id, count(*) as n, min(merchant_id) as merchant_id
          from p0_terminal_6P where device_id is not null group by 1) t using (device_id)
        where d.device_id is null or t.n is distinct from 1"""),
    Check("terminals_belong_to_their_merchant", """
        select count(*) from p0_terminal_6P t join s4_device_base_6A d using (device_id)
        where t.merchant_id is distinct from d.primary_merchant_id"""),
    _one_row_each("p1_party_profile_6P", "s1_party_base_6A", "party_id"),
    _one_row_each("p2_account_profile_6P", "s2_account_base_6A", "account_id"),
    _one_row_each("p3_instrument_profile_6P", "s3_instrument_base_6A", "instrument_id"),
    _one_row_each("p4_device_profile_6P", "s4_device_base_6A", "device_id"),
    _one_row_each("p4_ip_profile_6P", "s4_ip_base_6A", "ip_id"),
    Check("P2_persons_are_born_and_firms_founded", """
        select count(*) from p1_party_profile_6P f join s1_party_base_6A p using (party_id)
        where (f.born_on is null) = (p.party_type = 'RETAIL')
           or (f.founded_on is null) <> (p.party_type = 'RETAIL')
           or (f.industry is null) <> (p.party_type = 'RETAIL')"""),
    Check("P2_customers_are_sixteen_and_firms_exist", """
        select count(*) from p1_party_profile_6P
        where customer_since < coalesce(born_on + interval 16 year, founded_on)"""),
    Check("P2_accounts_open_with_their_owner_and_close_later", f"""
        select count(*) from p2_account_profile_6P a positional join s2_account_base_6A b
        join p1_party_profile_6P p on p.party_id = b.owner_party_id
        where a.account_id is distinct from b.account_id
           or a.opened_on < p.customer_since or a.closed_on <= a.opened_on
           or a.closed_on >= {START} or (a.closed_on is null) = (a.status = 'CLOSED')"""),
    Check("P2_instruments_are_issued_while_the_account_is_open", """
        select count(*) from p3_instrument_profile_6P i positional join s3_instrument_base_6A b
        join p2_account_profile_6P a using (account_id)
        where i.instrument_id is distinct from b.instrument_id
           or i.issued_on < a.opened_on or i.issued_on > a.closed_on
           or i.expires_on <= i.issued_on"""),
    Check("P2_cards_in_use_are_valid_when_the_horizon_starts", f"""
        select count(*) from p3_instrument_profile_6P i positional join s3_instrument_base_6A b
        join p2_account_profile_6P a using (account_id)
        where i.instrument_id is distinct from b.instrument_id
           or (a.closed_on is null and i.expires_on < {START})"""),
    Check("P2_devices_are_seen_after_their_owner_joined", f"""
        select count(*) from p4_device_profile_6P d positional join s4_device_base_6A b
        left join p1_party_profile_6P p on p.party_id = b.primary_party_id
        where d.device_id is distinct from b.device_id
           or d.first_seen_on < p.customer_since or d.retired_on <= d.first_seen_on
           or d.retired_on >= {START}
           or (p.customer_since < {START} and d.first_seen_on >= {START})"""),
    Check("P6_members_of_a_home_live_at_one_point", """
        select (select count(*) from (select household_id from s1_party_base_6A
                join p1_party_profile_6P using (party_id) where household_id is not null group by 1
                having count(distinct (home_place_id, home_lat, home_lon)) > 1))
             + (select count(*) from (select business_group_id from s1_party_base_6A
                join p1_party_profile_6P using (party_id) where business_group_id is not null
                group by 1 having count(distinct (home_place_id, home_lat, home_lon)) > 1))"""),
    Check("P6_homes_lie_at_places_of_their_country", """
        select count(*) from p1_party_profile_6P f join s1_party_base_6A p using (party_id)
        left join p0_place_6P l on l.place_id = f.home_place_id
        where l.country_iso is distinct from p.country_iso"""),
    Check("employers_are_firms_of_the_country", """
        select count(*) from p1_party_profile_6P f join s1_party_base_6A p using (party_id)
        left join s1_party_base_6A e on e.party_id = f.employer_party_id
        where f.employer_party_id is not null and (e.country_iso is distinct from p.country_iso
          or e.party_type = 'RETAIL' or p.party_type <> 'RETAIL' or f.occupation is null)"""),
    Check("banks_are_of_the_country", """
        select (select count(*) from (select bank_id from p2_account_profile_6P
                positional join s2_account_base_6A group by 1
                having min(country_iso) <> max(country_iso)))
             + (select count(*) from (select bank_id, country_iso from p0_terminal_6P
                join p0_place_6P using (place_id) where bank_id is not null group by all) t
                join (select bank_id, min(country_iso) as country_iso from p2_account_profile_6P
                positional join s2_account_base_6A group by 1) a using (bank_id)
                where t.country_iso <> a.country_iso)"""),
    Check("second_holders_share_the_household", """
        select count(*) from p2_account_profile_6P a join s2_account_base_6A b using (account_id)
        join s1_party_base_6A o on o.party_id = b.owner_party_id
        left join s1_party_base_6A j on j.party_id = a.joint_party_id
        where a.joint_party_id is not null and (j.household_id is distinct from o.household_id
          or j.household_id is null or j.party_id = o.party_id)"""),
    Check("limits_and_incomes_are_amounts", """
        select (select count(*) from p1_party_profile_6P where monthly_income_minor < 1)
             + (select count(*) from p2_account_profile_6P where overdraft_limit_minor < 0
                or credit_limit_minor < 0 or (overdraft_limit_minor > 0 and credit_limit_minor >
                0))"""),
    Check("pool_is_dense_and_of_devices_or_endpoints", """
        select count(*) from (select *, pool_id <> row_number() over (order by pool_id) as off
          from p4_unlinked_pool_6P) where off or (entity = 'DEVICE') <> (model_class is not null)
            or (entity = 'IP') <> (asn is not null)"""),
    Check("events_are_dense_by_party_and_time", """
        select count(*) from (select event_id <> row_number() over ()
            or party_id < lag(party_id) over ()
            or (party_id = lag(party_id) over () and ts_utc < lag(ts_utc) over ()) as off
          from p5_entity_event_6P) where off"""),
    Check("P2_events_lie_between_joining_and_the_horizon", f"""
        select count(*) from p5_entity_event_6P e left join p1_party_profile_6P p using (party_id)
        where floor(epoch_ms(e.ts_utc) / 86400000.0) >= {DAY_0} or p.customer_since is null
           or floor(epoch_ms(e.ts_utc) / 86400000.0) < p.customer_since - date '1970-01-01'"""),
    Check("P2_events_of_accounts_agree_with_their_profiles", f"""
        -- Equal sums of hashes mean equal rows in any order; a join of both is many times dearer.
        with said as (
            select entity_id as id, event, floor(epoch_ms(ts_utc) / 86400000.0)::bigint as day
            from p5_entity_event_6P where entity_type = 'ACCOUNT'),
          wanted as (
            select account_id as id, opened_on - date '1970-01-01' as opened,
                   closed_on - date '1970-01-01' as closed
            from p2_account_profile_6P where opened_on < {START})
        select abs((select count(*) from said)
                   - (select count(opened) + count(closed) from wanted))
             + ((select sum(hash(id, day)) from said where event = 'ACCOUNT_OPENED')
                is distinct from (select sum(hash(id, opened)) from wanted))::int
             + ((select sum(hash(id, day)) from said where event = 'ACCOUNT_CLOSED')
                is distinct from
                (select sum(hash(id, closed)) from wanted where closed is not null))::int"""),
)  # fmt: skip
"""All checks, in the order in which they are run and reported."""


def run_checks(run: Inputs | Run, place: ProfilesPlace) -> list[CheckResult]:
    """Runs all checks, in order; place: staged or published profiles of this run."""
    with connect(run, place) as connection:
        return [{"check": c.name, "violations": violations(connection, c)} for c in CHECKS]


def folders(run: Inputs | Run, place: ProfilesPlace) -> dict[str, Path]:
    """Folders of WORLD and of the tables of the profiles, as far as they are made."""
    of_world = {name: RunPlace(run.root).dataset(name, run.identity) for name in WORLD}
    of_layer = {t.name: place.dataset(t.name, run.identity) for t in tables.PROFILE_TABLES}
    return of_world | {name: folder for name, folder in of_layer.items() if folder.is_dir()}


def connect(run: Inputs | Run, place: ProfilesPlace) -> duckdb.DuckDBPyConnection:
    """A connection with a view of every table that `folders` names."""
    connection = in_memory()
    connection.execute(f"set memory_limit = {quoted(MEMORY)}")
    for name, folder in folders(run, place).items():
        rows = parquet(parts(folder))
        connection.execute(f"create view {identifier(name)} as select * from {rows}")
    return connection
