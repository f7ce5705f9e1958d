"""The states before S5 as its rounds see them, and what the rounds give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.inputs.arrays import Merchants
from fraudworld.rng import StreamUse
from fraudworld.stages.country_of import DeviceCountries
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role import organisers, rounds, scan_edges
from fraudworld.stages.posture.role.frailty import UnitFirsts
from fraudworld.stages.posture.role.roles import RoleLaw, RoleShard, Strata
from fraudworld.stages.posture.score import scan_holdings, scan_links
from fraudworld.stages.posture.score.tiers import Tiers

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Piece = TypeVar("Piece", covariant=True)


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
        units = zip(
            self.network.circles.first.tolist(),
            self.parties.household_first.tolist(),
            self.parties.business_group_first.tolist(),
            strict=True,
        )
        unit = [UnitFirsts(*of) for of in units]
        return [
            rounds.Firsts(party[k], account[k], device[k], device[k] - device[shards[0]], unit[k])
            for shards in self.of_country
            for k in shards
        ]

    @cached_property
    def where(self) -> DeviceCountries:
        """The country of every device."""
        return DeviceCountries.of(self.parties, self.network.devices, len(self.network.countries))

    @cached_property
    def region(self) -> U8:
        """Region of every country that has devices, (countries,)."""
        out = np.zeros(len(self.network.countries), dtype=np.uint8)
        terminals = self.network.devices.terminals
        out[terminals.country] = terminals.region
        out[[s.country for s in self.parties.shards]] = self.parties.region
        return out

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
    visitors: Sequence[U32]  # devices of other countries that are seen in every country
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
class DrawnParties:
    """Roles of parties, before circles without an organiser change places with others."""

    law: RoleLaw
    roles: Sequence[RoleItem]  # per shard
    changes: list[organisers.Changes]  # per shard
    uses: tuple[StreamUse, ...]
    diagnostics: dict[str, object]  # of `s5_propagation_diagnostics_6A.json`


@dataclass(frozen=True)
class Stratified:
    """Tiers, roles of parties, and strata of what they own; dictionaries are by entity."""

    scored: Scored  # without the scores of shards, which are no longer needed
    tiers: dict[str, Tiers]
    parties: Roles[Item[rounds.StratifiedShard]]  # pieces also hold the strata
    terminals: Strata  # (terminals,)
    sizes: dict[str, I64]  # accounts and devices per stratum, (strata,)
