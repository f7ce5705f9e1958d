"""Tiers: exact shares of every group, by rank over all shards.

Tiers are cut where the planned numbers of a group's entities, in order of (score, tie draw,
position), are used up. The selection is `kernels/ranks`: digits are counted when entities
are scored, the entities in the digits where a plan ends are looked at here, and from then on
an entity's tier follows from its own score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.stages.posture.score.scores import DIGIT_SHIFT, DIGITS, Score, full_key

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

UNSURE = np.uint8(255)
"""No tier: that of entities in a digit where one ends hangs on their keys."""


@dataclass(frozen=True)
class Plan:
    """How many entities of every group are in the tiers up to each but the last, and where in
    the digits these numbers end; cells are (group, tier), flat.
    """

    score: Score
    upto: I64
    ends: ranks.Edges

    @classmethod
    def of(cls, score: Score, shares: tuple[float, ...], digits: I64) -> Plan:
        """digits: entities of the world by group and leading digit, (groups, DIGITS)."""
        plan = [largest_remainder(int(n), shares) for n in digits.sum(axis=1)]
        upto = np.cumsum(plan, axis=1)[:, :-1].ravel()
        return cls(score, upto, ranks.edges(np.repeat(digits, len(shares) - 1, axis=0), upto))

    @cached_property
    def digits(self) -> I64:
        """The digits in which the tiers of every group end: (groups, ends)."""
        return self.ends.digit.reshape(self.score.groups, -1)

    @cached_property
    def matters(self) -> Bools:
        """Whether a tier of a group ends in a digit: (groups, DIGITS + 1), the last for none."""
        out = np.zeros((self.score.groups, DIGITS + 1), dtype=np.bool_)
        np.put_along_axis(out, np.where(self.digits < 0, DIGITS, self.digits), True, axis=1)
        return out

    def candidates(self, first: int, scores: U32, kind: U8, group_of: U8) -> ranks.Candidates:
        """Entities first, first + 1, … in the digits that matter, as `ranks.cut` wants them.

        An entity in whose digit two tiers end is a candidate of both.
        """
        at = np.empty(scores.size // 128 + 64, dtype=np.int64)
        n = _candidates(scores, kind, group_of, self.matters, at)
        if n > at.size:
            at = np.empty(n, dtype=np.int64)
            _candidates(scores, kind, group_of, self.matters, at)
        at = at[:n]
        keys = np.empty(at.size, dtype=np.uint64)
        _keys(*self.score.key, first, scores, at, keys)
        group, digit = group_of[kind[at]], scores[at] >> np.uint32(DIGIT_SHIFT)
        which, tier = np.nonzero(self.digits[group] == digit[:, None])
        cell = group[which].astype(np.int64) * self.digits.shape[1] + tier
        return cell, keys[which], at[which] + first, np.ones(which.size, dtype=np.int64)

    def cuts(self, found: Iterable[ranks.Candidates]) -> Tiers:
        """Where the tiers end, from the candidates of all shards."""
        cut, _ = ranks.cut(self.ends, self.upto, found)
        ends, shape = self.digits, self.digits.shape
        digit = np.arange(DIGITS)[None, :, None]
        by_digit = (digit > ends[:, None, :]).sum(axis=2).astype(np.uint8)
        by_digit[(digit == ends[:, None, :]).any(axis=2)] = UNSURE
        return Tiers(self.score.key, by_digit, cut.key.reshape(shape), cut.position.reshape(shape))


@dataclass(frozen=True)
class Tiers:
    """Per group the last (key, position) of every tier but the last."""

    noise: tuple[np.uint64, np.uint64]
    by_digit: U8  # (groups, DIGITS), UNSURE where the digit does not tell
    key: U64
    position: I64

    def __call__(self, first: int, scores: U32, kind: U8, group_of: U8) -> U8:
        """Tiers of entities first, first + 1, …"""
        out = np.empty(scores.size, dtype=np.uint8)
        _tiers(
            *self.noise, first, scores, kind, group_of, self.by_digit, self.key, self.position, out
        )
        return out


@kernel
def _candidates(scores, kind, group_of, matters, at):  # type: ignore[no-untyped-def]
    """Entities whose group and digit are among those that matter: as many as `at` holds of
    them, and how many they are.
    """
    n = 0
    for i in range(scores.size):
        if matters[group_of[kind[i]], scores[i] >> np.uint32(DIGIT_SHIFT)]:
            if n < at.size:
                at[n] = i
            n += 1
    return n


@kernel
def _keys(k0, k1, first, scores, at, out):  # type: ignore[no-untyped-def]
    for i in range(at.size):
        out[i] = full_key(k0, k1, scores[at[i]], first + at[i])


@kernel
def _ended(k0, k1, score, position, key, last):  # type: ignore[no-untyped-def]
    """How many tiers end before an entity; key, last: of its group."""
    mine = full_key(k0, k1, score, position)
    tier = 0
    for e in range(key.size):
        tier += mine > key[e] or (mine == key[e] and position > last[e])
    return tier


@kernel
def _tiers(k0, k1, first, scores, kind, group_of, by_digit, key, last, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        g = group_of[kind[i]]
        tier = by_digit[g, scores[i] >> np.uint32(DIGIT_SHIFT)]
        if tier == UNSURE:
            tier = np.uint8(_ended(k0, k1, scores[i], first + i, key[g], last[g]))
        out[i] = tier
