"""Role pairs: their words, and the table of owner role and asset role that they imply."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels import proportional
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.pairs import (
    ASSETS,
    MULE_ACCOUNT,
    MULE_OWNERS,
    SHARED_DEVICE,
    pair_factors,
    role_pairs,
)
from fraudworld.policy.propagation import DeviceRolePairs
from fraudworld.policy.rules import counts
from fraudworld.policy.rules.devices import device_numbers
from fraudworld.policy.rules.finding import Findings, Severity, fault
from fraudworld.policy.rules.roles import role_figures_fit
from fraudworld.policy.rules.vocabulary import role_priors

F64 = NDArray[np.float64]

STEM = "risk_propagation_coeffs"

UNIT = 1e12
"""Assets per party are counted in units of 1 / UNIT: tables are fitted to whole numbers."""


@dataclass(frozen=True)
class Implied:
    """Expected assets per party of a region, by role of the owner, users, and own role."""

    asset: str
    owners: tuple[str, ...]
    roles: tuple[str, ...]
    table: F64  # (owner roles, lanes, roles)
    risky_owner: NDArray[np.bool_]
    risky_role: NDArray[np.bool_]

    @property
    def odds_ratio(self) -> float:
        """Crude odds ratio of a non-clean asset given a non-clean owner; NaN if undefined."""
        by_owner = self.table.sum(axis=1)
        cells = [
            by_owner[owner][:, role].sum()
            for owner in (~self.risky_owner, self.risky_owner)
            for role in (~self.risky_role, self.risky_role)
        ]
        safe0, risky0, safe1, risky1 = cells
        return float(risky1 * safe0 / (safe1 * risky0)) if safe1 * risky0 > 0 else math.nan

    @property
    def mule_owners(self) -> float:
        """Share of mule accounts whose owner is one of MULE_OWNERS; NaN if there is none."""
        mules = self.table.sum(axis=1)[:, self.roles.index(MULE_ACCOUNT)].tolist()
        whole = math.fsum(mules)
        by_role = dict(zip(self.owners, mules, strict=True))
        return math.fsum(by_role[owner] for owner in MULE_OWNERS) / whole if whole else math.nan

    @property
    def several_users(self) -> float:
        """Share of shared suspicious devices with several users; NaN if there is none."""
        one, several = self.table.sum(axis=0)[:, self.roles.index(SHARED_DEVICE)].tolist()
        return several / (one + several) if one + several else math.nan

    @cached_property
    def non_clean(self) -> dict[str, float]:
        """Owner role → share of its assets that are not clean, of roles that own any."""
        by_owner = self.table.sum(axis=1)
        whole = by_owner.sum(axis=1)
        return {
            owner: float(by_owner[o, self.risky_role].sum() / whole[o])
            for o, owner in enumerate(self.owners)
            if whole[o] > 0
        }


def implied(pack: PolicyPack, asset: str, region: str) -> Implied:
    """The table that a region's priors and the role pairs imply for `account` or `device`.

    The role of an owner and the number of users are taken as independent of the group and tier of
    the asset. Tables are fitted as the generator fits them, in every (owner type, group, tier).
    """
    taxonomy, factors = pack.fraud_role_taxonomy, pair_factors(pack, asset)
    owners, roles = pack.codes("party_raw_role"), pack.codes(f"{asset}_raw_role")
    total = np.zeros(factors.table.shape)
    for (owner_type, group), number in _numbers(pack, asset, region).items():
        owner_shares = np.array(taxonomy.tier_shares) @ role_shares(pack, "party", owner_type)
        by_row = number * np.outer(owner_shares, _by_users(pack, asset, group)).ravel()
        fitted = np.empty_like(total)
        for shares, tier in zip(role_shares(pack, asset, group), taxonomy.tier_shares, strict=True):
            sizes = np.rint(UNIT * tier * by_row).astype(np.int64)
            proportional.fit(shares, sizes, factors.table, fitted)
            total += tier * by_row[:, None] * fitted
    return Implied(
        asset,
        owners,
        roles,
        total.reshape(len(owners), factors.lanes, len(roles)),
        *(
            np.array([v.mapping[r] != v.clean_family for r in names])
            for v, names in (
                (taxonomy.entities["party"], owners),
                (taxonomy.entities[asset], roles),
            )
        ),
    )


def _numbers(pack: PolicyPack, asset: str, region: str) -> dict[tuple[str, str], float]:
    """(party type, group) → assets per party of the region, owned by that type."""
    if asset == "device":
        return device_numbers(pack, region)
    out: dict[tuple[str, str], float] = defaultdict(float)
    for segment, share in counts.segments_of(pack, region).items():
        owner = pack.party_taxonomy.segments[segment]
        for product, a in pack.account_taxonomy.account_types.items():
            if a.party_type == owner:
                out[owner, a.group] += share * counts.account_lambda(pack, product, segment)
    return dict(out)


def role_shares(pack: PolicyPack, entity: str, group: str) -> F64:
    """Shares of the roles of a group, (tiers, roles)."""
    priors, roles = role_priors(pack)[entity], pack.codes(f"{entity}_raw_role")
    out = np.zeros((len(pack.fraud_role_taxonomy.risk_tiers), len(roles)))
    for role, figures in priors.roles[group].items():
        out[:, roles.index(role)] = np.array(figures) / 10_000
    out[:, roles.index(priors.remainder[group])] = 1.0 - out.sum(axis=1)
    return out


def _by_users(pack: PolicyPack, asset: str, group: str) -> F64:
    """Shares of assets by lane: one user, several."""
    if asset != "device":
        return np.ones(1)
    rule = pack.device_linkage_rules.sharing.get(group)
    several = rule.share if rule else 0.0
    return np.array([1.0 - several, several])


def pairs_complete(pack: PolicyPack) -> Findings:
    """Every pair of roles that are not clean has a factor, and no other has one."""
    taxonomy = pack.fraud_role_taxonomy.entities
    risky = {
        entity: {r for r, family in taxonomy[entity].mapping.items()
                 if family != taxonomy[entity].clean_family}
        for entity in ("party", *ASSETS)
    }  # fmt: skip
    for asset in ASSETS:
        pairs, key = role_pairs(pack, asset), f"role_pairs.{asset}"
        yield from _words(f"{key}.factors", set(pairs.factors), risky["party"])
        for owner, factors in pairs.factors.items():
            yield from _words(f"{key}.factors.{owner}", set(factors), risky[asset])
        if isinstance(pairs, DeviceRolePairs):
            yield from _words(f"{key}.users", set(pairs.users), risky[asset])
    if pack.risk_propagation_coeffs.propagation_by == "role_pair":
        named = {"party": set(MULE_OWNERS), "account": {MULE_ACCOUNT}, "device": {SHARED_DEVICE}}
        for entity, roles in named.items():
            for role in sorted(roles - risky[entity]):
                yield fault(
                    "fraud_role_taxonomy",
                    f"entities.{entity}.mapping.{role}",
                    "propagation by role pair and its guard need this role, and not as a clean one",
                    figure=None,
                    bound=role,
                    remedy="add the role, or set propagation_by: risk",
                )


def _words(key: str, words: set[str], needed: set[str]) -> Findings:
    for word in sorted(words ^ needed):
        unknown = word in words
        yield fault(
            STEM,
            f"{key}.{word}",
            "no role that is not clean" if unknown else "a pair without a factor",
            figure=word if unknown else None,
            bound="one of " + ", ".join(sorted(needed)) if unknown else f"a factor for {word}",
            remedy="remove it" if unknown else "add the factor; 1 has no effect",
        )


def factors_within_limit(pack: PolicyPack) -> Findings:
    """Single factors lie within max_odds_factor, and odds ratios that are asked for are bands."""
    limit = pack.risk_propagation_coeffs.max_odds_factor
    if limit < 1.0:
        yield fault(
            STEM, "max_odds_factor", "no factor lies within it", figure=limit, bound=1.0,
            remedy="raise it to 1 or more",
        )  # fmt: skip
        return
    for key, factor in _all_factors(pack):
        if not 1.0 / limit <= factor <= limit:
            yield fault(
                STEM, key, "beyond max_odds_factor", figure=factor,
                bound=limit if factor > limit else 1.0 / limit,
                remedy="move it towards 1 or raise max_odds_factor",
            )  # fmt: skip
    for asset in ASSETS:
        band = role_pairs(pack, asset).nominal_odds_ratio
        if band.low > band.high:
            yield fault(
                STEM, f"role_pairs.{asset}.nominal_odds_ratio", "bounds are not in order",
                figure=f"{band.low}, {band.high}", bound="low ≤ high", remedy="reorder the bounds",
            )  # fmt: skip


def _all_factors(pack: PolicyPack) -> Iterator[tuple[str, float]]:
    """Every factor with its key."""
    for asset in ASSETS:
        pairs, key = role_pairs(pack, asset), f"role_pairs.{asset}"
        for owner, factors in pairs.factors.items():
            for role, factor in factors.items():
                yield f"{key}.factors.{owner}.{role}", factor
        if isinstance(pairs, DeviceRolePairs):
            for role, users in pairs.users.items():
                yield f"{key}.users.{role}.one", users.one
                yield f"{key}.users.{role}.several", users.several


def pairs_coherent(pack: PolicyPack) -> Findings:
    """What the pairs imply satisfies T7 at B+, the guards, and the nominal odds ratio."""
    rules = pack.risk_propagation_coeffs
    if rules.propagation == "off" or rules.propagation_by != "role_pair":
        return
    if any(role_figures_fit(pack)):
        return  # shares that are none imply nothing
    # A replay may aim too low on purpose: T10's half dose does.
    replay = pack.posture == "baseline_replay"
    graded = Severity.KNOWN_DEFECT if replay else Severity.ERROR
    for asset in ASSETS:
        for region in pack.party_taxonomy.regions:
            of = implied(pack, asset, region)
            yield from _odds_ratio_fits(pack, region, of, graded)
            yield from _no_role_decides(pack, region, of, graded)
            yield from _words_belong_together(pack, region, of, graded)


def _odds_ratio_fits(pack: PolicyPack, region: str, of: Implied, graded: Severity) -> Findings:
    """The odds ratio lies between T7 and its guard, and in the band that the policy names."""
    key, ratio = f"role_pairs.{of.asset}", of.odds_ratio
    least = pack.validation_policy.gates["T7_odds_ratio"].Bplus
    most = pack.validation_policy.guards.separability_max_odds_ratio
    band = role_pairs(pack, of.asset).nominal_odds_ratio
    if not ratio >= least:
        yield fault(
            STEM, key, f"the odds ratio implied in {region} is below T7 at B+", figure=ratio,
            bound=least, remedy="raise the factors", severity=graded,
        )  # fmt: skip
    elif ratio > most:
        yield fault(
            STEM, key, f"the odds ratio implied in {region} is beyond the separability guard",
            figure=ratio, bound=most, remedy="lower the factors", severity=graded,
        )  # fmt: skip
    elif not band.low <= ratio <= band.high:
        yield fault(
            STEM, f"{key}.nominal_odds_ratio", f"the odds ratio implied in {region} is outside",
            figure=ratio, bound=f"{band.low} to {band.high}",
            remedy="change the factors, or the nominal band", severity=Severity.NOTE,
        )  # fmt: skip


def _no_role_decides(pack: PolicyPack, region: str, of: Implied, graded: Severity) -> Findings:
    """No role of an owner has more risky assets than its guard allows."""
    most = pack.validation_policy.guards.role_coherence_max_non_clean
    worst = max(of.non_clean, key=lambda owner: of.non_clean[owner])
    if of.non_clean[worst] > most:
        yield fault(
            STEM, f"role_pairs.{of.asset}.factors.{worst}",
            f"too many {of.asset}s of these owners in {region} are not clean",
            figure=of.non_clean[worst], bound=most, remedy="lower its factors", severity=graded,
        )  # fmt: skip


def _words_belong_together(
    pack: PolicyPack, region: str, of: Implied, graded: Severity
) -> Findings:
    """Mule accounts belong to those who run them, shared suspicious devices are shared."""
    guards = pack.validation_policy.guards
    if of.asset == "account":
        share, least, key = of.mule_owners, guards.role_coherence_min_mule_owners, "factors"
        what = f"with the role {MULE_ACCOUNT} belong to {', '.join(MULE_OWNERS)}"
    else:
        share, least = of.several_users, guards.role_coherence_min_several_users
        key, what = f"users.{SHARED_DEVICE}", f"with the role {SHARED_DEVICE} have several users"
    if not share >= least:
        yield fault(
            STEM, f"role_pairs.{of.asset}.{key}", f"too few {of.asset}s {what} in {region}",
            figure=share, bound=least,
            remedy="raise the factors; of devices, also the shares of device_linkage_rules.sharing",
            severity=graded,
        )  # fmt: skip
