"""Roles: drawn from the policy's shares, with risk propagated along ownership and links.

A tier informs a role and does not decide it: the policy has a share for every (group, tier, role).
Before the draw the log-odds of being risky are raised where the owner, or a linked device, is
risky. The intercept of every stratum is solved anew, so that its expected shares stay those of the
policy (kernels/propagate.py). Policies that propagate by pair of roles have another law for what
parties own (pairs.py).

A *stratum* is (group, tier, …) with the classes of exposure last. Shards count their entities per
stratum, the laws are solved over the world, and shards draw. Figures are of the policies
`<entity>_role_priors_6A.v1` and `risk_propagation_coeffs_6A.v1`.

Twin of all kernels here: tests/reference/posture.py:draw_roles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.jit import kernel
from fraudworld.kernels.discrete import category
from fraudworld.kernels.propagate import (
    exposed_probabilities,
    implied_odds_ratio,
    intercept,
    sigmoid,
    solve_uplift,
)
from fraudworld.policy.models import RolePriors
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, philox, registry
from fraudworld.stages.posture.score.groups import GROUPS
from fraudworld.stages.posture.score.moments import correlation

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
Strata = NDArray[np.unsignedinteger]
"""Strata of entities, in the narrowest type that holds them; (entities,)."""

HIGH_RISK_IP = "HIGH_RISK_IP"
"""The role of endpoints that devices and sharing raise."""


@dataclass(frozen=True)
class RoleShard:
    """Posture of an entity in one shard; all (entities,)."""

    raw: U8  # codes("<entity>_raw_role")
    family: U8  # codes("<entity>_family")
    tier: U8  # position in the policy's `risk_tiers`


@dataclass(frozen=True)
class RoleTable:
    """Shares of an entity's roles."""

    roles: tuple[str, ...]  # codes("<entity>_raw_role")
    shares: F64  # (groups, tiers, roles), rows sum to 1
    remainder: I64  # role that has what the others leave, (groups,)


def role_table(pack: PolicyPack, entity: str) -> RoleTable:
    """The policy's shares of an entity's roles, groups in order of codes.

    Raises InputError `6A.S5.TAXONOMY_COMPATIBILITY_FAILED` if a group has no shares.
    """
    priors: RolePriors = getattr(pack, f"{entity}_role_priors")
    groups, roles = pack.codes(GROUPS[entity]), pack.codes(f"{entity}_raw_role")
    shares = np.zeros((len(groups), len(pack.fraud_role_taxonomy.risk_tiers), len(roles)))
    remainder = np.zeros(len(groups), dtype=np.int64)
    for g, group in enumerate(groups):
        if group not in priors.roles:
            raise InputError(
                "6A.S5.TAXONOMY_COMPATIBILITY_FAILED",
                f"{entity} group {group} has no role shares",
                where=f"{entity}_role_priors_6A.v1.yaml: roles",
                remedy=f"add roles.{group} (an empty mapping makes the group clean)",
            )
        remainder[g] = roles.index(priors.remainder[group])
        for role, per_10_000 in priors.roles[group].items():
            shares[g, :, roles.index(role)] = np.array(per_10_000) / 10_000
        shares[g, :, remainder[g]] = 1.0 - shares[g].sum(axis=1)
    return RoleTable(roles, shares, remainder)


def risky_roles(pack: PolicyPack, entity: str) -> Bools:
    """Whether the canonical family of a raw role is not the clean one; (raw roles,)."""
    vocabulary = pack.fraud_role_taxonomy.entities[entity]
    roles = pack.codes(f"{entity}_raw_role")
    return np.array([vocabulary.mapping[r] != vocabulary.clean_family for r in roles])


def owner_classes(pack: PolicyPack) -> int:
    """Classes of owners: the party types, then none."""
    return len(pack.codes("party_type")) + 1


class _KernelLaw(NamedTuple):
    """The law of an entity's roles as `_draw_roles` needs it."""

    key: tuple[np.uint64, np.uint64]  # of the stream of roles
    cuts: U64  # thresholds, (strata, roles)
    order: U8  # role of every threshold, (strata, roles)
    tier_of: U8  # (strata,)
    family_of: U8  # (roles,)


@dataclass(frozen=True)
class RoleLaw:
    """The law of an entity's roles, by stratum."""

    stream: Stream
    kernel: _KernelLaw

    def __call__(self, first: int, stratum: Strata) -> tuple[RoleShard, I64]:
        """Roles of entities first, first + 1, … of the world, and their counts.

        stratum: (entities,). The counts are by stratum and role, (strata, roles).
        """
        shard = RoleShard(*(np.empty(stratum.size, dtype=np.uint8) for _ in range(3)))
        counts = np.zeros(self.kernel.cuts.shape, dtype=np.int64)
        columns = shard.raw, shard.family, shard.tier
        _draw_roles(self.kernel, first, stratum, columns, counts)
        return shard, counts

    def changed(self, drawn: RoleShard, at: I64, raw: U8) -> RoleShard:
        """The roles with raw roles `raw` at the entities `at` of the shard."""
        if not at.size:
            return drawn
        of_raw, of_family = drawn.raw.copy(), drawn.family.copy()
        of_raw[at], of_family[at] = raw, self.kernel.family_of[raw]
        return RoleShard(of_raw, of_family, drawn.tier)


@kernel
def _draw_roles(law, first, stratum, columns, counts):  # type: ignore[no-untyped-def]
    """Role of every entity, by one draw.

    Parameters
    ----------
    law : _KernelLaw
    first : int
        Number in the world of the first entity.
    stratum : unsigned integer (entities,)
    columns : three times uint8 (entities,)
        Filled: raw role, family, tier.
    counts : int64 (strata, roles)
        Grows.
    """
    k0, k1 = law.key
    cuts, order, tier_of, family_of = law.cuts, law.order, law.tier_of, law.family_of
    raw, family, tier = columns
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, raw.size, philox.MANY):
        n = min(philox.MANY, raw.size - low)
        philox.fill(k0, k1, np.uint64(first + low), draws[:n])
        for j in range(n):
            i = low + j
            c = stratum[i]
            r = order[c, category(draws[j], cuts, c)]
            raw[i] = r
            family[i] = family_of[r]
            tier[i] = tier_of[c]
            counts[c, r] += 1


def _focused_law(
    pack: PolicyPack, seed: int, entity: str, table: RoleTable, probability: F64, focus: Bools
) -> RoleLaw:
    """The law with a given probability of the roles in focus.

    probability: of any role in focus, by (group, tier, …) flat, (strata,). focus: roles whose
    odds propagation raises, (groups, roles). Inside and outside of the focus, roles keep their
    proportions.
    """
    n_groups, n_tiers, _ = table.shares.shape
    cells = probability.reshape(n_groups, n_tiers, -1, 1)
    shares = [
        _focused_shares(table.shares[g, t], focus[g], cells[g, t])
        for g, t in np.ndindex(n_groups, n_tiers)
    ]
    return role_law(pack, seed, entity, table, np.concatenate(shares), focus)


def role_law(
    pack: PolicyPack, seed: int, entity: str, table: RoleTable, shares: F64, focus: Bools
) -> RoleLaw:
    """The law with given shares of roles.

    shares: by (group, tier, …) flat, (strata, roles), rows sum to 1. focus: roles whose odds
    propagation raises, (groups, roles).
    """
    n_groups, n_tiers, n_roles = table.shares.shape
    per_cell = len(shares) // (n_groups * n_tiers)
    cuts = np.zeros(shares.shape, dtype=np.uint64)
    order = np.zeros(shares.shape, dtype=np.uint8)
    for c in range(n_groups * n_tiers):
        g = c // n_tiers
        strata = slice(c * per_cell, (c + 1) * per_cell)
        # Roles in focus come first: a higher probability only adds to the draws that select them.
        sequence = np.concatenate([np.flatnonzero(focus[g]), np.flatnonzero(~focus[g])])
        share, order[strata] = shares[strata][:, sequence], sequence
        running = np.minimum(np.cumsum(share, axis=1), 1.0)
        cuts[strata] = (running * 2.0**63).astype(np.uint64)
        # Closed at the last role that can occur, as in `discrete.thresholds`.
        last = n_roles - 1 - np.argmax(share[:, ::-1] > 0, axis=1)
        cuts[strata][np.arange(n_roles) >= last[:, None]] = np.uint64(2**63)
    stream = registry.ROLES[entity].of(seed)
    tier_of = (np.arange(len(shares)) // per_cell % n_tiers).astype(np.uint8)
    return RoleLaw(
        stream, _KernelLaw(stream.key, cuts, order, tier_of, _family_of(pack, entity, table.roles))
    )


def _focused_shares(shares: F64, focus: Bools, probability: F64) -> F64:
    """Shares of roles per stratum of one (group, tier), (strata, roles).

    shares: of the policy, (roles,). focus: (roles,). probability: of the focus, (strata, 1).
    """
    out = np.tile(shares, (len(probability), 1))
    inside = shares[focus].sum()
    if inside > 0:
        out[:, focus] = shares[focus] / inside * probability
        outside = shares[~focus].sum()
        if outside > 0:
            out[:, ~focus] = shares[~focus] / outside * (1.0 - probability)
    return out


def _family_of(pack: PolicyPack, entity: str, roles: tuple[str, ...]) -> U8:
    """Canonical family of every raw role, position in codes("<entity>_family")."""
    mapping = pack.fraud_role_taxonomy.entities[entity].mapping
    families = pack.codes(f"{entity}_family")
    # The published baseline maps no roles of devices and endpoints.
    unmapped = pack.risk_propagation_coeffs.role_mapping == "none" and entity in ("device", "ip")
    names = ["UNMAPPED" if unmapped else mapping[r] for r in roles]
    return np.array([families.index(name) for name in names], dtype=np.uint8)


def off_remainder(table: RoleTable) -> tuple[Bools, F64]:
    """All roles but the remainders as focus, (groups, roles), and their probability, (cells,)."""
    focus = np.ones(table.shares.shape[::2], dtype=np.bool_)
    focus[np.arange(len(focus)), table.remainder] = False
    return focus, (table.shares * focus[:, None, :]).sum(axis=2).ravel()


def plain_law(pack: PolicyPack, seed: int, entity: str) -> RoleLaw:
    """Roles of parties or merchants, to which no risk propagates. Strata: (group, tier)."""
    table = role_table(pack, entity)
    focus, probability = off_remainder(table)
    return _focused_law(pack, seed, entity, table, probability, focus)


@dataclass(frozen=True)
class Propagated:
    """The law of roles to which risk propagates, and its diagnostics."""

    law: RoleLaw
    diagnostics: dict[str, object]  # of `s5_propagation_diagnostics_6A.json`


def owned_law(
    pack: PolicyPack, seed: int, entity: str, target: float, sizes: I64, moments: I64
) -> Propagated:
    """Roles of assets, whose odds of being risky rise by one uplift if the owner is risky.

    target: implied crude odds ratio of risky assets given a risky owner, from which the uplift is
    solved (docs/decisions/0003-the-target-is-the-implied-odds-ratio.md). sizes: assets by (group,
    tier, owner class, whether the owner is risky), flat, (strata,). moments: sums of
    score/moments.py. Assets without owner keep the policy's shares.

    Twin: tests/reference/posture.py:owned_roles.
    """
    table, classes = role_table(pack, entity), owner_classes(pack)
    focus, mass = off_remainder(table)
    prior = np.repeat(mass, classes)
    by_exposure = sizes.reshape(-1, 2)
    owned = np.arange(prior.size) % classes != classes - 1
    coefficients = pack.risk_propagation_coeffs
    limit = coefficients.max_abs_log_odds
    uplift = 0.0
    if coefficients.propagation == "on":
        uplift = solve_uplift(prior[owned], by_exposure[owned], target, limit)
    probability = exposed_probabilities(prior, by_exposure, uplift)
    implied = implied_odds_ratio(prior[owned], by_exposure[owned], uplift)
    diagnostics: dict[str, object] = {
        "target_odds_ratio": target,
        "uplift_log_odds": uplift,
        "clamped": abs(uplift) >= limit,
        "rows_touched": int(by_exposure[:, 1].sum()) if uplift else 0,
        "implied_odds_ratio": rounded(implied),
        "owner_signal_correlation": rounded(correlation(moments)),
    }
    law = _focused_law(pack, seed, entity, table, probability.ravel(), focus)
    return Propagated(law, diagnostics)


def owned_odds(pack: PolicyPack, entity: str, counts: I64) -> float | None:
    """Crude odds ratio of risky assets given a risky owner, as drawn; None if undefined.

    counts: assets by stratum of `owned_law` and role, (strata, roles).
    """
    classes = owner_classes(pack)
    by_class = counts.reshape(-1, classes, 2, counts.shape[1])
    by_exposure = by_class[:, : classes - 1].sum(axis=(0, 1))
    return rounded(odds_ratio_of(by_exposure, risky_roles(pack, entity)))


def ip_law(pack: PolicyPack, seed: int, sizes: I64) -> Propagated:
    """Roles of endpoints: risky devices and high sharing each raise the odds of HIGH_RISK_IP.

    sizes: endpoints by (group, tier, high sharing, whether a device is risky), flat, (strata,).

    Twin: tests/reference/posture.py:ip_roles.
    """
    table = role_table(pack, "ip")
    uplifts, clamped = _ip_uplifts(pack)
    high = table.roles.index(HIGH_RISK_IP)
    prior = table.shares[:, :, high].ravel()
    by_exposure = sizes.reshape(-1, 4)
    probability = np.zeros((prior.size, 4))
    for c, p in enumerate(prior):
        if p > 0:
            b = intercept(float(p), by_exposure[c], uplifts)
            probability[c] = [sigmoid(b + u) for u in uplifts]
    focus = np.zeros(table.shares.shape[::2], dtype=np.bool_)
    focus[:, high] = True
    diagnostics: dict[str, object] = {
        "uplift_log_odds": {"risky_device": float(uplifts[1]), "high_sharing": float(uplifts[2])},
        "clamped": clamped,
        "rows_touched": int(by_exposure[:, 1:].sum()) if uplifts.any() else 0,
        "implied_crude_odds_ratio": rounded(_implied_ip_odds(by_exposure, probability)),
        "with_risky_device": int(by_exposure[:, 1::2].sum()),
        "with_high_sharing": int(by_exposure[:, 2:].sum()),
    }
    law = _focused_law(pack, seed, "ip", table, probability.ravel(), focus)
    return Propagated(law, diagnostics)


def _ip_uplifts(pack: PolicyPack) -> tuple[F64, bool]:
    """Log-odds added by class of exposure, (4,), and whether the policy's limit clamps one.

    Classes: neither, a risky device, high sharing, both.
    """
    coefficients = pack.risk_propagation_coeffs
    limit, added = coefficients.max_abs_log_odds, coefficients.device_to_ip
    risky, sharing = added.risky_device_log_odds, added.high_sharing_log_odds
    uplifts = np.array([0.0, risky, sharing, risky + sharing])
    if coefficients.propagation == "off":
        uplifts[:] = 0.0
    clamped = bool((np.abs(uplifts) > limit).any())
    return np.clip(uplifts, -limit, limit), clamped


def ip_odds(pack: PolicyPack, counts: I64) -> float | None:
    """Crude odds ratio of HIGH_RISK_IP given a risky device, as drawn; None if undefined.

    counts: endpoints by stratum of `ip_law` and role, (strata, roles).
    """
    high = np.array([r == HIGH_RISK_IP for r in pack.codes("ip_raw_role")])
    return rounded(odds_ratio_of(counts.reshape(-1, 2, counts.shape[1]).sum(axis=0), high))


def rounded(value: float) -> float | None:
    """A diagnostic of six digits; None for NaN."""
    return None if math.isnan(value) else round(value, 6)


def odds_ratio_of(counts: F64 | I64, risky: Bools) -> float:
    """Crude odds ratio of the roles `risky` given exposure.

    counts: of the unexposed and the exposed, (2, roles). risky: (roles,). Every cell has 0.5
    added, which keeps the ratio finite (Haldane 1956, Annals of Human Genetics 20).
    """
    safe0, safe1 = (float(n) + 0.5 for n in counts[:, ~risky].sum(axis=1))
    risky0, risky1 = (float(n) + 0.5 for n in counts[:, risky].sum(axis=1))
    return risky1 * safe0 / (safe1 * risky0)


def _implied_ip_odds(sizes: I64, probability: F64) -> float:
    """Crude odds ratio given a risky device that the strata imply in expectation; else NaN.

    sizes, probability: endpoints and P(HIGH_RISK_IP) by class of `_ip_uplifts`, (cells, 4).
    """
    expected = (sizes * probability).sum(axis=0)
    counts = sizes.sum(axis=0)
    risky0, risky1 = (float(expected[k::2].sum()) for k in (0, 1))
    safe0, safe1 = float(counts[0::2].sum()) - risky0, float(counts[1::2].sum()) - risky1
    return risky1 * safe0 / (safe1 * risky0) if safe1 * risky0 > 0 else math.nan
