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


@given(
    st.integers(0, 2**61), st.integers(0, 2**54), st.integers(1, 40), st.integers(0, 39),
    st.integers(-3, 3),
)  # fmt: skip
def test_blocks_that_run_evenly_or_nearly_have_their_own_leaves(
    first: int, step: int, n: int, at: int, off: int
) -> None:
    even = [first + step * i for i in range(n)]
    near = [max(v + off * (i == at), 0) for i, v in enumerate(even)]
    for values in (even, near, even):  # one of them was met before
        assert leaf(np.array(values, dtype=np.int64)) == by_law(values)


def test_a_block_that_wraps_around_does_not_answer_for_another() -> None:
    # Both run evenly, as int64 counts, from one value to another in as many steps.
    first, last = 2**40 + 7, 2**40 + 9
    wrapped = np.array([first, first + 1 - 2**63, last], dtype=np.int64)
    assert narrowed(wrapped)[0] < 0
    assert leaf(np.array([first, first + 1, last], dtype=np.int64)) == by_law(
        [first, first + 1, last]
    )


@pytest.mark.parametrize("edge", EDGES)
def test_a_long_block_before_a_short_one_leaves_nothing_behind(edge: int) -> None:
    leaf(np.full(100_000, 7, dtype=np.int64))
    assert leaf(np.array([edge], dtype=np.int64)) == by_law([edge])


def test_the_least_is_told_where_it_is_negative() -> None:
    assert narrowed(np.array([3, -2, 5], dtype=np.int64))[0] == -2
