"""S1–S5 in memory, for tests of S5: the recipes, without files."""

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
from fraudworld.stages.posture.role.assign import Assignment, Roles, World
from fraudworld.stages.posture.role.roles import risky_roles
from fraudworld.stages.posture.role.rounds import count_cells
from fraudworld.stages.posture.score.groups import account_groups, ip_groups
from fraudworld.stages.posture.validate.checks import Check, Evidence, run_checks
from support import gathered, worlds

ENTITIES = ("party", "account", "merchant", "device", "ip")
Array = NDArray[Any]


@dataclass(frozen=True)
class Chain:
    """The first four states; items are plain values, so that a test may change them."""

    seed: int
    geo: Geography
    states: World


def first_four(context: Context) -> tuple[Parties, Accounts, Instruments, Network]:
    """S1 to S4, each fed by the ones before it."""
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
                devices=replace(graph.devices, items=get(graph.devices.items)),
                links=replace(graph.links, items=get(graph.links.items)),
                countries=get(graph.countries),
            ),
            merchants,
        )
    return Chain(seed, geo, states)


@dataclass(frozen=True)
class Posture:
    """Roles of one kind of entity, all of them."""

    entity: str
    group: Array
    raw: Array
    family: Array
    tier: Array
    risky: Array
    rng: tuple[StreamUse, ...]
    diagnostics: dict[str, Any]


@dataclass(frozen=True)
class Postured:
    """A chain with its roles."""

    chain: Chain
    roles: dict[str, Roles]  # pieces are plain RoleShards

    def of(self, pack: PolicyPack, entity: str) -> Posture:
        """The posture of an entity, put together."""
        pieces, made = self.roles[entity].pieces, self.roles[entity]
        raw, family, tier = (
            np.concatenate([getattr(p, name) for p in pieces]) for name in ("raw", "family", "tier")
        )
        group = np.concatenate(groups(pack, self.chain.states, entity))
        risky = risky_roles(pack, entity)[raw]
        return Posture(entity, group, raw, family, tier, risky, made.rng, made.diagnostics)


def groups(pack: PolicyPack, states: World, entity: str) -> list[Array]:
    """Role groups of an entity, piece by piece."""
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


def posture(pack: PolicyPack, chain: Chain) -> Postured:
    """The chain with its S5 roles."""
    with LocalEngine(2) as engine:
        rounds = Assignment(engine, pack, chain.seed, chain.states)
        scored = rounds.score()
        placed = rounds.place(scored, rounds.tiers(scored))
        device = rounds.devices(placed)
        ip = rounds.ips(placed, rounds.expose(placed, device))
        party = replace(placed.parties, pieces=[p.party for p in engine.fetch(placed.items)])
        account = rounds.accounts(placed)
        device = replace(device, pieces=[*engine.fetch(device.pieces[:-1]), device.pieces[-1]])
        roles = {
            "party": party,
            "account": replace(account, pieces=engine.fetch(account.pieces)),
            "merchant": rounds.merchants(placed),
            "device": device,
            "ip": replace(ip, pieces=engine.fetch(ip.pieces)),
        }
    return Postured(chain, roles)


def checks(pack: PolicyPack, world: Postured) -> tuple[Check, ...]:
    """S5's checks of a world as it stands, whatever it was made from."""
    with LocalEngine(1) as engine:
        rounds = Assignment(engine, pack, world.chain.seed, world.chain.states)
        scans = rounds.score().scans
    kinds = {e: groups(pack, world.chain.states, e) for e in ENTITIES}
    kinds["account"] = [a.type for a in world.chain.states.accounts.items]
    roles = {}
    for entity, made in world.roles.items():
        cells = [
            count_cells(rounds.laws, entity, piece, kind)
            for piece, kind in zip(made.pieces, kinds[entity], strict=True)
        ]
        roles[entity] = replace(made, cells=sum(cells[1:], cells[0]))
    return run_checks(pack, Evidence.of(world.chain.states.rows, scans, roles))


def with_coefficients(pack: PolicyPack, **changes: object) -> PolicyPack:
    """The pack with other propagation coefficients."""
    coefficients = pack.risk_propagation_coeffs.model_copy(update=changes)
    return pack.model_copy(update={"risk_propagation_coeffs": coefficients})


class Plain(LocalEngine):
    """For items that are plain values."""

    def fetch(self, items: Sequence[Any]) -> list[Any]:
        return [*items]


@dataclass(frozen=True)
class Graph:
    """What laws of S5 look at in S2 and S4, in positions of the world."""

    account_owner: Array
    device_owner: Array  # −1 for terminals
    ip: Array  # of every device–IP link
    device: Array
    degree: Array


def graph(chain: Chain) -> Graph:
    """Owners and links of a chain."""
    states = chain.states
    net, terminals = states.network, states.network.devices.terminals
    held = gathered.accounts(Plain(1), states.accounts, states.parties)
    devices = gathered.devices(Plain(1), net.devices, states.parties)
    own = int(net.devices.first[-1])
    ip, device, degree = [], [], []
    for country, (of, first) in enumerate(zip(net.countries, net.ip_first, strict=False)):
        mine = np.concatenate(
            [
                np.flatnonzero(devices.country[:own] == country),
                own + np.flatnonzero(terminals.country == country),
            ]
        )
        degree.append(np.diff(of.start))
        ip.append(first + np.repeat(np.arange(degree[-1].size), degree[-1]))
        device.append(mine[of.device])
    return Graph(held.holder, devices.owner, *map(np.concatenate, (ip, device, degree)))
