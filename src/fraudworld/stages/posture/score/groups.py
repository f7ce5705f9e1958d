"""Groups of S5: the cells in which tiers are ranked and roles are drawn.

Twin: the groups of tests/reference/posture.py:make.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack

U8 = NDArray[np.uint8]

GROUPS = {
    "party": "party_type",
    "account": "account_group",
    "merchant": "merchant_class",
    "device": "device_group",
    "ip": "ip_group",
}
"""Entity → code list of its groups."""


def account_groups(pack: PolicyPack) -> U8:
    """Group of every account type, position in codes("account_group"); (account types,)."""
    groups, declared = pack.codes("account_group"), pack.account_taxonomy.account_types
    of_type = [groups.index(declared[name].group) for name in pack.codes("account_type")]
    return np.array(of_type, dtype=np.uint8)


def ip_groups(pack: PolicyPack) -> U8:
    """Group by endpoint type and operator, position in codes("ip_group"); (types, operators)."""
    groups, declared = pack.codes("ip_group"), pack.fraud_role_taxonomy.ip_groups
    table = [
        [groups.index(declared[name][asn]) for asn in pack.codes("asn_class")]
        for name in pack.codes("ip_type")
    ]
    return np.array(table, dtype=np.uint8)


def identity(pack: PolicyPack, entity: str) -> U8:
    """0, 1, … for entities whose column already holds the group; (groups,)."""
    return np.arange(len(pack.codes(GROUPS[entity])), dtype=np.uint8)
