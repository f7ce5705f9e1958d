"""S5 over the world: its rounds, and what is solved between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.distinct import distinct
from fraudworld.engine.tasks import Engine, Item
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse
from fraudworld.stages.posture.role import organisers, rounds, scan_edges
from fraudworld.stages.posture.role.frailty import FrailtyLaw, frail_law
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.pairs import pair_counts, pair_law
from fraudworld.stages.posture.role.results import (
    DeviceRoles,
    DrawnParties,
    Piece,
    RoleItem,
    Roles,
    Scans,
    Scored,
    Stratified,
    World,
)
from fraudworld.stages.posture.role.roles import (
    Propagated,
    RoleLaw,
    RoleShard,
    ip_law,
    ip_odds,
    owned_law,
    owned_odds,
    plain_law,
)
from fraudworld.stages.posture.role.scan_edges import NO_OWNER, Visitors
from fraudworld.stages.posture.role.strata import NO_OWNERS, NOT_COUNTED, owned_strata, plain_strata
from fraudworld.stages.posture.role.visits import (
    Visits,
    away_of,
    owners_at,
    raw_roles_at,
    scan_visits,
)
from fraudworld.stages.posture.score import scan_holdings, scan_links
from fraudworld.stages.posture.score.scores import merchant_signal
from fraudworld.stages.posture.score.tiers import Plan, Tiers

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
NO_DEVICES = np.empty(0, dtype=np.uint32)
Number = TypeVar("Number", bound=np.generic)


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
        visits = self._scan_visits()
        countries = self._score_countries(visits)
        shards, shard_sums = self.engine.run(
            partial(rounds.score_shard, laws),
            world.firsts,
            parties.items,
            world.accounts.items,
            world.instruments.items,
            devices.items,
            links.items,
            world.network.circles.items,
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
            [v.device for v in visits],
            terminals,
            merchants,
            {e: counts.astype(np.int64) for e, counts in digits.items()},
            {e: _sum(s.moments[e] for s in shard_sums) for e in ("account", "device")},
            _scans(world, shard_sums, country_sums, visits),
        )

    def _scan_visits(self) -> list[Visits]:
        world, network = self.world, self.world.network
        return self.engine.collect(
            partial(scan_visits, self.laws.edges, world.where, world.region),
            range(len(network.countries)),
            network.countries,
        )

    def _score_countries(self, visits: list[Visits]) -> list[Item[rounds.ScoredCountry]]:
        world, network = self.world, self.world.network
        devices, of_country = network.devices, world.of_country
        return self.engine.submit(
            partial(rounds.score_country, self.laws, world.where),
            range(len(network.countries)),
            network.ip_first[:-1].tolist(),
            world.region.tolist(),
            [devices.terminals.region[at] for at in world.terminals_of],
            network.countries,
            [[devices.items[k] for k in shards] for shards in of_country],
            [[world.firsts[k].party for k in shards] for shards in of_country],
            self._visitors([v.device for v in visits]),
            away_of(world.where, visits),
        )

    def _visitors(self, seen: list[U32]) -> list[Visitors]:
        """Visitors of every country with their owners. seen: devices, by country."""
        devices, firsts = self.world.network.devices, self.world.firsts
        known, party_devices = _distinct(seen), int(devices.first[-1])
        owner = np.full(known.size, NO_OWNER, dtype=np.uint32)
        shards, at = _by_shard(known, devices.first)
        owners = self.engine.collect(
            owners_at,
            [firsts[k].party for k in shards],
            [devices.items[k] for k in shards],
            at,
        )
        owner[: known.searchsorted(party_devices)] = np.concatenate([NO_DEVICES, *owners])
        return [Visitors(device, owner[known.searchsorted(device)]) for device in seen]

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

    def parties(self, scored: Scored, tiers: Tiers) -> DrawnParties:
        """Roles of parties: strata, a draw, and organisers for circles; tiers: of parties."""
        laws, world, circles = self.laws, self.world, self.world.network.circles
        frailty = FrailtyLaw.of(self.pack, self.seed)
        strata, sizes = self.engine.run(
            partial(rounds.frail_strata, laws, tiers, frailty),
            world.firsts,
            scored.shards,
            world.parties.items,
            circles.items,
        )
        propagated = frail_law(self.pack, self.seed, frailty, _sum(sizes))
        law, rule = propagated.law, organisers.Rule.of(self.pack, self.seed)
        roles, sums = self.engine.run(
            partial(rounds.draw_parties, law, frailty, rule), world.firsts, strata, circles.items
        )
        changes, told = self._with_organisers(rule, sums)
        uses, diagnostics = self._uses("party", law), propagated.diagnostics
        if frailty.rows > 1:
            counts = _sum(s.by_stratum for s in sums)
            diagnostics = diagnostics | frailty.drawn(self.pack, counts) | told
            uses += frailty.uses(world.parties, int(circles.first[-1]))
            uses += (rule.rank.use("world", 0, world.parties.n),)
        return DrawnParties(law, roles, changes, uses, diagnostics)

    def _with_organisers(
        self, rule: organisers.Rule, sums: Sequence[rounds.PartySums]
    ) -> tuple[list[organisers.Changes], dict[str, object]]:
        """Changes of roles in every shard, solved country by country, and what to tell of them."""
        parties, changes, without = self.world.parties, list[organisers.Changes](), 0
        for shards in self.world.of_country:
            new, unserved = organisers.exchange((sums[k].listed for k in shards), rule.clean)
            without += unserved
            at, raw = np.array([*new.keys()], np.int64), np.array([*new.values()], np.uint8)
            for k in shards:
                low, high = parties.shards[k].first, parties.shards[k].last
                inside = (at >= low) & (at < high)
                changes.append(organisers.Changes(at[inside] - low, raw[inside]))
        return changes, {
            "circles_that_need_an_organiser": sum(s.circles for s in sums),
            "organisers_exchanged": sum(c.party.size for c in changes) // 2,
            "circles_without_an_organiser": without,
        }

    def stratify(self, scored: Scored, tiers: dict[str, Tiers]) -> Stratified:
        """Roles of parties, and strata of their accounts and devices."""
        laws, world, devices = self.laws, self.world, self.world.network.devices
        drawn = self.parties(scored, tiers["party"])
        items, sums = self.engine.run(
            partial(rounds.stratify_shard, laws, tiers, drawn.law),
            world.firsts,
            scored.shards,
            drawn.roles,
            drawn.changes,
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
        parties = Roles(world.parties.first, items, cells, drawn.uses, drawn.diagnostics)
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
            partial(rounds.stratify_country, self.laws, stratified.tiers["ip"], world.where),
            range(len(network.countries)),
            network.ip_first[:-1].tolist(),
            stratified.scored.countries,
            network.countries,
            [[shards[k] for k in of] for of in world.of_country],
            self._others(stratified.scored.visitors, shards, terminals),
        )

    def _others(
        self, seen: Sequence[U32], shards: Sequence[RoleItem | RoleShard], terminals: RoleShard
    ) -> list[tuple[U32, U8]]:
        """Terminals and visitors of every country, ascending, and their raw roles.

        seen: visitors, by country. shards: roles of party devices.
        """
        where, devices = self.world.where, self.world.network.devices
        known, party_devices = _distinct(seen), int(devices.first[-1])
        of_shard, at = _by_shard(known, devices.first)
        raw = self.engine.collect(raw_roles_at, [shards[k] for k in of_shard], at)
        beyond = known[known.searchsorted(party_devices) :].astype(np.int64) - party_devices
        roles = np.concatenate([rounds.NO_ROLES, *raw, terminals.raw[beyond]])
        out = []
        for c, visitors in enumerate(seen):
            own = where.terminals(c)
            device = np.concatenate([own.astype(np.uint32), visitors])
            of = np.concatenate(
                [terminals.raw[own - party_devices], roles[known.searchsorted(visitors)]]
            )
            order = np.argsort(device, kind="stable")
            out.append((device[order], of[order]))
        return out

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


def _distinct(devices: Sequence[U32]) -> U32:
    """Distinct devices of several lists, ascending."""
    return distinct(np.concatenate([NO_DEVICES, *devices]))


def _by_shard(devices: U32, first: I64) -> tuple[list[int], list[I64]]:
    """Shards that own some of the devices, and which of their devices these are.

    devices: ascending; terminals are of no shard. first: first device of every shard.
    """
    cuts = devices.searchsorted(first)
    shards = np.flatnonzero(np.diff(cuts)).tolist()
    return shards, [devices[cuts[k] : cuts[k + 1]].astype(np.int64) - first[k] for k in shards]


def _scans(
    world: World,
    shards: Sequence[rounds.ShardSums],
    countries: Sequence[rounds.CountrySums],
    visits: Sequence[Visits],
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
        edges._replace(
            edge_cells=edges.edge_cells + _sum(v.edge_cells for v in visits),
            across_countries=sum(v.misplaced for v in visits),
            out_of_order=edges.out_of_order + of_ips,
        ),
    )


def _miscounted(sizes: Iterable[int], first: I64) -> int:
    """Difference between the rows of pieces and those that `first` states, summed."""
    return int(np.abs(np.array([*sizes]) - np.diff(first)).sum())


def _sum(counts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Elementwise sum of arrays of one shape."""
    total: NDArray[Number] = np.add.reduce([*counts])
    return total
