"""The law of home lines: which devices are behind the lines of their home.

Lease 1 of a home holds the devices whose typical endpoint it is, and the home's other retail
devices that roam, in order of device while the region's quota lasts. Whole homes then get a
second lease (others than retail their first) in rank of a draw until the quota is met to the
last link: the home at the edge gets what is left, first devices first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import ranks
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry
from fraudworld.stages.network.places import Pieces, Places, places

NONE = 255
"""Typical type of a dormant device."""

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Law:
    """What every piece needs of S4's endpoint laws."""

    regions: int
    eligible: NDArray[np.bool_]  # (groups, types)
    home_type: int
    proxy_type: int
    retail: int  # party type
    most: int  # devices behind one endpoint of a home
    homes: Stream
    prone: Stream

    @property
    def at_home(self) -> NDArray[np.bool_]:
        """Groups that may be at home."""
        return self.eligible[:, self.home_type]


@dataclass(frozen=True)
class Drawn:
    """What a device drew: endpoints beyond the typical one, and the typical one's type."""

    spare: NDArray[np.uint16]
    typical: NDArray[np.uint8]  # NONE: dormant


@dataclass(frozen=True)
class Leased:
    """After the homes: what is spare still, and the leases of every device."""

    spare: NDArray[np.uint16]
    lease: NDArray[np.uint8]  # bit 0: lease 1, bit 1: lease 2
    prone: NDArray[np.bool_]  # parties of the shard that use proxies
    stubs: int  # spare stubs that may be proxies


def law_of(pack: PolicyPack, seed: int) -> Law:
    """The law of one policy and seed."""
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    eligible = np.zeros((len(groups), len(types)), dtype=np.bool_)
    for group, names in pack.graph_linkage_rules.eligible_ip_types.items():
        eligible[groups.index(group), [types.index(t) for t in names]] = True
    return Law(
        regions=len(pack.codes("region")),
        eligible=eligible,
        home_type=types.index("RESIDENTIAL"),
        proxy_type=types.index("VPN_PROXY"),
        retail=pack.codes("party_type").index("RETAIL"),
        most=pack.ip_count_priors.homes.max_devices_per_lease,
        homes=registry.HOME_LEASE.of(seed),
        prone=registry.PROXY_PRONE.of(seed),
    )


def lease(
    law: Law,
    pieces: Pieces,
    drawn: Sequence[Item],
    wanted: I64,
    left: I64,
    prone: tuple[I64, I64],
    engine: Engine,
) -> tuple[list[Item], I64]:
    """Leases of every piece, and who is prone: items `Leased`.

    wanted: devices that may join their home's first lease, (pieces, regions); left: links to
    be placed, (regions, types), from which is taken what is used; prone: the parties' draws
    by region and leading digit, and how many are prone. Returns also the stubs that may be
    proxies, (pieces, regions).
    """
    room = np.maximum(left[:, law.home_type], 0)
    before = np.cumsum(wanted, axis=0) - wanted
    joins = np.clip(room - before, 0, wanted)  # first come, first served
    left[:, law.home_type] -= joins.sum(axis=0)
    quota = np.maximum(left[:, law.home_type], 0)

    homes, parties = pieces.home_first[:-1].tolist(), pieces.party_first[:-1].tolist()
    lines_, digits = engine.run(partial(_first, law), homes, pieces.sources, drawn, joins)
    edge, prone_edge = ranks.edges(np.sum(digits, axis=0), quota), ranks.edges(*prone)
    found = engine.collect(
        partial(_candidates, law, edge.digit, prone_edge.digit),
        homes, parties, pieces.sources, lines_,
    )  # fmt: skip
    cut, partly = ranks.cut(edge, quota, [f for f, _ in found])
    prone_cut, _ = ranks.cut(prone_edge, prone[1], [f for _, f in found])
    _, _, home, lacks = partly
    leased, summaries = engine.run(
        partial(_lease, law, cut, prone_cut, dict(zip(home.tolist(), lacks.tolist(), strict=True))),
        homes, parties, pieces.sources, lines_,
    )  # fmt: skip
    left[:, law.home_type] -= np.sum([taken for taken, _ in summaries], axis=0)
    return leased, np.stack([stubs for _, stubs in summaries])


@inlined
def may_join(retail, at_home, is_typical, spare):  # type: ignore[no-untyped-def]
    """Whether a device that is not dormant joins its home's first lease, if there is room."""
    return retail & at_home & (not is_typical) & (spare > 0)


@kernel
def _join(  # type: ignore[no-untyped-def]
    region, group, owner_type, home, typical, at_home, home_type, retail, room, spare, lease,
    open_, weight, region_of,
):  # fmt: skip
    """First leases; `open_` becomes whether a device may take one more, and `weight` how many
    of a home may. region_of: of every home that has such.
    """
    for d in range(region.size):
        # No branches: nobody could predict them.
        is_typical, theirs = typical[d] == home_type, owner_type[d] == retail
        may = (typical[d] != NONE) & at_home[group[d]]
        joins = may_join(theirs, may, is_typical, spare[d]) & (room[region[d]] > 0)
        room[region[d]] -= joins
        spare[d] -= joins
        lease[d] = is_typical | joins
        open_[d] = may & (spare[d] > 0) & (theirs | (lease[d] == 0))
        weight[home[d]] += open_[d]
        region_of[home[d]] = region[d] if open_[d] else region_of[home[d]]


@dataclass(frozen=True)
class _Lines:
    """A piece after the first leases, before the second."""

    spare: NDArray[np.uint16]
    lease: NDArray[np.uint8]
    open: NDArray[np.bool_]
    weight: NDArray[np.int32]  # per home: devices that may take one more
    region: NDArray[np.uint8]  # per home that has such


def _first(
    law: Law, home_first: int, source: list[Any], drawn: Drawn, room: I64
) -> tuple[_Lines, I64]:
    """First leases; told: devices that may take one more, by region and leading digit of their
    home's draw.
    """
    at = places(source)
    spare = drawn.spare.copy()
    lease_, open_ = np.empty(spare.size, np.uint8), np.empty(spare.size, np.bool_)
    weight, region = np.zeros(at.homes, dtype=np.int32), np.zeros(at.homes, dtype=np.uint8)
    _join(
        at.region, at.group, at.owner_type, at.home, drawn.typical, law.at_home, law.home_type,
        law.retail, room.copy(), spare, lease_, open_, weight, region,
    )  # fmt: skip
    digits = np.zeros((law.regions, ranks.DIGITS), dtype=np.int64)
    _digits_of(law.homes.flat(home_first, at.homes), weight, region, digits)
    return _Lines(spare, lease_, open_, weight, region), digits


@kernel
def _digits_of(draws, weight, region, digits):  # type: ignore[no-untyped-def]
    for h in range(weight.size):
        digits[region[h], draws[h] >> np.uint64(ranks.SHIFT)] += weight[h]


def _candidates(
    law: Law,
    digit: I64,
    prone_digit: I64,
    home_first: int,
    party_first: int,
    source: list[Any],
    found: _Lines,
) -> tuple[ranks.Candidates, ranks.Candidates]:
    """Homes, and parties, in the digit their region's quota ends in."""
    draws = law.homes.flat(home_first, found.weight.size)
    leading = (draws >> np.uint64(ranks.SHIFT)).astype(np.int64)
    at = np.flatnonzero((found.weight > 0) & (leading == digit[found.region]))
    none = np.empty(0, dtype=np.int64)
    weight = found.weight[at].astype(np.int64)
    homes = (found.region[at].astype(np.int64), draws[at], home_first + at.astype(np.int64), weight)
    if len(source) == 1:
        return homes, (none, draws[:0], none, none)
    shard, region = source[:2]
    draws = law.prone.flat(party_first, shard.n)
    at = np.flatnonzero((draws >> np.uint64(ranks.SHIFT)).astype(np.int64) == prone_digit[region])
    one = np.ones(at.size, dtype=np.int64)
    where = np.full(at.size, region, dtype=np.int64)
    return homes, (where, draws[at], party_first + at.astype(np.int64), one)


@kernel
def _take(home, owner_type, retail, open_, chosen, partly, spare, lease, region, taken):  # type: ignore[no-untyped-def]
    """Second leases; partly: devices that a home may still take beyond those chosen."""
    for d in range(home.size):
        # No branches: nobody could predict them.
        h = home[d]
        takes = open_[d] & (chosen[h] | (partly[h] > 0))
        partly[h] -= takes & (not chosen[h])
        lease[d] |= takes * (1 + (owner_type[d] == retail))
        spare[d] -= takes
        taken[region[d]] += takes


@kernel
def _mark(draws, first, cell, key, position, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = ranks.within(draws[i], first + i, cell[i], key, position)


@kernel
def _proxy_stubs(owner, group, open_, prone, spare):  # type: ignore[no-untyped-def]
    stubs = 0
    for d in range(owner.size):
        stubs += spare[d] * (open_[group[d]] & prone[owner[d]])
    return stubs


def _lease(
    law: Law,
    cut: ranks.Cut,
    prone_cut: ranks.Cut,
    partly: dict[int, int],
    home_first: int,
    party_first: int,
    source: list[Any],
    found: _Lines,
) -> tuple[Leased, tuple[I64, I64]]:
    """Leases of one piece; told by region: links taken, stubs that may be proxies."""
    at, n = places(source), found.weight.size
    spare, lease_ = found.spare.copy(), found.lease.copy()
    chosen = np.empty(n, dtype=np.bool_)
    _mark(law.homes.flat(home_first, n), home_first, found.region, cut.key, cut.position, chosen)
    some = np.zeros(n, dtype=np.int64)
    for home, lacks in partly.items():
        if home_first <= home < home_first + n:
            some[home - home_first] = lacks
    taken, stubs = (np.zeros(law.regions, dtype=np.int64) for _ in range(2))
    _take(
        at.home, at.owner_type, law.retail, found.open, chosen, some, spare, lease_, at.region,
        taken,
    )  # fmt: skip
    prone = np.empty(0, dtype=np.bool_)
    if len(source) > 1:
        shard, region = source[:2]
        prone = np.empty(shard.n, dtype=np.bool_)
        draws = law.prone.flat(party_first, shard.n)
        of_region = np.full(shard.n, region, dtype=np.uint8)
        _mark(draws, party_first, of_region, prone_cut.key, prone_cut.position, prone)
        open_ = law.eligible[:, law.proxy_type]
        stubs[region] = _proxy_stubs(at.owner, at.group, open_, prone, spare)
    return Leased(spare, lease_, prone, int(stubs.sum())), (taken, stubs)


@kernel
def _fill(home, rank, lease, typical, home_type, local, size, slots):  # type: ignore[no-untyped-def]
    """Slots of every lease, by rank of the home, lease, then device; `size` becomes theirs."""
    for d in range(home.size):
        key = 2 * rank[home[d]]
        size[key] += lease[d] & 1
        size[key + 1] += lease[d] >> 1
    at = np.zeros(size.size, dtype=np.int64)
    for k in range(1, size.size):
        at[k] = at[k - 1] + size[k - 1]
    for d in range(home.size):
        key = 2 * rank[home[d]]
        if lease[d] & 1:
            slots[at[key]] = local[d] * 2 + (typical[d] == home_type)
            at[key] += 1
        if lease[d] & 2:
            slots[at[key + 1]] = local[d] * 2
            at[key + 1] += 1


@kernel
def _cut_lines(size, country, most, nodes, n_slots, n_nodes):  # type: ignore[no-untyped-def]
    """Balanced nodes of at most `most` devices from every lease; returns how many."""
    n = 0
    for key in range(size.size):
        chunks = -(-size[key] // most)
        for j in range(chunks):
            nodes[n] = size[key] // chunks + (j < size[key] % chunks)
            n += 1
        n_slots[country[key // 2]] += size[key]
        n_nodes[country[key // 2]] += chunks
    return n


def lines(
    law: Law,
    at: Places,
    country: NDArray[np.uint8],
    local: NDArray[np.int32],
    countries: int,
    drawn: Drawn,
    leased: Leased,
) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[I64, I64]]:
    """Home lines of a piece: slots (device · 2 + typical) in order of country, home, lease and
    device; the size of every node; and how many slots and nodes every country has.

    country, local: of every device, and its number among the piece's devices there.
    """
    home_country = np.zeros(at.homes, dtype=np.uint8)
    order = rank = np.arange(at.homes)
    if countries > 1:
        home_country[at.home] = country
        order = np.argsort(home_country, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(at.homes)
    bits = int(np.count_nonzero(leased.lease & 1) + np.count_nonzero(leased.lease & 2))
    slots, size = np.empty(bits, dtype=np.int32), np.zeros(2 * at.homes, dtype=np.int32)
    _fill(at.home, rank, leased.lease, drawn.typical, law.home_type, local, size, slots)
    nodes = np.empty(bits, dtype=np.int32)
    n_slots, n_nodes = (np.zeros(countries, dtype=np.int64) for _ in range(2))
    n = _cut_lines(size, home_country[order], law.most, nodes, n_slots, n_nodes)
    return slots, nodes[:n].copy(), (n_slots, n_nodes)
