"""The leaf of a block is the law of its docstring, however the values are looked at."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudworld.store.content import leaf, narrowed

EDGES = (0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62)


def by_law(values: list[int]) -> str:
    """Little-endian in the narrowest width that holds the largest."""
    most = max(values, default=0)
    width = next(w for w in (1, 2, 4, 8) if most < 2 ** (8 * w))
    return hashlib.sha256(b"".join(v.to_bytes(width, "little") for v in values)).hexdigest()


@given(st.lists(st.one_of(st.sampled_from(EDGES), st.integers(0, 2**62)), max_size=40))
def test_ids_and_counts_are_hashed_in_the_narrowest_width(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert leaf(array) == by_law(values)
    least, canonical, digest = narrowed(array)
    assert (least, digest) == (min(values, default=0), by_law(values))
    assert canonical.tolist() == values


@pytest.mark.parametrize("edge", EDGES)
def test_a_long_block_before_a_short_one_leaves_nothing_behind(edge: int) -> None:
    leaf(np.full(100_000, 7, dtype=np.int64))
    assert leaf(np.array([edge], dtype=np.int64)) == by_law([edge])


def test_the_least_is_told_where_it_is_negative() -> None:
    assert narrowed(np.array([3, -2, 5], dtype=np.int64))[0] == -2
