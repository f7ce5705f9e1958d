"""Roles drawn from the policy's tables, and propagation along ownership and links.

A role is drawn, not ranked: a tier informs it and does not decide it. Before the draw the
log-odds of being risky are raised where the owner (or a linked device) is risky; each
stratum's intercept is solved again, so its expected role shares stay exactly on the prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.kernels import philox
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
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import (
    Accounts,
    Devices,
    IpEdges,
    Ips,
    Parties,
)
from fraudworld.stages.posture import scores


@dataclass(frozen=True)
class Roles:
    """Posture of one entity kind; arrays are codes, one per entity."""

    entity: str
    group: NDArray[np.uint8]
    raw: NDArray[np.uint8]
    family: NDArray[np.uint8]
    tier: NDArray[np.uint8]
    risky: NDArray[np.bool_]  # canonical family is not the clean one
    signal: NDArray[np.float64]
    rng: tuple[StreamUse, ...]
    diagnostics: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class RoleTable:
    """Role figures of one entity as arrays, roles in order of codes, remainder last."""

    roles: tuple[str, ...]  # raw roles of the entity, sorted: the codes
    shares: NDArray[np.float64]  # (groups, tiers, roles), rows sum to 1
    remainder: NDArray[np.int64]  # (groups,) code of the remainder role


def role_table(pack: PolicyPack, entity: str) -> RoleTable:
    """The policy's role figures of an entity, groups in order of codes.

    Raises InputError `6A.S5.TAXONOMY_COMPATIBILITY_FAILED` if a group has no figures.
    """
    priors: RolePriors = getattr(pack, f"{entity}_role_priors")
    groups, roles = pack.codes(scores.GROUPS[entity]), pack.codes(f"{entity}_raw_role")
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


@njit(cache=True, nogil=True)
def _draw(k0, k1, cell, cuts, order, out):  # type: ignore[no-untyped-def]
    """Role of every entity by its draw: thresholds of its cell, roles in the order drawn."""
    lanes = philox.block(k0, k1, np.uint64(0))
    for i in range(out.size):
        position = np.uint64(i)
        if i and position & np.uint64(3) == np.uint64(0):
            lanes = philox.block(k0, k1, position >> np.uint64(2))
        c = cell[i]
        out[i] = order[c, category(philox.lane_of(lanes, position), cuts, c)]


def _assign(
    pack: PolicyPack,
    seed: int,
    ranked: scores.Ranked,
    table: RoleTable,
    stratum: NDArray[np.int32],
    probability: NDArray[np.float64],
    focus: NDArray[np.bool_],
    diagnostics: dict[str, object],
) -> Roles:
    """Draw roles given P(role in focus) per stratum, other roles in proportion.

    stratum: per entity, an index into `probability`, whose last axis is exposure; strata
    are (group, tier, …) with group · tiers + tier recoverable by integer division.
    focus: (groups, roles) roles the propagation acts on.
    """
    n_groups, n_tiers, n_roles = table.shares.shape
    per_cell = probability.shape[0] // (n_groups * n_tiers)
    cuts = np.zeros((probability.shape[0], n_roles), dtype=np.uint64)
    order = np.zeros((probability.shape[0], n_roles), dtype=np.uint8)
    for c in range(probability.shape[0]):
        g, t = divmod(c // per_cell, n_tiers)
        base, inside = table.shares[g, t], focus[g]
        share = base.copy()
        mass = base[inside].sum()
        if mass > 0:
            share[inside] = base[inside] / mass * probability[c]
            others = base[~inside].sum()
            if others > 0:
                share[~inside] = base[~inside] / others * (1.0 - probability[c])
        # Roles in focus first: a larger uplift only widens what the same draws select.
        sequence = np.concatenate([np.flatnonzero(inside), np.flatnonzero(~inside)])
        order[c] = sequence
        running = np.minimum(np.cumsum(share[sequence]), 1.0)
        cuts[c] = (running * 2.0**63).astype(np.uint64)
        last = int(np.flatnonzero(share[sequence] > 0)[-1])
        cuts[c, last:] = np.uint64(2**63)
    entity = ranked.entity
    stream = Stream(seed, f"s5/{entity}/role", f"fraud_role_sampling_{entity}")
    raw = np.empty(stratum.size, dtype=np.uint8)
    _draw(*stream.key, stratum, cuts, order, raw)

    vocabulary = pack.fraud_role_taxonomy.entities[entity]
    families = pack.codes(f"{entity}_family")
    unmapped = pack.risk_propagation_coeffs.role_mapping == "none" and entity in ("device", "ip")
    to_family = np.array(
        [families.index("UNMAPPED" if unmapped else vocabulary.mapping[r]) for r in table.roles],
        dtype=np.uint8,
    )
    is_risky = np.array([vocabulary.mapping[r] != vocabulary.clean_family for r in table.roles])
    uses = (ranked.noise, stream.use("world", 0, stratum.size))
    return Roles(
        entity,
        ranked.group,
        raw,
        to_family[raw],
        ranked.tier,
        is_risky[raw],
        ranked.signal,
        uses,
        diagnostics,
    )


def assign_plain_roles(pack: PolicyPack, seed: int, ranked: scores.Ranked) -> Roles:
    """Roles of an entity nothing propagates to: parties, the root of it all, and merchants."""
    table = role_table(pack, ranked.entity)
    n_groups, n_tiers, _ = table.shares.shape
    focus = np.ones(table.shares.shape[::2], dtype=np.bool_)
    focus[np.arange(n_groups), table.remainder] = False
    probability = (table.shares * focus[:, None, :]).sum(axis=2).ravel()
    stratum = ranked.group.astype(np.int32) * n_tiers + ranked.tier
    return _assign(pack, seed, ranked, table, stratum, probability, focus, {})


def _owned(
    pack: PolicyPack,
    seed: int,
    ranked: scores.Ranked,
    owner: NDArray[np.int32],
    parties: Parties,
    owners: Roles,
    target: float,
) -> Roles:
    """Roles of an asset whose owner's risk raises its own; owner −1: no uplift."""
    group, table = ranked.group, role_table(pack, ranked.entity)
    n_tiers = table.shares.shape[1]
    kinds = len(pack.codes("party_type")) + 1  # the last: no owner
    stratum = np.empty(group.size, dtype=np.int32)
    exposed = np.empty(group.size, dtype=np.bool_)
    moments = np.zeros(6)
    _expose(
        group, ranked.tier, owner, parties.type, owners.risky, ranked.signal, owners.signal,
        n_tiers, kinds, stratum, exposed, moments,
    )  # fmt: skip

    focus = np.ones(table.shares.shape[::2], dtype=np.bool_)
    focus[np.arange(len(focus)), table.remainder] = False
    prior = np.repeat((table.shares * focus[:, None, :]).sum(axis=2).ravel(), kinds)
    sizes = np.bincount(stratum, minlength=prior.size * 2).reshape(-1, 2)
    owned = np.arange(prior.size) % kinds != kinds - 1
    coefficients = pack.risk_propagation_coeffs
    limit = coefficients.max_abs_log_odds
    uplift = 0.0
    if coefficients.propagation == "on":
        uplift = solve_uplift(prior[owned], sizes[owned], target, limit)
    probability = exposed_probabilities(prior, sizes, uplift)
    diagnostics: dict[str, object] = {
        "target_odds_ratio": target,
        "uplift_log_odds": uplift,
        "clamped": abs(uplift) >= limit,
        "rows_touched": int(exposed.sum()) if uplift else 0,
        "implied_odds_ratio": _shown(implied_odds_ratio(prior[owned], sizes[owned], uplift)),
        "owner_signal_correlation": _shown(_correlation(moments)),
    }
    done = _assign(pack, seed, ranked, table, stratum, probability.ravel(), focus, diagnostics)
    has_owner = owner >= 0
    diagnostics["realised_odds_ratio"] = _shown(_odds(exposed, done.risky, has_owner))
    return done


@njit(cache=True, nogil=True)
def _expose(  # type: ignore[no-untyped-def]
    group,
    tier,
    owner,
    party_type,
    risky_owner,
    signal,
    owner_signal,
    n_tiers,
    kinds,
    stratum,
    exposed,
    moments,
):
    """Stratum and exposure of every asset, and the moments of its and its owner's signal."""
    for i in range(group.size):
        o = owner[i]
        kind = kinds - 1
        exposed[i] = False
        if o >= 0:
            kind = party_type[o]
            exposed[i] = risky_owner[o]
            x = signal[i]
            y = owner_signal[o]
            moments[0] += 1.0
            moments[1] += x
            moments[2] += y
            moments[3] += x * x
            moments[4] += y * y
            moments[5] += x * y
        cell = (np.int64(group[i]) * n_tiers + tier[i]) * kinds + kind
        stratum[i] = cell * 2 + exposed[i]


def _correlation(moments: NDArray[np.float64]) -> float:
    """Pearson's r of the moments (n, Σx, Σy, Σx², Σy², Σxy); nan where one is constant."""
    n, x, y, xx, yy, xy = (float(m) for m in moments)
    spread = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / math.sqrt(spread) if spread > 1e-9 else math.nan


def _shown(value: float) -> float | None:
    """A figure for the evidence: six digits, None where there is none."""
    return None if math.isnan(value) else round(value, 6)


def _odds(exposed: NDArray[np.bool_], risky: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Odds ratio over the rows `among`, with Haldane's half added to every cell."""
    cells = np.bincount(
        exposed.view(np.uint8)[among] * 2 + risky.view(np.uint8)[among], minlength=4
    )
    safe0, risky0, safe1, risky1 = (float(c) + 0.5 for c in cells)
    return risky1 * safe0 / (safe1 * risky0)


def _crude_odds(sizes: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Odds ratio expected given a risky device, the odd exposure classes, over all strata."""
    expected = (sizes * probability).sum(axis=0)
    counts = sizes.sum(axis=0)
    risky0, risky1 = (float(expected[k::2].sum()) for k in (0, 1))
    safe0, safe1 = float(counts[0::2].sum()) - risky0, float(counts[1::2].sum()) - risky1
    return risky1 * safe0 / (safe1 * risky0) if safe1 * risky0 > 0 else math.nan


def assign_account_roles(
    pack: PolicyPack,
    seed: int,
    ranked: scores.Ranked,
    accounts: Accounts,
    parties: Parties,
    party_roles: Roles,
) -> Roles:
    """Roles of accounts, raised where the owner is risky."""
    target = pack.risk_propagation_coeffs.owner_to_account.target_odds_ratio
    owner = accounts.owner.astype(np.int32)
    return _owned(pack, seed, ranked, owner, parties, party_roles, target)


def assign_device_roles(
    pack: PolicyPack,
    seed: int,
    ranked: scores.Ranked,
    devices: Devices,
    parties: Parties,
    party_roles: Roles,
) -> Roles:
    """Roles of devices, raised where the owner is risky; terminals have no owner."""
    target = pack.risk_propagation_coeffs.owner_to_device.target_odds_ratio
    return _owned(pack, seed, ranked, devices.owner, parties, party_roles, target)


def assign_ip_roles(
    pack: PolicyPack,
    seed: int,
    ranked: scores.Ranked,
    ips: Ips,
    edges: IpEdges,
    device_roles: Roles,
) -> Roles:
    """Roles of endpoints; HIGH_RISK_IP is raised by risky devices and by high sharing."""
    group, table = ranked.group, role_table(pack, "ip")
    n_tiers = table.shares.shape[1]
    law = pack.risk_propagation_coeffs.device_to_ip
    risky_device = np.zeros(ips.n, dtype=np.bool_)
    risky_device[edges.ip[device_roles.risky[edges.device]]] = True
    shared = np.diff(edges.start) >= law.high_sharing_min_devices
    exposure = risky_device.astype(np.int32) + 2 * shared.astype(np.int32)
    limit = pack.risk_propagation_coeffs.max_abs_log_odds
    lift = np.array(
        [0.0, law.risky_device_log_odds, law.high_sharing_log_odds,
         law.risky_device_log_odds + law.high_sharing_log_odds]
    )  # fmt: skip
    if pack.risk_propagation_coeffs.propagation == "off":
        lift[:] = 0.0
    clamped = bool((np.abs(lift) > limit).any())
    lift = np.clip(lift, -limit, limit)
    stratum = (group.astype(np.int32) * n_tiers + ranked.tier) * 4 + exposure
    high = table.roles.index("HIGH_RISK_IP")
    prior = table.shares[:, :, high].ravel()
    sizes = np.bincount(stratum, minlength=prior.size * 4).reshape(-1, 4)
    probability = np.zeros((prior.size, 4))
    for c, p in enumerate(prior):
        if p > 0:
            b = intercept(float(p), sizes[c], lift)
            probability[c] = [sigmoid(b + u) for u in lift]
    focus = np.zeros(table.shares.shape[::2], dtype=np.bool_)
    focus[:, high] = True
    diagnostics: dict[str, object] = {
        "uplift_log_odds": {"risky_device": float(lift[1]), "high_sharing": float(lift[2])},
        "clamped": clamped,
        "rows_touched": int((exposure > 0).sum()) if lift.any() else 0,
        "implied_crude_odds_ratio": _shown(_crude_odds(sizes, probability)),
        "with_risky_device": int(risky_device.sum()),
        "with_high_sharing": int(shared.sum()),
    }
    done = _assign(pack, seed, ranked, table, stratum, probability.ravel(), focus, diagnostics)
    everywhere = np.ones(ips.n, dtype=np.bool_)
    diagnostics["realised_crude_odds_ratio"] = _shown(
        _odds(risky_device, done.raw == high, everywhere)
    )
    return done
