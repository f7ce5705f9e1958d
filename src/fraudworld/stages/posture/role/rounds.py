"""The rounds of S5: what is done in every shard and country, and what is told of it.

    see        country  scan of links; context of devices, scores of endpoints
    score      shard    scans of holdings and device links; scores of the rest; moments
    candidates both     entities in the digits where tiers end
    place      shard    tiers; roles of parties; strata of what they own
    draw       shard    roles of devices, of accounts
    expose     country  tiers and strata of endpoints
    draw       country  roles of endpoints

Terminals, few and everywhere, and merchants are dealt with between the rounds (`assign`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import (
    AccountShard,
    DeviceShard,
    EndpointCountry,
    InstrumentShard,
    LinkShard,
    PartyShard,
)
from fraudworld.stages.posture.role.roles import (
    Draw,
    RoleShard,
    owner_kinds,
    risky_roles,
    role_table,
)
from fraudworld.stages.posture.role.scan_edges import EdgesLaw, EdgesScan, scan_edges
from fraudworld.stages.posture.score.groups import (
    GROUPS,
    account_groups,
    identity,
    ip_groups,
)
from fraudworld.stages.posture.score.moments import moments
from fraudworld.stages.posture.score.scan_holdings import HoldingsLaw, scan_holdings
from fraudworld.stages.posture.score.scan_links import LinksLaw, scan_links
from fraudworld.stages.posture.score.scores import (
    DeviceSignal,
    IpSignal,
    Score,
    account_signal,
    party_signal,
)
from fraudworld.stages.posture.score.tiers import Plan, Tiers

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Codes = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Laws:
    """What the rounds have to know of the policy."""

    scores: dict[str, Score]  # by entity
    cells: dict[str, tuple[int, ...]]  # by entity: groups, tiers, raw roles, families
    risky: dict[str, Bools]  # by entity: raw roles that are not clean
    group_of: dict[str, U8]  # group of every party type, account type, …
    ip_groups: U8  # (endpoint types, operators)
    party_signal: F64  # (segments, accounts held)
    account_signal: F64  # by what is carried
    device_signal: DeviceSignal
    ip_signal: IpSignal
    holdings: HoldingsLaw
    links: LinksLaw
    edges: EdgesLaw
    high_sharing: int
    tiers: int
    kinds: int  # of owners

    @classmethod
    def of(cls, pack: PolicyPack, seed: int, n_merchants: int) -> Laws:
        """The policy's."""
        scores = {e: Score.of(pack, seed, e) for e in GROUPS}
        plain = {e: identity(pack, e) for e in GROUPS if e != "account"}
        return cls(
            scores,
            {
                e: (*role_table(pack, e).shares.shape, len(pack.codes(f"{e}_family")))
                for e in GROUPS
            },
            {e: risky_roles(pack, e) for e in GROUPS},
            {**plain, "account": account_groups(pack)},
            ip_groups(pack),
            party_signal(pack, scores["party"]),
            account_signal(scores["account"]),
            DeviceSignal.of(pack, scores["device"]),
            IpSignal.of(pack, scores["ip"]),
            HoldingsLaw.of(pack),
            LinksLaw.of(pack, n_merchants),
            EdgesLaw.of(pack),
            pack.risk_propagation_coeffs.device_to_ip.high_sharing_min_devices,
            len(pack.fraud_role_taxonomy.risk_tiers),
            owner_kinds(pack),
        )


@dataclass(frozen=True)
class SeenSummary:
    """What is told of a country."""

    terminal_context: Codes
    digits: NDArray[np.uint32]
    links: int
    scan: EdgesScan


@dataclass(frozen=True)
class SeenCountry:
    """A country's devices as its endpoints show them, and its endpoints."""

    context: Codes  # of its party devices: busiest endpoint · 2 + whether anonymous
    group: U8  # of every endpoint
    score: U32
    summaries: SeenSummary


def see(
    laws: Laws,
    world_devices: int,
    ip_first: int,
    region: int,
    terminal_region: U8,
    of: EndpointCountry,
    shards: Sequence[DeviceShard],
    party_first: Sequence[int],
) -> SeenCountry:
    """Scan and score the endpoints of a country.

    shards, party_first: its devices, and where the owners of each begin; terminal_region: of
    its terminals.
    """
    owner = np.empty(sum(s.owner.size for s in shards), dtype=np.uint32)
    at = 0
    for shard, first in zip(shards, party_first, strict=True):
        np.add(shard.owner, np.uint32(first), out=owner[at : at + shard.owner.size])
        at += shard.owner.size
    context, passing, owners, scan = scan_edges(
        laws.edges, of, owner, region, terminal_region, world_devices
    )
    digits = laws.scores["ip"].counts()
    group = np.empty_like(of.type)
    _look_up(laws.ip_groups, of.type, of.asn, group)
    signal = laws.ip_signal(laws.edges.top, of.start, of.type, passing, owners)
    summaries = SeenSummary(context[at:].copy(), digits, of.device.size, scan)
    return SeenCountry(
        context[:at], group, scored(laws, "ip", ip_first, signal, group, digits), summaries
    )


@kernel
def _look_up(table, row, column, out):  # type: ignore[no-untyped-def]
    """out[i] = table[row[i], column[i]], or of the last column."""
    last = table.shape[1] - 1
    for i in range(out.size):
        out[i] = table[row[i], min(column[i], last)]


def summaries(seen: SeenCountry) -> SeenSummary:
    """What is told of a country."""
    return seen.summaries


def scored(
    laws: Laws, entity: str, first: int, signal: F64, kind: U8, digits: NDArray[np.uint32]
) -> U32:
    """Scores of entities first, first + 1, …; `digits` of their groups are counted on."""
    return laws.scores[entity].score(first, signal, kind, laws.group_of[entity], digits)


@dataclass(frozen=True)
class ScoredShard:
    """Scores of one shard."""

    party: U32
    account: U32
    device: U32


@dataclass(frozen=True)
class ScoredSummary:
    """What is told of it."""

    digits: dict[str, NDArray[np.uint32]]  # by entity
    moments: dict[str, I64]  # of account and device signals with those of owners
    sizes: tuple[int, int, int]  # accounts, instruments, device links
    holdings: I64
    links: I64
    stray: U32


@dataclass(frozen=True)
class Firsts:
    """Where a shard's entities begin in the world, and its devices in their country."""

    party: int
    account: int
    device: int
    device_in_country: int


def score(
    laws: Laws,
    first: Firsts,
    parties: PartyShard,
    accounts: AccountShard,
    instruments: InstrumentShard,
    devices: DeviceShard,
    links: LinkShard,
    seen: SeenCountry,
) -> tuple[ScoredShard, ScoredSummary]:
    """Scan and score a shard."""
    carried, holdings = scan_holdings(laws.holdings, parties, accounts, instruments)
    users, linked, stray = scan_links(laws.links, parties, accounts, instruments, devices, links)
    digits = {e: laws.scores[e].counts() for e in ("party", "account", "device")}

    of_party = np.empty(parties.segment.size)
    _look_up(laws.party_signal, parties.segment, np.diff(accounts.start), of_party)
    begin = first.device_in_country
    context = seen.context[begin : begin + devices.type.size]
    signal = {
        "party": of_party,
        "account": laws.account_signal.take(carried),
        "device": laws.device_signal(context, users, devices.type),
    }
    scores = ScoredShard(
        *(
            scored(laws, entity, low, signal[entity], kind, digits[entity])
            for entity, low, kind in (
                ("party", first.party, parties.type),
                ("account", first.account, accounts.type),
                ("device", first.device, devices.group),
            )
        )
    )
    summaries = ScoredSummary(
        digits,
        {
            "account": moments(signal["account"], signal["party"], accounts.owner),
            "device": moments(signal["device"], signal["party"], devices.owner),
        },
        (accounts.type.size, instruments.type.size, links.role.size),
        holdings,
        linked,
        stray,
    )
    return scores, summaries


def shard_candidates(
    laws: Laws,
    plans: dict[str, Plan],
    first: Firsts,
    scored: ScoredShard,
    parties: PartyShard,
    accounts: AccountShard,
    devices: DeviceShard,
) -> dict[str, ranks.Candidates]:
    """Candidates among parties, accounts and devices."""
    return {
        e: plans[e].candidates(low, scores, kind, laws.group_of[e])
        for e, low, scores, kind in (
            ("party", first.party, scored.party, parties.type),
            ("account", first.account, scored.account, accounts.type),
            ("device", first.device, scored.device, devices.group),
        )
    }


def country_candidates(
    laws: Laws, plans: dict[str, Plan], ip_first: int, seen: SeenCountry
) -> dict[str, ranks.Candidates]:
    """Candidates among endpoints."""
    return {"ip": plans["ip"].candidates(ip_first, seen.score, seen.group, laws.group_of["ip"])}


@dataclass(frozen=True)
class PlacedShard:
    """Roles of parties, and strata of what they own: see `owned_strata`."""

    party: RoleShard
    account: Codes
    device: Codes


@dataclass(frozen=True)
class PlacedSummary:
    """What is told of it."""

    party_cells: I64
    sizes: dict[str, I64]  # by entity: assets per stratum


def place(
    laws: Laws,
    tiers: dict[str, Tiers],
    how: Draw,
    first: Firsts,
    scored: ScoredShard,
    parties: PartyShard,
    accounts: AccountShard,
    devices: DeviceShard,
) -> tuple[PlacedShard, PlacedSummary]:
    """Roles of parties, and strata of accounts and devices given those."""
    tier = tiers["party"](first.party, scored.party, parties.type, laws.group_of["party"])
    roles, _ = how(first.party, plain_strata(laws, "party", tier, parties.type))
    risky = laws.risky["party"].take(roles.raw)
    strata, sizes = {}, {}
    for entity, low, scores, kind, owner in (
        ("account", first.account, scored.account, accounts.type, accounts.owner),
        ("device", first.device, scored.device, devices.group, devices.owner),
    ):
        tier = tiers[entity](low, scores, kind, laws.group_of[entity])
        strata[entity], sizes[entity] = owned_strata(
            laws, entity, tier, kind, owner, parties.type, risky
        )
    cells = count_cells(laws, "party", roles, parties.type)
    return PlacedShard(roles, **strata), PlacedSummary(cells, sizes)


def plain_strata(laws: Laws, entity: str, tier: U8, kind: U8) -> Codes:
    """(group, tier) of entities, flat."""
    first: Codes = (np.arange(laws.scores[entity].groups) * laws.tiers).astype(np.uint8)
    return first[laws.group_of[entity][kind]] + tier


NOBODY = np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.bool_)
"""Owners of what nobody owns."""


def owned_strata(
    laws: Laws,
    entity: str,
    tier: U8,
    kind: U8,
    owner: U32,
    party_type: U8,
    risky: Bools,
) -> tuple[Codes, I64]:
    """(group, tier, owner kind, whether the owner is risky) of assets, flat, and their counts.

    owner: position in `party_type` and `risky`; all empty, NOBODY, for assets of nobody.
    """
    n = laws.scores[entity].groups * laws.tiers * laws.kinds * 2
    stratum = np.empty(tier.size, dtype=np.min_scalar_type(n - 1))
    sizes = np.zeros(n, dtype=np.int64)
    _owned_strata(
        tier, kind, laws.group_of[entity], owner, party_type, risky, laws.tiers, laws.kinds,
        stratum, sizes,
    )  # fmt: skip
    return stratum, sizes


@kernel
def _owned_strata(  # type: ignore[no-untyped-def]
    tier, kind, group_of, owner, party_type, risky, tiers, kinds, stratum, sizes
):
    for i in range(tier.size):
        c = (np.int64(group_of[kind[i]]) * tiers + tier[i]) * kinds + kinds - 1
        if owner.size:
            c += np.int64(party_type[owner[i]]) - (kinds - 1)
        c *= 2
        if owner.size:
            c += risky[owner[i]]
        stratum[i] = c
        sizes[c] += 1


@dataclass(frozen=True)
class DrawnSummary:
    """What is told of a draw."""

    taken: I64  # (strata, roles)
    cells: I64  # see `count_cells`


def draw(
    laws: Laws, entity: str, how: Draw, first: int, stratum: Codes, kind: U8
) -> tuple[RoleShard, DrawnSummary]:
    """Roles of entities first, first + 1, … from their strata."""
    roles, taken = how(first, stratum)
    return roles, DrawnSummary(taken, count_cells(laws, entity, roles, kind))


def draw_accounts(
    laws: Laws, how: Draw, first: Firsts, placed: PlacedShard, of: AccountShard
) -> tuple[RoleShard, DrawnSummary]:
    """Roles of a shard's accounts."""
    return draw(laws, "account", how, first.account, placed.account, of.type)


def draw_devices(
    laws: Laws, how: Draw, first: Firsts, placed: PlacedShard, of: DeviceShard
) -> tuple[RoleShard, DrawnSummary]:
    """Roles of a shard's devices."""
    return draw(laws, "device", how, first.device, placed.device, of.group)


@dataclass(frozen=True)
class ExposedCountry:
    """(group, tier, high sharing, whether a device is risky) of endpoints, flat, and counts."""

    stratum: Codes
    sizes: I64


def expose(
    laws: Laws,
    tiers: Tiers,
    ip_first: int,
    seen: SeenCountry,
    of: EndpointCountry,
    shards: Sequence[RoleShard],
    terminals: U8,
) -> ExposedCountry:
    """Tiers and strata of a country's endpoints.

    shards: roles of the country's party devices; terminals: raw roles of its terminals.
    """
    risky = laws.risky["device"].take(np.concatenate([*(s.raw for s in shards), terminals]))
    tier = tiers(ip_first, seen.score, seen.group, laws.group_of["ip"])
    n = laws.scores["ip"].groups * laws.tiers * 4
    stratum = np.empty(tier.size, dtype=np.min_scalar_type(n - 1))
    sizes = np.zeros(n, dtype=np.int64)
    _ip_strata(
        tier, seen.group, of.start, of.device, risky, laws.high_sharing, laws.tiers, stratum, sizes
    )
    return ExposedCountry(stratum, sizes)


def sizes(exposed: ExposedCountry) -> I64:
    """Endpoints of a country per stratum."""
    return exposed.sizes


@kernel
def _ip_strata(tier, group, start, device, risky, sharing, tiers, stratum, sizes):  # type: ignore[no-untyped-def]
    for p in range(tier.size):
        exposed = False
        for i in range(np.uint64(start[p]), np.uint64(start[p + 1])):
            if device[i] < risky.size:
                exposed |= risky[device[i]]
        c = np.int64(group[p]) * tiers + tier[p]
        c = (c * 2 + (start[p + 1] - start[p] >= sharing)) * 2 + exposed
        stratum[p] = c
        sizes[c] += 1


def draw_ips(
    laws: Laws, how: Draw, ip_first: int, exposed: ExposedCountry, seen: SeenCountry
) -> tuple[RoleShard, DrawnSummary]:
    """Roles of a country's endpoints."""
    return draw(laws, "ip", how, ip_first, exposed.stratum, seen.group)


def count_cells(laws: Laws, entity: str, roles: RoleShard, kind: U8) -> I64:
    """Rows by (group, tier, raw role, family), as published; rows without such are not counted."""
    cells = np.zeros(laws.cells[entity], dtype=np.int64)
    _count_cells(roles.raw, roles.family, roles.tier, kind, laws.group_of[entity], cells)
    return cells


@kernel
def _count_cells(raw, family, tier, kind, group_of, cells):  # type: ignore[no-untyped-def]
    _, tiers, roles, families = cells.shape
    flat = cells.reshape(-1)
    for i in range(min(raw.size, kind.size)):
        if tier[i] < tiers and raw[i] < roles and family[i] < families:
            g = np.int64(group_of[kind[i]])
            flat[((g * tiers + tier[i]) * roles + raw[i]) * families + family[i]] += 1
