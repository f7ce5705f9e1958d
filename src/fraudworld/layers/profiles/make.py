"""The laws of 6P over one world, in their order; `rows.py` makes tables of their results.

Laws run over blocks of rows and need no more than arrays of the whole world; sums over all blocks
(homes of a country, how people live, weights of employers, accounts that may open or close) are
taken between them. So blocks, threads and their order change no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.inputs.arrivals import Arrivals
from fraudworld.layers.profiles.addressing import Addressing, make_addressing
from fraudworld.layers.profiles.contact import ContactLaw
from fraudworld.layers.profiles.holdings import HoldingsLaw
from fraudworld.layers.profiles.issued import IssuedLaw
from fraudworld.layers.profiles.markets import Markets, load_markets
from fraudworld.layers.profiles.merchants import (
    Banks,
    Outlets,
    Terminals,
    load_banks,
    load_outlets,
    make_terminals,
    nearest_places,
    trading_names,
)
from fraudworld.layers.profiles.networks import (
    NetworksLaw,
    first_devices,
    terminal_places,
)
from fraudworld.layers.profiles.parties import Lives, PeopleLaw, cumulative
from fraudworld.layers.profiles.places import PlaceTable, deal_homes, load_places
from fraudworld.layers.profiles.pool import PoolLaw, make_pool
from fraudworld.layers.profiles.sharing import Drawn, Sharing, share
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.rng import profiles as streams

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass
class Profiles:
    """Makes the profiles of one world, state by state; arrays of earlier states stay here."""

    inputs: Inputs
    policy: ProfilePack
    identity: IdentityPolicy
    world: ProfileWorld
    arrivals: Arrivals
    engine: Engine  # of threads of this process: blocks read arrays of the whole world
    block_rows: int
    identities: bool  # whether names, contact data and tax ids are made
    made: dict[str, Any] = field(default_factory=dict, repr=False)  # by `rows.tables_of`

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the engine, for workers that make rows of tables."""
        kept = {name: value for name, value in self.__dict__.items() if name != "engine"}
        return {**kept, "made": {}}

    def _blocks(self, n: int) -> Iterator[tuple[int, int]]:
        for low in range(0, max(n, 1), self.block_rows):
            yield low, min(low + self.block_rows, n)

    def _over(self, law: Callable[..., Any], n: int, *more: Any) -> list[Any]:
        """Results of `law(low, high, *more)` for all blocks of n rows, in order."""
        blocks = list(self._blocks(n))
        constant = [[value] * len(blocks) for value in more]
        return self.engine.collect(law, *zip(*blocks, strict=True), *constant)

    def _column(self, law: Callable[..., Any], n: int, *more: Any) -> Any:
        """The blocks of `_over` as one column."""
        return np.concatenate(self._over(law, n, *more))

    def _columns(self, law: Callable[..., Any], n: int, *more: Any) -> tuple[Any, ...]:
        """The blocks of `_over` as several columns."""
        found = zip(*self._over(law, n, *more), strict=True)
        return tuple(np.concatenate(column) for column in found)

    # --- P0 -----------------------------------------------------------------------------------

    @cached_property
    def outlets(self) -> Outlets:
        """Outlets of the upstream."""
        return load_outlets(self.inputs.upstream, self.inputs.geo.countries)

    @cached_property
    def places(self) -> PlaceTable:
        """Towns of all countries."""
        zones = set(self.outlets.tzid.tolist())
        return load_places(self.inputs.geo.countries, self.policy.places, zones)

    @cached_property
    def near(self) -> I32:
        """Place of every outlet."""
        return nearest_places(self.outlets, self.places)

    @cached_property
    def terminals(self) -> Terminals:
        """Terminals of outlets, and cash machines."""
        return make_terminals(
            self.inputs, self.world, self.places, self.outlets, self.near, self.banks,
            self.policy.places,
        )  # fmt: skip

    @cached_property
    def banks(self) -> Banks:
        """Banks of all countries."""
        return load_banks(self.places, self.policy.places)

    @cached_property
    def names(self) -> list[str]:
        """Trading name of every merchant."""
        return trading_names(self.outlets.mcc, self.policy.places.names, self.inputs.identity.seed)

    # --- P1 -----------------------------------------------------------------------------------

    @cached_property
    def markets(self) -> Markets:
        """Expected spending by country and segment."""
        return load_markets(self.inputs, self.world.base, self.arrivals, self.policy.money)

    @cached_property
    def people(self) -> PeopleLaw:
        """The laws of parties."""
        days = self.arrivals.days
        return PeopleLaw(self.inputs, self.policy, self.world, self.markets, days)

    @cached_property
    def shared(self) -> tuple[Sharing, Drawn]:
        """Who shares an address, a number, a mailbox, a name; and how many drew for it."""
        return share(
            self.inputs.identity.seed, self.policy, self.world, self.inputs.codes("segment"),
            self.inputs.raw_code("party", "SYNTHETIC_ID"),
        )  # fmt: skip

    @property
    def sharing(self) -> Sharing:
        """Who shares what."""
        return self.shared[0]

    @cached_property
    def home_place(self) -> I32:
        """Place of the home of every party: that of the first home of its building."""
        first, places = self.world.home_first.tolist(), self.places

        def of_country(country: int) -> I32:
            keys = streams.HOME_PLACE.of(
                self.inputs.identity.seed, code=self.inputs.geo.countries[country]
            ).draws(0, 1)[0]
            low, high = places.first[country : country + 2].tolist()
            homes = first[country + 1] - first[country]
            return deal_homes(homes, places.population[low:high], keys) + np.int32(low)

        by_home = np.concatenate(self.engine.collect(of_country, range(len(first) - 1)))
        home = self.world.home_number[self.sharing.address_of]
        return np.asarray(by_home[home], dtype=np.int32)

    @cached_property
    def lives(self) -> Lives:
        """Dates of every party."""
        n = self.world.base.parties
        kinds, counts = zip(*self._over(self.people.living, n), strict=True)
        ranks, kind = self.people.ranks(sum(counts)), np.concatenate(kinds)

        def dates(low: int, high: int) -> tuple[I64, I64, I64]:
            of = self.people.lives(low, high, kind[low:high], ranks)
            return of.born, of.founded, of.since

        born, founded, since = self._columns(dates, n)
        # A pair has the birth date of the older one, who was old enough for either.
        return Lives(np.minimum(born, born[self.sharing.born_with]), founded, since)

    @cached_property
    def income(self) -> I64:
        """Income of every party."""
        return np.asarray(self._column(self.people.income, self.world.base.parties))

    @cached_property
    def manner(self) -> tuple[NDArray[np.uint8], I32]:
        """Risk class and language of every party."""
        risk, language = self._columns(self.people.manner, self.world.base.parties)
        return risk, language

    @cached_property
    def employers(self) -> I64:
        """Weights of all parties as employers, summed before each, (parties + 1,)."""
        return cumulative(self._column(self.people.employers, self.world.base.parties))

    @cached_property
    def contact(self) -> ContactLaw:
        """The laws of names, contact data and tax ids."""
        return ContactLaw(
            self.identity, self.inputs.identity.seed, self.inputs.geo.countries, self.world,
            self.sharing, self.home_place,
        )  # fmt: skip

    # --- P2, P3 -------------------------------------------------------------------------------

    @cached_property
    def holdings(self) -> HoldingsLaw:
        """The laws of accounts and instruments."""
        return HoldingsLaw(
            self.inputs, self.policy, self.world, self.banks, self.arrivals.days,
            self.lives.since, self.income,
        )  # fmt: skip

    @cached_property
    def account_dates(self) -> tuple[I64, I64]:
        """Opening and closing days of every account."""
        law, n = self.holdings, int(self.world.base.account_owner.size)
        joined, may_open = np.sum(self._over(law.inside, n), axis=0).tolist()
        wanted = self.policy.accounts.opens_inside * n - joined
        opened = self._column(law.opened, n, max(wanted, 0.0) / max(may_open, 1))
        closable = self._over(
            lambda low, high: int(law.closable(low, high, opened[low:high]).sum()), n
        )
        share = self.policy.accounts.closed_share * n / max(sum(closable), 1)
        closed = self._column(
            lambda low, high: law.closed(low, high, opened[low:high], min(share, 1.0)), n
        )
        return opened, closed

    @cached_property
    def issued(self) -> IssuedLaw:
        """The laws of account and card numbers."""
        return IssuedLaw(
            self.identity, self.inputs.identity.seed, self.inputs.geo.countries,
            self.inputs.codes("scheme"), self.world, self.banks,
        )  # fmt: skip

    @cached_property
    def account_bank(self) -> I32:
        """Bank of every account."""
        bank = self._column(self.holdings.bank, self.account_dates[0].size)
        return np.asarray(bank, dtype=np.int32)

    @cached_property
    def instrument_dates(self) -> tuple[I64, I64]:
        """Issue and expiry of every instrument."""
        n = int(self.world.instrument_account.size)
        issued, expires = self._columns(self.holdings.instrument_dates, n, *self.account_dates)
        return issued, expires

    # --- P4 -----------------------------------------------------------------------------------

    @cached_property
    def networks(self) -> NetworksLaw:
        """The laws of devices and endpoints."""
        base, (languages, spoken) = self.world.base, self.people.languages
        devices, endpoints = int(base.device_type.size), int(base.ip_type.size)
        return NetworksLaw(
            self.inputs, self.policy, self.world, self.places, self.lives.since, self.home_place,
            self.manner[1], languages, commonest(spoken),
            terminal_places(self.terminals, devices),
            first_devices(base.endpoint_start, base.device_endpoint, endpoints),
        )  # fmt: skip

    @cached_property
    def device_days(self) -> tuple[I64, I64]:
        """First day seen and day of retirement of every device."""
        n = int(self.world.base.device_type.size)
        first, retired = self._columns(self.networks.device_life, n)
        return first, retired

    @cached_property
    def pool(self) -> PoolLaw:
        """Devices and endpoints nobody has used yet."""
        return make_pool(self.inputs, self.policy, self.world, self.networks.model_classes)

    @cached_property
    def addressing(self) -> Addressing:
        """Addresses of the endpoints of the world, and of the pool."""
        return make_addressing(
            self.inputs, self.identity, self.policy.endpoints, self.world, self.pool
        )

    # --- P5 -----------------------------------------------------------------------------------


def commonest(spoken: NDArray[np.uint64]) -> I64:
    """The commonest language of every country, from thresholds (countries, languages)."""
    shares = np.diff(spoken.astype(np.float64), axis=1, prepend=0.0)
    return np.asarray(shares.argmax(axis=1), dtype=np.int64)
