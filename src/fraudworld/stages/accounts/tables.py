"""S2 as published rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudworld.kernels.expand import starts
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.accounts.draw import Holdings
from fraudworld.stages.batches import Batch, Rows, ids, ref, whole
from fraudworld.stages.columns import Accounts, Geography, Parties


def account_base(accounts: Accounts, parties: Parties, geo: Geography) -> Rows:
    """`s2_account_base_6A`, in order of owner, then product."""

    def batch(low: int, high: int) -> Batch:
        owner = accounts.owner[low:high]
        country = parties.country[owner]
        return {
            "account_id": ids(low, high),
            "owner_party_id": ref(owner),
            "account_type": accounts.type[low:high],
            "party_type": parties.type[owner],
            "segment_id": parties.segment[owner],
            "region_id": parties.region[owner],
            "country_iso": country,
            "currency": geo.currency[country],
        }

    return Rows(accounts.n, batch)


@njit(cache=True, nogil=True)
def _held(counts, products, party_type, start, low, high, owner, product, number):  # type: ignore[no-untyped-def]
    """Holdings low … high − 1; `start` is the first holding of every party."""
    p = np.searchsorted(start, low, side="right") - 1
    at = start[p] - low
    while at < high - low:
        for s in range(counts.shape[0]):
            if counts[s, p] > 0:
                if 0 <= at < high - low:
                    owner[at] = p + 1
                    product[at] = products[party_type[p], s]
                    number[at] = counts[s, p]
                at += 1
        p += 1


def holdings(held: Holdings, parties: Parties) -> Rows:
    """`s2_party_product_holdings_6A`, in order of owner, then product."""
    start = starts((held.counts > 0).sum(axis=0))

    def batch(low: int, high: int) -> Batch:
        owner, number = (np.empty(high - low, dtype=np.int64) for _ in range(2))
        product = np.empty(high - low, dtype=np.uint8)
        _held(held.counts, held.products, parties.type, start, low, high, owner, product, number)
        return {"owner_party_id": owner, "account_type": product, "account_count": number}

    return Rows(int(start[-1]), batch)


def account_summary(pack: PolicyPack, accounts: Accounts, parties: Parties, geo: Geography) -> Rows:
    """`s2_account_summary_6A`, in order of country and product; no rows of zero."""
    codes, types = pack.codes("account_type"), pack.codes("party_type")
    counts = np.bincount(
        parties.country[accounts.owner].astype(np.int64) * len(codes) + accounts.type,
        minlength=len(geo.countries) * len(codes),
    )
    cells = np.flatnonzero(counts)
    country, product = np.divmod(cells, len(codes))
    declared = pack.account_taxonomy.account_types
    type_of = np.array([types.index(declared[a].party_type) for a in codes], dtype=np.uint8)
    batch: Batch = {
        "country_iso": country.astype(np.uint8),
        "region_id": geo.region[country],
        "party_type": type_of[product],
        "account_type": product.astype(np.uint8),
        "account_count": counts[cells].astype(np.int64),
    }
    return whole(batch)
