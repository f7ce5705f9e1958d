"""Scores: a weighted sum of an entity's features, and noise.

score = clip(base + Σ weight · feature + σ · noise, 0, 1), with features scaled to 0 … 1 and
standard normal noise. Figures are of the policies `<entity>_role_priors_6A.v1`. A score is kept
as an integer of 32 bits, and a 32-bit draw breaks ties, so no rank depends on the last bit of a
float. No score depends on a role, so all entities are scored in one round.

Twin of all kernels here: tests/reference/posture.py:tiers, and `<entity>_features` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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
"""Number of leading digits, and right shift that leaves the leading digit of a score.

A rank key has the score in its high half, so this is also the leading digit of the key.
"""

FULL_ACCOUNTS, FULL_INSTRUMENTS, FULL_USERS = 8, 6, 6
"""Accounts per party, instruments per account and users per device with a feature of 1."""


@dataclass(frozen=True)
class Score:
    """The score of one entity, from its policy."""

    entity: str
    groups: int
    base: float
    weights: tuple[tuple[str, float], ...]  # feature and weight, in order of the sum
    sigma: float  # standard deviation of the noise
    noise: Stream  # per entity: noise, then tie-break

    @classmethod
    def of(cls, pack: PolicyPack, seed: int, entity: str) -> Score:
        """The score of an entity under a policy and seed."""
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
        """Key of the stream `noise`."""
        return self.noise.key

    def signal(self, **features: F32) -> F64:
        """base + Σ weight · feature, summed in the policy's order; features broadcast."""
        signal = np.full(np.broadcast_shapes(*(f.shape for f in features.values())), self.base)
        for name, weight in self.weights:
            signal += weight * features[name]
        return signal

    def terms(self, *features: tuple[str, F32]) -> tuple[I64, F64]:
        """Summands of a signal as tables, for kernels that look them up.

        features: name and values by level. Returns, in order of the sum, the index in `features`
        of every summand, and weight · value by level, (summands, most levels).
        """
        names = [name for name, _ in features]
        order = np.array([names.index(name) for name, _ in self.weights], dtype=np.int64)
        levels = np.zeros((order.size, max(values.size for _, values in features)))
        for row, feature, (_, weight) in zip(levels, order, self.weights, strict=True):
            values = features[feature][1]
            row[: values.size] = weight * values
        return order, levels

    def score(self, first: int, signal: F64, type_: U8, group_of: U8, digits: U32) -> U32:
        """Scores of entities first, first + 1, … of the world; (entities,).

        signal, type_: (entities,). group_of: group by `type_`, (types,). digits: scores by group
        and leading digit, (groups, DIGITS); grows.
        """
        out = np.empty(signal.size, dtype=np.uint32)
        _score(self.key, first, self.sigma, signal, type_, group_of, out, digits)
        return out

    def counts(self) -> U32:
        """Zeros for the counts of scores by group and leading digit, (groups, DIGITS)."""
        return np.zeros((self.groups, DIGITS), dtype=np.uint32)


@kernel
def _score(key, first, sigma, signal, type_, group_of, out, digits):  # type: ignore[no-untyped-def]
    """Scores from signals, and their leading digits counted.

    Parameters
    ----------
    key : (uint64, uint64)
        Of a stream of width 2: noise, then tie-break (`rank_key`).
    first : int
        Number in the world of the first entity.
    sigma : float64
        Standard deviation of the noise.
    signal : float64 (entities,)
    type_ : uint8 (entities,)
    group_of : uint8 (types,)
    out : uint32 (entities,)
        Filled: score · (2**32 − 1), rounded down.
    digits : uint32 (groups, DIGITS)
        Grows.
    """
    k0, k1 = key
    draws, bits = np.empty(2 * BLOCK, dtype=np.uint64), np.empty(BLOCK, dtype=np.uint64)
    noise = np.empty(BLOCK)
    for low in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - low)
        # Loops over views that begin at 0 compile to vector instructions.
        base, types, scores = signal[low : low + n], type_[low : low + n], out[low : low + n]
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for i in range(n):
            bits[i] = draws[2 * i]
        normal.deviates(bits[:n], noise[:n])
        for i in range(n):
            score = min(max(base[i] + sigma * noise[i], 0.0), 1.0) * 4294967295.0
            scores[i] = np.uint32(np.int64(score))
        for i in range(n):
            digits[group_of[types[i]], scores[i] >> np.uint32(DIGIT_SHIFT)] += np.uint32(1)


@inlined
def rank_key(k0, k1, score, position):  # type: ignore[no-untyped-def]
    """The u64 by which an entity is ranked: score in the high half, tie-break in the low half.

    Parameters
    ----------
    k0, k1 : uint64
        Key of the stream of scores.
    score : uint32
    position : int
        Number in the world of the entity.
    """
    tie = philox.pair(k0, k1, np.uint64(position))[1]
    return np.uint64(score) << np.uint64(32) | tie >> np.uint64(32)


def party_signal(pack: PolicyPack, score: Score) -> F64:
    """Signal by segment and accounts held, (segments, FULL_ACCOUNTS + 1)."""
    profiles = [pack.segmentation_priors.profiles[s] for s in pack.codes("segment")]
    return score.signal(
        digital=np.array([[p.digital] for p in profiles], np.float32),
        cross_border=np.array([[p.cross_border] for p in profiles], np.float32),
        credit=np.array([[p.credit] for p in profiles], np.float32),
        account_count=(np.arange(FULL_ACCOUNTS + 1) / FULL_ACCOUNTS).astype(np.float32)[None, :],
    )


def instrument_flags(pack: PolicyPack) -> U8:
    """Bit mask of every instrument type: 1 card, 2 virtual card, 4 foreign bank handle."""
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
    """Signal by the code of an account's instruments, (8 · (FULL_INSTRUMENTS + 1),).

    The code is bit mask · (FULL_INSTRUMENTS + 1) + number, the number at most FULL_INSTRUMENTS
    and the mask the bits of `instrument_flags` of all its instruments.
    """
    flags = np.arange(8)[:, None]
    number = np.arange(FULL_INSTRUMENTS + 1) / float(FULL_INSTRUMENTS)
    return score.signal(
        card=(flags & 1).astype(np.float32),
        virtual_card=(flags >> 1 & 1).astype(np.float32),
        international_handle=(flags >> 2 & 1).astype(np.float32),
        instruments=number.astype(np.float32)[None, :],
    ).ravel()


def merchant_signal(pack: PolicyPack, score: Score, merchants: Merchants) -> F64:
    """Signal by risk of the class, share of outlets abroad, and rank by volume; (merchants,)."""
    risk = pack.merchant_role_priors.class_risk
    by_class = np.array([risk[c] for c in pack.codes("merchant_class")], np.float32)
    rank = np.argsort(np.argsort(merchants.weekly_volume, kind="stable"), kind="stable")
    return score.signal(
        class_risk=by_class[merchants.risk_class],
        cross_border=merchants.cross_border.astype(np.float32),
        size=(rank / max(merchants.n - 1, 1)).astype(np.float32),
    )


def _log_scale(top: int) -> F32:
    """log(1 + v) / log(1 + top) for v = 0 … top."""
    table = np.array([normal.log(1.0 + v) for v in range(top + 1)])
    scaled: F32 = (table / table[-1]).astype(np.float32)
    return scaled


class DeviceSignal(NamedTuple):
    """Signal of devices by anonymiser, users, degree of the busiest endpoint, and type."""

    base: float
    order: I64  # feature of every summand: 0 anonymiser, 1 users, 2 degree, 3 type; (summands,)
    terms: F64  # weight · value, (summands, levels)

    @classmethod
    def of(cls, pack: PolicyPack, score: Score) -> DeviceSignal:
        """The signal of a policy."""
        risk = pack.device_role_priors.type_risk
        users = np.maximum(np.arange(FULL_USERS + 1, dtype=np.float32) - 1, 0) / 5.0
        return cls(
            score.base,
            *score.terms(
                ("anonymiser", np.array([0, 1], np.float32)),
                ("users", users.clip(0, 1).astype(np.float32)),
                ("ip_degree", _log_scale(pack.ip_count_priors.degree_cap)),
                ("type_risk", np.array([risk[t] for t in pack.codes("device_type")], np.float32)),
            ),
        )

    def __call__(self, context: NDArray[np.unsignedinteger], users: U8, type_: U8) -> F64:
        """Signals; all (devices,).

        context: degree of the busiest endpoint · 2 + whether an endpoint is an anonymiser. users:
        at most FULL_USERS.
        """
        out = np.empty(type_.size)
        _device_signal(self, context, users, type_, out)
        return out


@kernel
def _device_signal(law, context, users, type_, out):  # type: ignore[no-untyped-def]
    """Signals of devices.

    Parameters
    ----------
    law : DeviceSignal
    context : unsigned integer (devices,)
        Degree of the busiest endpoint · 2 + whether an endpoint is an anonymiser.
    users, type_ : uint8 (devices,)
    out : float64 (devices,)
        Filled.
    """
    base, order, terms = law.base, law.order, law.terms
    for i in range(out.size):
        signal = base
        c = np.int64(context[i])
        levels = (c & 1, np.int64(users[i]), c >> 1, np.int64(type_[i]))
        for j in range(order.size):
            signal += terms[j, levels[order[j]]]
        out[i] = signal


class IpSignal(NamedTuple):
    """Signal of endpoints by churn, degree, type, and owners of their devices.

    Churn is the share of links whose device has its typical endpoint elsewhere.
    """

    base: float
    order: I64  # feature of every summand: 0 churn, 1 degree, 2 type, 3 owners; (summands,)
    terms: F64  # weight · value, (summands, levels); of churn the weight

    @classmethod
    def of(cls, pack: PolicyPack, score: Score) -> IpSignal:
        """The signal of a policy."""
        risk, top = pack.ip_role_priors.type_risk, pack.ip_count_priors.degree_cap
        return cls(
            score.base,
            *score.terms(
                ("churn", np.ones(1, np.float32)),
                ("degree", _log_scale(top)),
                ("type_risk", np.array([risk[t] for t in pack.codes("ip_type")], np.float32)),
                ("parties", _log_scale(top)),
            ),
        )

    def __call__(self, top: int, start: I64, type_: U8, untypical: U32, owners: U32) -> F64:
        """Signals; all (endpoints,) but `start`.

        top: degree and number of owners with a feature of 1. start: first link of every endpoint,
        (endpoints + 1,). untypical: links to devices with another typical endpoint.
        """
        out = np.empty(type_.size)
        _ip_signal(self, top, start, type_, untypical, owners, out)
        return out


@kernel
def _ip_signal(law, top, start, type_, untypical, owners, out):  # type: ignore[no-untyped-def]
    """Signals of endpoints.

    Parameters
    ----------
    law : IpSignal
    top : int
        Degree and number of owners with a feature of 1.
    start : int64 (endpoints + 1,)
        First link of every endpoint.
    type_ : uint8 (endpoints,)
    untypical, owners : uint32 (endpoints,)
        Links to devices with another typical endpoint, and owners of the devices.
    out : float64 (endpoints,)
        Filled.
    """
    base, order, terms = law.base, law.order, law.terms
    for i in range(out.size):
        signal = base
        degree = start[i + 1] - start[i]
        levels = (0, min(degree, top), np.int64(type_[i]), min(np.int64(owners[i]), top))
        for j in range(order.size):
            term = terms[j, levels[order[j]]]
            if order[j] == 0:
                # Single precision, as all features are.
                share = np.float32(np.float64(untypical[i]) / np.float64(max(degree, 1)))
                term = np.float64(np.float32(term) * share)
            signal += term
        out[i] = signal
