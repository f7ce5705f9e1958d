"""All identifiers of published profiles: how many there are, are wrong, and appear twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.layers.profiles.identifiers.columns import Mask
from fraudworld.layers.profiles.identifiers.digits import (
    card_numbers,
    phone_ranges,
    wrong_cards,
    wrong_phones,
)
from fraudworld.layers.profiles.identifiers.emails import wrong_emails
from fraudworld.layers.profiles.identifiers.forms import (
    FIRM,
    PERSON,
    iban_forms,
    postal_code_forms,
    tax_id_forms,
    wrong_ibans,
    wrong_texts,
)
from fraudworld.layers.profiles.identifiers.networks import wrong_addresses, wrong_systems
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.store.reader import parts
from fraudworld.store.sql import identifier, parquet

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 1 << 17
"""Rows judged at a time: bounds the memory of byte matrices."""

IDENTITIES = "p1_party_identity_6P"
OF_PARTIES = ("email", "phone_e164", "postal_code", "tax_id")
"""Identifiers of that table; some are shared by law."""

UNIQUE: dict[str, tuple[tuple[str, str], ...]] = {
    "iban": (("p2_account_profile_6P", "iban"),),
    "pan": (("p3_instrument_profile_6P", "pan"),),
    "token": (("p3_instrument_profile_6P", "token"),),
    "address": (("p4_ip_profile_6P", "address"), ("p4_unlinked_pool_6P", "address")),
}
"""Identifiers that appear once in a layer, and the columns that hold them."""

Codes = NDArray[np.int16]
Folders = Mapping[str, Path]
"""Name of a table → folder of its parts."""


class Count(NamedTuple):
    """Rows of one kind of identifier."""

    present: int
    wrong: int  # rows, those without an identifier included
    repeated: int = 0  # beyond the first of equal ones; 0 for identifiers that may be shared


def count_identifiers(
    policy: IdentityPolicy, folders: Folders, connection: duckdb.DuckDBPyConnection
) -> dict[str, Count]:
    """Judges every identifier of published profiles, part by part.

    folders: of the tables of 6P with identifiers and of `s1_party_base_6A`, `s2_account_base_6A`,
    `s3_instrument_base_6A`; without `p1_party_identity_6P`, its identifiers are left out.
    connection: counts distinct values. Returns counts by name of the column. Raises InputError
    for a folder without parts, KeyError for a missing folder or column.
    """
    names = (*(OF_PARTIES if IDENTITIES in folders else ()), *UNIQUE, "asn")
    counted = dict.fromkeys(names, Count(0, 0))
    for judged in (_of_parties, _of_accounts, _of_instruments, _of_endpoints):
        for name, present, wrong in judged(policy, folders):
            one = counted[name]
            counted[name] = Count(one.present + present, one.wrong + wrong)
    for name, columns in UNIQUE.items():
        repeated = repetitions(connection, [(folders[t], column) for t, column in columns])
        counted[name] = counted[name]._replace(repeated=repeated)
    return counted


def repetitions(connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[Path, str]]) -> int:
    """Values beyond the first of equal ones, nulls left out; columns: folder and name of each."""
    union = " union all ".join(
        f"select {identifier(name)} as value from {parquet(parts(folder))}"
        for folder, name in columns
    )
    row = connection.execute(
        f"select coalesce(sum(n - 1), 0) from (select count(*) as n from ({union}) "
        "where value is not null group by value having n > 1)"
    ).fetchone()
    assert row is not None
    return int(row[0])


Judged = Iterator[tuple[str, int, int]]
"""Name of an identifier, how many of a batch are present, how many rows are wrong."""


def _of_parties(policy: IdentityPolicy, folders: Folders) -> Judged:
    if IDENTITIES not in folders:
        return
    countries = tuple(policy.locales.countries)
    base = folders["s1_party_base_6A"]
    country = _by_id(base, "party_id", "country_iso", countries)
    # Types other than RETAIL are firms and bodies.
    kind = np.where(_by_id(base, "party_id", "party_type", ("RETAIL",)) == 0, PERSON, FIRM)
    tax, postal = tax_id_forms(policy, countries), postal_code_forms(policy, countries)
    ranges = phone_ranges(policy, countries)
    for batch in _batches(folders[IDENTITIES], ("party_id", *OF_PARTIES)):
        at = _positions(batch["party_id"], country.size)
        yield _judged(batch, "email", wrong_emails(batch["email"]))
        yield _judged(batch, "phone_e164", wrong_phones(ranges, batch["phone_e164"]))
        yield _judged(
            batch, "postal_code", wrong_texts(postal, country[at], 0, batch["postal_code"])
        )
        yield _judged(batch, "tax_id", wrong_texts(tax, country[at], kind[at], batch["tax_id"]))


def _of_accounts(policy: IdentityPolicy, folders: Folders) -> Judged:
    countries = tuple(policy.locales.countries)
    country = _by_id(folders["s2_account_base_6A"], "account_id", "country_iso", countries)
    forms = iban_forms(policy, countries)
    for batch in _batches(folders["p2_account_profile_6P"], ("account_id", "iban")):
        at = _positions(batch["account_id"], country.size)
        yield _judged(batch, "iban", wrong_ibans(forms, country[at], batch["iban"]))


def _of_instruments(policy: IdentityPolicy, folders: Folders) -> Judged:
    cards = policy.numbers.cards
    schemes = (*cards.schemes, *cards.wallets)
    scheme = _by_id(folders["s3_instrument_base_6A"], "instrument_id", "scheme", schemes)
    numbers = {
        "pan": card_numbers(policy, cards.schemes, schemes),
        "token": card_numbers(policy, cards.wallets, schemes),
    }
    for batch in _batches(folders["p3_instrument_profile_6P"], ("instrument_id", *numbers)):
        at = _positions(batch["instrument_id"], scheme.size)
        for name, of in numbers.items():
            yield _judged(batch, name, wrong_cards(of, scheme[at], batch[name]))


def _of_endpoints(policy: IdentityPolicy, folders: Folders) -> Judged:
    judges = {"address": wrong_addresses, "asn": wrong_systems}
    for batch in _batches(folders["p4_ip_profile_6P"], tuple(judges)):
        for name, judge in judges.items():
            yield _judged(batch, name, judge(batch[name]))
    for batch in _batches(folders["p4_unlinked_pool_6P"], ("entity", *judges)):
        entity = batch["entity"].cast(pa.string())
        device = pc.fill_null(pc.equal(entity, "DEVICE"), False).to_numpy(zero_copy_only=False)
        for name, judge in judges.items():
            # Devices have neither address nor system.
            present = batch[name].is_valid().to_numpy(zero_copy_only=False)
            yield _judged(batch, name, np.where(device, present, judge(batch[name])))


def _judged(batch: Mapping[str, pa.Array], name: str, wrong: Mask) -> tuple[str, int, int]:
    column = batch[name]
    return name, len(column) - column.null_count, int(wrong.sum())


def _batches(folder: Path, names: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """Columns of a table, `BATCH_ROWS` rows at a time."""
    for path in parts(folder):
        with pq.ParquetFile(path) as file:
            if absent := set(names) - set(file.schema_arrow.names):
                raise KeyError(f"{path.name} has no column {', '.join(sorted(absent))}")
            for batch in file.iter_batches(BATCH_ROWS, columns=list(names)):
                yield {name: batch.column(name) for name in names}


def _by_id(folder: Path, key: str, column: str, words: Sequence[str]) -> Codes:
    """Positions of a column's values in `words`, by id; −1 for other values and ids.

    Ids are dense from 1, in order (contract of the table); position 0 is no id.
    """
    known = pa.array(words, type=pa.string())
    codes = [np.full(1, -1, dtype=np.int16)]
    for batch in _batches(folder, (key, column)):
        code = pc.fill_null(pc.index_in(batch[column].cast(pa.string()), known), -1)
        codes.append(code.to_numpy(zero_copy_only=False).astype(np.int16))
    return np.concatenate(codes)


def _positions(ids: pa.Array, size: int) -> NDArray[np.int64]:
    """Ids as positions in what `_by_id` returns; 0 for an id that is none."""
    at = pc.fill_null(ids.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.where((at > 0) & (at < size), at, 0)
