"""IP endpoints and device–IP links of a world.

Devices ask for links by type (`demand.py`). Countries exchange links of the types that cross
borders (`abroad.py`). Every country, one task each, makes nodes of every type and matches links to
them (`units.py`), then draws their columns (`endpoint_columns.py`).

Twin: tests/reference/endpoints.py:make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.kernels import offsets
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse
from fraudworld.stages.country_of import DeviceCountries
from fraudworld.stages.network.abroad import Visitors, arrivals, depart, exchange
from fraudworld.stages.network.demand import Demand, device_demand
from fraudworld.stages.network.endpoint_columns import country_columns
from fraudworld.stages.network.endpoint_law import EndpointLaw
from fraudworld.stages.network.merchant_endpoints import merchant_endpoints
from fraudworld.stages.network.places import pieces_of
from fraudworld.stages.network.stubs import PieceDemand
from fraudworld.stages.network.units import DROPPED, CountrySums, match_country
from fraudworld.stages.pieces import (
    Circles,
    Devices,
    EndpointCountry,
    MerchantEndpoints,
    Parties,
)

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True)
class IpOutcome:
    """Endpoints and their links, and counters of how they were made."""

    countries: Sequence[Item[EndpointCountry]]
    ip_first: I64  # first endpoint of every country, (countries + 1,)
    link_first: I64  # first device–IP link of every country, (countries + 1,)
    endpoints: MerchantEndpoints
    linked_devices: I64  # devices with a link, (countries,)
    plans: dict[str, object]  # counters, published as JSON
    rng: tuple[StreamUse, ...]


def build_ips(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    parties: Parties,
    circles: Circles,
    devices: Devices,
    engine: Engine,
) -> IpOutcome:
    """All endpoints and device–IP links of a world."""
    n_countries = len(geo.countries)
    pieces = pieces_of(pack, parties, devices)
    demand = device_demand(pack, seed, pieces, circles, n_countries, engine)
    law = EndpointLaw.of(pack, seed)
    where = DeviceCountries.of(parties, devices, n_countries)
    countries = _by_country(parties, devices, where, demand, engine)
    asked = np.stack([c.links(law.home_type) for c in countries])
    # Largest first: no worker is left with a long task at the end.
    order = np.argsort(-asked.sum(axis=1), kind="stable").tolist()
    stays, visitors, wanted = _exchange(law, countries, asked, order, engine)
    before = np.cumsum(wanted, axis=0) - wanted
    matched, sums = _run_in_order(
        engine, partial(match_country, law), order,
        range(n_countries), before, *zip(*(c.columns for c in countries), strict=True),
        stays, visitors,
    )  # fmt: skip
    quotas, demand_uses = demand.quotas, demand.rng
    del demand, countries, stays, visitors  # frees the stubs before the next round allocates

    nodes, links = np.stack([s.nodes for s in sums]), np.stack([s.links for s in sums])
    ip_first, link_first = (offsets.from_counts(n.sum(axis=1)) for n in (nodes, links))
    columns, linked = _run_in_order(
        engine, partial(country_columns, law), order,
        ip_first[:-1].tolist(), link_first[:-1].tolist(), matched,
    )  # fmt: skip
    endpoints, endpoint_use = merchant_endpoints(pack, seed, merchants, nodes)
    realised = np.zeros(quotas.shape, dtype=np.int64)
    np.add.at(realised, geo.region, _realised(where, asked, sums))
    plans = _plans(pack, quotas, realised, sums)
    uses = (
        *demand_uses,
        *(place.use("countries", 0, n_countries) for place in law.abroad.place),
        *(use for s in sums for use in s.uses),
        law.access.use("links", 0, int(link_first[-1])),
        law.attributes.use("world", 0, int(ip_first[-1])),
        endpoint_use,
    )
    return IpOutcome(columns, ip_first, link_first, endpoints, np.array(linked), plans, uses)


def _exchange(
    law: EndpointLaw, countries: list[_CountryDemand], asked: I64, order: list[int], engine: Engine
) -> tuple[list[Item[tuple[I32, ...]]] | list[tuple[()]], list[list[Visitors]], I64]:
    """Links that stay in every country, links that arrive, and links by (country, type) then.

    asked: links that the devices of a country ask for, (countries, types).
    """
    if not law.abroad.types:
        return [()] * len(countries), [[] for _ in countries], asked
    loose = np.stack([np.sum(c.loose, axis=0) for c in countries])
    plan = exchange(law.abroad, asked, loose)
    stays, departures = _run_in_order(
        engine, partial(depart, law.abroad), order,
        range(len(countries)), plan.swapaxes(0, 1),
        *zip(*(c.columns for c in countries), strict=True),
    )  # fmt: skip
    wanted = asked.copy()
    wanted[:, law.abroad.types] += (plan.sum(axis=1) - plan.sum(axis=2)).T
    visitors = [arrivals(law.abroad, departures, c) for c in range(len(countries))]
    return stays, visitors, wanted


def _realised(where: DeviceCountries, asked: I64, sums: Sequence[CountrySums]) -> I64:
    """Links by (country of the device, type), after moves.

    asked: as of `_exchange`.
    """
    out = asked.copy()
    for move in (move for s in sums for move in s.moved):
        (country,) = where(np.array([move.device]))
        out[country, move.own] -= 1
        if move.to != DROPPED:
            out[country, move.to] += 1
    return out


def _plans(
    pack: PolicyPack, quotas: I64, realised: I64, sums: Sequence[CountrySums]
) -> dict[str, object]:
    """Counters of the construction. quotas, realised: links, (regions, types)."""
    return {
        "edge_quotas": quotas.tolist(),
        "edge_rows": realised.tolist(),
        "regions": list(pack.codes("region")),
        "types": list(pack.codes("ip_type")),
        "swaps": sum(s.swaps for s in sums),
        "retyped": sum(move.to != DROPPED for s in sums for move in s.moved),
        "unplaced": sum(move.to == DROPPED for s in sums for move in s.moved),
        "degree_backoffs": sum(s.kept_short for s in sums),
        "ips": int(sum(s.nodes.sum() for s in sums)),
        "rows": int(sum(s.links.sum() for s in sums)),
    }


def _run_in_order(
    engine: Engine,
    task: Callable[..., tuple[R, S]],
    order: list[int],
    *columns: Sequence[object] | NDArray[np.generic],
) -> tuple[list[Item[R]], list[S]]:
    """`engine.run` with rows started in `order`, and results in the order of the columns."""
    items, summaries = engine.run(task, *([column[i] for i in order] for column in columns))
    back = np.argsort(order).tolist()
    return [items[i] for i in back], [summaries[i] for i in back]


@dataclass
class _CountryDemand:
    """Links that the devices of one country ask for, piece by piece."""

    items: list[Item[PieceDemand] | PieceDemand] = field(default_factory=list)
    numbers: list[int | I32] = field(default_factory=list)  # in the world, of devices
    stubs: list[I64] = field(default_factory=list)  # (types,)
    loose: list[I64] = field(default_factory=list)  # of these, not typical; (types,)
    home_links: int = 0

    def add(
        self,
        item: Item[PieceDemand] | PieceDemand,
        numbers: int | I32,
        stubs: I64,
        typical: I64,
        home_links: int,
    ) -> None:
        """Appends a piece. numbers: of its first device, or of every device."""
        self.items.append(item)
        self.numbers.append(numbers)
        self.stubs.append(stubs)
        self.loose.append(stubs - typical)
        self.home_links += home_links

    @property
    def columns(self) -> tuple[object, list[int | I32], list[I64]]:
        """The country's arguments of `match_country`."""
        return self.items, self.numbers, self.stubs

    def links(self, home_type: int) -> I64:
        """Links by type, (types,)."""
        out = np.sum(self.stubs, axis=0)
        out[home_type] += self.home_links
        return np.asarray(out, dtype=np.int64)


def _by_country(
    parties: Parties, devices: Devices, where: DeviceCountries, demand: Demand, engine: Engine
) -> list[_CountryDemand]:
    """The demand of every country: its shards, then its part of the terminals' piece."""
    n_countries = where.first.size - 1
    countries = [_CountryDemand() for _ in range(n_countries)]
    first_device = devices.first.tolist()
    for k, shard in enumerate(parties.shards):
        size = demand.sizes[k]
        countries[shard.country].add(
            demand.items[k], first_device[k], size.stubs[0], size.typical[0], int(size.slots[0])
        )
    (terminals,) = engine.fetch(demand.items[-1:])
    size = demand.sizes[-1]
    of_country = np.bincount(where.terminal, minlength=n_countries)
    counts = size.stubs.sum(axis=1), size.slots, size.nodes, of_country
    firsts = [offsets.from_counts(count).tolist() for count in counts]
    for c in range(n_countries):
        stub, slots, nodes, group = (slice(first[c], first[c + 1]) for first in firsts)
        part = PieceDemand(
            terminals.stub[stub],
            terminals.slots[slots],
            terminals.nodes[nodes],
            terminals.circle_slots,
            terminals.circle_nodes,
            terminals.group[group],
        )
        numbers = where.terminals(c).astype(np.int32)
        countries[c].add(part, numbers, size.stubs[c], size.typical[c], int(size.slots[c]))
    return countries
