"""Policy groups of S5: the cells inside which tiers are ranked and roles drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.columns import Accounts, Ips


def account_group(pack: PolicyPack, accounts: Accounts) -> NDArray[np.uint8]:
    """Role group of every account: position in codes("account_group")."""
    groups, declared = pack.codes("account_group"), pack.account_taxonomy.account_types
    of_type = [groups.index(declared[kind].group) for kind in pack.codes("account_type")]
    return np.array(of_type, dtype=np.uint8)[accounts.type]


def ip_group(pack: PolicyPack, ips: Ips) -> NDArray[np.uint8]:
    """Role group of every endpoint, by type and operator: position in codes("ip_group")."""
    groups, declared = pack.codes("ip_group"), pack.fraud_role_taxonomy.ip_groups
    table = [
        [groups.index(declared[kind][asn]) for asn in pack.codes("asn_class")]
        for kind in pack.codes("ip_type")
    ]
    return np.array(table, dtype=np.uint8)[ips.type, ips.asn]
