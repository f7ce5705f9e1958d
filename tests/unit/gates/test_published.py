"""Reading published tables block by block: parts and row order do not change the gateboard."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts import BY_NAME, TABLES, Table
from fraudworld.errors import InputError
from fraudworld.gates import judge, published
from fraudworld.gates.evidence import Evidence
from fraudworld.gates.prefetch import AHEAD
from fraudworld.gates.published import Published
from fraudworld.store.published import sealed_policy

BOARD = "data/layer3/6A/validation/realism_gate_6A.json"
LAYER = "data/layer3/6A"
Rewrite = Callable[[Table, pa.Table], pa.Table]
Size = Callable[[Table, int], int]


def unchanged(table: Table, rows: pa.Table) -> pa.Table:
    return rows


@pytest.fixture
def rewritten(demo_world: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the demo world with other rows in some tables, or in parts of other sizes."""

    def write(
        rewrite: Rewrite = unchanged,
        *,
        size: Size = lambda table, rows: 60_000,
        only: str = "",
    ) -> Path:
        run = tmp_path / "run"
        (run / LAYER).mkdir(parents=True)
        same = [t.name for t in TABLES if only not in t.name]
        for name in ("resolved_policy_6A.json", "validation", *same):
            place = run / LAYER / name
            if name in {"resolved_policy_6A.json", "validation"}:
                copy = shutil.copytree if (demo_world / LAYER / name).is_dir() else shutil.copy
                copy(demo_world / LAYER / name, place)
            else:
                place.symlink_to(demo_world / LAYER / name)
        for table in (t for t in TABLES if t.name not in same):
            parts = sorted((demo_world / LAYER / table.name).rglob("part-*.parquet"))
            rows = pa.concat_tables(pq.read_table(p, partitioning=None) for p in parts)
            rows, step = rewrite(table, rows), size(table, rows.num_rows)
            (run / LAYER / table.name).mkdir()
            for number, low in enumerate(range(0, rows.num_rows, step)):
                path = run / LAYER / table.name / f"part-{number:05d}.parquet"
                pq.write_table(rows.slice(low, step), path, row_group_size=max(step // 2, 1))
        return run

    return write


def replaced(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def board(run: Path) -> str:
    return json.dumps(judge(run).as_dict(), sort_keys=True)


def published_board(run: Path) -> str:
    return json.dumps(json.loads((run / BOARD).read_text()), sort_keys=True)


def shuffled(table: Table, rows: pa.Table) -> pa.Table:
    return rows.take(np.random.default_rng(len(table.name)).permutation(rows.num_rows))


def renumbered(table: Table, rows: pa.Table) -> pa.Table:
    """Multiplies every id by three, so that ids are not dense."""
    for field in rows.schema:
        if field.name.endswith("_id") and pa.types.is_integer(field.type):
            rows = replaced(rows, field.name, pc.multiply(rows[field.name], 3))
    return rows


def backwards(table: Table, rows: pa.Table) -> pa.Table:
    return rows.take(np.arange(rows.num_rows)[::-1])


def test_parts_of_other_sizes_give_the_same_board(demo_world, rewritten):
    """Every table has another part size; borders fall inside owners, devices and endpoints."""
    names = [t.name for t in TABLES]
    run = rewritten(size=lambda table, rows: 10_007 + 1_009 * names.index(table.name))
    assert board(run) == published_board(demo_world)


@pytest.mark.parametrize(
    ("rewrite", "only"), [(shuffled, ""), (renumbered, ""), (backwards, "fraud_roles")]
)
def test_rows_and_ids_in_another_order_give_the_same_board(demo_world, rewritten, rewrite, only):
    assert board(rewritten(rewrite, only=only)) == published_board(demo_world)


def test_every_column_of_codes_is_read(demo_world, monkeypatch):
    """Every column of codes, reals and text is read; int64 columns may be left out."""
    read: set[tuple[str, str]] = set()
    read_block = published._read

    def recording_read(path, group, table, columns):
        read.update((table.name, c.name) for c in columns)
        return read_block(path, group, table, columns)

    monkeypatch.setattr(published, "_read", recording_read)
    judge(demo_world)
    codes = {(t.name, c.name) for t in TABLES for c in t.all_columns if c.kind != "int64"}
    assert codes - read == set()


def test_a_table_is_read_a_few_blocks_at_a_time(rewritten, monkeypatch):
    """At most AHEAD of 60 blocks are alive, however slowly they are consumed."""
    table = BY_NAME["s4_ip_links_6A"]
    run = rewritten(size=lambda table, rows: rows // 30, only=table.name)
    opened = Published(run, sealed_policy(run))
    assert len(opened.blocks(table)) >= 60
    started = 0
    read_block = published._read

    def counting_read(*arguments):
        nonlocal started
        started += 1
        return read_block(*arguments)

    monkeypatch.setattr(published, "_read", counting_read)
    sizes = opened.map(lambda columns: columns["ip_id"].size, table, ("ip_id", "device_id"))
    total = 0
    for consumed, size in enumerate(sizes):
        assert started - consumed <= AHEAD
        total += size
    assert total == opened.rows(table)


def test_counting_needs_a_few_bytes_per_entity(rewritten):
    """Peak memory of a pass: at most eight bytes per entity and a few blocks."""
    size = 8_192
    run = rewritten(size=lambda table, rows: size)
    opened = Published(run, sealed_policy(run))
    evidence = Evidence(opened, sealed_policy(run), int(opened.identity()["seed"]))
    entities = sum(
        opened.rows(t) for t in TABLES if t.name.endswith("_base_6A") and t.name[:2] != "s3"
    )
    tracemalloc.start()
    try:
        _ = evidence.counts
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A block of the widest pass: half a part of rows in eight int64 columns, and its counts.
    blocks = AHEAD * (size // 2 * 8 * 8 + sum(c.nbytes for c in _tables(evidence)))
    assert peak < 8 * entities + 2 * blocks


def _tables(evidence: Evidence) -> list[np.ndarray]:
    return [evidence.census("account").seen, evidence.owned("account").joint]


def test_a_missing_role_row_is_refused(rewritten):
    def one_short(table: Table, rows: pa.Table) -> pa.Table:
        return rows.slice(1)

    with pytest.raises(InputError, match="has other ip_ids than s4_ip_base_6A"):
        judge(rewritten(one_short, only="s5_ip_fraud_roles_6A"))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("s4_device_links_6A", "link_role"),
        ("s3_account_instrument_links_6A", "scheme"),
        ("s4_device_base_6A", "home_country_iso"),
        ("s1_party_summary_6A", "party_count"),
    ],
)
def test_nulls_in_columns_no_gate_uses_are_refused(rewritten, table, column):
    def last_is_null(of: Table, rows: pa.Table) -> pa.Table:
        last = pa.array(np.arange(rows.num_rows) == rows.num_rows - 1)
        values = rows[column].combine_chunks()
        return replaced(rows, column, pc.if_else(last, pa.scalar(None, values.type), values))

    with pytest.raises(InputError, match=f"{table} holds nulls in {column}"):
        judge(rewritten(last_is_null, only=table))


def test_a_negative_count_is_refused(rewritten):
    def below(table: Table, rows: pa.Table) -> pa.Table:
        return replaced(rows, "account_count", pc.negate(rows["account_count"]))

    with pytest.raises(InputError, match=r"holds -\d+ in account_count"):
        judge(rewritten(below, only="s2_party_product_holdings_6A"))
