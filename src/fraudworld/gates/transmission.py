"""Risk next to risk: whether a party with a risky party beside it is risky more often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.entities import Kind
from fraudworld.gates.owners import Owners
from fraudworld.gates.published import Columns, Published
from fraudworld.gates.tally import I64

NONE = -1
Flags = NDArray[np.bool_]
I32 = NDArray[np.int32]

Links = Callable[[], Iterable[tuple[I64, I64]]]
"""Reads all links of places with parties, block by block: (rows of places, rows of parties)."""


@dataclass(frozen=True)
class Transmission:
    """Parties by (party type × region, is another party beside them risky?, are they risky?).

    devices: parties that use a device; others are its other users. endpoints: parties with a
    device on a residential endpoint of few devices; others are the owners of the others on it.
    """

    devices: I64
    endpoints: I64


def count_transmission(
    published: Published, owners: Owners, device: Kind, ip: Kind, home_lines: Flags
) -> Transmission:
    """Two passes over device links and over endpoint links.

    home_lines: of every endpoint, is it one of those that are judged? As in `sharing.Network`.
    """
    users = BY_NAME["s4_device_links_6A"]

    def of_users(block: Columns) -> tuple[I64, I64]:
        used = block["party_id"] > 0
        at = device.ids.rows_of(block["device_id"][used], users, "device")
        return at, owners.ids.rows_of(block["party_id"][used], users, "party")

    wanted = ("device_id", "party_id")
    devices = _beside(owners, device.ids.n, lambda: published.map(of_users, users, wanted))
    owner, links = _owner_of(published, owners, device), BY_NAME["s4_ip_links_6A"]

    def of_endpoints(block: Columns) -> tuple[I64, I64]:
        at = ip.ids.rows_of(block["ip_id"], links, "IP")
        who = block["device_id"]
        home = home_lines[at] & (who > 0)
        party = owner[device.ids.rows_of(who[home], links, "device")]
        return at[home][party != NONE], party[party != NONE].astype(np.int64)

    seen = ("ip_id", "device_id")
    endpoints = _beside(owners, ip.ids.n, lambda: published.map(of_endpoints, links, seen))
    return Transmission(devices, endpoints)


def _owner_of(published: Published, owners: Owners, device: Kind) -> I32:
    """Row of the party that owns a device, NONE for terminals; (devices,)."""
    table, out = BY_NAME["s4_device_base_6A"], np.full(device.ids.n, NONE, dtype=np.int32)

    def read(block: Columns) -> tuple[I64, I64]:
        owned = block["primary_party_id"] > 0
        at = device.ids.rows_of(block["device_id"][owned], table, "device")
        return at, owners.ids.rows_of(block["primary_party_id"][owned], table, "party")

    for at, party in published.map(read, table, ("device_id", "primary_party_id")):
        out[at] = party
    return out


def _beside(owners: Owners, places: int, links: Links) -> I64:
    """Parties by (stratum, another risky party at one of their places?, risky?)."""
    risky = owners.traits % 2 == 1
    # Another party than p is risky unless p is both the first and the last risky one of a place.
    first, last = (np.full(places, NONE, dtype=np.int32) for _ in range(2))
    for at, party in links():
        bad = risky[party]
        np.maximum.at(last, at[bad], party[bad])
        np.maximum.at(first, at[bad], owners.ids.n - party[bad])
    seen, exposed = (np.zeros(owners.ids.n, dtype=np.bool_) for _ in range(2))
    for at, party in links():
        seen[party] = True
        others = (last[at] != party) | (first[at] != owners.ids.n - party)
        exposed[party[(last[at] != NONE) & others]] = True
    types, regions, roles, _ = owners.shape
    stratum = (owners.traits[seen] // 2 // roles).astype(np.int64)
    cell = (stratum * 2 + exposed[seen]) * 2 + risky[seen]
    return np.bincount(cell, minlength=types * regions * 4).reshape(-1, 2, 2)


def named(transmission: Transmission) -> Iterator[tuple[str, I64]]:
    """Name and strata of what is judged."""
    yield "device", transmission.devices
    yield "endpoint", transmission.endpoints
