"""Roles of assets by pair of roles: what an asset is follows from what its owner is.

The policy `risk_propagation_coeffs_6A.v1` has a factor for every pair (role of the owner, role of
the asset) and, for devices, for every number of users. In a stratum (group, tier, owner class) the
factors move roles between the owners' roles, and one intercept for each role is solved, so that the
expected number of every role stays what the policy's shares give (kernels/proportional.py).

Strata are (group, tier, owner class, row), rows as of `policy/pairs.py`. Assets without an owner
keep the policy's shares.

Twin: tests/reference/posture.py:paired_roles.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fraudworld.documents import Json, JsonObject
from fraudworld.kernels import proportional
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.pairs import SHARED_DEVICE, Factors, pair_factors, role_pairs
from fraudworld.stages.posture.role.roles import (
    Propagated,
    odds_ratio_of,
    off_remainder,
    owner_classes,
    risky_roles,
    role_law,
    role_table,
    rounded,
)
from fraudworld.stages.posture.score.moments import correlation

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def pair_law(pack: PolicyPack, seed: int, entity: str, sizes: I64, moments: I64) -> Propagated:
    """Roles of accounts or devices, given the role of their owner and the number of users.

    sizes: assets by (group, tier, owner class, row), flat, (strata,). moments: sums of
    score/moments.py.
    """
    table, classes = role_table(pack, entity), owner_classes(pack)
    factors = pair_factors(pack, entity)
    rows, roles = factors.table.shape
    cells = table.shares.reshape(-1, roles)
    by_row = sizes.reshape(-1, classes, rows)
    fitted = np.repeat(cells[:, None, None, :], classes, axis=1).repeat(rows, axis=2)
    solved, steps, error = 0, 0, 0.0
    if pack.risk_propagation_coeffs.propagation == "on":
        for cell, shares in enumerate(cells):
            for owned in range(classes - 1):
                at = (cell, owned)
                taken, missed = proportional.fit(shares, by_row[at], factors.table, fitted[at])
                solved, steps, error = solved + (taken > 0), max(steps, taken), max(error, missed)
    by_stratum = (by_row[:, :-1, :, None] * fitted[:, :-1]).reshape(-1, rows * roles)
    # Exact sums: `verify` compares these figures on other machines.
    expected = np.array([math.fsum(of) for of in by_stratum.T]).reshape(rows, roles)
    pairs = role_pairs(pack, entity)
    diagnostics: JsonObject = {
        "factors": pairs.model_dump(mode="json"),
        "factors_clamped": factors.clamped,
        "strata_solved": int(solved),
        "most_steps": int(steps),
        "largest_relative_error": float(error),
        "owner_signal_correlation": rounded(correlation(moments)),
        "implied_odds_ratio": _odds(pack, entity, factors, expected),
        "implied": _tables(pack, entity, factors, expected),
    }
    focus = off_remainder(table)[0]
    law = role_law(pack, seed, entity, table, fitted.reshape(-1, roles), focus)
    return Propagated(law, diagnostics)


def pair_counts(pack: PolicyPack, entity: str, counts: I64) -> JsonObject:
    """Diagnostics of the roles as drawn; counts: by stratum of `pair_law` and role."""
    factors = pair_factors(pack, entity)
    rows, roles = factors.table.shape
    by_class = counts.reshape(-1, owner_classes(pack), rows, roles)
    drawn = by_class[:, :-1].sum(axis=(0, 1))
    return {
        "realised_odds_ratio": _odds(pack, entity, factors, drawn),
        "realised": _tables(pack, entity, factors, drawn),
    }


def _odds(pack: PolicyPack, entity: str, factors: Factors, table: F64 | I64) -> float | None:
    """Crude odds ratio of a non-clean asset given a non-clean owner; table: (rows, roles)."""
    risky = np.repeat(risky_roles(pack, "party"), factors.lanes)
    by_owner = np.stack([table[~risky].sum(axis=0), table[risky].sum(axis=0)])
    return rounded(odds_ratio_of(by_owner, risky_roles(pack, entity)))


def _tables(pack: PolicyPack, entity: str, factors: Factors, table: F64 | I64) -> JsonObject:
    """Assets by role of the owner and own role and, of devices, by own role and users."""
    owners, roles = pack.codes("party_raw_role"), pack.codes(f"{entity}_raw_role")
    by_lane = table.reshape(len(owners), factors.lanes, len(roles))

    def named(rows: tuple[str, ...], values: F64 | I64) -> Json:
        return {
            row: dict(zip(roles, line, strict=True))
            for row, line in zip(rows, np.round(values, 3).tolist(), strict=True)
        }

    out: JsonObject = {"by_owner_role": named(owners, by_lane.sum(axis=1))}
    if factors.lanes > 1:
        by_users = by_lane.sum(axis=0)
        out["by_users"] = named(("one", "several"), by_users)
        one, several = by_users[:, roles.index(SHARED_DEVICE)].tolist()
        share = several / (one + several) if one + several else math.nan
        out["shared_suspicious_with_several_users"] = rounded(share)
    return out
