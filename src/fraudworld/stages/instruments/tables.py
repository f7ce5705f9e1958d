"""S3 as published rows."""

from __future__ import annotations

from collections.abc import Iterator

from fraudworld.stages.batches import Batch, ids, ref, spans
from fraudworld.stages.columns import Accounts, Instruments


def instrument_base(instruments: Instruments, accounts: Accounts) -> Iterator[Batch]:
    """`s3_instrument_base_6A`, in order of account."""
    for low, high in spans(instruments.n):
        account = instruments.account[low:high]
        yield {
            "instrument_id": ids(low, high),
            "account_id": ref(account),
            "owner_party_id": ref(accounts.owner[account]),
            "instrument_type": instruments.type[low:high],
            "scheme": instruments.scheme[low:high],
        }


def account_instrument_links(instruments: Instruments) -> Iterator[Batch]:
    """`s3_account_instrument_links_6A`, in order of account, then instrument."""
    for low, high in spans(instruments.n):
        yield {
            "account_id": ref(instruments.account[low:high]),
            "instrument_id": ids(low, high),
            "instrument_type": instruments.type[low:high],
            "scheme": instruments.scheme[low:high],
        }
