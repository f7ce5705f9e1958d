"""The leaf digest of a block follows its definition, with and without the caches."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudworld.store.content import leaf, narrowed

EDGES = (0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62)


def by_definition(values: list[int]) -> str:
    """Little-endian in the narrowest width that holds the largest."""
    largest = max(values, default=0)
    width = next(w for w in (1, 2, 4, 8) if largest < 2 ** (8 * w))
    return hashlib.sha256(b"".join(v.to_bytes(width, "little") for v in values)).hexdigest()


@given(st.lists(st.one_of(st.sampled_from(EDGES), st.integers(0, 2**62)), max_size=40))
def test_ids_and_counts_are_hashed_in_the_narrowest_width(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert leaf(array) == by_definition(values)
    least, canonical, digest = narrowed(array)
    assert (least, digest) == (min(values, default=0), by_definition(values))
    assert canonical.tolist() == values


@given(
    st.integers(0, 2**61), st.integers(0, 2**54), st.integers(1, 40), st.integers(0, 39),
    st.integers(-3, 3),
)  # fmt: skip
def test_arithmetic_sequences_and_near_ones_have_their_own_leaves(
    first: int, step: int, n: int, at: int, off: int
) -> None:
    even = [first + step * i for i in range(n)]
    near = [max(v + off * (i == at), 0) for i, v in enumerate(even)]
    for values in (even, near, even):  # the second `even` comes from the cache
        assert leaf(np.array(values, dtype=np.int64)) == by_definition(values)


def test_a_sequence_that_overflows_is_not_taken_for_another() -> None:
    # With int64 overflow both have equal steps, equal ends and equal length.
    first, last = 2**40 + 7, 2**40 + 9
    wrapped = np.array([first, first + 1 - 2**63, last], dtype=np.int64)
    assert narrowed(wrapped)[0] < 0
    assert leaf(np.array([first, first + 1, last], dtype=np.int64)) == by_definition(
        [first, first + 1, last]
    )


@pytest.mark.parametrize("edge", EDGES)
def test_a_long_block_does_not_change_the_leaf_of_a_short_one(edge: int) -> None:
    leaf(np.full(100_000, 7, dtype=np.int64))
    assert leaf(np.array([edge], dtype=np.int64)) == by_definition([edge])


def test_a_negative_minimum_is_returned() -> None:
    assert narrowed(np.array([3, -2, 5], dtype=np.int64))[0] == -2
