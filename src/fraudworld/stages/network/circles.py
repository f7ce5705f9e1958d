"""Circles: retail parties of one neighbourhood who are not one home but share things.

In an atom of parties:

1. Retail parties are shuffled. The next one that is in no circle founds one: it draws how many
   members the circle has, and whether all are of its own segment.
2. Those who follow it, and are in no circle, join until the circle is full. One with fewer than
   the least members, or whose members all live in one home, is not formed.
3. Circles are founded while the atom has room: the policy's share of its retail parties. The one
   that would exceed it is formed with the chance of its part inside, so that the expected members
   are the share.

Circles know nothing of roles. The figures are of the policy `device_linkage_rules_6A.v1`.

Twin of all kernels here: tests/reference/circles.py:make.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import ATOM
from fraudworld.engine.tasks import Engine
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import offsets
from fraudworld.kernels.discrete import category, thresholds
from fraudworld.policy import circles as policy
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, philox, registry
from fraudworld.rng.philox import Key
from fraudworld.stages.batches import Batch, Rows, ref
from fraudworld.stages.pieces import Circles, CircleShard, Parties, PartyShard
from fraudworld.stages.shuffle import shuffled

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class _KernelLaw(NamedTuple):
    """The law as `_draw` needs it."""

    order: Key  # stream of width 2: order, members
    kind: Key  # stream of width 2: whether the last one forms, whether of one segment
    retail: int  # party type of members
    share: np.uint64  # of retail parties in circles, in units of 2**-32
    alike: np.uint64  # of circles of one segment, in units of 2**-32
    smallest: int
    sizes: NDArray[np.uint64]  # thresholds of smallest, smallest + 1, … members, (1, sizes)


def draw_circles(
    pack: PolicyPack, seed: int, parties: Parties, engine: Engine
) -> tuple[Circles, tuple[StreamUse, ...]]:
    """The circles of a world; one round over shards. None where the policy has none."""
    rule = pack.device_linkage_rules.circles
    shards = len(parties.shards)
    if not rule.member_share:
        items, sums = engine.run(_no_circles, parties.items)
        nothing = np.zeros(shards + 1, dtype=np.int64)
        return Circles(items, nothing, nothing), ()
    order, kind = registry.CIRCLE.of(seed), registry.CIRCLE_KIND.of(seed)
    law = _KernelLaw(
        order.key,
        kind.key,
        pack.codes("party_type").index("RETAIL"),
        np.uint64(rule.member_share * 2.0**32),
        np.uint64(rule.one_segment_share * 2.0**32),
        rule.smallest,
        thresholds([policy.size_shares(rule)]),
    )
    items, sums = engine.run(
        partial(_of_shard, law), [s.first for s in parties.shards], parties.items
    )
    circles, members = np.array(sums, dtype=np.int64).reshape(shards, 2).T
    first, member_first = offsets.from_counts(circles), offsets.from_counts(members)
    uses = tuple(s.use("world", 0, parties.n) for s in (order, kind))
    return Circles(items, first, member_first), uses


def _no_circles(parties: PartyShard) -> tuple[CircleShard, tuple[int, int]]:
    """Task: a shard without circles."""
    of = np.full(parties.type.size, -1, dtype=np.int32)
    return CircleShard(of, np.zeros(1, dtype=np.int32), np.empty(0, dtype=np.int32)), (0, 0)


def _of_shard(
    law: _KernelLaw, first: int, parties: PartyShard
) -> tuple[CircleShard, tuple[int, int]]:
    """Task: circles of one shard, and how many circles and members there are.

    first: number in the world of the first party.
    """
    of = np.full(parties.type.size, -1, dtype=np.int32)
    circles = _draw(law, first, parties.type, parties.segment, parties.household, of)
    inside = np.flatnonzero(of >= 0)
    member = inside[np.argsort(of[inside], kind="stable")].astype(np.int32)
    start = offsets.from_counts(np.bincount(of[inside], minlength=circles)).astype(np.int32)
    return CircleShard(of, start, member), (int(circles), int(member.size))


@inlined
def _gather(order, at, wanted, alike, columns, of, circle):  # type: ignore[no-untyped-def]
    """Puts order[at] and those who follow it into a circle; returns how many, 0 if not formed.

    Parameters
    ----------
    order : int64 (members,)
        Retail parties of the atom, counted in the shard.
    at, wanted : int
    alike : bool
        Whether only parties of the founder's segment join.
    columns : (uint8 (parties,), int32 (parties,), int)
        Segment and household; least members.
    of : int32 (parties,)
        Updated.
    circle : int
        Number of the circle.
    """
    segment, household, least = columns
    founder = order[at]
    n, homes = 0, 0
    for k in range(at, order.size):
        p = order[k]
        if n < wanted and of[p] < 0 and (not alike or segment[p] == segment[founder]):
            of[p] = circle
            homes += household[p] != household[founder]
            n += 1
    if n < least or homes == 0:
        for k in range(at, order.size):
            if of[order[k]] == circle:
                of[order[k]] = -1
        return 0
    return n


@kernel
def _draw(law, first, party_type, segment, household, of):  # type: ignore[no-untyped-def]
    """Circles of a shard.

    Parameters
    ----------
    law : _KernelLaw
    first : int
        Number in the world of the first party.
    party_type, segment : uint8 (parties,)
    household : int32 (parties,)
    of : int32 (parties,)
        −1 everywhere; becomes the circle of every party, counted from 0.

    Returns
    -------
    int
        Circles.
    """
    (order_0, order_1), (kind_0, kind_1) = law.order, law.kind
    columns = segment, household, law.smallest
    order = np.empty(ATOM + 1, dtype=np.int64)
    draws = np.empty(2 * ATOM, dtype=np.uint64)
    circles = 0
    for start in range(0, party_type.size, ATOM):
        n = min(ATOM, party_type.size - start)
        philox.fill(order_0, order_1, np.uint64(2 * (first + start)), draws[: 2 * n])
        count = shuffled(party_type[start : start + n], law.retail, draws, order)
        order[:count] += start
        # Parties that may still join circles of this atom, in units of 2**-32.
        room = law.share * np.uint64(count)
        for at in range(count):
            founder = order[at]
            if of[founder] >= 0:
                continue
            size = law.smallest + category(draws[2 * (founder - start) + 1], law.sizes, 0)
            lanes = philox.pair(kind_0, kind_1, np.uint64(first + founder))
            last = np.uint64(size) << np.uint64(32) > room
            if last and (lanes[0] >> np.uint64(32)) * np.uint64(size) >= room:
                break
            alike = lanes[1] >> np.uint64(32) < law.alike
            formed = _gather(order[:count], at, size, alike, columns, of, circles)
            circles += formed > 0
            if last:
                break
            room -= np.uint64(formed) << np.uint64(32)
    return circles


def member_rows(parties: Parties, circles: Circles) -> Rows:
    """`s4_circle_members_6A`, in order of circle, then party."""
    return Rows(
        circles.member_first,
        _rows_of_shard,
        (circles.first[:-1].tolist(), [s.first for s in parties.shards], circles.items),
    )


def _rows_of_shard(first: int, party_first: int, of: CircleShard, low: int, high: int) -> Batch:
    """Rows of one shard. first, party_first: numbers in the world of its first circle and party."""
    circle = np.repeat(np.arange(of.start.size - 1, dtype=np.int32), np.diff(of.start))
    return {
        "circle_id": ref(circle[low:high], first),
        "party_id": ref(of.member[low:high], party_first),
    }
