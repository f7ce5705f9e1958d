"""Every risky circle of some size has an organiser, as long as its country has one to give.

A circle is *wanting* if its band is not 0, it has the policy's least members, and none of them is
an ORGANISER. Circles take turns by number. A circle's members are tried in rank: risky ones first,
then by draw. The first for whose (group, tier) the country still has an organiser outside of all
circles of a band changes roles with it; organisers are taken in rank of a draw. Both parties are of
one group and tier, so no share of roles moves.

Twin: tests/reference/frailty.py:with_organisers.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry
from fraudworld.stages.pieces import CircleShard
from fraudworld.stages.posture.role.roles import RoleShard

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

ORGANISER = "ORGANISER"


class Listed(NamedTuple):
    """Parties that may change roles, all (n,)."""

    circle: I64  # number in the world of the wanting circle, −1 for an organiser to give
    party: I64  # number in the world
    cell: I64  # group · tiers + tier
    raw: U8  # role
    key: U64  # rank


class Changes(NamedTuple):
    """New roles of parties of one shard."""

    party: I64  # counted from 0 in the shard
    raw: U8


_NONE = np.empty(0, dtype=np.int64)
NOBODY = Listed(_NONE, _NONE, _NONE, _NONE.astype(np.uint8), _NONE.astype(np.uint64))


class Rule(NamedTuple):
    """What a circle needs, and by which rank parties change places."""

    least: int  # members of a circle that needs an organiser
    organiser: int  # raw role
    clean: int  # raw role without risk
    rank: Stream  # of parties, of width 1

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> Rule:
        """The rule of a policy and seed."""
        roles = pack.codes("party_raw_role")
        least = pack.risk_propagation_coeffs.frailty.organiser_min_members
        clean = roles.index(pack.party_role_priors.remainder["RETAIL"])
        return cls(least, roles.index(ORGANISER), clean, registry.ORGANISER_RANK.of(seed))


def list_parties(
    rule: Rule,
    circles: CircleShard,
    band: U8,
    roles: RoleShard,
    cell: I64,
    numbers: tuple[int, int],
) -> tuple[Listed, int]:
    """Members of wanting circles of a shard, and its organisers outside of circles of a band.

    band: of every circle, (circles,). cell: group · tiers + tier of every party, (parties,).
    numbers: of the first circle and the first party in the world. Also returns how many circles
    need an organiser.
    """
    is_organiser = roles.raw == rule.organiser
    members = np.diff(circles.start)
    with_one = np.zeros(members.size, dtype=np.bool_)
    with_one[circles.of[is_organiser & (circles.of >= 0)]] = True
    needs = (band > 0) & (members >= rule.least)
    wanting = circles.member[np.repeat(needs & ~with_one, members)]
    # The last element is that of parties in no circle, whose circle is −1.
    in_band = np.append(band > 0, False)[circles.of]
    to_give = np.flatnonzero(is_organiser & ~in_band)
    party = np.concatenate([wanting, to_give]).astype(np.int64)
    circle = np.append(circles.of[wanting] + numbers[0], np.full(to_give.size, -1))
    number = party + numbers[1]
    listed = Listed(circle, number, cell[party], roles.raw[party], rule.rank.at(number))
    return listed, int(np.count_nonzero(needs))


def exchange(listed: Iterable[Listed], clean: int) -> tuple[dict[int, int], int]:
    """New roles of parties of one country, and how many circles stay without an organiser.

    clean: the raw role that is no risk. Returns party → raw role.
    """
    rows = [
        row for part in listed for row in zip(*(column.tolist() for column in part), strict=True)
    ]
    spare: dict[int, list[tuple[int, int, int]]] = {}
    for circle, party, cell, raw, key in rows:
        if circle < 0:
            spare.setdefault(cell, []).append((key, party, raw))
    for of_cell in spare.values():
        of_cell.sort(reverse=True)  # taken from the end
    members = sorted(
        (circle, raw == clean, key, party, cell, raw)
        for circle, party, cell, raw, key in rows
        if circle >= 0
    )
    changes: dict[int, int] = {}
    without = 0
    for _, of_circle in groupby(members, key=lambda member: member[0]):
        able = next(((m[3], m[4], m[5]) for m in of_circle if spare.get(m[4])), None)
        if able is None:
            without += 1
            continue
        party, cell, raw = able
        _, giver, role = spare[cell].pop()
        changes[party], changes[giver] = role, raw
    return changes, without
