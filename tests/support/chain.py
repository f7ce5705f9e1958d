"""The recipes of S1–S5 in memory, for tests of S5."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.local import LocalEngine
from fraudworld.inputs.arrays import Geography
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse
from fraudworld.stages.accounts import stage as accounts
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments
from fraudworld.stages.network import stage as network
from fraudworld.stages.parties import stage as parties
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role.assign import Assignment
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.results import Roles, World
from fraudworld.stages.posture.role.roles import risky_roles
from fraudworld.stages.posture.role.strata import count_cells
from fraudworld.stages.posture.score.groups import account_groups, ip_groups
from fraudworld.stages.posture.validate.checks import Check, Evidence, run_checks
from support import gathered, worlds

ENTITIES = ("party", "account", "merchant", "device", "ip")
Array = NDArray[Any]


@dataclass(frozen=True)
class Chain:
    """Results of S1–S4. Items are plain values, so that a test may change them."""

    seed: int
    geo: Geography
    states: World


def first_four(context: Context) -> tuple[Parties, Accounts, Instruments, Network]:
    """Results of S1 to S4, each from those before it."""
    people = parties.run(context)
    held = accounts.run(context, people)
    carried = instruments.run(context, people, held)
    return people, held, carried, network.run(context, people, held, carried)


def build(
    pack: PolicyPack, size: int, seed: int = 42, parties_per_shard: int | None = None
) -> Chain:
    """A world of about `size` parties with 600 merchants."""
    merchants, geo = worlds.merchants(pack, 600), worlds.geography(pack, size)
    with LocalEngine(1) as engine:
        context = Context(
            pack=pack,
            seed=seed,
            geo=geo,
            merchants=merchants,
            parties_per_shard=parties_per_shard,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=lambda table, rows: rows.n,
        )
        people, held, carried, graph = first_four(context)
        get = engine.fetch
        states = World(
            replace(people, items=get(people.items)),
            replace(held, items=get(held.items)),
            replace(carried, items=get(carried.items)),
            replace(
                graph,
                circles=replace(graph.circles, items=get(graph.circles.items)),
                devices=replace(graph.devices, items=get(graph.devices.items)),
                links=replace(graph.links, items=get(graph.links.items)),
                countries=get(graph.countries),
            ),
            merchants,
        )
    return Chain(seed, geo, states)


@dataclass(frozen=True)
class Posture:
    """Roles of all entities of one kind, as arrays over the world."""

    entity: str
    group: Array
    raw: Array
    family: Array
    tier: Array
    risky: Array
    rng: tuple[StreamUse, ...]
    diagnostics: dict[str, Any]


@dataclass(frozen=True)
class PosturedChain:
    """A chain and its S5 roles."""

    chain: Chain
    roles: dict[str, Roles]  # pieces are plain RoleShards

    def of(self, pack: PolicyPack, entity: str) -> Posture:
        """The posture of one kind of entity, pieces concatenated."""
        pieces, roles = self.roles[entity].pieces, self.roles[entity]
        raw, family, tier = (
            np.concatenate([getattr(p, name) for p in pieces]) for name in ("raw", "family", "tier")
        )
        group = np.concatenate(groups(pack, self.chain.states, entity))
        risky = risky_roles(pack, entity)[raw]
        return Posture(entity, group, raw, family, tier, risky, roles.rng, roles.diagnostics)


def groups(pack: PolicyPack, states: World, entity: str) -> list[Array]:
    """Role groups of one kind of entity, one array per piece."""
    devices = states.network.devices
    if entity == "party":
        return [p.type for p in states.parties.items]
    if entity == "account":
        return [account_groups(pack)[a.type] for a in states.accounts.items]
    if entity == "device":
        return [*(d.group for d in devices.items), devices.terminals.group]
    if entity == "ip":
        return [ip_groups(pack)[c.type, c.asn] for c in states.network.countries]
    return [states.merchants.risk_class]


def _laws(pack: PolicyPack, chain: Chain) -> Laws:
    return Laws.of(pack, chain.seed, chain.states.merchants.n)


def posture(pack: PolicyPack, chain: Chain) -> PosturedChain:
    """Runs S5 over a chain."""
    with LocalEngine(2) as engine:
        rounds = Assignment(engine, pack, chain.seed, chain.states, _laws(pack, chain))
        scored = rounds.score()
        stratified = rounds.stratify(scored, rounds.tiers(scored))
        device = rounds.devices(stratified)
        ip = rounds.ips(stratified, rounds.stratify_ips(stratified, device))
        pieces = [p.party for p in engine.fetch(stratified.parties.pieces)]
        party = replace(stratified.parties, pieces=pieces)
        account = rounds.accounts(stratified)
        device = replace(device, pieces=[*engine.fetch(device.pieces[:-1]), device.pieces[-1]])
        roles = {
            "party": party,
            "account": replace(account, pieces=engine.fetch(account.pieces)),
            "merchant": rounds.merchants(stratified),
            "device": device,
            "ip": replace(ip, pieces=engine.fetch(ip.pieces)),
        }
    return PosturedChain(chain, roles)


def checks(pack: PolicyPack, world: PosturedChain) -> tuple[Check, ...]:
    """The checks of S5, recomputed from the world as it is now."""
    with LocalEngine(1) as engine:
        rounds = Assignment(
            engine, pack, world.chain.seed, world.chain.states, _laws(pack, world.chain)
        )
        scans = rounds.score().scans
    groups_of = {e: groups(pack, world.chain.states, e) for e in ENTITIES}
    groups_of["account"] = [a.type for a in world.chain.states.accounts.items]
    roles = {}
    for entity, roles_of in world.roles.items():
        cells = [
            count_cells(rounds.laws, entity, piece, group)
            for piece, group in zip(roles_of.pieces, groups_of[entity], strict=True)
        ]
        roles[entity] = replace(roles_of, cells=sum(cells[1:], cells[0]))
    return run_checks(pack, Evidence.of(world.chain.states.rows, scans, roles))


def with_coefficients(pack: PolicyPack, **changes: object) -> PolicyPack:
    """The pack with other propagation coefficients."""
    coefficients = pack.risk_propagation_coeffs.model_copy(update=changes)
    return pack.model_copy(update={"risk_propagation_coeffs": coefficients})


class PlainEngine(LocalEngine):
    """An engine whose items are plain values."""

    def fetch(self, items: Sequence[Any]) -> list[Any]:
        return [*items]


@dataclass(frozen=True)
class Graph:
    """Owners and device–IP links that laws of S5 use, as 0-based positions in the world."""

    account_owner: Array
    device_owner: Array  # −1 for terminals
    ip: Array  # of every device–IP link
    device: Array
    degree: Array


def graph(chain: Chain) -> Graph:
    """Owners and links of a chain."""
    states = chain.states
    net = states.network
    accounts = gathered.accounts(PlainEngine(1), states.accounts, states.parties)
    devices = gathered.devices(PlainEngine(1), net.devices, states.parties)
    ip, device, degree = [], [], []
    for of, first in zip(net.countries, net.ip_first, strict=False):
        degree.append(np.diff(of.start))
        ip.append(first + np.repeat(np.arange(degree[-1].size), degree[-1]))
        device.append(of.device)
    return Graph(accounts.holder, devices.owner, *map(np.concatenate, (ip, device, degree)))


def owners(chain: Chain) -> dict[str, Array]:
    """Party of every account, and of every device (−1 for terminals), 0-based in the world."""
    of = graph(chain)
    return {"account": of.account_owner, "device": of.device_owner}


def users(pack: PolicyPack, chain: Chain) -> Array:
    """Parties linked to every device, terminals included."""
    parties = [pack.codes("device_link_role").index(r) for r in ("PRIMARY_OWNER", "SECONDARY_USER")]
    network = chain.states.network
    of_shards = [
        np.bincount(links.device[np.isin(links.role, parties)], minlength=devices.type.size)
        for links, devices in zip(network.links.items, network.devices.items, strict=True)
    ]
    return np.concatenate([*of_shards, np.zeros(network.devices.terminals.n, dtype=np.int64)])
