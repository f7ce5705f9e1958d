"""S1–S4 in memory, for tests of what comes after them: the recipes, without files."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import worlds
from fraudworld.engine.local import LocalEngine
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.accounts import stage as accounts
from fraudworld.stages.columns import Accounts, Instruments, Merchants, Parties
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments
from fraudworld.stages.network import stage as network
from fraudworld.stages.parties import stage as parties
from fraudworld.stages.posture import roles as draw
from fraudworld.stages.posture import scores
from fraudworld.stages.posture.checks import World


@dataclass(frozen=True)
class Chain:
    """Columns of the first four states."""

    seed: int
    merchants: Merchants
    parties: Parties
    accounts: Accounts
    instruments: Instruments
    network: network.Network


def build(pack: PolicyPack, size: int, seed: int = 42) -> Chain:
    """A world of about `size` parties with 600 merchants."""
    merchants = worlds.merchants(pack, 600)
    with LocalEngine(1) as engine:
        context = Context(
            pack=pack,
            seed=seed,
            geo=worlds.geography(pack, size),
            merchants=merchants,
            parties_per_shard=None,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=lambda table, rows: rows.n,
        )
        people = parties.run(context)
        held = accounts.run(context, people)
        carried = instruments.run(context, people, held)
        graph = network.run(context, people, held, carried)
    return Chain(seed, merchants, people, held, carried, graph)


def posture(pack: PolicyPack, chain: Chain) -> World:
    """The chain with its S5 roles, as the checks see it."""
    seed, net = chain.seed, chain.network
    party = draw.assign_plain_roles(
        pack, seed, scores.rank_parties(pack, seed, chain.parties, chain.accounts)
    )
    account = draw.assign_account_roles(
        pack, seed, scores.rank_accounts(pack, seed, chain.accounts, chain.instruments),
        chain.accounts, chain.parties, party,
    )  # fmt: skip
    merchant = draw.assign_plain_roles(
        pack, seed, scores.rank_merchants(pack, seed, chain.merchants)
    )
    device = draw.assign_device_roles(
        pack, seed, scores.rank_devices(pack, seed, net.devices, net.ips, net.edges),
        net.devices, chain.parties, party,
    )  # fmt: skip
    ip = draw.assign_ip_roles(
        pack, seed, scores.rank_ips(pack, seed, net.ips, net.edges, net.devices),
        net.ips, net.edges, device,
    )  # fmt: skip
    roles = (party, account, merchant, device, ip)
    return World(
        chain.parties, chain.accounts, chain.instruments, net.devices, net.links, net.ips,
        net.edges, {r.entity: r for r in roles},
    )  # fmt: skip


def with_coefficients(pack: PolicyPack, **changes: object) -> PolicyPack:
    """The pack with other propagation coefficients."""
    coefficients = pack.risk_propagation_coeffs.model_copy(update=changes)
    return pack.model_copy(update={"risk_propagation_coeffs": coefficients})
