"""Which devices are shared: an exact share of every region and group, by rank of a draw.

Only devices whose owner has company can be shared: other parties of the household or the circle
for retail, of the business group for firms (docs/decisions/0001-firms-share-business-devices.md).

Twin of all kernels here: tests/reference/devices.py:chosen_to_share.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import ranks
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream
from fraudworld.stages.pieces import (
    Circles,
    CircleShard,
    Devices,
    DeviceShard,
    Parties,
    PartyShard,
)

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Units(NamedTuple):
    """Households and firms of a shard, or a party alone: those who may share a device."""

    of: I32  # unit of a party, (parties,)
    start: I32  # first member of every unit, (units + 1,)
    member: I32  # parties, in order of unit, (parties,)


class Company(NamedTuple):
    """With whom the parties of a shard may share devices."""

    units: Units
    circles: Units  # circle of a party, −1 for none, and members of circles


def company_of(parties: PartyShard, circles: CircleShard) -> Company:
    """The units and circles of a shard."""
    units = Units(*_units(parties.household, parties.business_group))
    return Company(units, Units(circles.of, circles.start, circles.member))


@kernel
def _units(household, business_group):  # type: ignore[no-untyped-def]
    """`of`, `start` and `member` of `Units`.

    household, business_group: int32 (parties,), negative for none.
    """
    n = household.size
    homes, firms = household.max() + 1 if n else 0, business_group.max() + 1 if n else 0
    unit = np.empty(n, dtype=np.int32)
    units = homes + firms
    for p in range(n):
        if household[p] >= 0:
            unit[p] = household[p]
        elif business_group[p] >= 0:
            unit[p] = homes + business_group[p]
        else:
            unit[p] = units
            units += 1
    start = np.zeros(units + 2, dtype=np.int32)
    for p in range(n):
        start[unit[p] + 2] += 1
    for u in range(units):
        start[u + 2] += start[u + 1]
    member = np.empty(n, dtype=np.int32)
    for p in range(n):  # start[u + 1] moves from the first member of u to that of u + 1
        member[start[unit[p] + 1]] = p
        start[unit[p] + 1] += 1
    return unit, start[: units + 1], member


@inlined
def has_company(company, party):  # type: ignore[no-untyped-def]
    """Whether a party is in a unit of several, or in a circle; company: Company."""
    (unit, start, _), (circle, _, _) = company
    u = unit[party]
    return (start[u + 1] - start[u] > 1) | (circle[party] >= 0)


@kernel
def _count(owner, group, rank, company, sizes, digits):  # type: ignore[no-untyped-def]
    """Counts devices per group, and those whose owner has company by digit of their rank.

    Parameters
    ----------
    owner, group, rank : uint32, uint8, uint64 (devices,)
    company : Company
    sizes : int64 (groups,)
        Grows: all devices.
    digits : int64 (groups, ranks.DIGITS)
        Grows: devices that may be shared, by leading digit of their rank.
    """
    for d in range(owner.size):
        sizes[group[d]] += 1
        if has_company(company, owner[d]):
            digits[group[d], rank[d] >> np.uint64(ranks.SHIFT)] += 1


@kernel
def _at_edge(owner, group, rank, company, digit, out):  # type: ignore[no-untyped-def]
    """Lists devices whose rank has the digit in which their group's quota ends.

    Parameters
    ----------
    owner, group, rank : uint32, uint8, uint64 (devices,)
    company : Company
    digit : int64 (groups,)
    out : int32 (devices,)
        Filled as far as needed. Only devices whose owner has company.

    Returns
    -------
    int
        Devices listed.
    """
    n = 0
    for d in range(owner.size):
        at_edge = np.int64(rank[d] >> np.uint64(ranks.SHIFT)) == digit[group[d]]
        if at_edge and has_company(company, owner[d]):
            out[n] = d
            n += 1
    return n


class Shared(NamedTuple):
    """Which devices are to be shared."""

    cut: ranks.Cut  # the last one of a region and group; fields are (regions, groups)
    wanted: int  # devices to be shared
    sizes: list[I64]  # devices of every shard, (groups,)


def choose_shared(
    pack: PolicyPack,
    rank: Stream,
    parties: Parties,
    circles: Circles,
    devices: Devices,
    engine: Engine,
) -> Shared:
    """The devices to be shared. rank: stream of width 1, by number of the device."""
    regions, groups = len(pack.codes("region")), pack.codes("device_group")
    n_groups = len(groups)
    first = devices.first[:-1].tolist()
    counted = engine.collect(
        partial(_digits, rank, n_groups), first, parties.items, circles.items, devices.items
    )
    sizes = np.zeros((regions, n_groups), dtype=np.int64)
    digits = np.zeros((regions, n_groups, ranks.DIGITS), dtype=np.int64)
    for region, (of_group, of_digit) in zip(parties.region, counted, strict=True):
        sizes[region] += of_group
        digits[region] += of_digit
    share = np.zeros(n_groups)
    for name, rule in pack.device_linkage_rules.sharing.items():
        share[groups.index(name)] = rule.share
    quota = np.floor(sizes * share + 0.5).astype(np.int64)
    edge = ranks.edges(digits.reshape(-1, ranks.DIGITS), quota.ravel())
    digit = edge.digit.reshape(quota.shape)
    candidates = engine.collect(
        partial(_candidates, rank, n_groups), first, parties.region.tolist(), digit[parties.region],
        parties.items, circles.items, devices.items,
    )  # fmt: skip
    last, _ = ranks.cut(edge, quota.ravel(), candidates)
    cut = ranks.Cut(last.key.reshape(quota.shape), last.position.reshape(quota.shape))
    return Shared(cut, int(quota.sum()), [of_group for of_group, _ in counted])


def _digits(
    stream: Stream,
    n_groups: int,
    first: int,
    parties: PartyShard,
    circles: CircleShard,
    devices: DeviceShard,
) -> tuple[I64, I64]:
    """Task: `sizes` and `digits` of `_count` for one shard."""
    sizes = np.zeros(n_groups, dtype=np.int64)
    digits = np.zeros((n_groups, ranks.DIGITS), dtype=np.int64)
    rank = stream.flat(first, devices.owner.size)
    _count(devices.owner, devices.group, rank, company_of(parties, circles), sizes, digits)
    return sizes, digits


def _candidates(
    stream: Stream,
    n_groups: int,
    first: int,
    region: int,
    digit: I64,
    parties: PartyShard,
    circles: CircleShard,
    devices: DeviceShard,
) -> ranks.Candidates:
    """Task: devices of one shard near the end of their group's quota. digit: (groups,)."""
    rank = stream.flat(first, devices.owner.size)
    at = np.empty(devices.owner.size, dtype=np.int32)
    company = company_of(parties, circles)
    at = at[: _at_edge(devices.owner, devices.group, rank, company, digit, at)]
    cell = region * n_groups + devices.group[at].astype(np.int64)
    return cell, rank[at], first + at.astype(np.int64), np.ones(at.size, dtype=np.int64)
