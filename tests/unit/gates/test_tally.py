"""Counts over blocks, in small integer types, equal counts over all rows at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudworld.gates import holdings
from fraudworld.gates.entities import Ids
from fraudworld.gates.holdings import Accounts, held_by
from fraudworld.gates.tally import (
    CountPerEntity,
    chunks,
    crosstab,
    occurrences,
    ravel_codes,
    sum_histograms,
    sum_over_slices,
)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 300)), max_size=60),
    st.integers(0, 5),
)
def test_crosstab_counts_tuples(rows, spare):
    sizes = (3 + spare, 2, 301 + spare)
    columns = [np.array([r[i] for r in rows], dtype=t) for i, t in enumerate(("u1", "?", "i8"))]
    table = crosstab(*zip(columns, sizes, strict=True))
    assert table.shape == sizes
    assert {tuple(map(int, at)): int(table[tuple(at)]) for at in np.argwhere(table)} == Counter(
        (a, int(b), c) for a, b, c in rows
    )


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [((5, 51), "u1"), ((5, 52), "u2"), ((256, 256), "u4"), ((1 << 16, 1 << 16), "i8")],
)
def test_ravelled_codes_have_the_narrowest_dtype(sizes, dtype):
    last = [np.array([n - 1]) for n in sizes]
    cell = ravel_codes(*zip(last, sizes, strict=True))
    assert cell.dtype == dtype
    assert cell.tolist() == [np.prod(sizes) - 1]


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), min_size=1, max_size=5))
def test_histograms_of_different_lengths_are_summed(blocks):
    histograms = [np.bincount(np.array(b, dtype=np.int64)) for b in blocks]
    everything = np.array([v for b in blocks for v in b], dtype=np.int64)
    assert sum_histograms(histograms).tolist() == np.bincount(everything).tolist()
    assert histograms[0].tolist() == np.bincount(np.array(blocks[0], dtype=np.int64)).tolist()


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11])
def test_chunks_cover_every_entity_once(n):
    assert [i for part in chunks(n, 10) for i in range(part.start, part.stop)] == list(range(n))
    assert sum_over_slices(lambda part: np.array([part.stop - part.start]), n).tolist() == [n]


@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 2, 3, 500, 99_999]), max_size=40), min_size=1, max_size=6
    )
)
def test_a_count_per_entity_equals_bincount_over_all_blocks(blocks):
    tally = CountPerEntity(100_000)
    for block in blocks:
        tally.add(occurrences(np.array(block, dtype=np.int64)))
    everything = np.array([row for block in blocks for row in block], dtype=np.int64)
    assert tally.counts.dtype == np.uint8
    assert np.array_equal(tally.counts, np.bincount(everything, minlength=100_000))


def test_a_count_per_entity_widens_its_dtype_only_on_overflow():
    tally, seventh = CountPerEntity(10), np.full(255, 7)
    tally.add(occurrences(seventh))
    assert tally.counts.dtype == np.uint8
    tally.add(occurrences(seventh[:1]))
    assert tally.counts.dtype == np.uint16
    for _ in range(257):
        tally.add(occurrences(seventh))
    assert tally.counts.dtype == np.uint32
    assert tally.counts[7] == 256 + 257 * 255
    assert tally.counts.sum() == tally.counts[7]


@pytest.mark.parametrize("order", ["by owner", "by owner and product", "shuffled"])
def test_counts_of_holdings_do_not_depend_on_pieces_or_row_order(monkeypatch, order):
    """Owners across the border of a piece, one larger than a piece, and rows without owner."""
    monkeypatch.setattr(holdings, "CHUNK", 64)
    monkeypatch.setattr(holdings, "BAND", 100)
    draw = np.random.default_rng(5)
    owner = np.concatenate([draw.integers(-1, 300, 2_000), np.full(200, 17)]).astype(np.int32)
    product = draw.integers(0, 4, owner.size).astype(np.uint8)
    if order != "shuffled":
        keys = (product, owner) if order == "by owner and product" else (owner,)
        at = np.lexsort(keys)
        owner, product = owner[at], product[at]
    held = held_by(Accounts(Ids(owner.size), owner, product), 4)
    pairs = Counter(zip(owner.tolist(), product.tolist(), strict=True))
    expected = np.zeros_like(held)
    for (_, code), number in pairs.items():
        expected[code, number] += 1
    assert held.tolist() == expected.tolist()
    assert held.shape == (4, max(pairs.values()) + 1)
