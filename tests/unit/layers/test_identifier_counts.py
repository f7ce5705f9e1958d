"""Identifiers of published tables are counted by name: present, wrong, repeated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.errors import InputError
from fraudworld.layers.profiles.identifiers import counts
from fraudworld.layers.profiles.identifiers.counts import Count, count_identifiers, repetitions
from fraudworld.layers.profiles.identity import addresses, cards, networks, numbers
from fraudworld.store.sql import in_memory
from support.identities import COUNTRY_CODES, SEED, all_of, policy, rows

EACH = 12
COUNTRY, COUNTER = rows(EACH)
N = COUNTRY.size
IDS = np.arange(1, N + 1)
KIND = COUNTER % 2
SCHEMES = ("ACH", "AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")
SCHEME = (IDS % len(SCHEMES)).astype(np.int32)
Tables = dict[str, dict[str, Any]]


def _world() -> Tables:
    """Columns of the published tables that hold identifiers, or say which ones a row has."""
    phone, tax, account = (
        law(policy(), SEED, COUNTRY_CODES)
        for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    )
    postal = addresses.postal_law(policy(), COUNTRY_CODES)
    card = cards.card_law(policy(), SEED, SCHEMES)
    digits = cards.card_numbers(card, SCHEME, IDS % 693, IDS).rows()
    of = policy().numbers.cards
    endpoint = networks.endpoints(
        networks.network_law(policy(), SEED, networks.IPV6, all_of(EACH), all_of(4)),
        SEED, COUNTRY, COUNTER, IDS,
    )  # fmt: skip
    address = endpoint.address.rows()
    iso = [COUNTRY_CODES[c] for c in COUNTRY]
    scheme = [SCHEMES[s] for s in SCHEME]
    half = N // 2
    return {
        "s1_party_base_6A": {
            "party_id": IDS,
            "country_iso": pa.array(iso).dictionary_encode(),
            "party_type": ["OTHER" if kind else "RETAIL" for kind in KIND],
        },
        "s2_account_base_6A": {"account_id": IDS, "country_iso": iso},
        "s3_instrument_base_6A": {"instrument_id": IDS, "scheme": scheme},
        "p1_party_identity_6P": {
            "party_id": IDS,
            "email": [f"ana{i}@mail.{c.lower()}.example" for i, c in enumerate(iso)],
            "phone_e164": numbers.phones(phone, COUNTRY, COUNTER).rows(),
            "postal_code": addresses.postal_codes(postal, SEED, COUNTRY, IDS // 9, IDS).rows(),
            "tax_id": numbers.tax_ids(tax, COUNTRY, KIND, COUNTER).rows(),
        },
        "p2_account_profile_6P": {
            "account_id": IDS,
            "iban": numbers.ibans(account, COUNTRY, COUNTER % 9, COUNTER).rows(),
        },
        "p3_instrument_profile_6P": {
            "instrument_id": IDS,
            "pan": [d if s in of.schemes else None for d, s in zip(digits, scheme, strict=True)],
            "token": [d if s in of.wallets else None for d, s in zip(digits, scheme, strict=True)],
        },
        "p4_ip_profile_6P": {"address": address[:half], "asn": endpoint.system[:half].tolist()},
        "p4_unlinked_pool_6P": {
            "entity": ["DEVICE", *["IP"] * (N - half)],
            "address": [None, *address[half:]],
            "asn": [None, *endpoint.system[half:].tolist()],
        },
    }  # fmt: skip


def _write(tables: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, Path]:
    """Every table in parts of 500 rows."""
    folders = {}
    for name, columns in tables.items():
        table = pa.table({column: pa.array(values) for column, values in columns.items()})
        folders[name] = root / name / "seed=1"
        folders[name].mkdir(parents=True)
        for k, low in enumerate(range(0, max(table.num_rows, 1), 500)):
            pq.write_table(table.slice(low, 500), folders[name] / f"part-{k:05d}.parquet")
    return folders


def _count(tables: Tables, root: Path) -> dict[str, Count]:
    with in_memory() as connection:
        return count_identifiers(policy(), _write(tables, root), connection)


def _present(values: list[object]) -> int:
    return sum(value is not None for value in values)


def test_what_the_laws_write_has_no_wrong_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches that end inside parts.
    monkeypatch.setattr(counts, "BATCH_ROWS", 128)
    tables = _world()
    found = _count(tables, tmp_path)
    assert {name: (one.wrong, one.repeated) for name, one in found.items()} == dict.fromkeys(
        ("email", "phone_e164", "postal_code", "tax_id", "iban", "pan", "token", "address", "asn"),
        (0, 0),
    )
    identities = tables["p1_party_identity_6P"]
    assert found["email"].present == found["address"].present == found["asn"].present == N
    for name in ("postal_code", "tax_id"):
        assert found[name].present == _present(identities[name])
    for table, name in (
        ("p2_account_profile_6P", "iban"),
        ("p3_instrument_profile_6P", "pan"),
        ("p3_instrument_profile_6P", "token"),
    ):
        assert 0 < found[name].present == _present(tables[table][name]) < N


def test_every_wrong_row_is_counted_under_its_name(tmp_path: Path) -> None:
    tables = _world()
    identities = tables["p1_party_identity_6P"]
    identities["email"][3] = "ana@gmail.com"
    identities["phone_e164"][4:6] = [None, "+12025550123"]
    identities["postal_code"][600] = "?"
    identities["tax_id"][700:703] = ["?"] * 3
    tables["p2_account_profile_6P"]["iban"][5:9] = ["DE89370400440532013000"] * 4
    pan, token = (tables["p3_instrument_profile_6P"][name] for name in ("pan", "token"))
    swapped = slice(10, 10 + len(SCHEMES))
    pan[swapped], token[swapped] = token[swapped], pan[swapped]
    tables["p4_ip_profile_6P"]["address"][9] = "2001:4860::1"
    tables["p4_ip_profile_6P"]["asn"][8:10] = [None, 13_335]
    tables["p4_unlinked_pool_6P"]["address"][:2] = ["240.0.0.1", None]
    tables["p4_unlinked_pool_6P"]["asn"][0] = 64_512
    found = _count(tables, tmp_path)
    assert {name: one.wrong for name, one in found.items()} == {
        "email": 1,
        "phone_e164": 2,
        "postal_code": 1,
        "tax_id": 3,
        "iban": 4,
        # Seven neighbours have every scheme once: four of cards, two of wallets.
        "pan": 6,
        "token": 6,
        "address": 3,
        "asn": 3,
    }
    assert found["iban"].repeated == 3


def test_an_identifier_belongs_to_the_row_of_its_id(tmp_path: Path) -> None:
    tables = _world()
    # The table of accounts in another order, and two ids of no account.
    profile = tables["p2_account_profile_6P"]
    order = np.random.default_rng(5).permutation(N)
    profile["account_id"] = IDS[order]
    profile["iban"] = [profile["iban"][i] for i in order]
    beyond, negative, *_ = (i for i, text in enumerate(profile["iban"]) if text is not None)
    profile["account_id"][beyond] = N + 1
    # Counted from the end, it would be its own row.
    profile["account_id"][negative] -= N + 1
    assert _count(tables, tmp_path)["iban"].wrong == 2


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("iban", "p2_account_profile_6P"),
        ("pan", "p3_instrument_profile_6P"),
        ("token", "p3_instrument_profile_6P"),
        ("address", "p4_ip_profile_6P"),
        ("address", "p4_unlinked_pool_6P"),
    ],
)
def test_repetitions_are_counted_over_parts(tmp_path: Path, name: str, table: str) -> None:
    tables = _world()
    values = tables[table][name]
    known = [i for i, value in enumerate(values) if value is not None]
    for i in known[-3:]:
        values[i] = values[known[0]]
    found = _count(tables, tmp_path)
    assert {n: one.repeated for n, one in found.items() if one.repeated} == {name: 3}


def test_an_address_of_the_pool_is_none_of_the_world(tmp_path: Path) -> None:
    tables = _world()
    pool = tables["p4_unlinked_pool_6P"]
    pool["address"][7] = tables["p4_ip_profile_6P"]["address"][20]
    assert _count(tables, tmp_path)["address"] == Count(N, 0, 1)


def test_a_layer_without_identities_has_no_counts_of_them(tmp_path: Path) -> None:
    tables = _world()
    del tables["p1_party_identity_6P"]
    assert set(_count(tables, tmp_path)) == {"iban", "pan", "token", "address", "asn"}


def test_a_table_without_rows_has_nothing_to_count(tmp_path: Path) -> None:
    tables = _world()
    empty = pa.array([], type=pa.string())
    tables["p2_account_profile_6P"] = {"account_id": np.zeros(0, dtype=np.int64), "iban": empty}
    assert _count(tables, tmp_path)["iban"] == Count(0, 0, 0)


def test_a_missing_column_or_part_is_an_error(tmp_path: Path) -> None:
    tables = _world()
    del tables["p4_ip_profile_6P"]["asn"]
    with pytest.raises(KeyError, match=r"part-00000\.parquet has no column asn"):
        _count(tables, tmp_path)
    (tmp_path / "none").mkdir()
    with in_memory() as connection, pytest.raises(InputError, match="it has no part"):
        repetitions(connection, [(tmp_path / "none", "iban")])
