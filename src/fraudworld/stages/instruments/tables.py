"""S3 as published rows."""

from __future__ import annotations

from fraudworld.stages.batches import Batch, Rows, ids, ref
from fraudworld.stages.columns import Accounts, Instruments


def instrument_base(instruments: Instruments, accounts: Accounts) -> Rows:
    """`s3_instrument_base_6A`, in order of account."""

    def batch(low: int, high: int) -> Batch:
        account = instruments.account[low:high]
        return {
            "instrument_id": ids(low, high),
            "account_id": ref(account),
            "owner_party_id": ref(accounts.owner[account]),
            "instrument_type": instruments.type[low:high],
            "scheme": instruments.scheme[low:high],
        }

    return Rows(instruments.n, batch)


def account_instrument_links(instruments: Instruments) -> Rows:
    """`s3_account_instrument_links_6A`, in order of account, then instrument."""

    def batch(low: int, high: int) -> Batch:
        return {
            "account_id": ref(instruments.account[low:high]),
            "instrument_id": ids(low, high),
            "instrument_type": instruments.type[low:high],
            "scheme": instruments.scheme[low:high],
        }

    return Rows(instruments.n, batch)
