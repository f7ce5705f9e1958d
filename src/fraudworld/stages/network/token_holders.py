"""Parties that hold wallet tokens, and the mobile system of their wallets.

Twin of all kernels here: tests/reference/platforms.py:of_holders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.jit import kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages import platforms
from fraudworld.stages.pieces import (
    Accounts,
    AccountShard,
    Instruments,
    InstrumentShard,
    Parties,
    PartyShard,
)

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

NO_PLATFORM, ON_ANDROID, ON_IOS = range(3)
"""System of a party's wallet; none where it holds no token."""


@dataclass(frozen=True)
class TokenHolders:
    """Holders of wallet tokens.

    platform: of every party of a shard, uint8 (parties,); (0,) where parties have no mobile
    system. counts: holders, (shards, segments). group: device group of which a holder has one.
    """

    platform: Sequence[Item[U8] | U8]
    counts: I64
    group: str


def token_holders(
    pack: PolicyPack,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    engine: Engine,
) -> TokenHolders:
    """The holders of a world, by the schemes of their tokens; one round over shards."""
    rule, segments = pack.device_count_priors.mobile_platform, len(pack.codes("segment"))
    if not platforms.follows_country(pack):
        nobody = [np.empty(0, dtype=np.uint8)] * len(parties.shards)
        none = np.zeros((len(nobody), segments), dtype=np.int64)
        return TokenHolders(nobody, none, rule.wallet_group)
    schemes = pack.codes("scheme")
    system = np.zeros(len(schemes), dtype=np.uint8)
    for code, scheme in rule.wallets.items():
        system[schemes.index(scheme)] = ON_IOS if code == platforms.IOS else ON_ANDROID
    task = partial(_of_shard, system, segments)
    platform, counts = engine.run(task, parties.items, accounts.items, instruments.items)
    return TokenHolders(platform, np.stack(counts), rule.wallet_group)


def _of_shard(
    system: U8, segments: int, parties: PartyShard, accounts: AccountShard, of: InstrumentShard
) -> tuple[U8, I64]:
    """Task: systems of the holders of a shard, and holders by segment.

    system: of every scheme, (schemes,).
    """
    platform = np.zeros(parties.segment.size, dtype=np.uint8)
    _mark(system, accounts.owner, of.account, of.scheme, platform)
    return platform, np.bincount(parties.segment[platform != NO_PLATFORM], minlength=segments)


@kernel
def _mark(system, owner, account, scheme, platform):  # type: ignore[no-untyped-def]
    """Marks the owners of tokens.

    Parameters
    ----------
    system : uint8 (schemes,)
        NO_PLATFORM for schemes that are no wallet's.
    owner : uint32 (accounts,)
    account, scheme : uint32, uint8 (instruments,)
    platform : uint8 (parties,)
        Filled for owners of tokens.
    """
    for i in range(account.size):
        of = system[scheme[i]]
        if of != NO_PLATFORM:
            platform[owner[account[i]]] = of
