"""Kinds of columns that 6A has not: dates, moments, words, texts, flags, nullable codes."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts import Table
from fraudworld.contracts.table import code, flag, integer, moment, text, word
from fraudworld.contracts.table import date as day
from fraudworld.errors import InputError, InternalError
from fraudworld.store.content import NO_CODE, NO_TIME, NO_WORD
from fraudworld.store.identity import Identity
from fraudworld.store.reader import open_part, read_columns, recompute_digest
from fraudworld.store.tables import Writing

IDENTITY = Identity(42, "a" * 64, "b" * 64)
CODES = {"colour": ("BLUE", "RED"), "town": tuple(f"town {i:04d}" for i in range(1_000))}
TABLE = Table(
    name="p9_kinds_6P",
    state="P9",
    meaning="A row of every kind.",
    columns=(
        integer("row_id", "dense"),
        day("born_on", "a day", nullable=True),
        moment("ts_utc", "a moment"),
        code("colour", "a code", "colour", nullable=True),
        word("town", "a word", "town", nullable=True),
        text("email", "a text", nullable=True),
        flag("is_so", "a flag"),
    ),
    key=("row_id",),
    sort=("row_id",),
)


def batch(**changes: Any) -> dict[str, Any]:
    return {
        "row_id": np.array([1, 2, 3]),
        "born_on": np.array([-9_000, NO_TIME, 20_000]),
        "ts_utc": np.array([-5, 0, 1_700_000_000_123]),
        "colour": np.array([1, NO_CODE, 0], dtype=np.uint8),
        "town": np.array([999, 0, NO_WORD], dtype=np.int32),
        "email": pa.array(["a@x.test", None, "é@x.test"]),
        "is_so": np.array([1, 0, 1], dtype=np.uint8),
    } | changes


def writing(folder: Path) -> Writing:
    return Writing.of(TABLE, folder, IDENTITY, CODES)


def test_values_are_published_as_their_types(tmp_path: Path) -> None:
    part = writing(tmp_path).write(0, batch())
    table = pq.read_table(tmp_path / part.name)
    assert table["born_on"].to_pylist() == [date(1945, 5, 12), None, date(2024, 10, 4)]
    assert table["ts_utc"].type == pa.timestamp("ms", tz="UTC")
    assert table["ts_utc"].to_pylist()[2] == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert table["colour"].to_pylist() == ["RED", None, "BLUE"]
    assert table["town"].to_pylist() == ["town 0999", "town 0000", None]
    assert table["email"].to_pylist() == ["a@x.test", None, "é@x.test"]
    assert table["is_so"].to_pylist() == [True, False, True]


def test_digests_follow_from_the_files(tmp_path: Path) -> None:
    of = writing(tmp_path)
    record = of.record([of.write(0, batch())])
    assert recompute_digest(tmp_path, TABLE, CODES) == record.content_digest


def test_leaves_are_those_of_the_stated_law(tmp_path: Path) -> None:
    names = [c.name for c in TABLE.columns]
    leaves = dict(zip(names, writing(tmp_path).leaves(batch()), strict=True))
    stated = {
        "born_on": np.array([-9_000, -(2**63), 20_000], "<i8").tobytes(),
        "ts_utc": np.array([-5, 0, 1_700_000_000_123], "<i8").tobytes(),
        "colour": bytes([1, 255, 0]),
        "town": np.array([999, 0, -1], "<i4").tobytes(),
        "email": np.array([8, -1, 9], "<i4").tobytes() + b"a@x.test" + "é@x.test".encode(),
        "is_so": bytes([1, 0, 1]),
    }
    for name, data in stated.items():
        assert leaves[name] == hashlib.sha256(data).hexdigest(), name


def test_a_slice_of_texts_has_the_leaf_of_its_values(tmp_path: Path) -> None:
    longer = pa.array(["zzz", "a@x.test", None, "é@x.test", "more"])
    at = [c.name for c in TABLE.columns].index("email")
    sliced = writing(tmp_path).leaves(batch(email=longer.slice(1, 3)))
    assert sliced[at] == writing(tmp_path).leaves(batch())[at]


def test_readers_get_canonical_values(tmp_path: Path) -> None:
    writing(tmp_path).write(0, batch())
    found = read_columns(tmp_path, TABLE, ["born_on", "colour", "town", "is_so"], CODES)
    for name, values in found.items():
        np.testing.assert_array_equal(values, batch()[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": np.array([2, 0, 0], dtype=np.uint8)},
        {"town": np.array([1_000, 0, 0], dtype=np.int32)},
        {"town": np.array([-2, 0, 0], dtype=np.int32)},
        {"ts_utc": np.array([NO_TIME, 0, 0])},
        {"is_so": np.array([2, 0, 0], dtype=np.uint8)},
        {"email": pa.array(["a", "b"])},
    ],
)
def test_values_outside_the_contract_are_errors(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InternalError) as broken:
        writing(tmp_path).write(0, batch(**changes))
    assert broken.value.code == "6P.P9.P9_KINDS_SCHEMA_OR_KEY_INVALID"


def test_a_part_of_long_texts_is_read_and_of_overlong_ones_refused(tmp_path: Path) -> None:
    """Texts may take more bytes than numbers and words do."""
    rows = 50_000
    path = tmp_path / "part-00000.parquet"

    def write(column: str, width: int) -> None:
        values = [f"{row:0{width}d}" for row in range(rows)]
        pq.write_table(pa.table({column: values}), path, use_dictionary=False)

    write("email", 120)
    assert open_part(path, TABLE).metadata.num_rows == rows
    write("email", 400)
    with pytest.raises(InputError, match="unpacks email"):
        open_part(path, TABLE)
    write("town", 120)
    with pytest.raises(InputError, match="unpacks town"):
        open_part(path, TABLE)
