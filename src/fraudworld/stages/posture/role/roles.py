"""Roles drawn from the policy's tables, and propagation along ownership and links.

A role is drawn, not ranked: a tier informs it and does not decide it. Before the draw the
log-odds of being risky are raised where the owner (or a linked device) is risky; each
stratum's intercept is solved again, so its expected role shares stay exactly on the prior.

Strata are counted in shards, solved over the world, and drawn in shards again. A stratum is
(group, tier, …) with the exposure last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class RoleShard:
    """Posture of one kind of entity in one shard: codes, one per entity."""

    raw: U8
    family: U8
    tier: U8


@dataclass(frozen=True)
class RoleTable:
    """Role figures of one entity as arrays, roles in order of codes, remainder last."""

    roles: tuple[str, ...]  # raw roles of the entity, sorted: the codes
    shares: F64  # (groups, tiers, roles), rows sum to 1
    remainder: I64  # (groups,) code of the remainder role


def role_table(pack: PolicyPack, entity: str) -> RoleTable:
    """The policy's role figures of an entity, groups in order of codes.

    Raises InputError `6A.S5.TAXONOMY_COMPATIBILITY_FAILED` if a group has no figures.
    """
    priors: RolePriors = getattr(pack, f"{entity}_role_priors")
    groups, roles = pack.codes(GROUPS[entity]), pack.codes(f"{entity}_raw_role")
    shares = np.zeros((len(groups), len(pack.fraud_role_taxonomy.risk_tiers), len(roles)))
    rest = np.zeros(len(groups), dtype=np.int64)
    for g, group in enumerate(groups):
        if group not in priors.roles:
            raise InputError(
                "6A.S5.TAXONOMY_COMPATIBILITY_FAILED",
                f"{entity} group {group} has no role figures",
                where=f"{entity}_role_priors_6A.v1.yaml: roles",
                remedy=f"add roles.{group} (an empty mapping makes the group clean)",
            )
        rest[g] = roles.index(priors.remainder[group])
        for role, figures in priors.roles[group].items():
            shares[g, :, roles.index(role)] = np.array(figures) / 10_000
        shares[g, :, rest[g]] = 1.0 - shares[g].sum(axis=1)
    return RoleTable(roles, shares, rest)


def risky_roles(pack: PolicyPack, entity: str) -> Bools:
    """Raw roles whose canonical family is not the clean one."""
    vocabulary = pack.fraud_role_taxonomy.entities[entity]
    roles = pack.codes(f"{entity}_raw_role")
    return np.array([vocabulary.mapping[r] != vocabulary.clean_family for r in roles])


def owner_kinds(pack: PolicyPack) -> int:
    """Classes of owners: the party types, and nobody as the last."""
    return len(pack.codes("party_type")) + 1


@dataclass(frozen=True)
class Draw:
    """How the roles of one entity are drawn, by stratum."""

    stream: Stream
    cuts: U64  # (strata, roles) thresholds, in the order drawn
    order: U8  # (strata, roles) the roles in that order
    tier_of: U8  # (strata,)
    family_of: U8  # (roles,)

    def __call__(self, first: int, stratum: NDArray[np.unsignedinteger]) -> tuple[RoleShard, I64]:
        """Roles of entities first, first + 1, …, and how many of each stratum took each."""
        n = stratum.size
        out = RoleShard(*(np.empty(n, dtype=np.uint8) for _ in range(3)))
        taken = np.zeros(self.cuts.shape, dtype=np.int64)
        _draw(
            *self.stream.key, first, stratum, self.cuts, self.order, self.tier_of, self.family_of,
            out.raw, out.family, out.tier, taken,
        )  # fmt: skip
        return out, taken


@kernel
def _draw(  # type: ignore[no-untyped-def]
    k0, k1, first, stratum, cuts, order, tier_of, family_of, raw, family, tier, taken
):
    """Role of every entity by its draw: thresholds of its stratum, roles in the order drawn."""
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
            taken[c, r] += 1


def _law(
    pack: PolicyPack, seed: int, entity: str, table: RoleTable, probability: F64, focus: Bools
) -> Draw:
    """Draw roles given P(role in focus) per stratum, other roles in proportion.

    probability: (strata,), whole multiples of (groups · tiers); focus: (groups, roles) roles
    the propagation acts on.
    """
    n_groups, n_tiers, n_roles = table.shares.shape
    per_cell = probability.size // (n_groups * n_tiers)
    cuts = np.zeros((probability.size, n_roles), dtype=np.uint64)
    order = np.zeros((probability.size, n_roles), dtype=np.uint8)
    for c in range(n_groups * n_tiers):
        g, t = divmod(c, n_tiers)
        base, inside = table.shares[g, t], focus[g]
        strata = slice(c * per_cell, (c + 1) * per_cell)
        share = np.tile(base, (per_cell, 1))
        mass = base[inside].sum()
        if mass > 0:
            chance = probability[strata, None]
            share[:, inside] = base[inside] / mass * chance
            others = base[~inside].sum()
            if others > 0:
                share[:, ~inside] = base[~inside] / others * (1.0 - chance)
        # Roles in focus first: a larger uplift only widens what the same draws select.
        sequence = np.concatenate([np.flatnonzero(inside), np.flatnonzero(~inside)])
        share, order[strata] = share[:, sequence], sequence
        running = np.minimum(np.cumsum(share, axis=1), 1.0)
        cuts[strata] = (running * 2.0**63).astype(np.uint64)
        last = n_roles - 1 - np.argmax(share[:, ::-1] > 0, axis=1)
        cuts[strata][np.arange(n_roles) >= last[:, None]] = np.uint64(2**63)

    vocabulary = pack.fraud_role_taxonomy.entities[entity]
    families = pack.codes(f"{entity}_family")
    unmapped = pack.risk_propagation_coeffs.role_mapping == "none" and entity in ("device", "ip")
    to_family = [
        families.index("UNMAPPED" if unmapped else vocabulary.mapping[r]) for r in table.roles
    ]
    return Draw(
        registry.ROLES[entity].of(seed),
        cuts,
        order,
        (np.arange(probability.size) // per_cell % n_tiers).astype(np.uint8),
        np.array(to_family, dtype=np.uint8),
    )


def _off_remainder(table: RoleTable) -> tuple[Bools, F64]:
    """All roles but the remainders, and their mass by (group, tier), flat."""
    focus = np.ones(table.shares.shape[::2], dtype=np.bool_)
    focus[np.arange(len(focus)), table.remainder] = False
    return focus, (table.shares * focus[:, None, :]).sum(axis=2).ravel()


def plain_draw(pack: PolicyPack, seed: int, entity: str) -> Draw:
    """Roles of an entity nothing propagates to: parties, the root of it all, and merchants."""
    table = role_table(pack, entity)
    focus, probability = _off_remainder(table)
    return _law(pack, seed, entity, table, probability, focus)


@dataclass(frozen=True)
class Propagated:
    """How the roles of an entity that risk travels to are drawn, and what is known of it."""

    draw: Draw
    summaries: dict[str, object]


def owned_draw(
    pack: PolicyPack, seed: int, entity: str, target: float, sizes: I64, moments: I64
) -> Propagated:
    """Roles of an asset whose owner's risk raises its own; nobody's asset: no uplift.

    sizes: (strata,) assets by (group, tier, owner kind, whether the owner is risky); moments
    of the signals of assets and owners, as `moments` makes them.
    """
    table, kinds = role_table(pack, entity), owner_kinds(pack)
    focus, mass = _off_remainder(table)
    prior = np.repeat(mass, kinds)
    pairs = sizes.reshape(-1, 2)
    owned = np.arange(prior.size) % kinds != kinds - 1
    coefficients = pack.risk_propagation_coeffs
    limit = coefficients.max_abs_log_odds
    uplift = 0.0
    if coefficients.propagation == "on":
        uplift = solve_uplift(prior[owned], pairs[owned], target, limit)
    probability = exposed_probabilities(prior, pairs, uplift)
    summaries: dict[str, object] = {
        "target_odds_ratio": target,
        "uplift_log_odds": uplift,
        "clamped": abs(uplift) >= limit,
        "rows_touched": int(pairs[:, 1].sum()) if uplift else 0,
        "implied_odds_ratio": _shown(implied_odds_ratio(prior[owned], pairs[owned], uplift)),
        "owner_signal_correlation": _shown(correlation(moments)),
    }
    return Propagated(_law(pack, seed, entity, table, probability.ravel(), focus), summaries)


def owned_odds(pack: PolicyPack, entity: str, taken: I64) -> float | None:
    """Odds ratio of risky assets given a risky owner, as drawn.

    taken: (strata, roles) of `owned_draw`.
    """
    kinds = owner_kinds(pack)
    by_kind = taken.reshape(-1, kinds, 2, taken.shape[1])[:, : kinds - 1].sum(axis=(0, 1))
    return _shown(_odds(by_kind, risky_roles(pack, entity)))


def ip_draw(pack: PolicyPack, seed: int, sizes: I64) -> Propagated:
    """Roles of endpoints; HIGH_RISK_IP is raised by risky devices and by high sharing.

    sizes: (strata,) endpoints by (group, tier, high sharing, whether a device is risky).
    """
    table = role_table(pack, "ip")
    law = pack.risk_propagation_coeffs.device_to_ip
    limit = pack.risk_propagation_coeffs.max_abs_log_odds
    lift = np.array(
        [0.0, law.risky_device_log_odds, law.high_sharing_log_odds,
         law.risky_device_log_odds + law.high_sharing_log_odds]
    )  # fmt: skip
    if pack.risk_propagation_coeffs.propagation == "off":
        lift[:] = 0.0
    clamped = bool((np.abs(lift) > limit).any())
    lift = np.clip(lift, -limit, limit)
    high = table.roles.index("HIGH_RISK_IP")
    prior = table.shares[:, :, high].ravel()
    cells = sizes.reshape(-1, 4)
    probability = np.zeros((prior.size, 4))
    for c, p in enumerate(prior):
        if p > 0:
            b = intercept(float(p), cells[c], lift)
            probability[c] = [sigmoid(b + u) for u in lift]
    focus = np.zeros(table.shares.shape[::2], dtype=np.bool_)
    focus[:, high] = True
    summaries: dict[str, object] = {
        "uplift_log_odds": {"risky_device": float(lift[1]), "high_sharing": float(lift[2])},
        "clamped": clamped,
        "rows_touched": int(cells[:, 1:].sum()) if lift.any() else 0,
        "implied_crude_odds_ratio": _shown(_crude_odds(cells, probability)),
        "with_risky_device": int(cells[:, 1::2].sum()),
        "with_high_sharing": int(cells[:, 2:].sum()),
    }
    return Propagated(_law(pack, seed, "ip", table, probability.ravel(), focus), summaries)


def ip_odds(pack: PolicyPack, taken: I64) -> float | None:
    """Odds ratio of HIGH_RISK_IP given a risky device, as drawn; taken: (strata, roles)."""
    high = np.array([r == "HIGH_RISK_IP" for r in pack.codes("ip_raw_role")])
    return _shown(_odds(taken.reshape(-1, 2, taken.shape[1]).sum(axis=0), high))


def _shown(value: float) -> float | None:
    """A figure for the evidence: six digits, None where there is none."""
    return None if math.isnan(value) else round(value, 6)


def _odds(taken: I64, risky: Bools) -> float:
    """Odds ratio of roles `risky`, taken: (exposed, roles); Haldane's half added to every cell."""
    safe0, safe1 = (float(n) + 0.5 for n in taken[:, ~risky].sum(axis=1))
    risky0, risky1 = (float(n) + 0.5 for n in taken[:, risky].sum(axis=1))
    return risky1 * safe0 / (safe1 * risky0)


def _crude_odds(sizes: I64, probability: F64) -> float:
    """Odds ratio expected given a risky device, the odd exposure classes, over all strata."""
    expected = (sizes * probability).sum(axis=0)
    counts = sizes.sum(axis=0)
    risky0, risky1 = (float(expected[k::2].sum()) for k in (0, 1))
    safe0, safe1 = float(counts[0::2].sum()) - risky0, float(counts[1::2].sum()) - risky1
    return risky1 * safe0 / (safe1 * risky0) if safe1 * risky0 > 0 else math.nan
