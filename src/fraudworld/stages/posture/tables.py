"""S5 as published rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.stages.batches import Batch, Columns, Rows, ids, whole
from fraudworld.stages.posture.role.roles import RoleShard
from fraudworld.stages.posture.role.rounds import PlacedShard


def role_rows(entity: str, first: NDArray[np.int64], items: Sequence[Any]) -> Rows:
    """`s5_<entity>_fraud_roles_6A`, in order of entity; items: RoleShard of every piece."""
    return Rows(first, partial(_rows, f"{entity}_id"), (first[:-1].tolist(), items))


def party_rows(first: NDArray[np.int64], items: Sequence[Any]) -> Rows:
    """`s5_party_fraud_roles_6A`, in order of party; items: PlacedShard of every piece."""
    return Rows(first, _party_rows, (first[:-1].tolist(), items))


def _party_rows(first: int, of: PlacedShard, low: int, high: int) -> Batch:
    return _rows("party_id", first, of.party, low, high)


def _rows(key: str, first: int, of: RoleShard, low: int, high: int) -> Batch:
    return {key: ids(first, low), **_posture(of, slice(low, high))}


def merchant_rows(published: NDArray[np.int64], of: RoleShard) -> Rows:
    """`s5_merchant_fraud_roles_6A`, under the ids of the upstream."""
    return whole({"merchant_id": published, **_posture(of, slice(None))})


def _posture(of: RoleShard, rows: slice) -> Columns:
    return {
        "raw_role": of.raw[rows],
        "canonical_role_family": of.family[rows],
        "risk_tier": of.tier[rows],
    }
