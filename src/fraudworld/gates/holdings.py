"""Counts accounts by holder, and the instruments on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.census import Census
from fraudworld.gates.columns import invalid
from fraudworld.gates.entities import Ids, Kind
from fraudworld.gates.owners import NOBODY, Owned, Owners
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.published import Columns, Published
from fraudworld.gates.tally import (
    CHUNK,
    I64,
    ColumnBuffer,
    CountPerEntity,
    Occurrences,
    chunks,
    crosstab,
    occurrences,
    sum_histograms,
)
from fraudworld.policy.pack import PolicyPack

BAND = 8 * CHUNK
"""Accounts that are sorted together where a table is not in order of owner."""


@dataclass(frozen=True)
class Accounts:
    """Every account while instruments are counted: row of its owner (or NOBODY), product."""

    ids: Ids
    owner: NDArray[np.int32]
    product: NDArray[np.uint8]


@dataclass(frozen=True)
class Holdings:
    """Accounts of a world.

    held: parties by (product, accounts they hold of it); instruments: by (product of their
    account, instrument type); instruments_each: how many a party has.
    """

    census: Census
    owned: Owned
    held: I64
    instruments: I64
    instruments_each: CountPerEntity


def count_holdings(published: Published, pack: PolicyPack, kind: Kind, owners: Owners) -> Holdings:
    """Count accounts and the instruments on them."""
    census, owned = Census(kind, pack), Owned(kind, owners)
    owner, product = ColumnBuffer(kind.ids.n, np.int32), ColumnBuffer(kind.ids.n, np.uint8)
    for counts, assets, types in kind.map(
        lambda rows: (census.of(rows), owned.of(rows), rows.codes["account_type"])
    ):
        census.add(counts)
        owned.add(assets)
        owner.append(assets.owner)
        product.append(types)
    accounts = Accounts(kind.ids, owner.values, product.values)
    held = held_by(accounts, len(pack.codes("account_type")))
    instruments = _instruments(published, pack, accounts, owners.ids.n)
    return Holdings(census, owned, held, *instruments)


def _instruments(
    published: Published, pack: PolicyPack, accounts: Accounts, parties: int
) -> tuple[I64, CountPerEntity]:
    """Instruments by (product of their account, type), and per party."""
    owner, product = accounts.owner, accounts.product
    table = BY_NAME["s3_instrument_base_6A"]
    sizes = len(pack.codes("account_type")), len(pack.codes("instrument_type"))

    def count(block: Columns) -> tuple[I64, Occurrences]:
        account = accounts.ids.rows_of(block["account_id"], table, "account")
        who = owner[account]
        who = who if who.min(initial=0) >= 0 else who[who != NOBODY]
        return crosstab(
            (product[account], sizes[0]), (block["instrument_type"], sizes[1])
        ), occurrences(who)

    pairs, each = np.zeros(sizes, dtype=np.int64), CountPerEntity(parties)
    for joint, per_account in published.map(count, table, ("account_id", "instrument_type")):
        pairs += joint
        each.add(per_account)
    return pairs, each


def held_by(accounts: Accounts, products: int) -> I64:
    """Parties by (product, accounts they hold of it)."""

    def count(band: slice | NDArray[np.bool_]) -> I64:
        key = accounts.owner[band].astype(np.int64) * products + accounts.product[band]
        if (np.diff(key) < 0).any():
            key.sort()
        first = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
        number = np.diff(np.append(first, key.size))
        return crosstab((key[first] % products, products), (number, int(number.max(initial=0)) + 1))

    return sum_histograms(prefetch(count, _bands(accounts.owner)))


def _bands(owner: NDArray[np.int32]) -> Iterator[slice | NDArray[np.bool_]]:
    """Pieces of the accounts; all accounts of an owner are in one piece."""
    n = owner.size
    if all((np.diff(owner[max(part.start - 1, 0) : part.stop]) >= 0).all() for part in chunks(n)):
        cuts = np.searchsorted(owner, owner[CHUNK::CHUNK], side="right").tolist()
        for low, high in pairwise([0, *cuts, n]):
            yield slice(low, high)
    else:
        least, most = int(owner.min()), int(owner.max()) + 1
        for low, high in pairwise(np.linspace(least, most, 2 + n // BAND).astype(int).tolist()):
            yield (owner >= low) & (owner < high)


def stated_holdings(published: Published, pack: PolicyPack) -> I64:
    """Parties by (product, accounts of it), as the holdings table states."""
    table, products = BY_NAME["s2_party_product_holdings_6A"], len(pack.codes("account_type"))

    def count(block: Columns) -> I64:
        number = block["account_count"]
        if number.min() < 0:
            raise invalid(table, f"holds {number.min()} in account_count")
        return crosstab((block["account_type"], products), (number, int(number.max()) + 1))

    return sum_histograms(published.map(count, table, ("account_type", "account_count")))
