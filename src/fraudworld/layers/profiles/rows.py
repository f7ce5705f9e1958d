"""The rows of every table of 6P, state by state: blocks of columns, made where they are encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.layers.profiles.events import EventsLaw
from fraudworld.layers.profiles.identity.arrow import spread
from fraudworld.layers.profiles.make import Profiles
from fraudworld.layers.profiles.merchants import place_columns, terminal_columns
from fraudworld.layers.profiles.networks import town
from fraudworld.layers.profiles.places import scatter
from fraudworld.rng import profiles as streams

Columns = dict[str, NDArray[np.generic] | pa.StringArray]
Make = Callable[[int, int], Columns]
"""Rows low … high − 1 of a table."""


@dataclass(frozen=True)
class TableRows:
    """A table that is ready to be written."""

    rows: int
    make: Make
    codes: dict[str, tuple[str, ...]]  # lists of this layer's code columns, by column


@dataclass(frozen=True)
class TableBlocks:
    """A table whose blocks have any number of rows; ids are numbered in their order."""

    blocks: list[tuple[int, int]]
    make: Make  # rows of one block, without the id
    number: str  # the id
    codes: dict[str, tuple[str, ...]]


def p0(of: Profiles) -> dict[str, TableRows]:
    """Rows of the tables of P0."""
    places, outlets, near, terminals = of.places, of.outlets, of.near, of.terminals
    names = of.names
    listed = tuple(sorted(names))
    codes = tuple(sorted(set(outlets.mcc.tolist())))
    zone = np.searchsorted(np.array(places.zones), outlets.tzid)
    merchants = outlets.mcc.size
    merchant: Columns = {
        "merchant_id": np.arange(1, merchants + 1),
        "name": np.searchsorted(np.array(listed), np.array(names)).astype(np.int32),
        "merchant_class": of.inputs.merchant_class,
        "mcc": np.searchsorted(np.array(codes), outlets.mcc).astype(np.int32),
        "home_country_iso": outlets.home,
        "is_virtual": outlets.virtual.astype(np.uint8),
        "outlets": np.bincount(outlets.merchant, minlength=merchants),
    }
    outlet: Columns = {
        "merchant_id": outlets.merchant + 1,
        "site_id": outlets.site,
        "country_iso": outlets.country.astype(np.uint8),
        "place_id": near.astype(np.int64) + 1,
        "lat": np.rint(outlets.lat * 1e5) / 1e5,
        "lon": np.rint(outlets.lon * 1e5) / 1e5,
        "tzid": zone.astype(np.int32),
    }
    zones = {"tzid": places.zones}
    return {
        tables.PLACE.name: TableRows(
            places.n, lambda low, high: place_columns(places, low, high),
            {"name": places.names, **zones},
        ),
        tables.MERCHANT.name: TableRows(
            merchants, lambda low, high: _cut(merchant, low, high),
            {"name": listed, "mcc": codes},
        ),
        tables.OUTLET.name: TableRows(
            outlets.n, lambda low, high: _cut(outlet, low, high), zones
        ),
        tables.TERMINAL.name: TableRows(
            terminals.n, lambda low, high: terminal_columns(terminals, outlets, low, high), {}
        ),
    }  # fmt: skip


def p1(of: Profiles) -> dict[str, TableRows]:
    """Rows of the tables of P1."""
    n, base = of.world.base.parties, of.world.base
    lives, income, home_place = of.lives, of.income, of.home_place
    risk, language = of.manner
    employers = of.employers
    point = streams.HOME_POINT.of(of.inputs.identity.seed)

    def rows(low: int, high: int) -> Columns:
        cut = slice(low, high)
        occupation, employer, industry = of.people.work(low, high, employers)
        lat, lon = scatter(of.places, home_place[cut], of.sharing.address_of[cut], point)
        return {
            "party_id": np.arange(low + 1, high + 1),
            "born_on": lives.born[cut],
            "founded_on": lives.founded[cut],
            "customer_since": lives.since[cut],
            "home_place_id": home_place[cut].astype(np.int64) + 1,
            "home_lat": lat,
            "home_lon": lon,
            "occupation": occupation,
            "employer_party_id": employer + 1,
            "industry": industry,
            "monthly_income_minor": income[cut],
            "currency": of.inputs.geo.currency[base.party_country[cut]],
            "kyc_risk": risk[cut],
            "language": language[cut],
        }

    contact, lists = of.contact, {"language": of.people.languages[0]}
    profile = TableRows(n, rows, lists)
    if not of.identities:
        return {tables.PARTY_PROFILE.name: profile}
    words = {
        "given_name": contact.name_law.given_words,
        "family_name": contact.name_law.family_words,
    }
    return {
        tables.PARTY_PROFILE.name: profile,
        tables.PARTY_IDENTITY.name: TableRows(n, contact.rows, words),
    }


def p2(of: Profiles) -> dict[str, TableRows]:
    """Rows of the tables of P2."""
    law, (opened, closed) = of.holdings, of.account_dates
    # Taken here, as a task of the engine may not wait for others.
    issued, bank_of = of.issued, of.account_bank

    def rows(low: int, high: int) -> Columns:
        overdraft, credit = law.limits(low, high)
        bank = bank_of[low:high].astype(np.int64)
        return {
            "account_id": np.arange(low + 1, high + 1),
            "opened_on": opened[low:high],
            "closed_on": closed[low:high],
            "status": law.status(low, high, closed[low:high]),
            "bank_id": bank + 1,
            "iban": issued.ibans(low, high, bank),
            "overdraft_limit_minor": overdraft,
            "credit_limit_minor": credit,
            "joint_party_id": law.second_holder(low, high) + 1,
        }

    return {tables.ACCOUNT_PROFILE.name: TableRows(opened.size, rows, {})}


def p3(of: Profiles) -> dict[str, TableRows]:
    """Rows of the tables of P3."""
    numbers, bank_of = of.issued, of.account_bank
    issued, expires = of.instrument_dates

    def rows(low: int, high: int) -> Columns:
        bank = bank_of[of.world.instrument_account[low:high]].astype(np.int64)
        pan, token = numbers.cards(low, high, bank)
        return {
            "pan": pan,
            "token": token,
            "instrument_id": np.arange(low + 1, high + 1),
            "issued_on": issued[low:high],
            "expires_on": expires[low:high],
        }

    n = issued.size
    return {tables.INSTRUMENT_PROFILE.name: TableRows(n, rows, {})}


def p4(of: Profiles) -> dict[str, TableRows]:
    """Rows of the tables of P4."""
    base, places, law, pool = of.world.base, of.places, of.networks, of.pool
    addressing, endpoints = of.addressing, int(base.ip_type.size)
    pooled = pool.endpoints().row
    languages = of.people.languages[0]
    first, retired = of.device_days

    def device(low: int, high: int) -> Columns:
        model, version = law.device_make(low, high)
        return {
            "device_id": np.arange(low + 1, high + 1),
            "first_seen_on": first[low:high],
            "retired_on": retired[low:high],
            "model_class": model,
            "os_version": version,
            "language": law.device_language(low, high),
            "tzid": places.zone[law.device_place(low, high)],
        }

    def endpoint(low: int, high: int) -> Columns:
        lat, lon = town(places, law.endpoint_place(low, high))
        address, system = addressing.columns(np.arange(low, high))
        return {
            "ip_id": np.arange(low + 1, high + 1),
            "address": address,
            "asn": system,
            "lat": lat,
            "lon": lon,
            "is_cgnat": law.shared_by_carrier(low, high).astype(np.uint8),
        }

    def unlinked(low: int, high: int) -> Columns:
        first, last = np.searchsorted(pooled, (low, high))
        address, system = addressing.columns(endpoints + np.arange(first, last))
        at = pooled[first:last] - low
        is_endpoint, asn = np.zeros(high - low, dtype=bool), np.zeros(high - low, dtype=np.int64)
        is_endpoint[at], asn[at] = True, system
        return {**pool.rows(low, high), "address": spread(address, is_endpoint), "asn": asn}

    return {
        tables.DEVICE_PROFILE.name: TableRows(
            first.size,
            device,
            {
                "model_class": law.model_classes,
                "os_version": law.os_versions,
                "language": languages,
                "tzid": places.zones,
            },
        ),
        tables.IP_PROFILE.name: TableRows(endpoints, endpoint, {}),
        tables.UNLINKED_POOL.name: TableRows(
            pool.n, unlinked, {"type": pool.types, "model_class": pool.models}
        ),
    }


def p5(of: Profiles) -> dict[str, TableBlocks]:
    """Rows of the tables of P5."""
    opened, closed = of.account_dates
    first, retired = of.device_days
    law = EventsLaw(
        of.inputs, of.policy, of.world, of.lives.since,
        of.places.lon[of.home_place], opened, closed, of.instrument_dates[0], first,
        retired,
    )  # fmt: skip
    blocks = list(of._blocks(of.world.base.parties))
    return {tables.ENTITY_EVENT.name: TableBlocks(blocks, law.rows, "event_id", {})}


def _cut(columns: Columns, low: int, high: int) -> Columns:
    return {name: values[low:high] for name, values in columns.items()}


def rows_of(of: Profiles, state: str, table: str, low: int, high: int) -> Columns:
    """Rows low … high − 1 of a table, or of one of its blocks: a task of an engine."""
    return tables_of(of, state)[table].make(low, high)


def tables_of(of: Profiles, state: str) -> Mapping[str, TableRows | TableBlocks]:
    """The tables of a state; taken once in a process, after the states before it."""
    if state not in of.made:
        of.made[state] = STATES[state](of)
    found: Mapping[str, TableRows | TableBlocks] = of.made[state]
    return found


STATES: dict[str, Callable[[Profiles], Mapping[str, TableRows | TableBlocks]]] = {
    "P0": p0,
    "P1": p1,
    "P2": p2,
    "P3": p3,
    "P4": p4,
    "P5": p5,
}
"""All states, in their order, each with its tables."""
