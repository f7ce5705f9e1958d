"""S3 as published rows."""

from __future__ import annotations

from fraudworld.stages.batches import Batch, Rows, ids, of_each, ref
from fraudworld.stages.pieces import (
    Accounts,
    AccountShard,
    Instruments,
    InstrumentShard,
    Parties,
)


def instrument_base(instruments: Instruments, accounts: Accounts, parties: Parties) -> Rows:
    """`s3_instrument_base_6A`, in order of account."""
    firsts = (x.first[:-1].tolist() for x in (instruments, accounts, parties))
    return Rows(instruments.first, _base_rows, (*firsts, accounts.items, instruments.items))


def _base_rows(
    first: int,
    first_account: int,
    first_party: int,
    accounts: AccountShard,
    of: InstrumentShard,
    low: int,
    high: int,
) -> Batch:
    account = of.account[low:high]
    return {
        "instrument_id": ids(first, low),
        "account_id": ref(account, first_account),
        "owner_party_id": of_each(accounts.owner, account, first_party + 1),
        "instrument_type": of.type[low:high],
        "scheme": of.scheme[low:high],
    }


def account_instrument_links(instruments: Instruments, accounts: Accounts) -> Rows:
    """`s3_account_instrument_links_6A`, in order of account, then instrument."""
    firsts = (x.first[:-1].tolist() for x in (instruments, accounts))
    return Rows(instruments.first, _link_rows, (*firsts, instruments.items))


def _link_rows(first: int, first_account: int, of: InstrumentShard, low: int, high: int) -> Batch:
    return {
        "account_id": ref(of.account[low:high], first_account),
        "instrument_id": ids(first, low),
        "instrument_type": of.type[low:high],
        "scheme": of.scheme[low:high],
    }
