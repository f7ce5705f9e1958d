"""One pass over accounts and the instruments on them: what is wrong, and what every account
carries for its score.

Scans count violations in one shard or country; they judge nothing. Rows that point outside
their parent table are counted and then skipped, so that a broken world is measured, not
followed into memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.posture.scores import CARRIED, instrument_flags
from fraudworld.stages.world import AccountShard, InstrumentShard, PartyShard

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]


@njit(cache=True, nogil=True)
def _scan_holdings(  # type: ignore[no-untyped-def]
    party_type,
    owner,
    kind,
    start,
    kmax,
    party_type_of,
    instrument_account,
    instrument_kind,
    instrument_start,
    legal,
    caps,
    floor,
    needs_floor,
    is_card,
    needs_card,
    flags,
    carried,
    found,
):
    """Accounts in order of owner and the instruments on them; counts into `found`.

    kmax, party_type_of: per account type; legal, caps, floor: (account type, instrument
    type); needs_floor: account types with any floor; flags: bits of every instrument type.
    carried: per account the flags of its instruments · (CARRIED + 1) + how many they are.
    found: rows out of order, holdings above K_max, products of another party type,
    instruments out of order, illegal ones, pairs above their cap, tokens without a card,
    accounts without their floor, most instruments on one account.
    """
    held = np.zeros(caps.shape[1], dtype=np.int64)
    for p in range(start.size - 1):
        run = 0
        for a in range(start[p], start[p + 1]):
            k = kind[a]
            if owner[a] != p:
                found[0] += 1
            if a > start[p] and kind[a - 1] > k:
                found[0] += 1
            run = run + 1 if a > start[p] and kind[a - 1] == k else 1
            if run == kmax[k] + 1:
                found[1] += 1
            if party_type_of[k] != party_type[p]:
                found[2] += 1
    for a in range(instrument_start.size - 1):
        k = kind[a]
        low, high = instrument_start[a], instrument_start[a + 1]
        cards = tokens = floors = bits = 0
        for i in range(low, high):
            m = instrument_kind[i]
            held[m] += 1
            if instrument_account[i] != a:
                found[3] += 1
            if not legal[k, m]:
                found[4] += 1
            if held[m] == caps[k, m] + 1:
                found[5] += 1
            cards += is_card[m]
            tokens += needs_card[m]
            floors += floor[k, m]
            bits |= flags[m]
        for i in range(low, high):
            held[instrument_kind[i]] = 0
        if tokens > 0 and cards == 0:
            found[6] += 1
        if needs_floor[k] and floors == 0:
            found[7] += 1
        found[8] = max(found[8], high - low)
        carried[a] = bits * (CARRIED + 1) + min(high - low, CARRIED)


@dataclass(frozen=True)
class HoldingsLaw:
    """What the policy says of accounts and instruments, by their types."""

    kmax: I64
    party_type_of: U8
    legal: Bools  # (account types, instrument types)
    caps: I64
    floor: Bools
    is_card: Bools
    needs_card: Bools
    flags: U8

    @classmethod
    def of(cls, pack: PolicyPack) -> HoldingsLaw:
        """The policy's."""
        products, kinds = pack.codes("account_type"), pack.codes("instrument_type")
        types = pack.codes("party_type")
        declared = pack.account_taxonomy.account_types
        forms = pack.instrument_taxonomy.instrument_types
        counts, priors = pack.instrument_per_account_priors.counts, pack.instrument_mix_priors
        shape = (len(products), len(kinds))
        legal, floor = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        caps = np.zeros(shape, np.int64)
        for a, product in enumerate(products):
            for k, kind in enumerate(kinds):
                legal[a, k] = declared[product].ledger in forms[kind].ledgers
                if kind in counts.get(product, {}):
                    caps[a, k] = counts[product][kind].cap
                if priors.floor != "none":
                    floor[a, k] = priors.floors.get(product, {}).get(kind, 0.0) > 0.0
        return cls(
            np.array([pack.account_per_party_priors.counts[p].cap for p in products]),
            np.array([types.index(declared[p].party_type) for p in products], dtype=np.uint8),
            legal,
            caps,
            floor,
            np.array([forms[k].family == "CARD" for k in kinds]),
            np.array([forms[k].needs_card for k in kinds]),
            instrument_flags(pack),
        )


@dataclass(frozen=True)
class HoldingsScan:
    """Violations among accounts and instruments; `most_instruments` is a maximum."""

    accounts_out_of_order: int
    holdings_above_kmax: int
    products_of_another_party_type: int
    instruments_out_of_order: int
    illegal_instruments: int
    instruments_above_cap: int
    tokens_without_card: int
    accounts_without_floor: int
    most_instruments: int


def scan_holdings(
    law: HoldingsLaw, parties: PartyShard, accounts: AccountShard, instruments: InstrumentShard
) -> tuple[U8, I64]:
    """One pass over accounts and one over instruments of a shard.

    Returns what every account carries (flags · (CARRIED + 1) + how many), and the counts in
    order of HoldingsScan.
    """
    carried = np.zeros(accounts.type.size, dtype=np.uint8)
    found = np.zeros(9, dtype=np.int64)
    _scan_holdings(
        parties.type,
        accounts.owner,
        accounts.type,
        accounts.start,
        law.kmax,
        law.party_type_of,
        instruments.account,
        instruments.type,
        instruments.start,
        law.legal,
        law.caps,
        law.floor,
        law.floor.any(axis=1),
        law.is_card,
        law.needs_card,
        law.flags,
        carried,
        found,
    )
    found[0] += abs(accounts.type.size - int(accounts.start[-1]))
    found[3] += abs(instruments.type.size - int(instruments.start[-1]))
    return carried, found


def total(found: Iterable[I64]) -> HoldingsScan:
    """The scan of all shards."""
    all_ = np.stack([*found])
    return HoldingsScan(*[*all_[:, :8].sum(axis=0).tolist(), int(all_[:, 8].max())])
