"""Tables of odds factors of `risk_propagation_coeffs.role_pairs`, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.propagation import DeviceRolePairs, RolePairs

F64 = NDArray[np.float64]

ASSETS = ("account", "device")
"""Assets that have an owner."""

MULE_OWNERS = ("ASSOCIATE", "MULE", "ORGANISER")
"""Party roles that run mule accounts."""

MULE_ACCOUNT = "MULE_ACCOUNT"
SHARED_DEVICE = "SHARED_SUSPICIOUS_DEVICE"


class Factors(NamedTuple):
    """Factors on the odds of the roles of an asset.

    A row is the role of the owner and, for devices, whether they have several users: row
    owner · lanes + several, owner in order of codes("party_raw_role").
    """

    table: F64  # (rows, roles), roles in order of codes("<asset>_raw_role")
    lanes: int  # rows of one owner role: 2 for devices, else 1
    clamped: int  # products that `max_odds_factor` limits


def role_pairs(pack: PolicyPack, asset: str) -> RolePairs:
    """The policy's role pairs of `account` or `device`."""
    pairs: RolePairs = getattr(pack.risk_propagation_coeffs.role_pairs, asset)
    return pairs


def pair_factors(pack: PolicyPack, asset: str) -> Factors:
    """Factors of `account` or `device`: of the pair, times that of the number of users.

    A role without an entry has factor 1.
    """
    pairs, limit = role_pairs(pack, asset), pack.risk_propagation_coeffs.max_odds_factor
    owners, roles = pack.codes("party_raw_role"), pack.codes(f"{asset}_raw_role")
    by_pair = np.array([[pairs.factors.get(o, {}).get(r, 1.0) for r in roles] for o in owners])
    by_users = np.ones((1, len(roles)))
    if isinstance(pairs, DeviceRolePairs):
        given = [pairs.users.get(r) for r in roles]
        by_users = np.array(
            [[u.one if u else 1.0 for u in given], [u.several if u else 1.0 for u in given]]
        )
    product = (by_pair[:, None, :] * by_users[None, :, :]).reshape(-1, len(roles))
    table = np.clip(product, 1.0 / limit, limit)
    return Factors(table, len(by_users), int(np.count_nonzero(table != product)))
