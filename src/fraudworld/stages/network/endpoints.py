"""IP endpoints and device–IP links of a world.

Devices ask for links by type (`demand.py`). Every country, one task each, makes nodes of every
type and matches links to them (`units.py`), then draws their columns (`endpoint_columns.py`). No
link crosses a border.

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
from fraudworld.stages.network.demand import Demand, device_demand
from fraudworld.stages.network.endpoint_columns import country_columns
from fraudworld.stages.network.endpoint_law import EndpointLaw
from fraudworld.stages.network.merchant_endpoints import merchant_endpoints
from fraudworld.stages.network.places import pieces_of
from fraudworld.stages.network.stubs import PieceDemand
from fraudworld.stages.network.units import CountrySums, match_country
from fraudworld.stages.pieces import Devices, EndpointCountry, MerchantEndpoints, Parties

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
    devices: Devices,
    engine: Engine,
) -> IpOutcome:
    """All endpoints and device–IP links of a world."""
    n_countries = len(geo.countries)
    demand = device_demand(pack, seed, pieces_of(pack, parties, devices), n_countries, engine)
    law = EndpointLaw.of(pack, seed)
    countries = _by_country(parties, devices, demand, n_countries, engine)
    wanted = np.stack([c.links(law.home_type) for c in countries])
    # Largest first: no worker is left with a long task at the end.
    order = np.argsort(-wanted.sum(axis=1), kind="stable").tolist()
    before = np.cumsum(wanted, axis=0) - wanted
    matched, sums = _run_in_order(
        engine, partial(match_country, law), order,
        range(n_countries), before, *zip(*(c.columns for c in countries), strict=True),
    )  # fmt: skip
    quotas, demand_uses = demand.quotas, demand.rng
    del demand, countries  # frees the stubs before the next round allocates

    nodes, links = np.stack([s.nodes for s in sums]), np.stack([s.links for s in sums])
    ip_first, link_first = (offsets.from_counts(n.sum(axis=1)) for n in (nodes, links))
    columns, linked = _run_in_order(
        engine, partial(country_columns, law), order,
        ip_first[:-1].tolist(), link_first[:-1].tolist(), matched,
    )  # fmt: skip
    endpoints, endpoint_use = merchant_endpoints(pack, seed, merchants, nodes)
    realised = np.zeros(quotas.shape, dtype=np.int64)
    np.add.at(realised, geo.region, links)
    plans = _plans(pack, quotas, realised, sums)
    uses = (
        *demand_uses,
        *(use for s in sums for use in s.uses),
        law.access.use("links", 0, int(link_first[-1])),
        law.attributes.use("world", 0, int(ip_first[-1])),
        endpoint_use,
    )
    return IpOutcome(columns, ip_first, link_first, endpoints, np.array(linked), plans, uses)


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
        "retyped": sum(s.moved for s in sums),
        "unplaced": sum(s.dropped for s in sums),
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
    first_device: list[int] = field(default_factory=list)  # number in the country
    stubs: list[I64] = field(default_factory=list)  # (types,)
    devices: int = 0
    home_links: int = 0

    def add(
        self, item: Item[PieceDemand] | PieceDemand, devices: int, stubs: I64, home_links: int
    ) -> None:
        """Appends a piece."""
        self.items.append(item)
        self.first_device.append(self.devices)
        self.stubs.append(stubs)
        self.devices += devices
        self.home_links += home_links

    @property
    def columns(self) -> tuple[object, list[int], list[I64]]:
        """The country's arguments of `match_country`."""
        return self.items, self.first_device, self.stubs

    def links(self, home_type: int) -> I64:
        """Links by type, (types,)."""
        out = np.sum(self.stubs, axis=0)
        out[home_type] += self.home_links
        return np.asarray(out, dtype=np.int64)


def _by_country(
    parties: Parties, devices: Devices, demand: Demand, n_countries: int, engine: Engine
) -> list[_CountryDemand]:
    """The demand of every country: its shards, then its part of the terminals' piece."""
    countries = [_CountryDemand() for _ in range(n_countries)]
    of_shard = np.diff(devices.first).tolist()
    for k, shard in enumerate(parties.shards):
        size = demand.sizes[k]
        countries[shard.country].add(
            demand.items[k], of_shard[k], size.stubs[0], int(size.slots[0])
        )
    (terminals,) = engine.fetch(demand.items[-1:])
    size = demand.sizes[-1]
    of_country = np.bincount(devices.terminals.country, minlength=n_countries)
    counts = size.stubs.sum(axis=1), size.slots, size.nodes, of_country
    firsts = [offsets.from_counts(count).tolist() for count in counts]
    for c in range(n_countries):
        stub, slots, nodes, group = (slice(first[c], first[c + 1]) for first in firsts)
        part = PieceDemand(
            terminals.stub[stub],
            terminals.slots[slots],
            terminals.nodes[nodes],
            terminals.group[group],
        )
        countries[c].add(part, int(of_country[c]), size.stubs[c], int(size.slots[c]))
    return countries
