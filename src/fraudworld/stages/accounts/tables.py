"""S2 as published rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from fraudworld.engine.shards import Shard
from fraudworld.inputs.arrays import Geography
from fraudworld.jit import kernel
from fraudworld.kernels.offsets import from_counts
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.accounts.draw import Holdings
from fraudworld.stages.batches import Batch, Columns, Rows, ids, of_each, ref, same, whole
from fraudworld.stages.pieces import Accounts, AccountShard, Parties, PartyShard


def account_base(accounts: Accounts, parties: Parties, geo: Geography) -> Rows:
    """`s2_account_base_6A`, in order of owner, then product."""
    columns = (
        accounts.first[:-1].tolist(),
        parties.shards,
        parties.region.tolist(),
        geo.currency[[s.country for s in parties.shards]].tolist(),
        parties.items,
        accounts.items,
    )
    return Rows(accounts.first, _account_rows, columns)


def _account_rows(
    first: int,
    shard: Shard,
    region: int,
    currency: int,
    parties: PartyShard,
    of: AccountShard,
    low: int,
    high: int,
) -> Batch:
    owner = of.owner[low:high]
    return {
        "account_id": ids(first, low),
        "owner_party_id": ref(owner, shard.first),
        "account_type": of.type[low:high],
        "party_type": of_each(parties.type, owner),
        "segment_id": of_each(parties.segment, owner),
        "region_id": same(region),
        "country_iso": same(shard.country),
        "currency": same(currency),
    }


def holdings(held: Holdings, parties: Parties) -> Rows:
    """`s2_party_product_holdings_6A`, in order of owner, then product."""
    first = [s.first for s in parties.shards]
    return Rows(from_counts(held.rows), _holding_rows, (first, held.accounts.items))


def _holding_rows(first: int, of: AccountShard, low: int, high: int) -> Batch:
    fill = partial(_held, of.owner, of.type, low, high, first)
    return {("owner_party_id", "account_type", "account_count"): fill}


@kernel
def _held(owner_of, type_of, low, high, first, owner, product, number):  # type: ignore[no-untyped-def]
    """Writes holdings low … high − 1: runs of accounts of one owner and product.

    Parameters
    ----------
    owner_of, type_of : uint32 (accounts,), uint8 (accounts,)
        Of every account of a shard, in order of both.
    low, high : int
        Holdings to write, counted in the shard.
    first : int
        Number in the world of party 0.
    owner, product, number : int64, uint8, int64 (high − low,)
        Filled: id of the owner, product, accounts.

    Twin: tests/reference/accounts.py:product_holdings.
    """
    run, length = -1, 0
    for a in range(owner_of.size):
        new = a == 0 or (owner_of[a] != owner_of[a - 1]) | (type_of[a] != type_of[a - 1])
        run += new
        length = length * (not new) + 1
        if run == high:
            return
        if run >= low:
            # Written for every account of a run: a test for its last would mispredict.
            owner[run - low] = first + owner_of[a] + 1
            product[run - low] = type_of[a]
            number[run - low] = length


def account_summary(pack: PolicyPack, accounts: Accounts, parties: Parties, geo: Geography) -> Rows:
    """`s2_account_summary_6A`, in order of country and product; no rows of zero."""
    codes, types = pack.codes("account_type"), pack.codes("party_type")
    counts = np.zeros((len(geo.countries), len(codes)), dtype=np.int64)
    np.add.at(counts, [s.country for s in parties.shards], accounts.types)
    country, product = np.nonzero(counts)
    declared = pack.account_taxonomy.account_types
    type_of = np.array([types.index(declared[a].party_type) for a in codes], dtype=np.uint8)
    batch: Columns = {
        "country_iso": country.astype(np.uint8),
        "region_id": geo.region[country],
        "party_type": type_of[product],
        "account_type": product.astype(np.uint8),
        "account_count": counts[country, product],
    }
    return whole(batch)
