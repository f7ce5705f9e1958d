"""What a bank can see of its parties, accounts, devices and endpoints, joined over all tables.

A row of features describes one entity by its own columns and by everything that links lead to.
Roles, families and tiers are no features: they are what the features must not reveal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME, Table
from fraudworld.distinct import distinct
from fraudworld.gates.entities import SOURCES, Kind
from fraudworld.gates.published import Columns, Published, joined
from fraudworld.gates.tally import I64, Array
from fraudworld.policy.pack import PolicyPack

KINDS = ("party", "account", "device", "ip")
"""Kinds that are judged; the class of a merchant is the upstream's, and no table shows it."""

BLOCK = 1_024
"""Parties of a country that a generator draws together (docs/decisions/0005): a place among them
must not tell who is risky, as no id must."""

PLACES = ("RESIDENTIAL", "PUBLIC_WIFI")
"""Types of endpoint whose other parties and homes are counted."""

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Feature = tuple[str, str, Array]
"""Family, name and values of a feature, one an entity. The families are FAMILIES."""

FAMILIES = ("ids", "attributes", "accounts", "instruments", "devices", "endpoints", "others")


@dataclass(frozen=True)
class Entities:
    """The entities of a kind in order of id.

    row: position in the published table, None where that is id − 1; label: whether the own role is
    risky, for endpoints whether it is HIGH_RISK_IP; owner: row of the owning party, −1 for none.
    """

    kind: Kind
    codes: Mapping[str, Array]
    region: Array
    label: NDArray[np.bool_]
    owner: Ints
    row: I64 | None

    @property
    def n(self) -> int:
        """Number of entities."""
        return self.label.size


class World:
    """The observable tables of one world, joined by id; 0-based rows stand for entities."""

    def __init__(self, published: Published, pack: PolicyPack) -> None:
        self._published, self._pack = published, pack
        self.party = self._entities("party")
        self.account = self._entities("account")
        self.device = self._entities("device")
        self.ip = self._entities("ip")
        self.home, self.home_ids = self._homes()
        self.country = {"device": self._place("device"), "ip": self._place("ip")}
        self._instruments = self._instrument_links()
        self._read_device_links()
        self._read_ip_links()

    def of(self, kind: str) -> Entities:
        """The entities of a kind."""
        entities: Entities = getattr(self, kind)
        return entities

    def features(self, kind: str) -> Iterator[Feature]:
        """Every feature of a kind, over all its entities; one at a time, as a world is large."""
        yield from {
            "party": self._of_parties,
            "account": self._of_accounts,
            "device": self._of_devices,
            "ip": self._of_endpoints,
        }[kind]()

    # Reading

    def _entities(self, name: str) -> Entities:
        kind = Kind(self._published, self._pack, name)
        source = SOURCES[name]
        blocks = list(
            kind.map(
                lambda rows: {
                    **rows.codes, "_region": rows.region, "_label": rows.label,
                    "_owner": np.zeros(0, np.int64) if rows.owner is None else rows.owner,
                }
            )
        )  # fmt: skip
        columns = {n: np.concatenate([b[n] for b in blocks]) for n in blocks[0]}
        owner = columns["_owner"]
        if name != "party" and source.owner is not None:
            rows = np.full(owner.size, -1, np.int32)
            rows[owner > 0] = _rows(self.party, owner[owner > 0], BY_NAME[source.table], "party")
            owner = rows
        table = BY_NAME[source.table]
        ids = self._published.columns(table, f"{name}_id")[f"{name}_id"]
        order = np.argsort(ids, kind="stable")
        dense = np.array_equal(ids, np.arange(1, ids.size + 1))
        return Entities(
            kind, {c: columns[c] for c in source.codes}, columns["_region"], columns["_label"],
            owner, None if dense else order,
        )  # fmt: skip

    def _columns(self, entities: Entities, *names: str) -> Columns:
        """Columns of a base table in order of id."""
        columns = self._published.columns(BY_NAME[entities.kind.source.table], *names)
        if entities.row is None:
            return columns
        return {name: values[entities.row] for name, values in columns.items()}

    def _homes(self) -> tuple[I64, Columns]:
        """The home or firm of every party, numbered from 0; a party without one is its own."""
        ids = self._columns(self.party, "household_id", "business_group_id")
        home, firm = ids["household_id"], ids["business_group_id"]
        alone = -1 - np.arange(home.size)
        key = np.where(home > 0, 2 * home, np.where(firm > 0, 2 * firm + 1, alone))
        return np.asarray(np.unique(key, return_inverse=True)[1]), ids

    def _place(self, kind: str) -> Array:
        """Country of every device or endpoint, as a position in the countries of parties."""
        name = "home_country_iso" if kind == "device" else "country_iso"
        entities = self.of(kind)
        table = BY_NAME[entities.kind.source.table]
        column = next(c for c in table.columns if c.name == name)
        parties = BY_NAME["s1_party_base_6A"]
        known = self._published.code_list(
            parties, next(c for c in parties.columns if c.name == "country_iso")
        )
        own = self._published.code_list(table, column)
        place = {code: at for at, code in enumerate(known)}
        numbers = [place.get(code, len(known) + at) for at, code in enumerate(own)]
        return np.array(numbers, dtype=np.int64)[self._columns(entities, name)[name]]

    def _instrument_links(self) -> tuple[I64, Array]:
        """Account and type of every instrument."""
        table = BY_NAME["s3_instrument_base_6A"]

        def read(c: Columns) -> Columns:
            account = _rows(self.account, c["account_id"], table, "account")
            return {"account": account, "type": c["instrument_type"]}

        columns = joined(list(self._published.map(read, table, ("account_id", "instrument_type"))))
        return columns["account"], columns["type"]

    def _read_device_links(self) -> None:
        """Users, accounts and instruments of every device.

        user[i] uses device used[i]; reached: the account of every link to one; users, and
        accounts and instruments reached, by device.
        """
        table, n = BY_NAME["s4_device_links_6A"], self.device.n

        def read(c: Columns) -> Columns:
            device = _rows(self.device, c["device_id"], table, "device")
            person, account = c["party_id"] > 0, c["account_id"] > 0
            return {
                "used": device[person],
                "user": _rows(self.party, c["party_id"][person], table, "party"),
                "reaching": device[account],
                "reached": _rows(self.account, c["account_id"][account], table, "account"),
                "paying": device[c["instrument_id"] > 0],
            }

        names = ("device_id", "party_id", "account_id", "instrument_id")
        links = joined(list(self._published.map(read, table, names)))
        self.used, self.user, self.reached = links["used"], links["user"], links["reached"]
        self.users, self.accounts_reached, self.instruments_reached = (
            np.bincount(links[name], minlength=n) for name in ("used", "reaching", "paying")
        )

    def _read_ip_links(self) -> None:
        """Links of endpoints to devices, and the distinct pairs of an endpoint and an owner.

        Device on[i] is at endpoint at[i]; visitor[j] owns a device at place[j], every pair once;
        degree, parties, homes, merchants: those of an endpoint.
        """
        table, n = BY_NAME["s4_ip_links_6A"], self.ip.n

        def read(c: Columns) -> Columns:
            ip, device = _rows(self.ip, c["ip_id"], table, "IP"), c["device_id"] > 0
            return {
                "at": ip[device],
                "on": _rows(self.device, c["device_id"][device], table, "device"),
                "merchant": ip[c["merchant_id"] > 0],
            }

        names = ("ip_id", "device_id", "merchant_id")
        links = joined(list(self._published.map(read, table, names)))
        self.at, self.on = links["at"], links["on"]
        self.degree, self.merchants = (
            np.bincount(links[name], minlength=n) for name in ("at", "merchant")
        )
        owner = self.device.owner[self.on]
        pairs = distinct(self.at[owner >= 0] * np.int64(self.party.n) + owner[owner >= 0])
        self.place, self.visitor = (
            part.astype(np.int32) for part in np.divmod(pairs, self.party.n)
        )
        self.parties = np.bincount(self.place, minlength=n)
        homes = np.int64(self.home.max(initial=0) + 1)
        there = distinct(self.place * homes + self.home[self.visitor]) // homes
        self.homes = np.bincount(there, minlength=n)

    # Features

    def _own(self, kind: str) -> Iterator[Feature]:
        """Id, row and codes of an entity."""
        entities = self.of(kind)
        ids = entities.kind.ids
        yield "ids", f"{kind}_id", np.arange(1, ids.n + 1) if ids.values is None else ids.values
        if entities.row is not None:
            yield "ids", f"{kind}_row", entities.row
        yield "attributes", f"{kind} region", entities.region
        for name, codes in entities.codes.items():
            yield "attributes", f"{kind} {name}", codes

    def _of_parties(self) -> Iterator[Feature]:
        n = self.party.n
        yield from self._own("party")
        for name, ids in self.home_ids.items():
            yield "ids", name, ids
        place = _places(self.party.codes["country_iso"])
        yield "ids", "place in country", place
        yield "ids", "place in block of its country", place % BLOCK
        for kind in ("account", "device"):
            owner = self.of(kind).owner
            owned = np.flatnonzero(owner >= 0)
            first = np.full(n, self.of(kind).n)
            np.minimum.at(first, owner[owned], owned)
            yield "ids", f"first {kind} row", first
        yield "attributes", "home size", np.bincount(self.home)[self.home]
        account = self.account
        yield from self._by("accounts", account.owner, account.codes["account_type"],
                            "account_type", n)  # fmt: skip
        on, instrument = self._instruments
        yield from self._by("instruments", account.owner[on], instrument, "instrument_type", n)
        yield "devices", "owned devices", _count(self.device.owner, n)
        for name in ("device_type", "os_family"):
            codes = self.device.codes[name][self.used]
            yield from self._by("devices", self.user, codes, name, n)
        yield from self._of_users(n)
        yield from self._of_visitors(n)

    def _of_users(self, n: int) -> Iterator[Feature]:
        """Who else uses the devices of a party."""
        others = self.users[self.used] - 1
        yield "others", "shared devices", _count(self.user[others > 0], n)
        yield "others", "co-users", _sum(self.user, others, n)
        yield "others", "most co-users of a device", _largest(self.user, others, n)
        shared = others > 0
        device, party = self.used[shared], self.user[shared]
        homes = np.int64(self.home.max(initial=0) + 1)
        _, pair, size = np.unique(
            device * homes + self.home[party], return_inverse=True, return_counts=True
        )
        yield "others", "co-users of other homes", _sum(party, others[shared] + 1 - size[pair], n)

    def _of_visitors(self, n: int) -> Iterator[Feature]:
        """The endpoints of a party's own devices, and who else is on them."""
        place, party = self.place, self.visitor
        kinds = self.ip.codes["ip_type"][place]
        yield from self._by("endpoints", party, kinds, "ip_type", n)
        yield from _spread("endpoints", "devices on an endpoint", party, self.degree[place], n)
        yield from _spread("others", "parties on an endpoint", party, self.parties[place], n)
        abroad = self.country["ip"][place] != self.party.codes["country_iso"][party]
        yield "endpoints", "endpoints abroad", _count(party[abroad], n)
        types = self._pack.codes("ip_type")
        for name in PLACES:
            inside = kinds == types.index(name)
            there, who = place[inside], party[inside]
            for what, each in (
                ("devices", self.degree), ("other parties", self.parties - 1),
                ("other homes", self.homes - 1),
            ):  # fmt: skip
                yield from _spread("others", f"{what} on {name}", who, each[there], n)

    def _of_accounts(self) -> Iterator[Feature]:
        n = self.account.n
        yield from self._own("account")
        on, instrument = self._instruments
        yield from self._by("instruments", on, instrument, "instrument_type", n)
        yield "devices", "devices that reach it", np.bincount(self.reached, minlength=n)

    def _of_devices(self) -> Iterator[Feature]:
        n = self.device.n
        yield from self._own("device")
        yield "attributes", "device country", self.country["device"]
        yield "others", "users", self.users
        yield "accounts", "accounts reached", self.accounts_reached
        yield "instruments", "instruments reached", self.instruments_reached
        yield from self._by("endpoints", self.on, self.ip.codes["ip_type"][self.at], "ip_type", n)
        yield from _spread("endpoints", "devices on an endpoint", self.on, self.degree[self.at], n)
        yield from _spread("others", "parties on an endpoint", self.on, self.parties[self.at], n)
        abroad = self.country["ip"][self.at] != self.country["device"][self.on]
        yield "endpoints", "endpoints abroad", _count(self.on[abroad], n)

    def _of_endpoints(self) -> Iterator[Feature]:
        n = self.ip.n
        yield from self._own("ip")
        yield "attributes", "ip country", self.country["ip"]
        yield "others", "devices on it", self.degree
        yield "others", "parties on it", self.parties
        yield "others", "homes on it", self.homes
        yield "others", "merchants on it", self.merchants
        for name in ("device_type", "os_family"):
            codes = self.device.codes[name][self.on]
            yield from self._by("devices", self.at, codes, name, n)
        yield "others", "shared devices on it", _count(self.at[self.users[self.on] > 1], n)
        abroad = self.country["ip"][self.at] != self.country["device"][self.on]
        yield "endpoints", "devices from abroad", _count(self.at[abroad], n)
        accounts = _count(self.account.owner, self.party.n)[self.visitor]
        yield "accounts", "accounts of its parties", _sum(self.place, accounts, n)

    def _by(self, family: str, holder: Ints, codes: Array, of: str, n: int) -> Iterator[Feature]:
        """How many of each code every holder has; all of them together last."""
        names = self._pack.codes(of)
        table = _count(holder * np.int64(len(names)) + codes, n * len(names)).reshape(n, len(names))
        for at, name in enumerate(names):
            yield family, f"{of} {name}", table[:, at]
        yield family, f"{of}: all", table.sum(axis=1)


def _rows(entities: Entities, ids: I64, table: Table, what: str) -> NDArray[np.int32]:
    """Rows of the entities with these ids. Raises InputError for an id that does not exist."""
    return entities.kind.ids.rows_of(ids, table, what).astype(np.int32)


def _places(codes: Array) -> I64:
    """How many rows before a row have its code."""
    order = np.argsort(codes, kind="stable")
    out = np.empty(codes.size, np.int64)
    out[order] = np.arange(codes.size) - np.searchsorted(codes[order], codes[order])
    return out


def _count(rows: Ints, n: int) -> I64:
    """Occurrences of every row; negative ones are nobody's."""
    return np.bincount(rows[rows >= 0] if rows.min(initial=0) < 0 else rows, minlength=n)


def _sum(rows: Ints, values: Any, n: int) -> Floats:
    return np.bincount(rows, weights=values, minlength=n).astype(np.float64)


def _largest(rows: Ints, values: Ints, n: int) -> I64:
    """Largest value of every row, 0 where it has none."""
    out = np.zeros(n, np.int64)
    np.maximum.at(out, rows, values)
    return out


def _spread(family: str, name: str, rows: Ints, values: Ints, n: int) -> Iterator[Feature]:
    """Largest value and mean of every row; 0 where it has none."""
    yield family, f"most {name}", _largest(rows, values, n)
    yield family, f"mean {name}", _sum(rows, values, n) / np.maximum(_count(rows, n), 1)
