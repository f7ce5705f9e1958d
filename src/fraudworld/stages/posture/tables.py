"""S5 as published rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.stages.batches import Batch, Rows, ids
from fraudworld.stages.posture.roles import Roles


def role_rows(roles: Roles, published: NDArray[np.int64] | None = None) -> Rows:
    """`s5_<entity>_fraud_roles_6A`, in order of entity; ids are `published` or dense."""

    def batch(low: int, high: int) -> Batch:
        rows = slice(low, high)
        return {
            f"{roles.entity}_id": ids(low, high) if published is None else published[rows],
            "raw_role": roles.raw[rows],
            "canonical_role_family": roles.family[rows],
            "risk_tier": roles.tier[rows],
        }

    return Rows(roles.raw.size, batch)
