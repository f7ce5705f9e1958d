"""Shards: contiguous ranges of parties that fit a worker's memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

ATOM = 1024
"""Parties of one country that are never cut apart; a home or firm lies inside one atom."""


@dataclass(frozen=True)
class Shard:
    """Parties first … last − 1, all of one country."""

    first: int
    last: int
    country: int

    @property
    def n(self) -> int:
        return self.last - self.first


def cut(country_start: Iterable[int], parties_per_shard: int | None) -> tuple[Shard, ...]:
    """Cuts every country into contiguous ranges of whole atoms.

    country_start: first party of every country, and the number of parties. parties_per_shard is
    rounded up to atoms; None makes one shard a country.
    """
    bounds = [int(b) for b in country_start]
    shards = []
    for country, (low, high) in enumerate(itertools.pairwise(bounds)):
        size = high - low if parties_per_shard is None else -(-parties_per_shard // ATOM) * ATOM
        shards += [
            Shard(first, min(first + size, high), country)
            for first in range(low, high, max(size, 1))
        ]
    return tuple(shards)
