"""The dataset writer: the same values give the same bytes and digest, in any batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts import Table
from fraudworld.contracts.network import IP_LINKS, NETWORK_SUMMARY
from fraudworld.contracts.world import PARTY_SUMMARY
from fraudworld.errors import InputError, InternalError
from fraudworld.store.append import DatasetWriter
from fraudworld.store.identity import Identity
from fraudworld.store.layout import part_name
from fraudworld.store.reader import parts, read_columns, recompute_digest
from fraudworld.store.tables import Columns, DatasetRecord, Writing, write_part

IDENTITY = Identity(42, "a" * 64, "b" * 64)
ROLES = {"link_role": ("MERCHANT_ENDPOINT", "RECENT_LOGIN_IP", "TYPICAL_DEVICE_IP")}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts and blocks of 64 rows, so that small data has many borders."""
    rows = 64
    monkeypatch.setattr("fraudworld.store.append.PART_ROWS", rows)
    monkeypatch.setattr("fraudworld.store.reader.PART_ROWS", rows)
    return rows


def links(rows: int) -> dict[str, np.ndarray]:
    """IP links: two nullable columns of which one is set, and a column of codes."""
    rng = np.random.default_rng(rows)
    merchant = rng.random(rows) < 0.2
    ids = rng.integers(1, 10_000, rows)
    return {
        "ip_id": np.sort(rng.integers(1, 500, rows)),
        "device_id": np.where(merchant, 0, ids),
        "merchant_id": np.where(merchant, ids, 0),
        "link_role": np.where(merchant, 0, rng.integers(1, 3, rows)).astype(np.uint8),
    }


def cut(batch: Columns, size: int) -> Iterable[Columns]:
    """`batch` in pieces of `size` rows."""
    rows = len(batch["ip_id"])
    return [{k: v[low : low + size] for k, v in batch.items()} for low in range(0, rows, size)]


def write(
    folder: Path,
    batches: Iterable[Columns],
    *,
    threads: int = 2,
    table: Table = IP_LINKS,
    identity: Identity = IDENTITY,
    codes: dict[str, tuple[str, ...]] = ROLES,
) -> DatasetRecord:
    with ThreadPoolExecutor(threads) as pool:
        writer = DatasetWriter(table, folder, identity, codes, pool)
        for batch in batches:
            writer.append(batch)
        return writer.close()


def test_bytes_and_digest_do_not_depend_on_batches_or_threads(
    tmp_path: Path, small_parts: int
) -> None:
    data = links(5 * small_parts + 7)
    whole = write(tmp_path / "whole", [data], threads=1)
    for size in (1, 13, small_parts - 1, small_parts, small_parts + 1, 3 * small_parts):
        record = write(tmp_path / str(size), cut(data, size), threads=3)
        assert record == whole
    assert [p.rows for p in whole.parts] == [small_parts] * 5 + [7]
    written = {p.name: p.read_bytes() for p in parts(tmp_path / "13")}
    assert written == {p.name: p.read_bytes() for p in parts(tmp_path / "whole")}
    assert {p.name: p.sha256 for p in whole.parts} == {
        name: hashlib.sha256(data).hexdigest() for name, data in written.items()
    }


def test_the_digest_follows_its_definition(tmp_path: Path, small_parts: int) -> None:
    data = links(small_parts + 3)
    record = write(tmp_path, [data])
    columns = []
    for column in IP_LINKS.columns:
        leaves = []
        for block in (data[column.name][:64], data[column.name][64:]):
            largest = 1 if column.kind.value == "string" else int(block.max())
            width = next(w for w in (1, 2, 4, 8) if largest < 256**w)
            plain = b"".join(int(v).to_bytes(width, "little") for v in block)
            leaves.append(hashlib.sha256(plain).digest())
        columns.append(
            {
                "name": column.name,
                "kind": column.kind.value,
                "codes": list(ROLES[column.name]) if column.name in ROLES else None,
                "digest": hashlib.sha256(b"".join(leaves)).hexdigest(),
            }
        )
    document = {"table": "s4_ip_links_6A", "rows": small_parts + 3, "columns": columns}
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert record.content_digest == hashlib.sha256(text).hexdigest()


def test_identity_is_published_but_not_in_the_content_digest(tmp_path: Path) -> None:
    data = links(50)
    first = write(tmp_path / "one", [data])
    second = write(tmp_path / "other", [data], identity=Identity(7, "c" * 64, "d" * 64))
    assert first.content_digest == second.content_digest
    assert first.parts != second.parts
    table = pq.read_table(tmp_path / "other" / "part-00000.parquet")
    assert table.column_names == [c.name for c in IP_LINKS.all_columns]
    assert set(table["seed"].to_pylist()) == {7}
    assert set(table["parameter_hash"].to_pylist()) == {"c" * 64}
    assert set(table["manifest_fingerprint"].to_pylist()) == {"d" * 64}


def test_round_trip_and_digest_from_parquet(tmp_path: Path, small_parts: int) -> None:
    data = links(2 * small_parts + 9)
    record = write(tmp_path, [data])
    back = read_columns(tmp_path, IP_LINKS, list(data), ROLES)
    for name, values in data.items():
        np.testing.assert_array_equal(back[name], values)
    assert recompute_digest(tmp_path, IP_LINKS, ROLES) == record.content_digest


def test_digest_survives_another_encoding_and_other_parts(tmp_path: Path, small_parts: int) -> None:
    record = write(tmp_path / "original", [links(3 * small_parts)])
    table = pa.concat_tables(pq.read_table(p) for p in parts(tmp_path / "original"))
    (tmp_path / "rewritten").mkdir()
    for number, at in enumerate(range(0, table.num_rows, 40)):
        path = tmp_path / "rewritten" / part_name(number)
        pq.write_table(table.slice(at, 40), path, compression="none", row_group_size=25)
    assert recompute_digest(tmp_path / "rewritten", IP_LINKS, ROLES) == record.content_digest
    changed = table.set_column(0, "ip_id", pa.array(np.asarray(table["ip_id"]) + 1))
    path = tmp_path / "rewritten" / part_name(0)
    pq.write_table(changed.slice(0, 40), path)
    assert recompute_digest(tmp_path / "rewritten", IP_LINKS, ROLES) != record.content_digest
    pq.write_table(changed, path)
    with pytest.raises(InputError, match="192 rows"):
        recompute_digest(tmp_path / "rewritten", IP_LINKS, ROLES)


def test_empty_dataset_is_one_empty_part(tmp_path: Path) -> None:
    record = write(tmp_path, [])
    assert (record.rows, [p.name for p in record.parts]) == (0, ["part-00000.parquet"])
    assert pq.read_table(tmp_path / "part-00000.parquet").num_rows == 0
    assert recompute_digest(tmp_path, IP_LINKS, ROLES) == record.content_digest
    assert read_columns(tmp_path, IP_LINKS, ["ip_id"], ROLES)["ip_id"].size == 0


def test_reals_and_code_lists_of_the_caller(tmp_path: Path) -> None:
    codes = {"region_id": ("R1", "R2"), "metric_id": ("devices", "ips")}
    batch = {
        "region_id": np.array([0, 1], np.uint8),
        "metric_id": np.array([1, 0], np.uint8),
        "value": np.array([0.5, 2.0]),
    }
    record = write(tmp_path, [batch], table=NETWORK_SUMMARY, codes=codes)
    assert pq.read_table(tmp_path / "part-00000.parquet").to_pylist() == [
        {"region_id": "R1", "metric_id": "ips", "value": 0.5},
        {"region_id": "R2", "metric_id": "devices", "value": 2.0},
    ]
    assert recompute_digest(tmp_path, NETWORK_SUMMARY, codes) == record.content_digest


def test_constant_columns_compress_to_almost_nothing(tmp_path: Path) -> None:
    rows = 100_000
    batch = {
        "ip_id": np.arange(1, rows + 1),
        "device_id": np.arange(1, rows + 1),
        "merchant_id": np.zeros(rows, np.int64),
        "link_role": np.ones(rows, np.uint8),
    }
    record = write(tmp_path, [batch])
    assert record.parts[0].bytes < 0.2 * rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ip_id": np.array([0, 1])}, "ip_id holds 0"),
        ({"device_id": np.array([-1, 1])}, "device_id holds -1"),
        ({"link_role": np.array([0, 3], np.uint8)}, "code 3 of 3"),
        ({"ip_id": np.array([1.0, 2.0])}, "float64, not int64"),
        ({"link_role": np.array([0, 1])}, "int64, not uint8"),
        ({"ip_id": np.array([1])}, "shape"),
        ({"extra": np.array([1, 2])}, "columns"),
    ],
)
def test_values_outside_the_contract_are_an_internal_error(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    batch = {
        "ip_id": np.array([1, 2]),
        "device_id": np.array([1, 0]),
        "merchant_id": np.array([0, 5]),
        "link_role": np.array([2, 0], np.uint8),
    }
    with pytest.raises(InternalError, match=message) as caught:
        write(tmp_path, [batch | change])
    assert caught.value.code == "6A.S4.S4_IP_LINKS_SCHEMA_OR_KEY_INVALID"


def test_a_value_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    batch = {
        "region_id": np.array([0], np.uint8),
        "metric_id": np.array([0], np.uint8),
        "value": np.array([np.nan]),
    }
    codes = {"region_id": ("R1",), "metric_id": ("ips",)}
    with pytest.raises(InternalError, match="not finite"):
        write(tmp_path, [batch], table=NETWORK_SUMMARY, codes=codes)


def test_code_lists_are_checked_when_the_writer_is_made(tmp_path: Path) -> None:
    fine = dict.fromkeys(("country_iso", "region_id", "party_type", "segment_id"), ("A",))
    for codes in (tuple(f"C{i}" for i in range(129)), ("A", "A")):
        with pytest.raises(InternalError, match="segment_id has"):
            write(tmp_path, [], table=PARTY_SUMMARY, codes=fine | {"segment_id": codes})


def test_rows_after_the_last_part_are_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        writer = DatasetWriter(IP_LINKS, tmp_path, IDENTITY, ROLES, pool)
        writer.append(links(3))
        writer.flush()
        with pytest.raises(InternalError, match="after the last part"):
            writer.append(links(3))
        assert writer.close().rows == 3


def rows_of(batch: Columns, low: int, high: int) -> Columns:
    return {name: values[low:high] for name, values in batch.items()}


def test_a_part_does_not_depend_on_its_pieces(tmp_path: Path) -> None:
    data = links(500)
    whole = write(tmp_path / "whole", [data])
    for size in (1, 77, 499, 500):
        writing = Writing.of(IP_LINKS, tmp_path / str(size), IDENTITY, ROLES)
        pieces = [([batch], 0, len(batch["ip_id"])) for batch in cut(data, size)]
        assert writing.record([write_part(writing, rows_of, 0, pieces)]) == whole


def test_a_column_may_be_given_as_a_function_that_fills_it(tmp_path: Path) -> None:
    data = links(500)
    whole = write(tmp_path / "whole", [data])

    def filling(batch: Columns, low: int, high: int) -> dict[object, object]:
        def pair(ip: np.ndarray, role: np.ndarray) -> None:
            ip[:], role[:] = batch["ip_id"][low:high], batch["link_role"][low:high]

        return {
            ("ip_id", "link_role"): pair,
            "device_id": lambda out: np.copyto(out, batch["device_id"][low:high]),
            "merchant_id": batch["merchant_id"][low:high],
        }

    writing = Writing.of(IP_LINKS, tmp_path / "filled", IDENTITY, ROLES)
    pieces = [([data], 0, 123), ([data], 123, 500)]
    assert writing.record([write_part(writing, filling, 0, pieces)]) == whole


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    def three(batch: Columns, low: int, high: int) -> dict[object, object]:
        return {("ip_id", "link_role"): print, "device_id": batch["device_id"]}

    writing = Writing.of(IP_LINKS, tmp_path, IDENTITY, ROLES)
    with pytest.raises(InternalError, match="merchant_id"):
        write_part(writing, three, 0, [([links(5)], 0, 5)])


def test_a_piece_outside_the_contract_is_refused_before_the_part_is_written(tmp_path: Path) -> None:
    writing = Writing.of(IP_LINKS, tmp_path, IDENTITY, ROLES)
    odd = links(5) | {"ip_id": np.ones(5)}
    with pytest.raises(InternalError, match="float64, not int64"):
        write_part(writing, rows_of, 0, [([links(5)], 0, 5), ([odd], 0, 5)])
    assert list(tmp_path.iterdir()) == []


def test_unfinished_parts_of_a_killed_worker_are_removed(tmp_path: Path) -> None:
    writing = Writing.of(IP_LINKS, tmp_path, IDENTITY, ROLES)
    part = writing.write(0, links(5))
    (tmp_path / f".{part.name}.1.abc").write_bytes(b"half a part")
    rewritten = writing.write(0, links(5))
    assert rewritten == part
    writing.record([part])
    assert [p.name for p in tmp_path.iterdir()] == [part.name]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"link_role": ["TYPICAL_DEVICE_IP", "NEW"]}, "6A.S5.TAXONOMY_COMPATIBILITY_FAILED"),
        ({"ip_id": [1, None]}, "6A.S5.S4_IP_LINKS_SCHEMA_OR_KEY_INVALID"),
        ({"device_id": [0, None]}, "6A.S5.S4_IP_LINKS_SCHEMA_OR_KEY_INVALID"),
        ({"device_id": [0, 7]}, "6A.S5.S4_IP_LINKS_SCHEMA_OR_KEY_INVALID"),
        ({"device_id": None}, "6A.S5.S4_IP_LINKS_SCHEMA_OR_KEY_INVALID"),
    ],
)
def test_reading_refuses_parts_outside_the_contract(
    tmp_path: Path, change: dict[str, list[object] | None], code: str
) -> None:
    columns: dict[str, list[object] | None] = {
        "ip_id": [1, 2],
        "device_id": [1, None],
        "merchant_id": [None, 5],
        "link_role": ["TYPICAL_DEVICE_IP", "MERCHANT_ENDPOINT"],
    }
    table = {k: v for k, v in (columns | change).items() if v is not None}
    pq.write_table(pa.table(table), tmp_path / "part-00000.parquet")
    with pytest.raises(InputError) as caught:
        recompute_digest(tmp_path, IP_LINKS, ROLES)
    assert caught.value.code == code


def test_reading_no_part_or_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no part"):
        recompute_digest(tmp_path, IP_LINKS, ROLES)
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(InputError, match="is not Parquet"):
        recompute_digest(tmp_path, IP_LINKS, ROLES)
