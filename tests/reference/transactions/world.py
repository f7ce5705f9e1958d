"""The published world as 6B reads it: who can pay, from which accounts, through what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from fraudworld.kernels import normal
from fraudworld.policy.pack import PolicyPack
from reference.draws import Draws, deviate
from reference.parties import Row
from reference.transactions.choices import Urn

Published = Mapping[str, list[Row]]
"""Rows of published 6A tables by name, in published order."""

SCALE = 1024
"""Activity weights are whole multiples of 1/1024."""

NORMAL_DEVICE = "NORMAL_DEVICE"


@dataclass
class Party:
    """A customer; `devices` are those it is linked to, `exposed` says whether any asset is risky.

    `activity` weighs it as the origin of an arrival, `reach` as that of an arrival abroad.
    """

    country: str
    segment: str
    home: tuple[str, int] | None
    accounts: list[int] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)
    activity: int = 0
    reach: int = 0
    exposed: bool = False


@dataclass
class Account:
    """An account; `role` is the canonical family of its fraud role."""

    owner: int
    type: str
    role: str
    instruments: list[int] = field(default_factory=list)


@dataclass
class Device:
    """A device and its endpoints, the typical one first; `role` is raw. Terminals have no owner."""

    owner: int | None
    type: str
    country: str
    role: str
    users: int = 0
    endpoints: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Ip:
    """An endpoint; `role` is a canonical family."""

    type: str
    role: str


@dataclass(frozen=True)
class Merchant:
    """A merchant; `role` is a canonical family."""

    risk_class: str
    role: str


@dataclass
class World:
    """All entities by position, and who lives at the same home or works for the same firm."""

    pack: PolicyPack
    parties: list[Party]
    accounts: list[Account]
    instruments: list[str]  # types
    devices: list[Device]
    ips: list[Ip]
    merchants: list[Merchant]
    homes: dict[tuple[str, int], list[int]]

    def __post_init__(self) -> None:
        by_country: dict[str, dict[int, int]] = defaultdict(dict)
        for p, party in enumerate(self.parties):
            by_country[party.country][p] = party.activity
        self.active = {country: Urn(weights) for country, weights in by_country.items()}
        self.active_anywhere = Urn({p: party.activity for p, party in enumerate(self.parties)})
        reach = Urn({p: party.reach for p, party in enumerate(self.parties)})
        # Where no segment buys abroad, all parties travel alike.
        self.travelling = reach or self.active_anywhere

    def account_of(self, party: int, draw: int) -> int | None:
        """One of a party's accounts that have an instrument, by use of the product."""
        use = self.pack.attachment.account_use
        return Urn(
            {
                a: use.get(self.accounts[a].type, 0)
                for a in self.parties[party].accounts
                if self.accounts[a].instruments
            }
        ).pick(draw)

    def instrument_of(self, account: int, channel: str, draw: int) -> int | None:
        """One of an account's instruments, by use of its type in the channel."""
        use = self.pack.attachment.instrument_use[channel]
        return Urn(
            {i: use.get(self.instruments[i], 0) for i in self.accounts[account].instruments}
        ).pick(draw)

    def device_of(self, party: int, draw: int) -> int | None:
        """One of the devices a party is linked to, by use of its type."""
        use = self.pack.attachment.device_use
        return Urn({d: use.get(self.devices[d].type, 0) for d in self.parties[party].devices}).pick(
            draw
        )


def read(
    pack: PolicyPack, seed: int, tables: Published, sites: list[Row], *, rewired: bool = False
) -> World:
    """The world of a run's tables; `sites` are rows of 1A/outlet_catalogue.

    rewired: endpoints of all links are dealt anew inside the device's country.
    """
    parties = [
        Party(row["country_iso"], row["segment_id"], _home(row))
        for row in tables["s1_party_base_6A"]
    ]
    accounts = [
        Account(row["owner_party_id"] - 1, row["account_type"], role)
        for row, role in zip(
            tables["s2_account_base_6A"], _families(pack, tables, "account"), strict=True
        )
    ]
    instruments = [row["instrument_type"] for row in tables["s3_instrument_base_6A"]]
    devices = [
        Device(
            row["primary_party_id"] - 1 if row["primary_party_id"] else None,
            row["device_type"],
            row["home_country_iso"],
            role["raw_role"],
        )
        for row, role in zip(
            tables["s4_device_base_6A"], tables["s5_device_fraud_roles_6A"], strict=True
        )
    ]
    ips = [
        Ip(row["ip_type"], role)
        for row, role in zip(tables["s4_ip_base_6A"], _families(pack, tables, "ip"), strict=True)
    ]
    risk_class = {row["merchant_id"]: row["merchant_class"] for row in sites}
    merchants = [
        Merchant(risk_class[m], role)
        for m, role in enumerate(_families(pack, tables, "merchant"), 1)
    ]
    for a, account in enumerate(accounts):
        parties[account.owner].accounts.append(a)
    for i, row in enumerate(tables["s3_instrument_base_6A"]):
        accounts[row["account_id"] - 1].instruments.append(i)
    for row in tables["s4_device_links_6A"]:
        if row["party_id"]:
            parties[row["party_id"] - 1].devices.append(row["device_id"] - 1)
            devices[row["device_id"] - 1].users += 1
    for typical in (True, False):
        for row in tables["s4_ip_links_6A"]:
            if row["device_id"] and (row["link_role"] == "TYPICAL_DEVICE_IP") == typical:
                devices[row["device_id"] - 1].endpoints.append(row["ip_id"] - 1)
    if rewired:
        _rewire(seed, devices)
    homes: dict[tuple[str, int], list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        if party.home:
            homes[party.home].append(p)
    _set_activity(pack, seed, parties, accounts, devices)
    return World(pack, parties, accounts, instruments, devices, ips, merchants, homes)


def _home(row: Row) -> tuple[str, int] | None:
    if row["household_id"]:
        return "household", row["household_id"]
    return ("firm", row["business_group_id"]) if row["business_group_id"] else None


def _families(pack: PolicyPack, tables: Published, entity: str) -> list[str]:
    """Canonical family of every entity.

    Raw roles are mapped here: a world whose own mapping was left out has the same attacks.
    """
    mapping = pack.fraud_role_taxonomy.entities[entity].mapping
    return [mapping[row["raw_role"]] for row in tables[f"s5_{entity}_fraud_roles_6A"]]


def _rewire(seed: int, devices: list[Device]) -> None:
    """Links of a country take its endpoints in order of one draw a link; degrees are kept."""
    draws = Draws(seed, "6B.S1/rewired", "attachment_sampling")
    links = [(d, i) for d, device in enumerate(devices) for i in range(len(device.endpoints))]
    by_country: dict[str, list[int]] = defaultdict(list)
    for number, (d, _) in enumerate(links):
        by_country[devices[d].country].append(number)
    endpoint = [devices[d].endpoints[i] for d, i in links]
    for mine in by_country.values():
        for number, other in zip(mine, sorted(mine, key=draws), strict=True):
            d, i = links[number]
            devices[d].endpoints[i] = endpoint[other]


def _set_activity(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    accounts: list[Account],
    devices: list[Device],
) -> None:
    """Weights of every party, and whether one of its assets is risky.

    A party can pay with an account that has an instrument and a device it can act through, both
    of a kind that is used. Its activity is the segment's times a log-normal, at least 1/1024; its
    reach is that times the segment's propensity to buy abroad.
    """
    policy = pack.attachment
    draws = Draws(seed, "6B.S1/activity", "attachment_sampling")
    clean = pack.fraud_role_taxonomy.entities["account"].clean_family
    for p, party in enumerate(parties):
        mine = [accounts[a] for a in party.accounts]
        held = [devices[d] for d in party.devices]
        party.exposed = any(a.role != clean for a in mine) or any(
            d.role != NORMAL_DEVICE for d in held
        )
        pays = any(a.instruments and policy.account_use.get(a.type, 0) for a in mine)
        if pays and any(policy.device_use.get(d.type, 0) for d in held):
            level = policy.segment_activity[party.segment] * SCALE
            weight = level * normal.exp(policy.activity_sigma * deviate(draws(p)))
            party.activity = max(int(weight), 1)
            abroad = pack.segmentation_priors.profiles[party.segment].cross_border
            party.reach = party.activity * round(abroad * SCALE)
