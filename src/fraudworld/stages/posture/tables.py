"""S5 as published rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.stages.batches import Batch, ids, spans
from fraudworld.stages.posture.roles import Roles


def role_rows(roles: Roles, published: NDArray[np.int64] | None = None) -> Iterator[Batch]:
    """`s5_<entity>_fraud_roles_6A`, in order of entity; ids are `published` or dense."""
    for low, high in spans(roles.raw.size):
        rows = slice(low, high)
        yield {
            f"{roles.entity}_id": ids(low, high) if published is None else published[rows],
            "raw_role": roles.raw[rows],
            "canonical_role_family": roles.family[rows],
            "risk_tier": roles.tier[rows],
        }
