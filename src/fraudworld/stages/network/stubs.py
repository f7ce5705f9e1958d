"""Types of the last links, and the stubs of every country and type.

Links that are neither typical, nor to homes, nor to proxies take their types by an integer
transport plan per region, between rows (device groups, by class of segment) and types. A row's
links of a region take exactly the planned numbers, at places a keyed permutation decides. The
number of a link in its region is its number in the piece plus the counts of earlier pieces, so
every piece types its own.

Twin of all kernels here: tests/reference/demand.py:_rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import offsets, permute
from fraudworld.rng import Stream
from fraudworld.stages.network.demand_law import NONE, DemandLaw, DeviceDraws, rows_of
from fraudworld.stages.network.home_lines import home_lines
from fraudworld.stages.network.leases import Leases
from fraudworld.stages.network.places import Source, devices_of
from fraudworld.stages.network.transport import transport
from fraudworld.stages.pieces import CircleShard

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class PieceDemand:
    """Links that the devices of one piece ask for; devices are counted in the piece's country."""

    stub: I32  # device · 2 + typical, in order of (country, type), then device; without homes
    slots: I32  # the same of home lines, in order of country, home, lease, device
    nodes: I32  # devices of every node of a home line, in the same order
    circle_slots: I32  # as `slots`, of the lines of circles, in order of circle, device
    circle_nodes: I32  # as `nodes`, of the lines of circles
    group: U8  # of every device, in order of country, then device


class StubSizes(NamedTuple):
    """Sizes of a `PieceDemand`; of a shard, countries is 1."""

    stubs: I64  # (countries, types)
    typical: I64  # of these, to typical endpoints, (countries, types)
    slots: I64  # those of circles included, (countries,)
    nodes: I64  # (countries,)


class ProxySplit(NamedTuple):
    """Links of a piece after proxies are placed; both (devices,)."""

    spare: U16  # without a type yet
    proxy: U16  # to proxies


@kernel
def count_spare(region, row, typical, spare, counts):  # type: ignore[no-untyped-def]
    """Adds the spare links of devices that are not dormant to counts[region, row].

    region, row, typical, spare: (devices,). counts: int64 (regions, rows).
    """
    for d in range(region.size):
        counts[region[d], row[d]] += spare[d] * (typical[d] != NONE)


class TypePlan(NamedTuple):
    """Types of the last spare links of every (region, row)."""

    sizes: I64  # links, (regions, rows)
    keys: U64  # of the permutations, (regions · rows, permute.ROUNDS)
    cuts: I64  # cumulative counts by type, (regions · rows, types)


def type_plan(law: DemandLaw, stream: Stream, sizes: I64, left: I64) -> TypePlan:
    """Transport plans of all regions. left: links still to place, (regions, types)."""
    n_regions, n_rows = sizes.shape
    weights = law.weights.copy()
    weights[:, [law.home.home_type, law.proxy_type]] = 0.0
    cuts = []
    for r in range(n_regions):
        wanted = np.maximum(left[r], 0) * (weights > 0).any(axis=0)
        cuts.append(np.cumsum(transport(sizes[r], wanted, weights), axis=1))
    return TypePlan(sizes, stream.draws(0, n_regions * n_rows), np.concatenate(cuts))


class _TypedLinks(NamedTuple):
    """Links of the devices of a piece other than to homes, by type."""

    typical: U8  # as in `DeviceDraws`
    proxy: U16  # as in `ProxySplit`
    spare: U16  # as in `ProxySplit`
    row: U16  # of `DemandLaw.weights`
    types: U8  # of the spare links, in order of (region, row), then device; (links,)
    cursor: I64  # index in `types` of the next link of a (region, row); (regions, rows)


@kernel
def _assign_types(counts, plan, before, links):  # type: ignore[no-untyped-def]
    """Fills `types` and `cursor` of `links`.

    Parameters
    ----------
    counts, before : int64 (regions, rows)
        Spare links of the piece, and of earlier pieces.
    plan : TypePlan
    links : _TypedLinks
    """
    sizes, keys, cuts, types, cursor = (
        plan.sizes, plan.keys, plan.cuts, links.types, links.cursor
    )  # fmt: skip
    at = 0
    for r in range(sizes.shape[0]):
        for g in range(sizes.shape[1]):
            cursor[r, g] = at
            end = at + counts[r, g]
            c = r * sizes.shape[1] + g
            if end > at:
                permute.assign_by_quota(before[r, g], sizes[r, g], keys[c], cuts[c], types[at:end])
            at = end


@kernel
def _list_stubs(devices, country, local, links, home_type, proxy_type, start, stub):  # type: ignore[no-untyped-def]
    """Lists stubs by (country, type), then device; of a device: typical, proxies, then others.

    Parameters
    ----------
    devices : PieceDevices
    country, local : uint8, int32 (devices,)
        Country below `countries`, and number of a device among the piece's devices there.
    links : _TypedLinks
        `cursor` ends at the end of every (region, row).
    home_type, proxy_type : int
        Typical endpoints of type `home_type` are listed with the home lines.
    start : int64 (countries, types)
        Index in `stub` of the first stub.
    stub : int32 (stubs,)
        Filled: device · 2 + typical.
    """
    region, row = devices.region, links.row
    typical, proxy, spare, types, cursor = (
        links.typical, links.proxy, links.spare, links.types, links.cursor
    )  # fmt: skip
    at = start.copy()
    for d in range(region.size):
        if typical[d] == NONE:
            continue
        base = local[d] * 2
        c = country[d]
        if typical[d] != home_type:
            stub[at[c, typical[d]]] = base + 1
            at[c, typical[d]] += 1
        for _ in range(proxy[d]):
            stub[at[c, proxy_type]] = base
            at[c, proxy_type] += 1
        first = cursor[region[d], row[d]]
        for i in range(first, first + spare[d]):
            stub[at[c, types[i]]] = base
            at[c, types[i]] += 1
        cursor[region[d], row[d]] += spare[d]


@kernel
def _count_stubs(devices, country, links, home_type, proxy_type, size, at_typical):  # type: ignore[no-untyped-def]
    """Adds the stubs of a piece to size[country, type].

    Parameters
    ----------
    devices, country, links, home_type, proxy_type
        As in `_list_stubs`; `links` is not changed.
    size : int64 (countries, types)
    at_typical : int64 (countries, types)
        Grows by the stubs that are typical.
    """
    region, row = devices.region, links.row
    typical, proxy, spare, types = links.typical, links.proxy, links.spare, links.types
    for d in range(region.size):
        awake = typical[d] != NONE
        c, t = country[d], typical[d] if awake else 0
        at_typical[c, t] += awake & (t != home_type)
        size[c, proxy_type] += awake * proxy[d]
    size += at_typical
    if size.shape[0] == 1:
        # One country, as of every shard: the owner of a link does not matter.
        for i in range(types.size):
            size[0, types[i]] += 1
        return
    at = links.cursor.copy()
    for d in range(region.size):
        for _ in range(spare[d] * (typical[d] != NONE)):
            size[country[d], types[at[region[d], row[d]]]] += 1
            at[region[d], row[d]] += 1


@kernel
def _number_in_country(country, counts, local):  # type: ignore[no-untyped-def]
    """Numbers devices in their country, from 0.

    country, local: uint8, int32 (devices,). counts: int32 (countries,), zero before.
    """
    for d in range(country.size):
        local[d] = counts[country[d]]
        counts[country[d]] += 1


def typed_stubs(
    law: DemandLaw,
    plan: TypePlan,
    countries: int,
    source: Source,
    draws: DeviceDraws,
    leased: Leases,
    split: ProxySplit,
    before: I64,
    circles: CircleShard | None,
) -> tuple[PieceDemand, StubSizes]:
    """Task: stubs and home lines of one piece.

    before: spare links of earlier pieces, (regions, rows). circles: of the shard, None for the
    terminals.
    """
    devices = devices_of(source)
    one_country = len(source) > 1
    country = np.zeros_like(devices.country) if one_country else devices.country
    n_countries, n_types = 1 if one_country else countries, law.eligible.shape[1]
    local = np.empty(country.size, dtype=np.int32)
    _number_in_country(country, np.zeros(n_countries, dtype=np.int32), local)
    counts, row = np.zeros_like(plan.sizes), rows_of(law, devices)
    count_spare(devices.region, row, draws.typical, split.spare, counts)
    links = _TypedLinks(
        draws.typical,
        split.proxy,
        split.spare,
        row,
        np.empty(int(counts.sum()), dtype=np.uint8),
        np.empty_like(counts),
    )
    _assign_types(counts, plan, before, links)
    size, typical = np.zeros((2, n_countries, n_types), dtype=np.int64)
    home_type, proxy_type = law.home.home_type, law.proxy_type
    _count_stubs(devices, country, links, home_type, proxy_type, size, typical)
    start = offsets.from_counts(size.ravel())
    stub = np.empty(int(start[-1]), dtype=np.int32)
    begin = start[:-1].reshape(size.shape)
    _list_stubs(devices, country, local, links, home_type, proxy_type, begin, stub)
    lines = home_lines(
        law, devices, circles, country, local, n_countries, draws.typical, leased.lease
    )
    group = devices.group if one_country else devices.group[np.argsort(country, kind="stable")]
    demand = PieceDemand(stub, *lines.of_homes, *lines.of_circles, group)
    return demand, StubSizes(size, typical, lines.n_slots, lines.n_nodes)
