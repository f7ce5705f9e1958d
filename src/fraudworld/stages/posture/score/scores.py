"""Scores: features of an entity, and noise of its own.

A score is clip(base + Σ weight · feature + noise, 0, 1) with features scaled to 0 … 1. It is
compared as an integer of 32 bits, and a draw of 32 bits breaks ties, so a rank never hangs on
the last bit of a float. Nothing here reads a role, so all entities can be scored at the same
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrays import Merchants
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal, ranks
from fraudworld.policy.models import RolePriors
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, philox, registry
from fraudworld.stages.posture.score.groups import GROUPS

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

BLOCK = 512
"""Entities whose noise is held at once."""

DIGITS, DIGIT_SHIFT = ranks.DIGITS, ranks.SHIFT - 32
"""Leading digits of a score, which are counted, and the bits right of them."""

ACCOUNTS, CARRIED, USERS = 8, 6, 6
"""Full scale of accounts per party, instruments per account, users per device."""


@dataclass(frozen=True)
class Score:
    """The score of one kind of entity."""

    entity: str
    groups: int
    base: float
    weights: tuple[tuple[str, float], ...]
    sigma: float
    noise: Stream  # a row is an entity: its noise, then what breaks ties

    @classmethod
    def of(cls, pack: PolicyPack, seed: int, entity: str) -> Score:
        """The policy's score of an entity."""
        priors: RolePriors = getattr(pack, f"{entity}_role_priors")
        return cls(
            entity,
            len(pack.codes(GROUPS[entity])),
            priors.score.base,
            tuple(priors.score.weights.items()),
            priors.score.noise_sigma,
            registry.SCORES[entity].of(seed),
        )

    @cached_property
    def key(self) -> tuple[np.uint64, np.uint64]:
        """Key of the noise."""
        return self.noise.key

    def signal(self, **features: F32) -> F64:
        """base + Σ weight · feature; features broadcast. The order of the sum is the policy's."""
        signal = np.full(np.broadcast_shapes(*(f.shape for f in features.values())), self.base)
        for name, weight in self.weights:
            signal += weight * features[name]
        return signal

    def terms(self, *axes: tuple[str, F32]) -> tuple[I64, F64]:
        """For signals that are summed one by one: which of `axes` each summand belongs to, and
        its values by level, shape (summands, most levels).
        """
        names = [name for name, _ in axes]
        order = np.array([names.index(name) for name, _ in self.weights], dtype=np.int64)
        levels = np.zeros((order.size, max(values.size for _, values in axes)))
        for row, axis, (_, weight) in zip(levels, order, self.weights, strict=True):
            values = axes[axis][1]
            row[: values.size] = weight * values
        return order, levels

    def score(
        self, first: int, signal: F64, kind: U8, group_of: U8, digits: NDArray[np.uint32]
    ) -> U32:
        """Scores of entities first, first + 1, …; their digits are counted by group.

        group_of: group of every `kind`; digits: (groups, DIGITS).
        """
        out = np.empty(signal.size, dtype=np.uint32)
        _score(*self.key, first, self.sigma, signal, kind, group_of, out, digits)
        return out

    def counts(self) -> NDArray[np.uint32]:
        """No digit counted yet."""
        return np.zeros((self.groups, DIGITS), dtype=np.uint32)


@kernel
def _score(k0, k1, first, sigma, signal, kind, group_of, out, digits):  # type: ignore[no-untyped-def]
    draws, bits = np.empty(2 * BLOCK, dtype=np.uint64), np.empty(BLOCK, dtype=np.uint64)
    noise = np.empty(BLOCK)
    for low in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - low)
        # Counted from 0 in arrays of their own, loops compile to vector instructions.
        base, kinds, scores = signal[low : low + n], kind[low : low + n], out[low : low + n]
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for i in range(n):
            bits[i] = draws[2 * i]
        normal.deviates(bits[:n], noise[:n])
        for i in range(n):
            score = min(max(base[i] + sigma * noise[i], 0.0), 1.0) * 4294967295.0
            scores[i] = np.uint32(np.int64(score))
        for i in range(n):
            digits[group_of[kinds[i]], scores[i] >> np.uint32(DIGIT_SHIFT)] += np.uint32(1)


@inlined
def full_key(k0, k1, score, position):  # type: ignore[no-untyped-def]
    """What an entity is ranked by: the score in the high half, a tie draw in the low half."""
    tie = philox.pair(k0, k1, np.uint64(position))[1]
    return np.uint64(score) << np.uint64(32) | tie >> np.uint64(32)


def party_signal(pack: PolicyPack, score: Score) -> F64:
    """By profile of the segment, and accounts held: shape (segments, ACCOUNTS + 1)."""
    profiles = [pack.segmentation_priors.profiles[s] for s in pack.codes("segment")]
    return score.signal(
        digital=np.array([[p.digital] for p in profiles], np.float32),
        cross_border=np.array([[p.cross_border] for p in profiles], np.float32),
        credit=np.array([[p.credit] for p in profiles], np.float32),
        account_count=(np.arange(ACCOUNTS + 1) / ACCOUNTS).astype(np.float32)[None, :],
    )


def instrument_flags(pack: PolicyPack) -> U8:
    """Bits of every instrument type: 1 a card, 2 a virtual card, 4 a foreign handle."""
    declared = [pack.instrument_taxonomy.instrument_types[k] for k in pack.codes("instrument_type")]
    return np.array(
        [
            (d.family == "CARD")
            + 2 * (d.family == "CARD" and d.form == "VIRTUAL")
            + 4 * (d.family == "BANK_INTERNATIONAL")
            for d in declared
        ],
        dtype=np.uint8,
    )


def account_signal(score: Score) -> F64:
    """By what sits on the account: flags of its instruments · (CARRIED + 1) + how many."""
    flags = np.arange(8)[:, None]
    return score.signal(
        card=(flags & 1).astype(np.float32),
        virtual_card=(flags >> 1 & 1).astype(np.float32),
        international_handle=(flags >> 2 & 1).astype(np.float32),
        instruments=(np.arange(CARRIED + 1) / float(CARRIED)).astype(np.float32)[None, :],
    ).ravel()


def merchant_signal(pack: PolicyPack, score: Score, merchants: Merchants) -> F64:
    """By the risk of the class, trade across borders, and the place by volume."""
    risk = pack.merchant_role_priors.class_risk
    by_class = np.array([risk[c] for c in pack.codes("merchant_class")], np.float32)
    order = np.argsort(np.argsort(merchants.weekly_volume, kind="stable"), kind="stable")
    return score.signal(
        class_risk=by_class[merchants.risk_class],
        cross_border=merchants.cross_border.astype(np.float32),
        size=(order / max(merchants.n - 1, 1)).astype(np.float32),
    )


def _log_scale(top: int) -> F32:
    """log(1 + v) / log(1 + top) of v = 0 … top."""
    table = np.array([normal.log(1.0 + v) for v in range(top + 1)])
    scaled: F32 = (table / table[-1]).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class DeviceSignal:
    """By whether it hides behind proxies or hosting; users; its busiest endpoint; its type."""

    base: float
    order: I64
    terms: F64

    @classmethod
    def of(cls, pack: PolicyPack, score: Score) -> DeviceSignal:
        """The policy's."""
        weight = pack.device_role_priors.type_risk
        users = np.maximum(np.arange(USERS + 1, dtype=np.float32) - 1, 0) / 5.0
        return cls(
            score.base,
            *score.terms(
                ("anonymiser", np.array([0, 1], np.float32)),
                ("users", users.clip(0, 1).astype(np.float32)),
                ("ip_degree", _log_scale(pack.ip_count_priors.degree_cap)),
                ("type_risk", np.array([weight[t] for t in pack.codes("device_type")], np.float32)),
            ),
        )

    def __call__(self, context: NDArray[np.unsignedinteger], users: U8, kind: U8) -> F64:
        """context: busiest endpoint · 2 + whether anonymous; users as many as USERS at most."""
        out = np.empty(kind.size)
        _device_signal(self.base, self.order, self.terms, context, users, kind, out)
        return out


@kernel
def _device_signal(base, order, terms, context, users, kind, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        signal = base
        seen = np.int64(context[i])
        levels = (seen & 1, np.int64(users[i]), seen >> 1, np.int64(kind[i]))
        for j in range(order.size):
            signal += terms[j, levels[order[j]]]
        out[i] = signal


@dataclass(frozen=True)
class IpSignal:
    """By how many devices, what kind of place, how much of it passes by, how many owners."""

    base: float
    order: I64
    terms: F64

    @classmethod
    def of(cls, pack: PolicyPack, score: Score) -> IpSignal:
        """The policy's; of what passes by only the weight is known beforehand."""
        weight, top = pack.ip_role_priors.type_risk, pack.ip_count_priors.degree_cap
        return cls(
            score.base,
            *score.terms(
                ("churn", np.ones(1, np.float32)),
                ("degree", _log_scale(top)),
                ("type_risk", np.array([weight[t] for t in pack.codes("ip_type")], np.float32)),
                ("parties", _log_scale(top)),
            ),
        )

    def __call__(self, top: int, start: I64, kind: U8, passing: U32, parties: U32) -> F64:
        """start: first link of every endpoint; passing: links that pass by; parties: owners.

        Degree and owners have their full scale at `top`.
        """
        out = np.empty(kind.size)
        _ip_signal(self.base, self.order, self.terms, top, start, kind, passing, parties, out)
        return out


@kernel
def _ip_signal(base, order, terms, top, start, kind, passing, parties, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        signal = base
        degree = start[i + 1] - start[i]
        levels = (0, min(degree, top), np.int64(kind[i]), min(np.int64(parties[i]), top))
        for j in range(order.size):
            term = terms[j, levels[order[j]]]
            if order[j] == 0:
                share = np.float32(np.float64(passing[i]) / np.float64(max(degree, 1)))
                term = np.float64(np.float32(term) * share)
            signal += term
        out[i] = signal
