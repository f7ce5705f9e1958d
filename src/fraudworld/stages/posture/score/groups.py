"""Policy groups of S5: the cells inside which tiers are ranked and roles drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack

GROUPS = {
    "party": "party_type",
    "account": "account_group",
    "merchant": "merchant_class",
    "device": "device_group",
    "ip": "ip_group",
}
"""Entity → code list of the groups it is ranked, and its roles are drawn, in."""


def account_groups(pack: PolicyPack) -> NDArray[np.uint8]:
    """Role group of every account type: position in codes("account_group")."""
    groups, declared = pack.codes("account_group"), pack.account_taxonomy.account_types
    of_type = [groups.index(declared[kind].group) for kind in pack.codes("account_type")]
    return np.array(of_type, dtype=np.uint8)


def ip_groups(pack: PolicyPack) -> NDArray[np.uint8]:
    """Role group of every endpoint type and operator: position in codes("ip_group")."""
    groups, declared = pack.codes("ip_group"), pack.fraud_role_taxonomy.ip_groups
    table = [
        [groups.index(declared[kind][asn]) for asn in pack.codes("asn_class")]
        for kind in pack.codes("ip_type")
    ]
    return np.array(table, dtype=np.uint8)


def identity(pack: PolicyPack, entity: str) -> NDArray[np.uint8]:
    """Groups of entities whose kind is their group."""
    return np.arange(len(pack.codes(GROUPS[entity])), dtype=np.uint8)
