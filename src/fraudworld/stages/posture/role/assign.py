"""S5 over the world: its rounds, and what is solved between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs.arrays import Merchants
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role import rounds, scan_edges
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.pairs import pair_counts, pair_law
from fraudworld.stages.posture.role.roles import (
    Propagated,
    RoleLaw,
    RoleShard,
    Strata,
    ip_law,
    ip_odds,
    owned_law,
    owned_odds,
    plain_law,
)
from fraudworld.stages.posture.role.strata import NO_OWNERS, NOT_COUNTED, owned_strata, plain_strata
from fraudworld.stages.posture.score import scan_holdings, scan_links
from fraudworld.stages.posture.score.scores import merchant_signal
from fraudworld.stages.posture.score.tiers import Plan, Tiers

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
Piece = TypeVar("Piece", covariant=True)
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class World:
    """The states before S5."""

    parties: Parties
    accounts: Accounts
    instruments: Instruments
    network: Network
    merchants: Merchants

    @cached_property
    def rows(self) -> dict[str, int]:
        """Number of entities by entity."""
        return {
            "party": self.parties.n,
            "account": self.accounts.n,
            "merchant": self.merchants.n,
            "device": self.network.devices.n,
            "ip": self.network.ips,
        }

    @cached_property
    def of_country(self) -> list[range]:
        """Shards of every country."""
        countries = [s.country for s in self.parties.shards]
        bounds = np.searchsorted(countries, np.arange(len(self.network.countries) + 1))
        return [range(low, high) for low, high in pairwise(bounds.tolist())]

    @cached_property
    def firsts(self) -> list[rounds.Firsts]:
        """First entities of every shard."""
        party, account, device = (
            first.tolist()
            for first in (self.parties.first, self.accounts.first, self.network.devices.first)
        )
        return [
            rounds.Firsts(party[k], account[k], device[k], device[k] - device[shards[0]])
            for shards in self.of_country
            for k in shards
        ]

    @cached_property
    def terminals_of(self) -> list[I64]:
        """Indices of the terminals of every country, in published order."""
        country = self.network.devices.terminals.country
        return [np.flatnonzero(country == c) for c in range(len(self.network.countries))]

    @property
    def first_terminal(self) -> int:
        """Number of the first terminal among the devices of the world."""
        return int(self.network.devices.first[-1])


@dataclass(frozen=True)
class Scans:
    """Counts over the states before S5, for the checks."""

    holdings: scan_holdings.HoldingsScan
    links: scan_links.LinksScan
    edges: scan_edges.EdgesScan


@dataclass(frozen=True)
class Scored:
    """Scores of all entities; dictionaries are by entity."""

    countries: Sequence[Item[rounds.ScoredCountry]]
    shards: Sequence[Item[rounds.ScoredShard]]
    terminals: U32  # (terminals,)
    merchants: U32  # (merchants,)
    digits: dict[str, I64]  # scores by group and leading digit, (groups, DIGITS)
    moments: dict[str, I64]  # of signals of accounts, and of devices, with those of owners
    scans: Scans


@dataclass(frozen=True)
class Roles(Generic[Piece]):
    """Roles of one entity."""

    first: I64  # first entity of every piece, (pieces + 1,)
    pieces: Sequence[Piece]  # RoleShards of shards or countries, or Items that hold these
    cells: I64  # entities as of `count_cells`, (groups, tiers, raw roles, families)
    rng: tuple[StreamUse, ...]
    diagnostics: dict[str, object]  # of `s5_propagation_diagnostics_6A.json`


RoleItem = Item[RoleShard]
DeviceRoles = Roles[RoleItem | RoleShard]
"""Roles of the devices of every shard, then, as a RoleShard, of terminals."""


@dataclass(frozen=True)
class Stratified:
    """Tiers, roles of parties, and strata of what they own; dictionaries are by entity."""

    scored: Scored  # without the scores of shards, which are no longer needed
    tiers: dict[str, Tiers]
    parties: Roles[Item[rounds.StratifiedShard]]  # pieces also hold the strata
    terminals: Strata  # (terminals,)
    sizes: dict[str, I64]  # accounts and devices per stratum, (strata,)


@dataclass(frozen=True)
class Assignment:
    """The rounds of one world, in order of the methods."""

    engine: Engine
    pack: PolicyPack
    seed: int
    world: World
    laws: Laws  # of the pack and the seed

    def score(self) -> Scored:
        """Scores of all entities, and scans of the states before; no score reads a role."""
        laws, world, parties = self.laws, self.world, self.world.parties
        devices, links = world.network.devices, world.network.links
        countries = self._score_countries()
        shards, shard_sums = self.engine.run(
            partial(rounds.score_shard, laws),
            world.firsts,
            parties.items,
            world.accounts.items,
            world.instruments.items,
            devices.items,
            links.items,
            [countries[s.country] for s in parties.shards],
        )
        country_sums = self.engine.collect(rounds.sums_of, countries)
        digits = {e: score.counts() for e, score in laws.scores.items()}
        digits["ip"] += _sum(s.digits for s in country_sums)
        for entity in ("party", "account", "device"):
            digits[entity] += _sum(s.digits[entity] for s in shard_sums)
        terminals = self._score_terminals(
            [s.terminal_context for s in country_sums], digits["device"]
        )
        signal = merchant_signal(self.pack, laws.scores["merchant"], world.merchants)
        merchants = rounds.score(
            laws, "merchant", 0, signal, world.merchants.risk_class, digits["merchant"]
        )
        return Scored(
            countries,
            shards,
            terminals,
            merchants,
            {e: counts.astype(np.int64) for e, counts in digits.items()},
            {e: _sum(s.moments[e] for s in shard_sums) for e in ("account", "device")},
            _scans(world, shard_sums, country_sums),
        )

    def _score_countries(self) -> list[Item[rounds.ScoredCountry]]:
        world, network = self.world, self.world.network
        devices, region = network.devices, self.world.parties.region
        return self.engine.submit(
            partial(rounds.score_country, self.laws, devices.n),
            network.ip_first[:-1].tolist(),
            [int(region[shards[0]]) if shards else 0 for shards in world.of_country],
            [devices.terminals.region[at] for at in world.terminals_of],
            network.countries,
            [[devices.items[k] for k in shards] for shards in world.of_country],
            [[world.firsts[k].party for k in shards] for shards in world.of_country],
        )

    def _score_terminals(self, contexts: Sequence[rounds.Contexts], digits: U32) -> U32:
        """Scores of terminals. contexts: of those of every country. digits: grows."""
        laws, terminals = self.laws, self.world.network.devices.terminals
        context = np.zeros(terminals.n, dtype=np.uint64)
        for at, of_country in zip(self.world.terminals_of, contexts, strict=True):
            context[at] = of_country
        users = np.zeros(terminals.n, dtype=np.uint8)
        signal = laws.device_signal(context, users, terminals.type)
        first = self.world.first_terminal
        return rounds.score(laws, "device", first, signal, terminals.group, digits)

    def tiers(self, scored: Scored) -> dict[str, Tiers]:
        """Tiers of every entity; shards and countries list their candidates in one round."""
        laws, world, devices = self.laws, self.world, self.world.network.devices
        shares = self.pack.fraud_role_taxonomy.tier_shares
        plans = {e: Plan.of(score, shares, scored.digits[e]) for e, score in laws.scores.items()}
        candidates = self.engine.fetch(
            [
                *self.engine.submit(
                    partial(rounds.shard_candidates, laws, plans),
                    world.firsts,
                    scored.shards,
                    world.parties.items,
                    world.accounts.items,
                    devices.items,
                ),
                *self.engine.submit(
                    partial(rounds.country_candidates, laws, plans),
                    world.network.ip_first[:-1].tolist(),
                    scored.countries,
                ),
            ]
        )
        for entity, first, scores, type_ in (
            ("merchant", 0, scored.merchants, world.merchants.risk_class),
            ("device", world.first_terminal, scored.terminals, devices.terminals.group),
        ):
            listed = plans[entity].candidates(first, scores, type_, laws.group_of[entity])
            candidates.append({entity: listed})
        return {e: plan.tiers([c[e] for c in candidates if e in c]) for e, plan in plans.items()}

    def stratify(self, scored: Scored, tiers: dict[str, Tiers]) -> Stratified:
        """Roles of parties, and strata of their accounts and devices: one round."""
        laws, world, devices = self.laws, self.world, self.world.network.devices
        law = plain_law(self.pack, self.seed, "party")
        items, sums = self.engine.run(
            partial(rounds.stratify_shard, laws, tiers, law),
            world.firsts,
            scored.shards,
            world.parties.items,
            world.accounts.items,
            devices.items,
        )
        group, group_of = devices.terminals.group, laws.group_of["device"]
        tier = tiers["device"](world.first_terminal, scored.terminals, group, group_of)
        strata, of_terminals = owned_strata(laws, "device", tier, group, NO_OWNERS, NOT_COUNTED)
        sizes = {e: _sum(s.sizes[e] for s in sums) for e in ("account", "device")}
        sizes["device"] += of_terminals
        cells = _sum(s.party_cells for s in sums)
        parties = Roles(world.parties.first, items, cells, self._uses("party", law), {})
        return Stratified(replace(scored, shards=()), tiers, parties, strata, sizes)

    def accounts(self, stratified: Stratified) -> Roles[RoleItem]:
        """Roles of accounts, to which the risk of owners propagates."""
        propagated = self._owned("account", stratified)
        items, sums = self.engine.run(
            partial(rounds.draw_accounts, self.laws, propagated.law),
            self.world.firsts,
            stratified.parties.pieces,
            self.world.accounts.items,
        )
        return self._roles("account", self.world.accounts.first, items, sums, propagated)

    def devices(self, stratified: Stratified) -> DeviceRoles:
        """Roles of devices, to which the risk of owners propagates; terminals have no owner."""
        propagated, devices = self._owned("device", stratified), self.world.network.devices
        items, sums = self.engine.run(
            partial(rounds.draw_devices, self.laws, propagated.law),
            self.world.firsts,
            stratified.parties.pieces,
            devices.items,
        )
        terminals, of_terminals = rounds.draw(
            self.laws, "device", propagated.law, self.world.first_terminal, stratified.terminals,
            devices.terminals.group,
        )  # fmt: skip
        first = np.append(devices.first, devices.n)
        pieces: list[RoleItem | RoleShard] = [*items, terminals]
        return self._roles("device", first, pieces, [*sums, of_terminals], propagated)

    def merchants(self, stratified: Stratified) -> Roles[RoleShard]:
        """Roles of merchants, as one piece."""
        laws, of = self.laws, self.world.merchants
        law = plain_law(self.pack, self.seed, "merchant")
        group_of, scores = laws.group_of["merchant"], stratified.scored.merchants
        tier = stratified.tiers["merchant"](0, scores, of.risk_class, group_of)
        stratum = plain_strata(laws, "merchant", tier, of.risk_class)
        roles, sums = rounds.draw(laws, "merchant", law, 0, stratum, of.risk_class)
        uses = self._uses("merchant", law)
        return Roles(np.array([0, of.n]), [roles], sums.cells, uses, {})

    def stratify_ips(
        self, stratified: Stratified, devices: DeviceRoles
    ) -> list[Item[rounds.StratifiedCountry]]:
        """Starts the tasks for strata of endpoints, given the roles of devices."""
        network, world = self.world.network, self.world
        *shards, terminals = devices.pieces
        assert isinstance(terminals, RoleShard)
        return self.engine.submit(
            partial(rounds.stratify_country, self.laws, stratified.tiers["ip"]),
            network.ip_first[:-1].tolist(),
            stratified.scored.countries,
            network.countries,
            [[shards[k] for k in of] for of in world.of_country],
            [terminals.raw[at] for at in world.terminals_of],
        )

    def ips(
        self, stratified: Stratified, countries: Sequence[Item[rounds.StratifiedCountry]]
    ) -> Roles[RoleItem]:
        """Roles of endpoints; risky devices and high sharing raise HIGH_RISK_IP."""
        sizes = _sum(self.engine.collect(rounds.sizes_of, countries))
        propagated = ip_law(self.pack, self.seed, sizes)
        first = self.world.network.ip_first
        items, sums = self.engine.run(
            partial(rounds.draw_ips, self.laws, propagated.law),
            first[:-1].tolist(),
            countries,
            stratified.scored.countries,
        )
        return self._roles("ip", first, items, sums, propagated)

    def _owned(self, entity: str, stratified: Stratified) -> Propagated:
        coefficients = self.pack.risk_propagation_coeffs
        sizes, moments = stratified.sizes[entity], stratified.scored.moments[entity]
        if self._by_pair:
            return pair_law(self.pack, self.seed, entity, sizes, moments)
        coupling = {
            "account": coefficients.owner_to_account,
            "device": coefficients.owner_to_device,
        }[entity]
        target = coupling.target_odds_ratio
        return owned_law(self.pack, self.seed, entity, target, sizes, moments)

    @property
    def _by_pair(self) -> bool:
        return self.pack.risk_propagation_coeffs.propagation_by == "role_pair"

    def _roles(
        self,
        entity: str,
        first: I64,
        pieces: Sequence[Piece],
        sums: Sequence[rounds.RoleSums],
        propagated: Propagated,
    ) -> Roles[Piece]:
        """Roles of an entity to which risk propagates, with the odds ratio as drawn."""
        counts = _sum(s.by_stratum for s in sums)
        realised: dict[str, object]
        if entity == "ip":
            realised = {"realised_crude_odds_ratio": ip_odds(self.pack, counts)}
        elif self._by_pair:
            realised = pair_counts(self.pack, entity, counts)
        else:
            realised = {"realised_odds_ratio": owned_odds(self.pack, entity, counts)}
        uses = self._uses(entity, propagated.law)
        cells = _sum(s.cells for s in sums)
        return Roles(first, pieces, cells, uses, propagated.diagnostics | realised)

    def _uses(self, entity: str, law: RoleLaw) -> tuple[StreamUse, ...]:
        n, noise = self.world.rows[entity], self.laws.scores[entity].noise
        return noise.use("world", 0, n), law.stream.use("world", 0, n)


def _scans(
    world: World, shards: Sequence[rounds.ShardSums], countries: Sequence[rounds.CountrySums]
) -> Scans:
    """Scans of the world; rows of a piece that its state does not count are out of order."""
    network = world.network
    holdings = scan_holdings.total(s.holdings for s in shards)
    links = scan_links.total(
        (s.links for s in shards),
        (s.merchants for s in shards),
        network.devices.terminals,
        world.merchants.n,
    )
    edges = scan_edges.total(c.scan for c in countries)
    firsts = (world.accounts.first, world.instruments.first, network.links.first)
    accounts, instruments, linked = (
        _miscounted((s.sizes[i] for s in shards), first) for i, first in enumerate(firsts)
    )
    of_ips = _miscounted((c.links for c in countries), network.link_first)
    return Scans(
        holdings._replace(
            accounts_out_of_order=holdings.accounts_out_of_order + accounts,
            instruments_out_of_order=holdings.instruments_out_of_order + instruments,
        ),
        links._replace(out_of_order=links.out_of_order + linked),
        edges._replace(out_of_order=edges.out_of_order + of_ips),
    )


def _miscounted(sizes: Iterable[int], first: I64) -> int:
    """Difference between the rows of pieces and those that `first` states, summed."""
    return int(np.abs(np.array([*sizes]) - np.diff(first)).sum())


def _sum(counts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Elementwise sum of arrays of one shape."""
    total: NDArray[Number] = np.add.reduce([*counts])
    return total
