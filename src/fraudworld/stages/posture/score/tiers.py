"""Tiers: exact shares of every group, by rank of score over all shards.

A group is ranked by (score, tie-break, position). Its planned numbers per tier are apportioned by
largest remainder, and a tier ends where its number is used up. The selection is that of
`kernels/ranks.py`: leading digits are counted while entities are scored, entities of the digits in
which a tier ends are listed as candidates, and the cuts among them give every entity its tier from
its own score.

Twin of all kernels here: tests/reference/posture.py:tiers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import ranks
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.stages.posture.score.scores import DIGIT_SHIFT, DIGITS, Score, rank_key

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

UNDECIDED = np.uint8(255)
"""Stands for the tier of a leading digit in which a tier ends: it depends on the rank key."""


@dataclass(frozen=True)
class Plan:
    """Planned ends of the tiers of every group; cells are (group, tier but the last), flat."""

    score: Score
    quota: I64  # entities of the group up to the end of the tier, (cells,)
    edges: ranks.Edges  # digits in which the tiers end

    @classmethod
    def of(cls, score: Score, shares: tuple[float, ...], digits: I64) -> Plan:
        """The plan of a world.

        shares: of every tier. digits: entities by group and leading digit, (groups, DIGITS).
        """
        plan = [largest_remainder(int(n), shares) for n in digits.sum(axis=1)]
        quota = np.cumsum(plan, axis=1)[:, :-1].ravel()
        return cls(score, quota, ranks.edges(np.repeat(digits, len(shares) - 1, axis=0), quota))

    @cached_property
    def digits(self) -> I64:
        """Digit in which every tier but the last ends, (groups, tiers − 1); −1 if it is empty."""
        return self.edges.digit.reshape(self.score.groups, -1)

    @cached_property
    def undecided(self) -> Bools:
        """Whether a tier of the group ends in a digit: (groups, DIGITS + 1), the last unused."""
        out = np.zeros((self.score.groups, DIGITS + 1), dtype=np.bool_)
        np.put_along_axis(out, np.where(self.digits < 0, DIGITS, self.digits), True, axis=1)
        return out

    def candidates(self, first: int, scores: U32, type_: U8, group_of: U8) -> ranks.Candidates:
        """Entities in undecided digits among first, first + 1, … of the world.

        scores, type_: (entities,). group_of: group by `type_`. An entity in whose digit two tiers
        end is a candidate of both.
        """
        at = np.empty(scores.size // 128 + 64, dtype=np.int64)
        n = _list_undecided(scores, type_, group_of, self.undecided, at)
        if n > at.size:
            at = np.empty(n, dtype=np.int64)
            _list_undecided(scores, type_, group_of, self.undecided, at)
        at = at[:n]
        keys = np.empty(at.size, dtype=np.uint64)
        _rank_keys(self.score.key, first, scores, at, keys)
        group, digit = group_of[type_[at]], scores[at] >> np.uint32(DIGIT_SHIFT)
        which, tier = np.nonzero(self.digits[group] == digit[:, None])
        cell = group[which].astype(np.int64) * self.digits.shape[1] + tier
        return cell, keys[which], at[which] + first, np.ones(which.size, dtype=np.int64)

    def tiers(self, per_shard: Iterable[ranks.Candidates]) -> Tiers:
        """The tiers of the world, from the candidates of all shards."""
        cut, _ = ranks.cut(self.edges, self.quota, per_shard)
        ends, shape = self.digits, self.digits.shape
        digit = np.arange(DIGITS)[None, :, None]
        by_digit = (digit > ends[:, None, :]).sum(axis=2).astype(np.uint8)
        by_digit[(digit == ends[:, None, :]).any(axis=2)] = UNDECIDED
        return Tiers(self.score.key, by_digit, cut.key.reshape(shape), cut.position.reshape(shape))


class Tiers(NamedTuple):
    """Where the tiers of every group end."""

    score_key: tuple[np.uint64, np.uint64]  # of the stream of scores
    by_digit: U8  # tier of a leading digit or UNDECIDED, (groups, DIGITS)
    key: U64  # rank key of the last entity of every tier but the last, (groups, tiers − 1)
    position: I64  # its position in the world, (groups, tiers − 1)

    def __call__(self, first: int, scores: U32, type_: U8, group_of: U8) -> U8:
        """Tiers of entities first, first + 1, … of the world; all (entities,) but `group_of`."""
        out = np.empty(scores.size, dtype=np.uint8)
        _assign_tiers(self, first, scores, type_, group_of, out)
        return out


@kernel
def _list_undecided(scores, type_, group_of, undecided, at):  # type: ignore[no-untyped-def]
    """Lists entities in digits in which a tier ends, and returns their number.

    Parameters
    ----------
    scores, type_ : uint32, uint8 (entities,)
    group_of : uint8 (types,)
    undecided : bool (groups, DIGITS + 1)
    at : int64 (n,)
        Filled with the indices of the first n of them.
    """
    n = 0
    for i in range(scores.size):
        if undecided[group_of[type_[i]], scores[i] >> np.uint32(DIGIT_SHIFT)]:
            if n < at.size:
                at[n] = i
            n += 1
    return n


@kernel
def _rank_keys(score_key, first, scores, at, out):  # type: ignore[no-untyped-def]
    """Rank keys of some entities.

    Parameters
    ----------
    score_key : (uint64, uint64)
        Of the stream of scores.
    first : int
        Number in the world of entity 0.
    scores : uint32 (entities,)
    at : int64 (n,)
        Indices in `scores`.
    out : uint64 (n,)
        Filled.
    """
    k0, k1 = score_key
    for i in range(at.size):
        out[i] = rank_key(k0, k1, scores[at[i]], first + at[i])


@inlined
def _tier_by_key(own_key, position, key, last):  # type: ignore[no-untyped-def]
    """Number of tiers that end before an entity.

    Parameters
    ----------
    own_key, position : uint64, int64
        Of the entity.
    key, last : uint64, int64 (tiers − 1,)
        Rank key and position of the last entity of every tier of its group.
    """
    tier = 0
    for e in range(key.size):
        tier += own_key > key[e] or (own_key == key[e] and position > last[e])
    return tier


@kernel
def _assign_tiers(tiers, first, scores, type_, group_of, out):  # type: ignore[no-untyped-def]
    """Tiers of the entities of a shard.

    Parameters
    ----------
    tiers : Tiers
    first : int
        Number in the world of the first entity.
    scores, type_ : uint32, uint8 (entities,)
    group_of : uint8 (types,)
    out : uint8 (entities,)
        Filled.
    """
    k0, k1 = tiers.score_key
    by_digit, key, last = tiers.by_digit, tiers.key, tiers.position
    for i in range(out.size):
        g = group_of[type_[i]]
        tier = by_digit[g, scores[i] >> np.uint32(DIGIT_SHIFT)]
        if tier == UNDECIDED:
            own_key = rank_key(k0, k1, scores[i], first + i)
            tier = np.uint8(_tier_by_key(own_key, first + i, key[g], last[g]))
        out[i] = tier
