"""S5 as published rows."""

from __future__ import annotations

from collections.abc import Iterator

from fraudworld.stages.batches import Batch, ids, spans
from fraudworld.stages.columns import Merchants
from fraudworld.stages.posture.roles import Roles


def fraud_roles(roles: Roles, merchants: Merchants) -> Iterator[Batch]:
    """`s5_<entity>_fraud_roles_6A`, in order of id; merchants keep upstream's ids."""
    key = f"{roles.entity}_id"
    for low, high in spans(roles.raw.size):
        yield {
            key: merchants.id[low:high] if roles.entity == "merchant" else ids(low, high),
            "raw_role": roles.raw[low:high],
            "canonical_role_family": roles.family[low:high],
            "risk_tier": roles.tier[low:high],
        }
