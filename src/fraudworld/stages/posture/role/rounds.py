"""The tasks of S5, in order of its rounds.

    scan_visits         country  links of devices of other countries (`visits.py`)
    owners_at           shard    owners of such devices (`visits.py`)
    score_country       country  scan of device–IP links; context of devices; scores of endpoints
    score_shard         shard    scans of holdings and device links; scores of the other entities
    *_candidates        both     entities in the digits in which tiers end
    frail_strata        shard    tiers and strata of parties
    draw_parties        shard    roles of parties; those that may change places with organisers
    stratify_shard      shard    roles of parties after that; strata of their accounts and devices
    draw_devices        shard    roles of devices
    draw_accounts       shard    roles of accounts
    raw_roles_at        shard    roles of devices that are seen in other countries (`visits.py`)
    stratify_country    country  tiers and strata of endpoints
    draw_ips            country  roles of endpoints

`assign.py` itself scores and draws terminals and merchants, which are few and of no shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.stages.country_of import DeviceCountries
from fraudworld.stages.pieces import (
    AccountShard,
    CircleShard,
    DeviceShard,
    EndpointCountry,
    InstrumentShard,
    LinkShard,
    PartyShard,
)
from fraudworld.stages.posture.role import organisers
from fraudworld.stages.posture.role.frailty import FrailtyLaw, UnitFirsts
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.roles import RoleLaw, RoleShard, Strata
from fraudworld.stages.posture.role.scan_edges import (
    Away,
    CountryDevices,
    EdgesScan,
    Visitors,
    scan_edges,
)
from fraudworld.stages.posture.role.strata import (
    NOT_COUNTED,
    Owners,
    RiskyDevices,
    count_cells,
    ip_strata,
    owned_strata,
    plain_strata,
)
from fraudworld.stages.posture.score.moments import moments
from fraudworld.stages.posture.score.scan_holdings import HoldingsScan, scan_holdings
from fraudworld.stages.posture.score.scan_links import LinksScan, scan_links
from fraudworld.stages.posture.score.tiers import Plan, Tiers

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
NO_ROLES = np.empty(0, dtype=np.uint8)
Contexts = NDArray[np.unsignedinteger]
"""Contexts of devices, as `DeviceSignal` reads them; (devices,)."""


@dataclass(frozen=True)
class Firsts:
    """Numbers in the world of a shard's first entities."""

    party: int
    account: int
    device: int
    device_in_country: int  # the same device, counted in the country
    units: UnitFirsts


@dataclass(frozen=True)
class CountrySums:
    """What `assign.py` needs of a scored country."""

    terminal_context: Contexts  # of its terminals
    digits: U32  # scores of endpoints, (groups, DIGITS)
    links: int
    scan: EdgesScan


@dataclass(frozen=True)
class ScoredCountry:
    """Contexts of a country's devices, and scores of its endpoints."""

    context: Contexts  # of its party devices
    group: U8  # (endpoints,)
    score: U32  # (endpoints,)
    sums: CountrySums


def score_country(
    laws: Laws,
    where: DeviceCountries,
    country: int,
    ip_first: int,
    region: int,
    terminal_region: U8,
    of: EndpointCountry,
    shards: Sequence[DeviceShard],
    party_first: Sequence[int],
    visitors: Visitors,
    away: Away,
) -> ScoredCountry:
    """Task: scans the device–IP links of a country and scores its endpoints.

    ip_first: number in the world of the first endpoint. region: of the country. terminal_region: of
    its terminals, (terminals,). shards: of the country, with the first party of each in
    `party_first`.
    """
    owner = np.empty(sum(s.owner.size for s in shards), dtype=np.uint32)
    end = 0
    for shard, first in zip(shards, party_first, strict=True):
        begin, end = end, end + shard.owner.size
        np.add(shard.owner, np.uint32(first), out=owner[begin:end])
    first_device, _ = where.party_devices(country)
    devices = CountryDevices(
        first_device, owner, region, where.terminals(country), terminal_region, where.n
    )
    features, scan = scan_edges(laws.edges, of, devices, visitors, away)
    digits = laws.scores["ip"].counts()
    group = np.empty_like(of.type)
    _look_up(laws.ip_groups, of.type, of.asn, group)
    signal = laws.ip_signal(laws.edges.top, of.start, of.type, features.untypical, features.owners)
    # A copy: a view would keep the contexts of all devices with the sums.
    terminal_context = features.context[end:].copy()
    return ScoredCountry(
        features.context[:end],
        group,
        score(laws, "ip", ip_first, signal, group, digits),
        CountrySums(terminal_context, digits, of.device.size, scan),
    )


@kernel
def _look_up(table, row, column, out):  # type: ignore[no-untyped-def]
    """out[i] = table[row[i], column[i]], columns clipped to the last one.

    Parameters
    ----------
    table : (rows, columns)
    row, column : integer (n,)
    out : (n,)
        Filled.
    """
    last = table.shape[1] - 1
    for i in range(out.size):
        out[i] = table[row[i], min(column[i], last)]


def sums_of(country: ScoredCountry) -> CountrySums:
    """Task: what `assign.py` needs of a scored country."""
    return country.sums


def score(laws: Laws, entity: str, first: int, signal: F64, type_: U8, digits: U32) -> U32:
    """Scores of entities first, first + 1, … of the world; (entities,).

    signal: (entities,). type_: code that `group_of` maps, (entities,). digits: grows by the scores
    by group and leading digit.
    """
    return laws.scores[entity].score(first, signal, type_, laws.group_of[entity], digits)


@dataclass(frozen=True)
class ScoredShard:
    """Scores of one shard."""

    party: U32  # (parties,)
    account: U32  # (accounts,)
    device: U32  # (devices,)
    several: Bools  # whether a device has several users, (devices,); NOT_COUNTED by risk


@dataclass(frozen=True)
class ShardSums:
    """What `assign.py` needs of a scored shard."""

    digits: dict[str, U32]  # scores by entity, (groups, DIGITS)
    moments: dict[str, I64]  # of signals of accounts, and of devices, with those of owners
    sizes: tuple[int, int, int]  # accounts, instruments, device links
    holdings: HoldingsScan
    links: LinksScan
    merchants: U32  # linked to its devices, although only terminals may be


def score_shard(
    laws: Laws,
    first: Firsts,
    parties: PartyShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
    links: LinkShard,
    circles: CircleShard,
    country: ScoredCountry,
) -> tuple[ScoredShard, ShardSums]:
    """Task: scans a shard and scores its entities."""
    code, holdings = scan_holdings(laws.holdings, parties, accounts, instruments)
    users, linked, merchants = scan_links(
        laws.links, parties, accounts, instruments, devices, links, circles
    )
    digits = {e: laws.scores[e].counts() for e in ("party", "account", "device")}
    of_party = np.empty(parties.segment.size)
    _look_up(laws.party_signal, parties.segment, np.diff(accounts.start), of_party)
    begin = first.device_in_country
    context = country.context[begin : begin + devices.type.size]
    of_account = laws.account_signal.take(code)
    of_device = laws.device_signal(context, users, devices.type)
    scores = ScoredShard(
        score(laws, "party", first.party, of_party, parties.type, digits["party"]),
        score(laws, "account", first.account, of_account, accounts.type, digits["account"]),
        score(laws, "device", first.device, of_device, devices.group, digits["device"]),
        users > 1 if laws.lanes["device"] > 1 else NOT_COUNTED,
    )
    sums = ShardSums(
        digits,
        {
            "account": moments(of_account, of_party, accounts.owner),
            "device": moments(of_device, of_party, devices.owner),
        },
        (accounts.type.size, instruments.type.size, links.role.size),
        holdings,
        linked,
        merchants,
    )
    return scores, sums


def shard_candidates(
    laws: Laws,
    plans: dict[str, Plan],
    first: Firsts,
    scored: ScoredShard,
    parties: PartyShard,
    accounts: AccountShard,
    devices: DeviceShard,
) -> dict[str, ranks.Candidates]:
    """Task: candidates for the ends of tiers among parties, accounts and devices, by entity."""
    return {
        e: plans[e].candidates(low, scores, type_, laws.group_of[e])
        for e, low, scores, type_ in (
            ("party", first.party, scored.party, parties.type),
            ("account", first.account, scored.account, accounts.type),
            ("device", first.device, scored.device, devices.group),
        )
    }


def country_candidates(
    laws: Laws, plans: dict[str, Plan], ip_first: int, country: ScoredCountry
) -> dict[str, ranks.Candidates]:
    """Task: candidates for the ends of tiers among endpoints, under "ip"."""
    group_of = laws.group_of["ip"]
    return {"ip": plans["ip"].candidates(ip_first, country.score, country.group, group_of)}


def frail_strata(
    laws: Laws,
    tiers: Tiers,
    frailty: FrailtyLaw,
    first: Firsts,
    scored: ScoredShard,
    parties: PartyShard,
    circles: CircleShard,
) -> tuple[Strata, I64]:
    """Task: strata of a shard's parties, (group, tier, row of frailty), and their sizes."""
    tier = tiers(first.party, scored.party, parties.type, laws.group_of["party"])
    cell = plain_strata(laws, "party", tier, parties.type)
    n = laws.scores["party"].groups * laws.tiers * frailty.rows
    stratum: Strata = cell.astype(np.min_scalar_type(n - 1))
    if frailty.rows > 1:
        stratum *= frailty.rows
        stratum += frailty.rows_of(first.units, parties, circles)
    return stratum, np.bincount(stratum, minlength=n)


@dataclass(frozen=True)
class PartySums:
    """What `assign.py` needs of a shard whose parties have roles."""

    by_stratum: I64  # (strata, raw roles)
    listed: organisers.Listed  # parties that may change roles
    circles: int  # that need an organiser


def draw_parties(
    law: RoleLaw,
    frailty: FrailtyLaw,
    rule: organisers.Rule,
    first: Firsts,
    stratum: Strata,
    circles: CircleShard,
) -> tuple[RoleShard, PartySums]:
    """Task: roles of a shard's parties, and those that may change places with organisers."""
    roles, by_stratum = law(first.party, stratum)
    if frailty.rows == 1:
        return roles, PartySums(by_stratum, organisers.NOBODY, 0)
    band = frailty.of_circles(first.units.circle, circles.start.size - 1)
    cell = stratum.astype(np.int64) // frailty.rows
    numbers = first.units.circle, first.party
    listed, needs = organisers.list_parties(rule, circles, band, roles, cell, numbers)
    return roles, PartySums(by_stratum, listed, needs)


@dataclass(frozen=True)
class StratifiedShard:
    """Roles of a shard's parties, and strata of what they own (`owned_strata`)."""

    party: RoleShard
    account: Strata
    device: Strata


@dataclass(frozen=True)
class StrataSums:
    """What `assign.py` needs of a stratified shard."""

    party_cells: I64  # parties as of `count_cells`
    sizes: dict[str, I64]  # accounts and devices per stratum, (strata,)


def stratify_shard(
    laws: Laws,
    tiers: dict[str, Tiers],
    law: RoleLaw,
    first: Firsts,
    scored: ScoredShard,
    drawn: RoleShard,
    changes: organisers.Changes,
    parties: PartyShard,
    accounts: AccountShard,
    devices: DeviceShard,
) -> tuple[StratifiedShard, StrataSums]:
    """Task: final roles of a shard's parties, and the strata of its accounts and devices.

    law: of the roles of parties. drawn: their roles before `changes`.
    """
    roles = law.changed(drawn, *changes)
    row = laws.owner_row.take(roles.raw)
    strata, sizes = {}, {}
    for entity, low, scores, type_, owner, several in (
        ("account", first.account, scored.account, accounts.type, accounts.owner, NOT_COUNTED),
        ("device", first.device, scored.device, devices.group, devices.owner, scored.several),
    ):
        tier = tiers[entity](low, scores, type_, laws.group_of[entity])
        owners = Owners(owner, parties.type, row)
        strata[entity], sizes[entity] = owned_strata(laws, entity, tier, type_, owners, several)
    cells = count_cells(laws, "party", roles, parties.type)
    return StratifiedShard(roles, **strata), StrataSums(cells, sizes)


@dataclass(frozen=True)
class RoleSums:
    """Counts of the roles of one shard or country."""

    by_stratum: I64  # (strata, raw roles)
    cells: I64  # as of `count_cells`


def draw(
    laws: Laws, entity: str, law: RoleLaw, first: int, stratum: Strata, type_: U8
) -> tuple[RoleShard, RoleSums]:
    """Roles of entities first, first + 1, … of the world; stratum, type_: (entities,)."""
    roles, by_stratum = law(first, stratum)
    return roles, RoleSums(by_stratum, count_cells(laws, entity, roles, type_))


def draw_accounts(
    laws: Laws, law: RoleLaw, first: Firsts, stratified: StratifiedShard, of: AccountShard
) -> tuple[RoleShard, RoleSums]:
    """Task: roles of a shard's accounts."""
    return draw(laws, "account", law, first.account, stratified.account, of.type)


def draw_devices(
    laws: Laws, law: RoleLaw, first: Firsts, stratified: StratifiedShard, of: DeviceShard
) -> tuple[RoleShard, RoleSums]:
    """Task: roles of a shard's devices."""
    return draw(laws, "device", law, first.device, stratified.device, of.group)


@dataclass(frozen=True)
class StratifiedCountry:
    """Strata of a country's endpoints (`ip_strata`)."""

    stratum: Strata
    sizes: I64  # endpoints per stratum, (strata,)


def stratify_country(
    laws: Laws,
    tiers: Tiers,
    where: DeviceCountries,
    number: int,
    ip_first: int,
    country: ScoredCountry,
    of: EndpointCountry,
    shards: Sequence[RoleShard],
    others: tuple[U32, U8],
) -> StratifiedCountry:
    """Task: tiers and strata of a country's endpoints.

    number: of the country. shards: roles of the country's party devices. others: its terminals and
    visitors, counted in the world, ascending; and their raw roles.
    """
    first_device, _ = where.party_devices(number)
    own = np.concatenate([NO_ROLES, *(s.raw for s in shards)])
    device, raw = others
    table = laws.risky["device"]
    risky = RiskyDevices(first_device, table.take(own), device, table.take(raw))
    tier = tiers(ip_first, country.score, country.group, laws.group_of["ip"])
    return StratifiedCountry(*ip_strata(laws, of, country.group, tier, risky))


def sizes_of(stratified: StratifiedCountry) -> I64:
    """Task: endpoints of a country per stratum."""
    return stratified.sizes


def draw_ips(
    laws: Laws,
    law: RoleLaw,
    ip_first: int,
    stratified: StratifiedCountry,
    country: ScoredCountry,
) -> tuple[RoleShard, RoleSums]:
    """Task: roles of a country's endpoints."""
    return draw(laws, "ip", law, ip_first, stratified.stratum, country.group)
