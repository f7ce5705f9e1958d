"""S5 as published rows.

Twin: tests/reference/posture.py:role_rows.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.stages.batches import Batch, Columns, Rows, ids, whole
from fraudworld.stages.posture.role.results import Roles
from fraudworld.stages.posture.role.roles import RoleShard
from fraudworld.stages.posture.role.rounds import StratifiedShard


def role_rows(entity: str, roles: Roles[Item[RoleShard] | RoleShard]) -> Rows:
    """`s5_<entity>_fraud_roles_6A`, in order of entity."""
    make = partial(_role_rows, f"{entity}_id")
    return Rows(roles.first, make, (roles.first[:-1].tolist(), roles.pieces))


def party_rows(roles: Roles[Item[StratifiedShard]]) -> Rows:
    """`s5_party_fraud_roles_6A`, in order of party."""
    return Rows(roles.first, _party_rows, (roles.first[:-1].tolist(), roles.pieces))


def merchant_rows(merchant_id: NDArray[np.int64], of: RoleShard) -> Rows:
    """`s5_merchant_fraud_roles_6A`, in order of merchant, with the ids of the upstream."""
    return whole({"merchant_id": merchant_id, **_columns(of, slice(None))})


def _party_rows(first: int, of: StratifiedShard, low: int, high: int) -> Batch:
    return _role_rows("party_id", first, of.party, low, high)


def _role_rows(key: str, first: int, of: RoleShard, low: int, high: int) -> Batch:
    return {key: ids(first, low), **_columns(of, slice(low, high))}


def _columns(of: RoleShard, rows: slice) -> Columns:
    return {
        "raw_role": of.raw[rows],
        "canonical_role_family": of.family[rows],
        "risk_tier": of.tier[rows],
    }
