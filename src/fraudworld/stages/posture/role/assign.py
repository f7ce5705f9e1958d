"""S5 over the world: rounds over shards and countries, and what is solved between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs.arrays import Merchants
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role import roles as law
from fraudworld.stages.posture.role import rounds, scan_edges
from fraudworld.stages.posture.score import scan_holdings, scan_links
from fraudworld.stages.posture.score.scores import merchant_signal
from fraudworld.stages.posture.score.tiers import Plan, Tiers

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class World:
    """What S5 reads of the states before it."""

    parties: Parties
    accounts: Accounts
    instruments: Instruments
    network: Network
    merchants: Merchants

    @cached_property
    def rows(self) -> dict[str, int]:
        """Entities of every kind."""
        return {
            "party": self.parties.n,
            "account": self.accounts.n,
            "merchant": self.merchants.n,
            "device": self.network.devices.n,
            "ip": self.network.ips,
        }

    @cached_property
    def of_country(self) -> list[range]:
        """The shards of every country."""
        countries = [s.country for s in self.parties.shards]
        bounds = np.searchsorted(countries, np.arange(len(self.network.countries) + 1))
        return [range(low, high) for low, high in pairwise(bounds.tolist())]

    @cached_property
    def firsts(self) -> list[rounds.Firsts]:
        """Where everything begins, by shard."""
        starts = (self.parties.first, self.accounts.first, self.network.devices.first)
        return [
            rounds.Firsts(*[*(int(s[k]) for s in starts), int(starts[2][k] - starts[2][of[0]])])
            for of in self.of_country
            for k in of
        ]

    @cached_property
    def terminals_of(self) -> list[I64]:
        """The terminals of every country, in published order."""
        country = self.network.devices.terminals.country
        return [np.flatnonzero(country == c) for c in range(len(self.network.countries))]

    @property
    def first_terminal(self) -> int:
        """Position of the first terminal among devices."""
        return int(self.network.devices.first[-1])


@dataclass(frozen=True)
class Scans:
    """What was counted on the states before, all shards together."""

    holdings: scan_holdings.HoldingsScan
    links: scan_links.LinksScan
    edges: scan_edges.EdgesScan


@dataclass(frozen=True)
class Scored:
    """The world with its scores."""

    seen: Sequence[Item[rounds.SeenCountry]]
    shards: Sequence[Item[rounds.ScoredShard]]
    terminals: U32
    merchants: U32
    digits: dict[str, I64]  # by entity: (groups, DIGITS)
    moments: dict[str, I64]  # of signals of accounts and devices with those of their owners
    scans: Scans


@dataclass(frozen=True)
class Roles:
    """Posture of one kind of entity."""

    first: I64  # (pieces + 1,)
    pieces: Sequence[Any]  # RoleShard, or items of such
    cells: I64  # (groups, tiers, raw roles, families)
    rng: tuple[StreamUse, ...]
    diagnostics: dict[str, object]


@dataclass(frozen=True)
class Placed:
    """The world with its tiers, and the roles of parties: scores of shards are done with."""

    scored: Scored  # without its shards
    tiers: dict[str, Tiers]
    items: Sequence[Item[rounds.PlacedShard]]
    parties: Roles
    terminals: rounds.Codes  # strata
    sizes: dict[str, I64]  # by entity: assets per stratum


@dataclass(frozen=True)
class Assignment:
    """The rounds of one world, in the order of the methods."""

    engine: Engine
    pack: PolicyPack
    seed: int
    world: World

    @cached_property
    def laws(self) -> rounds.Laws:
        """What the rounds have to know of the policy."""
        return rounds.Laws.of(self.pack, self.seed, self.world.merchants.n)

    def score(self) -> Scored:
        """Scores of all entities, and the scans: no score reads a role, so it is one wave."""
        laws, world, parties, network = (
            self.laws,
            self.world,
            self.world.parties,
            self.world.network,
        )
        devices, terminals = network.devices, network.devices.terminals
        seen = self.engine.submit(
            partial(rounds.see, laws, devices.n),
            network.ip_first[:-1].tolist(),
            [int(parties.region[of[0]]) if of else 0 for of in world.of_country],
            [terminals.region[at] for at in world.terminals_of],
            network.countries,
            [[devices.items[k] for k in of] for of in world.of_country],
            [[world.firsts[k].party for k in of] for of in world.of_country],
        )
        shards, summaries = self.engine.run(
            partial(rounds.score, laws),
            world.firsts,
            parties.items,
            world.accounts.items,
            world.instruments.items,
            devices.items,
            network.links.items,
            [seen[s.country] for s in parties.shards],
        )
        seen_summaries = self.engine.collect(rounds.summaries, seen)
        digits = {e: score.counts() for e, score in laws.scores.items()}
        digits["ip"] += _sum(t.digits for t in seen_summaries)
        for entity in ("party", "account", "device"):
            digits[entity] += _sum(t.digits[entity] for t in summaries)
        return Scored(
            seen,
            shards,
            self._score_terminals([t.terminal_context for t in seen_summaries], digits["device"]),
            rounds.scored(
                laws,
                "merchant",
                0,
                merchant_signal(self.pack, laws.scores["merchant"], world.merchants),
                world.merchants.risk_class,
                digits["merchant"],
            ),
            {e: counts.astype(np.int64) for e, counts in digits.items()},
            {e: _sum(t.moments[e] for t in summaries) for e in ("account", "device")},
            _scans(world, summaries, seen_summaries),
        )

    def _score_terminals(self, contexts: Sequence[rounds.Codes], digits: U32) -> U32:
        laws, terminals = self.laws, self.world.network.devices.terminals
        context = np.zeros(terminals.n, dtype=np.uint64)
        for at, of_country in zip(self.world.terminals_of, contexts, strict=True):
            context[at] = of_country
        users = np.zeros(terminals.n, dtype=np.uint8)
        signal = laws.device_signal(context, users, terminals.type)
        first = self.world.first_terminal
        return rounds.scored(laws, "device", first, signal, terminals.group, digits)

    def tiers(self, scored: Scored) -> dict[str, Tiers]:
        """Where the tiers of every entity end: one round, over shards and countries together."""
        laws, world, devices = self.laws, self.world, self.world.network.devices
        shares = self.pack.fraud_role_taxonomy.tier_shares
        plans = {e: Plan.of(score, shares, scored.digits[e]) for e, score in laws.scores.items()}
        found = self.engine.fetch(
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
                    scored.seen,
                ),
            ]
        )
        for entity, first, scores, kind in (
            ("merchant", 0, scored.merchants, world.merchants.risk_class),
            ("device", world.first_terminal, scored.terminals, devices.terminals.group),
        ):
            mine = plans[entity].candidates(first, scores, kind, laws.group_of[entity])
            found.append({entity: mine})
        return {e: plan.cuts([f[e] for f in found if e in f]) for e, plan in plans.items()}

    def place(self, scored: Scored, tiers: dict[str, Tiers]) -> Placed:
        """Roles of parties, and strata of what they own: one round."""
        laws, world, devices = self.laws, self.world, self.world.network.devices
        draw = law.plain_draw(self.pack, self.seed, "party")
        items, summaries = self.engine.run(
            partial(rounds.place, laws, tiers, draw),
            world.firsts,
            scored.shards,
            world.parties.items,
            world.accounts.items,
            devices.items,
        )
        group = devices.terminals.group
        tier = tiers["device"](
            world.first_terminal, scored.terminals, group, laws.group_of["device"]
        )
        strata, of_terminals = rounds.owned_strata(laws, "device", tier, group, *rounds.NOBODY)
        sizes = {e: _sum(t.sizes[e] for t in summaries) for e in ("account", "device")}
        sizes["device"] += of_terminals
        cells = _sum(t.party_cells for t in summaries)
        parties = Roles(world.parties.first, items, cells, self._uses("party", draw), {})
        rest = replace(scored, shards=())
        return Placed(rest, tiers, items, parties, strata, sizes)

    def accounts(self, placed: Placed) -> Roles:
        """Roles of accounts, raised where the owner is risky."""
        propagated = self._owned("account", placed)
        items, summaries = self.engine.run(
            partial(rounds.draw_accounts, self.laws, propagated.draw),
            self.world.firsts,
            placed.items,
            self.world.accounts.items,
        )
        return self._done("account", self.world.accounts.first, items, summaries, propagated)

    def devices(self, placed: Placed) -> Roles:
        """Roles of devices, raised where the owner is risky; terminals have no owner."""
        propagated, devices = self._owned("device", placed), self.world.network.devices
        items, summaries = self.engine.run(
            partial(rounds.draw_devices, self.laws, propagated.draw),
            self.world.firsts,
            placed.items,
            devices.items,
        )
        terminals, told_terminals = rounds.draw(
            self.laws, "device", propagated.draw, self.world.first_terminal, placed.terminals,
            devices.terminals.group,
        )  # fmt: skip
        first = np.append(devices.first, devices.n)
        return self._done(
            "device", first, [*items, terminals], [*summaries, told_terminals], propagated
        )

    def merchants(self, placed: Placed) -> Roles:
        """Roles of merchants."""
        laws, of = self.laws, self.world.merchants
        draw = law.plain_draw(self.pack, self.seed, "merchant")
        group_of, scores = laws.group_of["merchant"], placed.scored.merchants
        tier = placed.tiers["merchant"](0, scores, of.risk_class, group_of)
        stratum = rounds.plain_strata(laws, "merchant", tier, of.risk_class)
        roles, summaries = rounds.draw(laws, "merchant", draw, 0, stratum, of.risk_class)
        uses = self._uses("merchant", draw)
        return Roles(np.array([0, of.n]), [roles], summaries.cells, uses, {})

    def expose(self, placed: Placed, devices: Roles) -> list[Item[rounds.ExposedCountry]]:
        """Strata of endpoints given the roles of devices, started: ExposedCountry."""
        network, world, shards = self.world.network, self.world, devices.pieces[:-1]
        terminals = devices.pieces[-1].raw
        return self.engine.submit(
            partial(rounds.expose, self.laws, placed.tiers["ip"]),
            network.ip_first[:-1].tolist(),
            placed.scored.seen,
            network.countries,
            [[shards[k] for k in of] for of in world.of_country],
            [terminals[at] for at in world.terminals_of],
        )

    def ips(self, placed: Placed, exposed: Sequence[Item[rounds.ExposedCountry]]) -> Roles:
        """Roles of endpoints; HIGH_RISK_IP is raised by risky devices and by high sharing."""
        sizes = _sum(self.engine.collect(rounds.sizes, exposed))
        propagated = law.ip_draw(self.pack, self.seed, sizes)
        first = self.world.network.ip_first
        items, summaries = self.engine.run(
            partial(rounds.draw_ips, self.laws, propagated.draw),
            first[:-1].tolist(),
            exposed,
            placed.scored.seen,
        )
        return self._done("ip", first, items, summaries, propagated)

    def _owned(self, entity: str, placed: Placed) -> law.Propagated:
        coefficients = self.pack.risk_propagation_coeffs
        target = getattr(coefficients, f"owner_to_{entity}").target_odds_ratio
        return law.owned_draw(
            self.pack,
            self.seed,
            entity,
            target,
            placed.sizes[entity],
            placed.scored.moments[entity],
        )

    def _done(
        self,
        entity: str,
        first: I64,
        pieces: Sequence[Any],
        summaries: Sequence[rounds.DrawnSummary],
        propagated: law.Propagated,
    ) -> Roles:
        """Roles of an entity that risk travels to, with the odds as drawn."""
        taken = _sum(t.taken for t in summaries)
        odds = (
            {"realised_crude_odds_ratio": law.ip_odds(self.pack, taken)}
            if entity == "ip"
            else {"realised_odds_ratio": law.owned_odds(self.pack, entity, taken)}
        )
        uses = self._uses(entity, propagated.draw)
        return Roles(
            first, pieces, _sum(t.cells for t in summaries), uses, propagated.summaries | odds
        )

    def _uses(self, entity: str, draw: law.Draw) -> tuple[StreamUse, ...]:
        n, noise = self.world.rows[entity], self.laws.scores[entity].noise
        return noise.use("world", 0, n), draw.stream.use("world", 0, n)


def _scans(
    world: World, shards: Sequence[rounds.ScoredSummary], countries: Sequence[rounds.SeenSummary]
) -> Scans:
    """Sums of what was counted; rows that are not where the figures have them are misplaced."""
    network = world.network
    holdings = scan_holdings.total(s.holdings for s in shards)
    links = scan_links.total(
        (s.links for s in shards),
        (s.stray for s in shards),
        network.devices.terminals,
        world.merchants.n,
    )
    edges = scan_edges.total(c.scan for c in countries)
    firsts = (world.accounts.first, world.instruments.first, network.links.first)
    accounts, instruments, linked = (
        _misplaced((s.sizes[i] for s in shards), first) for i, first in enumerate(firsts)
    )
    return Scans(
        replace(
            holdings,
            accounts_out_of_order=holdings.accounts_out_of_order + accounts,
            instruments_out_of_order=holdings.instruments_out_of_order + instruments,
        ),
        replace(links, out_of_order=links.out_of_order + linked),
        replace(
            edges,
            out_of_order=edges.out_of_order
            + _misplaced((c.links for c in countries), network.link_first),
        ),
    )


def _misplaced(sizes: Iterable[int], first: I64) -> int:
    return int(np.abs(np.array([*sizes]) - np.diff(first)).sum())


def _sum(counts: Iterable[NDArray[Any]]) -> Any:
    return np.add.reduce([*counts])
