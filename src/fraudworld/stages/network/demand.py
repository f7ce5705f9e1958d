"""The law of S4's endpoints, device side: how many IPs a device is seen on, of which type.

Per region the number of device–IP links of each type is an exact quota (largest remainder
of the edge shares). It is filled in this order: every linked device's typical endpoint;
homes, first lease then second (`leases`); proxies, which sit with a prone few; then all
other stubs by a transport matrix between device groups and types that keeps both margins.

A device's place in a region's order is its place in the piece plus what earlier pieces
counted, so every piece deals its own devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.errors import InputError
from fraudworld.jit import kernel
from fraudworld.kernels import guide, offsets, permute, ranks
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.discrete import category, negative_binomial, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, philox, registry
from fraudworld.stages.network import leases
from fraudworld.stages.network.leases import NONE, Drawn, Leased
from fraudworld.stages.network.places import Pieces, places
from fraudworld.stages.network.transport import transport

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """Stubs of a piece after its proxies: what is left, and the proxies of every device."""

    spare: NDArray[np.uint16]
    proxy: NDArray[np.uint16]


@dataclass(frozen=True)
class Asked:
    """What the devices of one piece ask for.

    Stubs are device · 2 + typical, in order of (country, type), then device, devices counted
    from 0 in the piece's country. Leases likewise: `slots` of every node of a home's line, in
    order of country, home, lease, device, and the size of every node. `group` is of every
    device, in order of country, then device.
    """

    stub: NDArray[np.int32]
    slots: NDArray[np.int32]
    nodes: NDArray[np.int32]
    group: NDArray[np.uint8]


@dataclass(frozen=True)
class Demand:
    """What all devices ask for; per region, what was planned."""

    items: Sequence[Item]  # Asked, per piece
    stubs: Sequence[I64]  # per piece, by country (terminals) and type: (countries or 1, types)
    slots: Sequence[I64]  # per piece, by country
    nodes: Sequence[I64]  # per piece, by country
    quotas: I64  # (regions, types)
    rng: tuple[StreamUse, ...]


def device_demand(
    pack: PolicyPack, seed: int, pieces: Pieces, countries: int, engine: Engine
) -> Demand:
    """Draw endpoints per device and fill the regional quotas exactly.

    Raises InputError `6A.S4.IP_TARGETS_INCONSISTENT` where a region has no edge shares and
    the policy does not allow another region's.
    """
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    n_regions = len(pack.codes("region"))
    endpoints = registry.IP_COUNT.of(seed)
    law = leases.law_of(pack, seed)
    first, party_first = pieces.first[:-1].tolist(), pieces.party_first[:-1].tolist()
    drawn, summaries = engine.run(
        partial(_draw, law, endpoints, _count_cuts(pack)), first, party_first, pieces.sources
    )
    edges, typical, wanted, parties, prone_digits = (
        np.stack(column) for column in zip(*summaries, strict=True)
    )
    shares = edge_shares(pack)
    quotas = np.stack(
        [largest_remainder(int(e), s) for e, s in zip(edges.sum(axis=0), shares, strict=True)]
    )
    left = quotas - typical.sum(axis=0)

    share = pack.graph_linkage_rules.prone_party_share
    prone_quota = np.floor(parties.sum(axis=0) * share + 0.5).astype(np.int64)
    leased, stubs = leases.lease(
        law, pieces, drawn, wanted, left, (prone_digits.sum(axis=0), prone_quota), engine
    )
    proxies = registry.PROXY_PLACE.of(seed)
    kind = types.index("VPN_PROXY")
    quota = np.maximum(left[:, kind], 0)
    total, keys = stubs.sum(axis=0), proxies.draws(0, n_regions)
    spread, summaries = engine.run(
        partial(_proxies, law, total, quota, keys),
        pieces.sources, drawn, leased, np.cumsum(stubs, axis=0) - stubs,
    )  # fmt: skip
    placed = np.stack([p for p, _ in summaries])
    left[:, kind] -= np.sum([used for _, used in summaries], axis=0)

    places_ = registry.IP_TYPE_PLACE.of(seed)
    items, summaries = engine.run(
        partial(_ask, law, _dealing(law, places_, placed.sum(axis=0), left), countries),
        pieces.sources, drawn, leased, spread, np.cumsum(placed, axis=0) - placed,
    )  # fmt: skip
    stub_counts, slot_counts, node_counts = zip(*summaries, strict=True)
    uses = (
        endpoints.use("world", 0, int(pieces.first[-1])),
        law.homes.use("world", 0, int(pieces.home_first[-1])),
        law.prone.use("world", 0, int(pieces.party_first[-1])),
        proxies.use("regions", 0, n_regions),
        places_.use("cells", 0, n_regions * len(groups)),
    )
    return Demand(items, stub_counts, slot_counts, node_counts, quotas, uses)


def edge_shares(pack: PolicyPack) -> NDArray[np.float64]:
    """Share of device–IP links per region and type; rows sum to one."""
    priors = pack.ip_count_priors
    types, regions = pack.codes("ip_type"), pack.codes("region")
    rows = []
    for region in regions:
        mix = priors.edge_shares.get(region)
        if not mix:
            if priors.missing_region_mix == "abort" or not priors.edge_shares:
                raise InputError(
                    "6A.S4.IP_TARGETS_INCONSISTENT",
                    f"no IP type mix for {region}",
                    where="ip_count_priors_6A.v1.yaml: edge_shares",
                    remedy=f"add edge_shares.{region}; no other region's mix is taken instead",
                )
            mix = priors.edge_shares[sorted(priors.edge_shares)[0]]
        rows.append([mix.get(t, 0.0) for t in types])
    return np.array(rows)


@kernel
def _counts_of(  # type: ignore[no-untyped-def]
    first, group, owner_type, k0, k1, dormant, counts, to_count, shares, to_type, spare, typical
):
    """Three draws a device: dormant or not, spare endpoints, type of the typical one."""
    owners = shares.shape[0] // dormant.shape[0]
    draws = np.empty(3 * philox.MANY, dtype=np.uint64)
    for low in range(0, group.size, philox.MANY):
        n = min(philox.MANY, group.size - low)
        philox.fill(k0, k1, np.uint64(3 * (first + low)), draws[: 3 * n])
        for j in range(n):
            i = low + j
            row = min(owner_type[i], owners - 1) * dormant.shape[0] + group[i]
            awake = category(draws[3 * j], dormant, group[i]) == 0
            spare[i] = awake * guide.category(draws[3 * j + 1], counts, to_count, group[i])
            kind = guide.category(draws[3 * j + 2], shares, to_type, row)
            typical[i] = kind if awake else NONE


def _count_cuts(pack: PolicyPack) -> tuple[NDArray[np.unsignedinteger], ...]:
    """Thresholds per group: dormant or not; spare endpoints, and a guide to them; thresholds per
    owner and group: typical type, and a guide.
    """
    priors, rules = pack.ip_count_priors, pack.graph_linkage_rules
    groups, types = pack.codes("device_group"), pack.codes("ip_type")
    owners = (*pack.codes("party_type"), "MERCHANT")
    top = priors.max_ips_per_device
    dormant = np.zeros((len(groups), 2))
    counts = np.zeros((len(groups), top))
    legacy = pack.device_linkage_rules.legacy_device_groups
    for g, group in enumerate(groups):
        law = priors.device_ips[group]
        asleep = law.dormant_share
        if legacy and group not in ("COMPUTER_PORTABLE", "IOT_OTHER"):
            asleep = 1.0  # looked up under another name, and so never found
        dormant[g] = 1.0 - asleep, asleep
        counts[g] = negative_binomial(law.mean - 1.0, priors.dispersion, top - 1)
    shares = np.zeros((len(owners), len(groups), len(types)))
    for o, owner in enumerate(owners):
        for g, group in enumerate(groups):
            mix = rules.typical_ip_shares.get(owner, {}).get(group, {types[0]: 1.0})
            for name, share in mix.items():
                shares[o, g, types.index(name)] = share
    of_count, of_type = thresholds(counts), thresholds(shares.reshape(-1, len(types)))
    return thresholds(dormant), of_count, guide.guide(of_count), of_type, guide.guide(of_type)


@kernel
def _summarise(  # type: ignore[no-untyped-def]
    region, group, owner_type, typical, spare, at_home, home_type, retail, edges, of_type, joins
):
    """Links per region; typical endpoints per region and type; who could join a home's line."""
    for d in range(region.size):
        # No branches: nobody could predict them.
        r, awake = region[d], typical[d] != NONE
        edges[r] += awake * (spare[d] + 1)
        of_type[r, typical[d] if awake else 0] += awake
        joins[r] += awake & leases.may_join(
            owner_type[d] == retail, at_home[group[d]], typical[d] == home_type, spare[d]
        )


def _draw(
    law: leases.Law,
    endpoints: Stream,
    cuts: tuple[NDArray[np.unsignedinteger], ...],
    first: int,
    party_first: int,
    source: list[Any],
) -> tuple[Drawn, tuple[I64, ...]]:
    """Spare endpoints beyond the typical one, and the typical type (NONE: dormant).

    Told, by region: links; typical endpoints by type; devices that may join a home's line;
    parties, and their draws for being prone by leading digit.
    """
    at = places(source)
    spare = np.empty(at.group.size, dtype=np.uint16)
    typical = np.empty(at.group.size, dtype=np.uint8)
    k0, k1 = endpoints.key
    _counts_of(first, at.group, at.owner_type, k0, k1, *cuts, spare, typical)
    n_regions, n_types = law.regions, law.eligible.shape[1]
    edges, joins, parties = (np.zeros(n_regions, dtype=np.int64) for _ in range(3))
    of_type = np.zeros((n_regions, n_types), dtype=np.int64)
    _summarise(
        at.region, at.group, at.owner_type, typical, spare, law.at_home, law.home_type,
        law.retail, edges, of_type, joins,
    )  # fmt: skip
    digits = np.zeros((n_regions, ranks.DIGITS), dtype=np.int64)
    if len(source) > 1:
        shard, region = source[:2]
        parties[region] = shard.n
        ranks.count(law.prone.flat(party_first, shard.n), digits[region])
    return Drawn(spare, typical), (edges, of_type, joins, parties, digits)


@kernel
def _spread(owner, group, region, open_, prone, place, quota, spare, proxy, used):  # type: ignore[no-untyped-def]
    """Turn the stubs whose place is below the region's quota into proxies: `used` by region."""
    at = 0
    for d in range(owner.size):
        for _ in range(spare[d] * (open_[group[d]] & prone[owner[d]])):
            proxy[d] += place[at] < quota[region[d]]
            at += 1
        spare[d] -= proxy[d]
        used[region[d]] += proxy[d]


@kernel
def _tally(region, group, typical, spare, placed):  # type: ignore[no-untyped-def]
    for d in range(region.size):
        placed[region[d], group[d]] += spare[d] * (typical[d] != NONE)


def _proxies(
    law: leases.Law,
    total: I64,
    quota: I64,
    keys: NDArray[np.uint64],
    source: list[Any],
    drawn: Drawn,
    leased: Leased,
    before: I64,
) -> tuple[Spread, tuple[I64, I64]]:
    """Proxies per device, from prone owners only.

    Told: what other stubs are left, by region and group; proxies by region.
    """
    at = places(source)
    spare, proxy = leased.spare.copy(), np.zeros(leased.spare.size, dtype=np.uint16)
    used = np.zeros(law.regions, dtype=np.int64)
    if leased.stubs:
        region = source[1]
        place = permute.permuted(
            int(before[region]), leased.stubs, int(total[region]), keys[region]
        )
        open_ = law.eligible[:, law.proxy_type]
        _spread(
            at.owner, at.group, at.region, open_, leased.prone, place, quota, spare, proxy, used
        )
    placed = np.zeros((law.regions, law.eligible.shape[0]), dtype=np.int64)
    _tally(at.region, at.group, drawn.typical, spare, placed)
    return Spread(spare, proxy), (placed, used)


@dataclass(frozen=True)
class _Dealing:
    """How the last stubs of every (region, group) take their types."""

    sizes: I64  # (regions, groups)
    keys: NDArray[np.uint64]  # (regions · groups, rounds)
    cuts: I64  # running planned counts: (regions · groups, types)


def _dealing(law: leases.Law, stream: Stream, rows: I64, left: I64) -> _Dealing:
    """Transport plans of all regions; takes from `left` what they use."""
    n_regions, n_groups = rows.shape
    open_types = law.eligible.copy()
    open_types[:, [law.home_type, law.proxy_type]] = False
    cuts = []
    for r in range(n_regions):
        wanted = np.maximum(left[r], 0) * open_types.any(axis=0)
        plan = transport(rows[r], wanted, open_types)
        left[r] -= plan.sum(axis=0)
        cuts.append(np.cumsum(plan, axis=1))
    return _Dealing(rows, stream.draws(0, n_regions * n_groups), np.concatenate(cuts))


@kernel
def _deal(counts, sizes, before, keys, cuts, next_dealt, dealt):  # type: ignore[no-untyped-def]
    """Types of the last stubs of a piece, by (region, group), then device; counts: how many."""
    at = 0
    for r in range(sizes.shape[0]):
        for g in range(sizes.shape[1]):
            next_dealt[r, g] = at
            end = at + counts[r, g]
            c = r * sizes.shape[1] + g
            if end > at:
                permute.assign_by_quota(before[r, g], sizes[r, g], keys[c], cuts[c], dealt[at:end])
            at = end


@kernel
def _stubs(  # type: ignore[no-untyped-def]
    region, group, country, local, typical, home_type, proxy, proxy_type, spare, dealt,
    next_dealt, start, stub,
):  # fmt: skip
    """Stubs by (country, type), then device: typical, proxies, then those dealt a type."""
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
        first = next_dealt[region[d], group[d]]
        for i in range(first, first + spare[d]):
            stub[at[c, dealt[i]]] = base
            at[c, dealt[i]] += 1
        next_dealt[region[d], group[d]] += spare[d]


@kernel
def _unit_sizes(  # type: ignore[no-untyped-def]
    region, group, country, typical, home_type, proxy, proxy_type, spare, dealt, next_dealt, size
):
    """Stubs per (country, type)."""
    for d in range(region.size):
        awake = typical[d] != NONE
        c, t = country[d], typical[d] if awake else 0
        size[c, t] += awake & (t != home_type)
        size[c, proxy_type] += awake * proxy[d]
    if size.shape[0] == 1:
        # All of one country, as of every shard: whose each is does not matter.
        for i in range(dealt.size):
            size[0, dealt[i]] += 1
        return
    at = next_dealt.copy()
    for d in range(region.size):
        for _ in range(spare[d] * (typical[d] != NONE)):
            size[country[d], dealt[at[region[d], group[d]]]] += 1
            at[region[d], group[d]] += 1


@kernel
def _count_in_country(country, seen, local):  # type: ignore[no-untyped-def]
    for d in range(country.size):
        local[d] = seen[country[d]]
        seen[country[d]] += 1


def _ask(
    law: leases.Law,
    dealing: _Dealing,
    countries: int,
    source: list[Any],
    drawn: Drawn,
    leased: Leased,
    spread: Spread,
    before: I64,
) -> tuple[Asked, tuple[I64, I64, I64]]:
    """Stubs and home lines of one piece.

    Told, by country (of a shard: its own alone): stubs by type, slots and nodes of home lines.
    """
    at = places(source)
    alone = len(source) > 1
    country = np.zeros_like(at.country) if alone else at.country
    n_countries, n_types = 1 if alone else countries, law.eligible.shape[1]
    local = np.empty(country.size, dtype=np.int32)
    _count_in_country(country, np.zeros(n_countries, dtype=np.int32), local)
    counts, next_dealt = np.zeros_like(dealing.sizes), np.empty_like(dealing.sizes)
    _tally(at.region, at.group, drawn.typical, spread.spare, counts)
    dealt = np.empty(int(counts.sum()), dtype=np.uint8)
    _deal(counts, dealing.sizes, before, dealing.keys, dealing.cuts, next_dealt, dealt)
    size = np.zeros((n_countries, n_types), dtype=np.int64)
    _unit_sizes(
        at.region, at.group, country, drawn.typical, law.home_type, spread.proxy,
        law.proxy_type, spread.spare, dealt, next_dealt, size,
    )  # fmt: skip
    start = offsets.from_counts(size.ravel())
    stub = np.empty(int(start[-1]), dtype=np.int32)
    _stubs(
        at.region, at.group, country, local, drawn.typical, law.home_type, spread.proxy,
        law.proxy_type, spread.spare, dealt, next_dealt, start[:-1].reshape(size.shape), stub,
    )  # fmt: skip
    slots, nodes, lines = leases.lines(law, at, country, local, n_countries, drawn, leased)
    group = at.group if alone else at.group[np.argsort(country, kind="stable")]
    return Asked(stub, slots, nodes, group), (size, *lines)
