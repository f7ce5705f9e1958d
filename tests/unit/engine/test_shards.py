"""Shards hold every party once, in order, in whole atoms, and never cross a country."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraudworld.engine.shards import ATOM, Shard, cut

SIZES = st.lists(st.integers(0, 5 * ATOM), min_size=1, max_size=12)


@given(SIZES, st.none() | st.integers(1, 6 * ATOM))
def test_every_party_is_in_one_shard_of_its_country(sizes: list[int], size: int | None) -> None:
    start = np.concatenate([[0], np.cumsum(sizes)])
    shards = cut(start, size)
    parties = [range(s.first, s.last) for s in shards]
    assert list(itertools.chain.from_iterable(parties)) == list(range(start[-1]))
    for shard in shards:
        low, high = start[shard.country], start[shard.country + 1]
        assert low <= shard.first < shard.last <= high
        assert (shard.first - low) % ATOM == 0
        assert shard.last == high or (shard.last - low) % ATOM == 0


@given(SIZES, st.integers(1, 6 * ATOM))
def test_no_shard_exceeds_the_requested_size_by_more_than_an_atom(
    sizes: list[int], size: int
) -> None:
    start = np.concatenate([[0], np.cumsum(sizes)])
    assert all(shard.n < size + ATOM for shard in cut(start, size))


def test_without_a_size_every_country_that_has_parties_is_a_shard() -> None:
    assert cut([0, 10, 10, 5_000], None) == (Shard(0, 10, 0), Shard(10, 5_000, 2))


def test_without_parties_there_are_no_shards() -> None:
    assert cut([0, 0], None) == cut([0], 1) == ()
