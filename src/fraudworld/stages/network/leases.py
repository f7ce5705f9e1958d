"""Home lines: which devices are seen on an endpoint of their home.

A home has up to two *leases*. Per region, its quota of residential links is filled so:

1. *First leases.* Lease 1 holds the devices whose typical endpoint it is; then, in order of device
   until the quota is met, the home's other retail devices that have a link to spare.
2. *Second leases.* Homes follow in rank of a draw, with all their devices that have a link to
   spare: those of retail owners join lease 2, those of others lease 1 unless they are on it. The
   quota is met to the last link: the home at its end takes part with its first devices only.
3. *Nodes.* A lease is cut into endpoints of at most `homes.max_devices_per_lease` devices
   (`home_lines.py`).

The quotas and caps are of the policy `ip_count_priors_6A.v1`. Twin of all kernels here:
tests/reference/demand.py:_homes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.stages.network.demand_law import NONE, DemandLaw, DeviceDraws, may_join
from fraudworld.stages.network.places import Pieces, Source, devices_of, parties_of

Bools = NDArray[np.bool_]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Leases(NamedTuple):
    """Home leases of the devices of a piece, and its parties that use proxies."""

    spare: U16  # links a device still has to spare, (devices,)
    lease: U8  # bit 0: on lease 1, bit 1: on lease 2; (devices,)
    prone: Bools  # whether a party uses proxies, (parties,)
    stubs: int  # spare links of devices that may use proxies


class PronePlan(NamedTuple):
    """How many parties use proxies."""

    digits: I64  # parties by leading digit of their rank, (regions, ranks.DIGITS)
    quota: I64  # parties that use proxies, (regions,)


def lease_homes(
    law: DemandLaw,
    pieces: Pieces,
    draws: Sequence[Item[DeviceDraws]],
    roaming: I64,
    left: I64,
    prone: PronePlan,
    engine: Engine,
) -> tuple[list[Item[Leases]], I64]:
    """Leases of every piece, and the choice of parties that use proxies, in the same rounds.

    Parameters
    ----------
    draws
        Per piece.
    roaming : int64 (pieces, regions)
        Devices that join lease 1 of their home if the quota lasts.
    left : int64 (regions, types)
        Links still to place; the residential ones placed here are subtracted in place.

    Returns
    -------
    (Leases per piece, int64 (pieces, regions))
        The second: spare links of devices that may use proxies.
    """
    room = np.maximum(left[:, law.home.home_type], 0)
    before = np.cumsum(roaming, axis=0) - roaming
    joins = np.clip(room - before, 0, roaming)  # in order of device: earlier pieces first
    left[:, law.home.home_type] -= joins.sum(axis=0)
    quota = np.maximum(left[:, law.home.home_type], 0)

    homes, parties = pieces.home_first[:-1].tolist(), pieces.party_first[:-1].tolist()
    first, digits = engine.run(partial(_first_leases, law), homes, pieces.sources, draws, joins)
    edge = ranks.edges(np.sum(digits, axis=0), quota)
    prone_edge = ranks.edges(prone.digits, prone.quota)
    candidates = engine.collect(
        partial(_candidates, law, edge.digit, prone_edge.digit),
        homes, parties, pieces.sources, first,
    )  # fmt: skip
    cut, at_end = ranks.cut(edge, quota, [home for home, _ in candidates])
    prone_cut, _ = ranks.cut(prone_edge, prone.quota, [party for _, party in candidates])
    _, _, home, lacking = at_end
    partial_homes = dict(zip(home.tolist(), lacking.tolist(), strict=True))
    leases, summaries = engine.run(
        partial(_second_leases, law, cut, prone_cut, partial_homes),
        homes, parties, pieces.sources, first,
    )  # fmt: skip
    left[:, law.home.home_type] -= np.sum([sums.taken for sums in summaries], axis=0)
    return leases, np.stack([sums.stubs for sums in summaries])


class _FirstLeases(NamedTuple):
    """A piece between the first leases and the second."""

    spare: U16  # links a device still has to spare, (devices,)
    lease: U8  # 1 on lease 1, else 0; (devices,)
    open: Bools  # whether a device may take one more lease, (devices,)
    weight: I32  # devices of a home that may, (homes,)
    region: U8  # of homes with such devices, else 0; (homes,)


@kernel
def _join(devices, typical, rule, room, first):  # type: ignore[no-untyped-def]
    """Puts devices on lease 1, and lists what is open for second leases.

    Parameters
    ----------
    devices : PieceDevices
    typical : uint8 (devices,)
        As in `DeviceDraws`.
    rule : HomeRule
    room : int64 (regions,)
        Devices of the piece that may join; falls to what is not used.
    first : _FirstLeases
        Filled. `spare` falls from that of `DeviceDraws`; `weight` and `region` are zero before.
    """
    region, group, owner_type, home = (
        devices.region, devices.group, devices.owner_type, devices.home
    )  # fmt: skip
    allowed, home_type, retail = rule.allowed, rule.home_type, rule.retail
    spare, lease, is_open, weight, region_of = (
        first.spare, first.lease, first.open, first.weight, first.region
    )  # fmt: skip
    for d in range(region.size):
        # Branch-free: a branch would mispredict.
        is_typical, is_retail = typical[d] == home_type, owner_type[d] == retail
        may = (typical[d] != NONE) & allowed[group[d]]
        joins = may_join(is_retail, may, is_typical, spare[d]) & (room[region[d]] > 0)
        room[region[d]] -= joins
        spare[d] -= joins
        lease[d] = is_typical | joins
        is_open[d] = may & (spare[d] > 0) & (is_retail | (lease[d] == 0))
        weight[home[d]] += is_open[d]
        region_of[home[d]] = region[d] if is_open[d] else region_of[home[d]]


def _first_leases(
    law: DemandLaw, home_first: int, source: Source, draws: DeviceDraws, room: I64
) -> tuple[_FirstLeases, I64]:
    """Task: first leases of one piece.

    Summary: devices that may take one more lease, by region and leading digit of their home's
    rank, (regions, ranks.DIGITS).
    """
    devices = devices_of(source)
    n = draws.spare.size
    first = _FirstLeases(
        draws.spare.copy(),
        np.empty(n, np.uint8),
        np.empty(n, np.bool_),
        np.zeros(devices.homes, np.int32),
        np.zeros(devices.homes, np.uint8),
    )
    _join(devices, draws.typical, law.home, room.copy(), first)
    digits = np.zeros((law.regions, ranks.DIGITS), dtype=np.int64)
    _count_digits(law.home_rank.flat(home_first, devices.homes), first.weight, first.region, digits)
    return first, digits


@kernel
def _count_digits(rank, weight, region, digits):  # type: ignore[no-untyped-def]
    """Adds the weight of every home to digits[region, leading digit of its rank].

    rank, weight, region: uint64, int32, uint8 (homes,). digits: int64 (regions, ranks.DIGITS).
    """
    for h in range(weight.size):
        digits[region[h], rank[h] >> np.uint64(ranks.SHIFT)] += weight[h]


def _candidates(
    law: DemandLaw,
    digit: I64,
    prone_digit: I64,
    home_first: int,
    party_first: int,
    source: Source,
    first: _FirstLeases,
) -> tuple[ranks.Candidates, ranks.Candidates]:
    """Task: homes, and parties, whose rank has the digit in which their region's quota ends.

    digit, prone_digit: that digit for homes and for parties, (regions,).
    """
    rank = law.home_rank.flat(home_first, first.weight.size)
    leading = (rank >> np.uint64(ranks.SHIFT)).astype(np.int64)
    at = np.flatnonzero((first.weight > 0) & (leading == digit[first.region]))
    weight = first.weight[at].astype(np.int64)
    homes = first.region[at].astype(np.int64), rank[at], home_first + at.astype(np.int64), weight

    n, region = parties_of(source)
    rank = law.prone_rank.flat(party_first, n)
    at = np.flatnonzero((rank >> np.uint64(ranks.SHIFT)).astype(np.int64) == prone_digit[region])
    of_region = np.full(at.size, region, dtype=np.int64)
    ones = np.ones(at.size, dtype=np.int64)
    return homes, (of_region, rank[at], party_first + at.astype(np.int64), ones)


class _Chosen(NamedTuple):
    """Homes of a piece that take part in the second leases; both (homes,)."""

    whole: Bools  # with all their devices
    partly: I64  # with so many devices, if not whole


@kernel
def _take(devices, retail, is_open, chosen, spare, lease, taken):  # type: ignore[no-untyped-def]
    """Puts devices of chosen homes on one more lease.

    Parameters
    ----------
    devices : PieceDevices
    retail : int
        Party type whose devices take lease 2; those of others take lease 1.
    is_open : bool (devices,)
        Devices that may take one more.
    chosen : _Chosen
        `partly` falls to what is not used.
    spare, lease : uint16, uint8 (devices,)
        As in `Leases`; updated.
    taken : int64 (regions,)
        Grows by the links placed.
    """
    home, owner_type, region = devices.home, devices.owner_type, devices.region
    whole, partly = chosen.whole, chosen.partly
    for d in range(home.size):
        # Branch-free: a branch would mispredict.
        h = home[d]
        takes = is_open[d] & (whole[h] | (partly[h] > 0))
        partly[h] -= takes & (not whole[h])
        lease[d] |= takes * (1 + (owner_type[d] == retail))
        spare[d] -= takes
        taken[region[d]] += takes


@kernel
def _within_cut(rank, first, cell, key, position, out):  # type: ignore[no-untyped-def]
    """Whether elements first, first + 1, … of the world are within the cut of their cell.

    rank, cell, out: uint64, uint8, bool (elements,). key, position: of a `ranks.Cut`.
    """
    for i in range(out.size):
        out[i] = ranks.within(rank[i], first + i, cell[i], key, position)


@kernel
def _proxy_stubs(owner, group, allowed, prone, spare):  # type: ignore[no-untyped-def]
    """Spare links of devices that may use proxies.

    owner, group, spare: (devices,). allowed: bool (groups,). prone: bool (parties,).
    """
    stubs = 0
    for d in range(owner.size):
        stubs += spare[d] * (allowed[group[d]] & prone[owner[d]])
    return stubs


class _LeaseSums(NamedTuple):
    """Sums over the second leases of one piece; both (regions,)."""

    taken: I64  # links placed
    stubs: I64  # spare links of devices that may use proxies


def _second_leases(
    law: DemandLaw,
    cut: ranks.Cut,
    prone_cut: ranks.Cut,
    partial_homes: dict[int, int],
    home_first: int,
    party_first: int,
    source: Source,
    first: _FirstLeases,
) -> tuple[Leases, _LeaseSums]:
    """Task: second leases of one piece, and its parties that use proxies.

    partial_homes: devices that still take part of a home beyond the cut, by number of the home.
    """
    devices, n = devices_of(source), first.weight.size
    spare, lease = first.spare.copy(), first.lease.copy()
    chosen = _Chosen(np.empty(n, dtype=np.bool_), np.zeros(n, dtype=np.int64))
    rank = law.home_rank.flat(home_first, n)
    _within_cut(rank, home_first, first.region, cut.key, cut.position, chosen.whole)
    for home, lacking in partial_homes.items():
        if home_first <= home < home_first + n:
            chosen.partly[home - home_first] = lacking
    taken, stubs = (np.zeros(law.regions, dtype=np.int64) for _ in range(2))
    _take(devices, law.home.retail, first.open, chosen, spare, lease, taken)

    parties, region = parties_of(source)
    prone = np.empty(parties, dtype=np.bool_)
    rank = law.prone_rank.flat(party_first, parties)
    of_region = np.full(parties, region, dtype=np.uint8)
    _within_cut(rank, party_first, of_region, prone_cut.key, prone_cut.position, prone)
    stubs[region] = _proxy_stubs(devices.owner, devices.group, law.proxy_allowed, prone, spare)
    return Leases(spare, lease, prone, int(stubs[region])), _LeaseSums(taken, stubs)
