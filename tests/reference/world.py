"""Plain twin of a run: all states over one policy, seed and upstream, as published tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack
from reference import (
    accounts,
    circles,
    demand,
    devices,
    endpoints,
    frailty,
    instruments,
    parties,
    posture,
)
from reference.parties import Row

Tables = dict[str, dict[str, list[Any]]]
"""Table → column → values: ids and counts (0 for null), positions of codes, reals."""


Clock = Callable[[str, Callable[[], Any]], Any]


def generate(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    clock: Clock = lambda state, make: make(),
) -> Tables:
    """Every published table of S1 to S5.

    clock: called with a state and the function that makes its entities, to time it.
    """
    people = clock("S1", lambda: parties.make(pack, seed, geo))
    held = clock("S2", lambda: accounts.make(pack, seed, geo, people))
    carried = clock("S3", lambda: instruments.make(pack, seed, geo, people, held))
    owned = clock("S4", lambda: devices.make(pack, seed, geo, merchants, people, held, carried))
    mates = clock("S4", lambda: circles.make(pack, seed, people))
    links = clock("S4", lambda: devices.link(pack, seed, people, mates, held, carried, owned))
    links_of_devices = clock("S4", lambda: demand.make(pack, seed, people, mates, owned))
    ips = clock("S4", lambda: endpoints.make(pack, seed, geo, merchants, owned, links_of_devices))
    roles = clock(
        "S5",
        lambda: posture.make(
            pack,
            seed,
            merchants,
            people,
            held,
            carried,
            owned,
            ips,
            lambda tiers: frailty.party_roles(pack, seed, people, mates, tiers),
        ),
    )
    rows: dict[str, list[Row]] = {
        "s1_party_base_6A": parties.party_base(geo, people),
        "s1_party_summary_6A": parties.party_summary(geo, people),
        "s2_account_base_6A": accounts.account_base(geo, people, held),
        "s2_party_product_holdings_6A": accounts.product_holdings(held),
        "s2_account_summary_6A": accounts.account_summary(pack, geo, people, held),
        "s3_instrument_base_6A": instruments.instrument_base(held, carried),
        "s3_account_instrument_links_6A": instruments.account_instrument_links(carried),
        "s4_circle_members_6A": circles.member_rows(mates),
        "s4_device_base_6A": devices.device_base(geo, merchants, owned),
        "s4_device_links_6A": devices.device_links(merchants, links),
        "s4_ip_base_6A": endpoints.ip_base(pack, geo, ips),
        "s4_ip_links_6A": endpoints.ip_links(merchants, ips),
        "s4_network_summary_6A": endpoints.network_summary(pack, geo, owned, ips),
    }
    for entity, postures in roles.items():
        ids = merchants.id.tolist() if entity == "merchant" else range(1, len(postures) + 1)
        rows[f"s5_{entity}_fraud_roles_6A"] = posture.role_rows(pack, entity, postures, ids)
    declared = {table.name: table for table in TABLES}
    return {name: _columns(declared[name], pack, geo, of_table) for name, of_table in rows.items()}


def _columns(
    table: Table, pack: PolicyPack, geo: Geography, rows: list[Row]
) -> dict[str, list[Any]]:
    """Rows as columns: a code becomes its position in the list of codes, None becomes 0."""
    lists = {"country": geo.countries, "currency": geo.currencies}
    out: dict[str, list[Any]] = {}
    for column in table.columns:
        values = [row[column.name] for row in rows]
        if column.kind is Kind.CODE:
            codes = column.codes
            names = lists.get(codes) or pack.codes(codes) if codes else endpoints.METRICS
            number = {name: i for i, name in enumerate(names)}
            out[column.name] = [number[v] for v in values]
        else:
            out[column.name] = [v or 0 for v in values]
    return out
