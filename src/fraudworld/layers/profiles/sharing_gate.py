"""Guard P4: who shares contact data, in published profiles, against the figures of the policy.

A mailbox is an e-mail address without its tag. Homes, buildings, relatives, mistyped tax ids and
numbers of earlier owners are judged among parties that are no synthetic identities, the cells of
those by themselves. Then both together: what an analyst finds suspicious must find innocents too.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from fraudworld.contracts import Table
from fraudworld.layers.profiles.world import PERSON
from fraudworld.policy.profiles.models import Gates
from fraudworld.policy.profiles.models import Sharing as SharingPolicy
from fraudworld.store.sql import quoted

if TYPE_CHECKING:
    import duckdb

SYNTHETIC = "SYNTHETIC_ID"
TAG = r"\+[0-9]+@"
"""What tells apart who shares a mailbox, in its addresses."""
CROWD = 5
"""Parties at one address beyond which a bank looks twice."""

SUSPICIOUS = {
    "mailboxes_of_homes": "mailbox_homes > 1",
    "numbers_of_homes": "phone_homes > 2",
    "tax_ids_of_parties": "has_tax and at_tax > 1",
}
"""Rules of an analyst, over `party_contact`, whose precision is bounded."""


class Shared(NamedTuple):
    """What was observed of one kind of sharing."""

    metric: str
    value: float  # |observed ÷ expected − 1|, a ratio or a count
    bound: float
    support: float  # parties or homes
    details: dict[str, float]  # `observed` and `expected`, or what a rule named


def judge_sharing(
    connection: duckdb.DuckDBPyConnection, law: SharingPolicy, bounds: Gates
) -> Iterator[Shared]:
    """Every kind of sharing; connection: of `checks.connect`, after `read_contacts`."""
    (homes, phone, mailbox) = _one(connection, """
        select count(*), count_if(one_phone), count_if(one_mailbox) from (
          select min(phone) = max(phone) as one_phone,
            min(mailbox) = max(mailbox) as one_mailbox
          from party_contact where household_id is not null group by household_id
          having count(*) > 1 and not bool_or(made_up))""")  # fmt: skip
    yield _near("home_phone", phone, law.home_phone_share * homes, bounds.sharing_error)
    yield _near("home_mailbox", mailbox, law.home_mailbox_share * homes, bounds.sharing_error)
    for name, building in sorted(law.buildings.items()):
        listed = ", ".join(map(quoted, building.segments))
        (expected, observed) = _one(connection, f"""
            with alone as (
              select country_iso, at_address from party_contact
              where segment_id in ({listed}) and at_home = 1 and not made_up),
            wanted as (
              select floor({building.share} * count(*) + 0.5) as n from alone group by country_iso)
            select
              (select coalesce(sum(n), 0) from wanted where n >= {building.least}),
              (select count(*) from alone where at_address >= {building.least})""")  # fmt: skip
        yield _near(f"building_{name.lower()}", observed, expected, bounds.sharing_error)
    yield from _one_phone(connection, law, bounds)
    yield from _strangers(connection, law, bounds)
    (persons, earlier, made_up, cells_phone, cells_mailbox) = _one(connection, """
        with number as (
          -- Relatives, and homes at one address, have one number together.
          select count(distinct if(mailbox_homes > 1, mailbox, address)) - 1 as others,
            bool_or(made_up) as made_up
          from party_contact where at_phone > 1 group by phone),
        fake as (
          select count(*) over (partition by phone) as phones,
                 count(*) over (partition by mailbox) as mailboxes
          from party_contact where made_up)
        select (select count(*) from party_contact where person),
               (select sum(others) from number where not made_up),
               (select count(*) from fake), (select count_if(phones > 1) from fake),
               (select count_if(mailboxes > 1) from fake)""")  # fmt: skip
    yield _near("earlier_owners", earlier, law.earlier_owner_share * persons, bounds.sharing_error)
    # Sizes of cells vary, so that shares of their members do.
    cells = 2.0 * made_up / (law.cells.least + law.cells.most)
    for metric, found, share in (
        ("cells_phone", cells_phone, law.cells.phone),
        ("cells_mailbox", cells_mailbox, law.cells.mailbox),
    ):
        noise = 3.0 * bounds.cell_spread / sqrt(max(cells * share, 1.0))
        expected = share * law.cells.takes_part * made_up
        yield _near(metric, found, expected, max(bounds.sharing_error, noise))
    (guilty, innocent) = _one(connection, f"""
        select count_if(made_up), count_if(not made_up) from party_contact
        where at_address > {CROWD}""")  # fmt: skip
    value = guilty / innocent if innocent else float(guilty > 0)
    yield Shared(
        "crowded_addresses", value, 1.0 / bounds.innocents_per_fraudster, guilty + innocent,
        {"synthetic": guilty, "innocent": innocent},
    )  # fmt: skip
    for metric, rule in SUSPICIOUS.items():
        (guilty, found) = _one(connection, f"""
            select count_if(made_up), count(*) from party_contact where {rule}""")  # fmt: skip
        value = guilty / found if found else 0.0
        yield Shared(
            metric, value, bounds.sharing_precision, found,
            {"synthetic": guilty, "innocent": found - guilty},
        )  # fmt: skip


def _one_phone(
    connection: duckdb.DuckDBPyConnection, law: SharingPolicy, bounds: Gates
) -> Iterator[Shared]:
    """Buildings whose homes have one number."""
    expected = observed = 0.0
    for building in law.buildings.values():
        listed = ", ".join(map(quoted, building.segments))
        (houses, one) = _one(connection, f"""
            with house as (
              select min(phone) = max(phone) as one_phone from party_contact
              where segment_id in ({listed}) and at_home = 1 and not made_up
                and at_address >= {building.least}
              group by address having count(*) >= {building.least})
            select count(*), count_if(one_phone) from house""")  # fmt: skip
        expected += building.one_phone * houses
        observed += one
    yield _near("building_phone", observed, expected, bounds.sharing_error)


def _strangers(
    connection: duckdb.DuckDBPyConnection, law: SharingPolicy, bounds: Gates
) -> Iterator[Shared]:
    """Innocent persons of several homes with one mailbox or number, or with one tax id."""
    relatives, mistyped = law.relatives, law.mistyped_tax_ids
    (expected, observed) = _one(connection, f"""
        with innocent as (
          select *, household_id is not null and at_home > 1 and (
              min(mailbox) over (partition by home) = max(mailbox) over (partition by home)
              or min(phone) over (partition by home) = max(phone) over (partition by home)
            ) as of_home
          from party_contact where person and not made_up),
        wanted as (
          select floor({relatives.share} * count(distinct home) + 0.5) as n from innocent
          where not of_home group by country_iso)
        select (select coalesce(sum(n), 0) from wanted where n >= {relatives.least}),
               (select count(*) from innocent where mailbox_homes > 1)""")  # fmt: skip
    yield _near("relatives_mailbox", observed, expected, bounds.sharing_error)
    (persons, groups, one) = _one(connection, """
        with relatives as (
          select count(*) as persons, min(phone) = max(phone) as one_phone from party_contact
          where mailbox_homes > 1 and person and not made_up group by mailbox)
        select sum(persons), count(*), count_if(one_phone) from relatives""")  # fmt: skip
    of_groups = _near("relatives_phone", one, relatives.one_phone * groups, bounds.sharing_error)
    yield of_groups._replace(support=persons)
    (expected, observed) = _one(connection, f"""
        with innocent as (select * from party_contact where person and not made_up),
        wanted as (
          select floor({mistyped.share} * count(distinct home) + 0.5) as n,
            bool_or(has_tax) as known
          from innocent group by country_iso)
        select
          (select coalesce(sum(n), 0) from wanted where known and n >= {mistyped.least}),
          (select count(*) from innocent where has_tax and at_tax > 1)""")  # fmt: skip
    yield _near("mistyped_tax_ids", observed, expected, bounds.sharing_error)
    (persons, homes) = _one(connection, """
        with shared as (
          select home, tax from party_contact
          where person and household_id is not null and has_tax and at_tax > 1)
        select (select count(*) from shared),
               (select count(*) from (from shared group by home, tax having count(*) > 1))
        """)  # fmt: skip
    yield Shared("households_with_one_tax_id", homes, 0.0, persons, {"households": homes})


def made(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Whether a connection has a view of the table."""
    query = "select count(*) from information_schema.tables where table_name = ?"
    ((found,),) = connection.execute(query, [table.name]).fetchall()
    return bool(found)


def read_contacts(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes `party_contact`: parties, and how many have the same home, address, phone, …."""
    connection.execute(f"""
        create or replace temp table party_contact as
        with one as (
          -- Numbers in place of texts: groups of them are made several times faster.
          select party_id, p.country_iso, segment_id, household_id, hash(phone_e164) as phone,
            hash(regexp_replace(email, '{TAG}', '@')) as mailbox,
            hash(p.country_iso, tax_id) as tax, tax_id is not null as has_tax,
            party_type = {quoted(PERSON)} as person,
            party_type = {quoted(PERSON)} and raw_role = {quoted(SYNTHETIC)} as made_up,
            coalesce(household_id, -2 * business_group_id, -2 * party_id - 1) as home,
            hash(p.country_iso, street_address) as address
          from s1_party_base_6A p join s5_party_fraud_roles_6A using (party_id)
          join p1_party_identity_6P using (party_id)),
        homes as (select home, count(*) as at_home from one group by home),
        addresses as (select address, count(*) as at_address from one group by address),
        phones as (select phone, count(*) as at_phone from one group by phone),
        mailboxes as (select mailbox, count(*) as at_mailbox from one group by mailbox),
        -- Homes are told apart only where there are several parties: most numbers have one.
        of_phones as (
          select phone, count(distinct home) as phone_homes from one join phones using (phone)
          where at_phone > 1 group by phone),
        of_mailboxes as (
          select mailbox, count(distinct home) as mailbox_homes
          from one join mailboxes using (mailbox) where at_mailbox > 1 group by mailbox),
        taxes as (select tax, count(*) as at_tax from one group by tax)
        select * replace (
            coalesce(phone_homes, 1) as phone_homes, coalesce(mailbox_homes, 1) as mailbox_homes)
        from one join homes using (home) join addresses using (address)
        join phones using (phone) join mailboxes using (mailbox) join taxes using (tax)
        left join of_phones using (phone) left join of_mailboxes using (mailbox)""")


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[float, ...]:
    """The only row of a query, as reals; 0 for null."""
    (row,) = connection.execute(query).fetchall()
    return tuple(float(value or 0) for value in row)


def _near(metric: str, observed: float, expected: float, bound: float) -> Shared:
    value = abs(observed / expected - 1.0) if expected else float(observed > 0)
    return Shared(metric, value, bound, expected, {"observed": observed, "expected": expected})
