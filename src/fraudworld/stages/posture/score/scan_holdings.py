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
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import AccountShard, InstrumentShard, PartyShard
from fraudworld.stages.posture.score.scores import CARRIED, instrument_flags

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]


@kernel
def _scan_accounts(  # type: ignore[no-untyped-def]
    party_type, owner, kind, start, kmax, party_type_of, needs_floor, found
):
    """Accounts in order of owner; counts into `found`.

    kmax, party_type_of, needs_floor: per account type. found: rows out of order, holdings above
    K_max, products of another party type; at 7, accounts that need a floor.
    """
    disordered = above = misfits = needing = run = 0
    before = np.int64(-1), np.int64(-1)
    for a in range(min(np.int64(start[-1]), owner.size)):
        p, k = np.int64(owner[a]), np.int64(kind[a])
        known = p < party_type.size
        p = p if known else np.int64(0)
        same = p == before[0]
        disordered += not (known & (start[p] <= a) & (a < start[p + 1]))
        disordered += same & (k < before[1])
        run = run * (same & (k == before[1])) + 1
        above += run == kmax[k] + 1
        misfits += party_type_of[k] != party_type[p]
        needing += needs_floor[k]
        before = p, k
    found[0], found[1], found[2], found[7] = disordered, above, misfits, needing


@kernel
def _scan_instruments(  # type: ignore[no-untyped-def]
    kind, account, instrument, start, legal, caps, floor, is_card, needs_card, flags, carried, found
):
    """Instruments in order of account; counts into `found`.

    kind: per account; account, instrument: whose every instrument is, and its type; legal, caps,
    floor: (account type, instrument type); flags: bits of every instrument type. carried: per
    account, all 0, the flags of its instruments · (CARRIED + 1) + how many they are. found, from
    3 on: instruments out of order, illegal ones, pairs above their cap, tokens without a card,
    accounts without their floor, most instruments on one account.
    """
    disordered = illegal = above = lone = floors = most = 0
    # Of the account of the instrument before.
    last = np.int64(-1)
    size = bits = 0
    card = token = has_floor = False
    held = np.zeros(flags.size, dtype=np.int64)  # of every type on the last account that has it
    held_by = np.full(flags.size, -1, dtype=np.int64)
    for i in range(min(np.int64(start[-1]), account.size)):
        a, m = np.int64(account[i]), np.int64(instrument[i])
        known = a < kind.size
        a = a if known else np.int64(0)
        disordered += not (known & (start[a] <= i) & (i < start[a + 1]))
        k = kind[a]
        same = a == last
        lone += (not same) & token & (not card)
        size = size * same + 1
        bits = bits * same | flags[m]
        card = same & card | is_card[m]
        token = same & token | needs_card[m]
        had = same & has_floor
        has_floor = had | floor[k, m]
        floors += has_floor & (not had)
        illegal += not legal[k, m]
        held[m] = held[m] * (held_by[m] == a) + 1
        held_by[m] = a
        above += held[m] == caps[k, m] + 1
        most = max(most, size)
        carried[a] = bits * (CARRIED + 1) + min(size, CARRIED)
        last = a
    lone += token & (not card)
    found[3], found[4], found[5], found[6] = disordered, illegal, above, lone
    found[7] -= floors
    found[8] = most


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
    _scan_accounts(
        parties.type, accounts.owner, accounts.type, accounts.start, law.kmax, law.party_type_of,
        law.floor.any(axis=1), found,
    )  # fmt: skip
    _scan_instruments(
        accounts.type, instruments.account, instruments.type, instruments.start, law.legal,
        law.caps, law.floor, law.is_card, law.needs_card, law.flags, carried, found,
    )  # fmt: skip
    found[0] += abs(accounts.type.size - int(accounts.start[-1]))
    found[3] += abs(instruments.type.size - int(instruments.start[-1]))
    return carried, found


def total(found: Iterable[I64]) -> HoldingsScan:
    """The scan of all shards."""
    all_ = np.stack([*found])
    return HoldingsScan(*[*all_[:, :8].sum(axis=0).tolist(), int(all_[:, 8].max())])
