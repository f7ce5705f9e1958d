"""One pass over accounts and one over instruments: violations, and the code of an account's score.

The scans of S5 count violations in one shard or country, which the checks of validate/checks.py
judge. A row that points outside of its parent table is counted and then read as if it pointed to
row 0, so that a broken world is measured without reading beyond an array.

The violations have no plain twin: tests/unit/stages/test_posture_checks.py breaks a world in every
way counted here. Twin of the code: tests/reference/posture.py:account_features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.pieces import AccountShard, InstrumentShard, PartyShard
from fraudworld.stages.posture.score.scores import FULL_INSTRUMENTS, instrument_flags

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]


class HoldingsLaw(NamedTuple):
    """What the policy allows of accounts and instruments."""

    kmax: I64  # accounts of a type per party, (account types,)
    party_type_of: U8  # party type that may hold an account type, (account types,)
    needs_floor: Bools  # whether an account type has a floor, (account types,)
    legal: Bools  # (account types, instrument types)
    caps: I64  # instruments of a type per account, (account types, instrument types)
    floor: Bools  # whether an instrument type is a floor, (account types, instrument types)
    is_card: Bools  # (instrument types,)
    needs_card: Bools  # whether an account with it must have a card, (instrument types,)
    flags: U8  # bit mask of `instrument_flags`, (instrument types,)

    @classmethod
    def of(cls, pack: PolicyPack) -> HoldingsLaw:
        """The law of a policy."""
        products, forms = pack.codes("account_type"), pack.codes("instrument_type")
        types = pack.codes("party_type")
        of_product = pack.account_taxonomy.account_types
        of_form = pack.instrument_taxonomy.instrument_types
        counts, priors = pack.instrument_per_account_priors.counts, pack.instrument_mix_priors
        shape = (len(products), len(forms))
        legal, floor = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        caps = np.zeros(shape, np.int64)
        for a, product in enumerate(products):
            for m, form in enumerate(forms):
                legal[a, m] = of_product[product].ledger in of_form[form].ledgers
                if form in counts.get(product, {}):
                    caps[a, m] = counts[product][form].cap
                if priors.floor != "none":
                    floor[a, m] = priors.floors.get(product, {}).get(form, 0.0) > 0.0
        return cls(
            kmax=np.array([pack.account_per_party_priors.counts[p].cap for p in products]),
            party_type_of=np.array(
                [types.index(of_product[p].party_type) for p in products], dtype=np.uint8
            ),
            needs_floor=np.asarray(floor.any(axis=1)),
            legal=legal,
            caps=caps,
            floor=floor,
            is_card=np.array([of_form[m].family == "CARD" for m in forms]),
            needs_card=np.array([of_form[m].needs_card for m in forms]),
            flags=instrument_flags(pack),
        )


class HoldingsScan(NamedTuple):
    """Violations among accounts and instruments; sums over shards but for the last field."""

    accounts_out_of_order: int
    holdings_above_kmax: int
    products_of_another_party_type: int
    instruments_out_of_order: int
    illegal_instruments: int
    instruments_above_cap: int
    tokens_without_card: int
    accounts_without_floor: int
    most_instruments: int  # on one account; a maximum over shards


class _Accounts(NamedTuple):
    """Columns of an `AccountShard`."""

    owner: U32  # (accounts,)
    type: U8  # (accounts,)
    start: I32  # first account of every party, (parties + 1,)


class _Instruments(NamedTuple):
    """Columns of an `InstrumentShard`."""

    account: U32  # (instruments,)
    type: U8  # (instruments,)
    start: I32  # first instrument of every account, (accounts + 1,)


@kernel
def _scan_accounts(party_type, accounts, law):  # type: ignore[no-untyped-def]
    """Violations among the accounts of a shard.

    Parameters
    ----------
    party_type : uint8 (parties,)
    accounts : _Accounts
    law : HoldingsLaw

    Returns
    -------
    (int, int, int, int)
        Accounts out of order, holdings above K_max, products of another party type, and accounts
        that need a floor.
    """
    owner, type_, start = accounts
    kmax, party_type_of, needs_floor = law.kmax, law.party_type_of, law.needs_floor
    disordered = above = of_another_type = needing = run = 0
    last_owner, last_type = np.int64(-1), np.int64(-1)
    for a in range(min(np.int64(start[-1]), owner.size)):
        p, t = np.int64(owner[a]), np.int64(type_[a])
        known = p < party_type.size
        p = p if known else np.int64(0)
        same = p == last_owner
        disordered += not (known & (start[p] <= a) & (a < start[p + 1]))
        disordered += same & (t < last_type)
        run = run * (same & (t == last_type)) + 1
        above += run == kmax[t] + 1
        of_another_type += party_type_of[t] != party_type[p]
        needing += needs_floor[t]
        last_owner, last_type = p, t
    return disordered, above, of_another_type, needing


@kernel
def _scan_instruments(account_type, instruments, law, code):  # type: ignore[no-untyped-def]
    """Violations among the instruments of a shard, and the code of every account's instruments.

    Parameters
    ----------
    account_type : uint8 (accounts,)
    instruments : _Instruments
    law : HoldingsLaw
    code : uint8 (accounts,), zero before
        Filled as `account_signal` reads it.

    Returns
    -------
    (int, int, int, int, int, int)
        Instruments out of order, illegal instruments, pairs of account and type above their cap,
        accounts with a token and no card, accounts with a floor, most instruments on one account.
    """
    account, type_, start = instruments
    legal, caps, floor = law.legal, law.caps, law.floor
    is_card, needs_card, flags = law.is_card, law.needs_card, law.flags
    disordered = illegal = above = without_card = with_floor = most = 0
    # State of the account of the last instrument.
    last = np.int64(-1)
    size = bits = 0
    card = token = has_floor = False
    held = np.zeros(flags.size, dtype=np.int64)  # instruments of a type on account held_by[type]
    held_by = np.full(flags.size, -1, dtype=np.int64)
    for i in range(min(np.int64(start[-1]), account.size)):
        a, m = np.int64(account[i]), np.int64(type_[i])
        known = a < account_type.size
        a = a if known else np.int64(0)
        disordered += not (known & (start[a] <= i) & (i < start[a + 1]))
        t = account_type[a]
        same = a == last
        without_card += (not same) & token & (not card)
        size = size * same + 1
        bits = bits * same | flags[m]
        card = same & card | is_card[m]
        token = same & token | needs_card[m]
        had_floor = same & has_floor
        has_floor = had_floor | floor[t, m]
        with_floor += has_floor & (not had_floor)
        illegal += not legal[t, m]
        held[m] = held[m] * (held_by[m] == a) + 1
        held_by[m] = a
        above += held[m] == caps[t, m] + 1
        most = max(most, size)
        code[a] = bits * (FULL_INSTRUMENTS + 1) + min(size, FULL_INSTRUMENTS)
        last = a
    without_card += token & (not card)
    return disordered, illegal, above, without_card, with_floor, most


def scan_holdings(
    law: HoldingsLaw, parties: PartyShard, accounts: AccountShard, instruments: InstrumentShard
) -> tuple[U8, HoldingsScan]:
    """The code of every account's instruments (`account_signal`), and the scan of a shard."""
    code = np.zeros(accounts.type.size, dtype=np.uint8)
    disordered, above_kmax, of_another_type, needing = _scan_accounts(
        parties.type, _Accounts(accounts.owner, accounts.type, accounts.start), law
    )
    misplaced, illegal, above_cap, without_card, with_floor, most = _scan_instruments(
        accounts.type,
        _Instruments(instruments.account, instruments.type, instruments.start),
        law,
        code,
    )
    return code, HoldingsScan(
        accounts_out_of_order=disordered + abs(accounts.type.size - int(accounts.start[-1])),
        holdings_above_kmax=above_kmax,
        products_of_another_party_type=of_another_type,
        instruments_out_of_order=misplaced
        + abs(instruments.type.size - int(instruments.start[-1])),
        illegal_instruments=illegal,
        instruments_above_cap=above_cap,
        tokens_without_card=without_card,
        accounts_without_floor=needing - with_floor,
        most_instruments=most,
    )


def total(scans: Iterable[HoldingsScan]) -> HoldingsScan:
    """The scan of the world from those of its shards."""
    counts = np.array([*scans])
    sums = HoldingsScan(*counts.sum(axis=0).tolist())
    return sums._replace(most_instruments=int(counts[:, -1].max()))
