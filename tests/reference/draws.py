"""Plain twin of `rng` and of the kernels for choices: draws, categories, ranks, permutations.

Twin of `rng/stream.py`, `kernels/discrete.py`, `kernels/select.py` and `kernels/permute.py`, one
entity at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from fraudworld.kernels import normal
from fraudworld.rng import Stream

CHUNK = 1024
U64 = 2**64 - 1
ROUNDS = 8
"""Rounds of a permutation, and so the width of the stream of its keys."""


class Draws:
    """A named stream: `draws(e, i)` is draw i of entity e, element e · width + i of Philox."""

    def __init__(self, seed: int, label: str, family: str, width: int = 1) -> None:
        self._key = list(Stream(seed, label, family, width).key)
        self._width = width
        self._chunks: dict[int, list[int]] = {}

    def __call__(self, entity: int, index: int = 0) -> int:
        number, at = divmod(entity * self._width + index, CHUNK)
        if number not in self._chunks:
            philox = np.random.Philox(key=self._key)
            philox.advance(number * CHUNK // 4)  # a block is four elements
            self._chunks[number] = philox.random_raw(CHUNK).tolist()
        return self._chunks[number][at]

    def all_of(self, entity: int) -> list[int]:
        """Every draw of an entity."""
        return [self(entity, index) for index in range(self._width)]


def deviate(draw: int) -> float:
    """A standard normal deviate: the quantile of the draw's upper 52 bits."""
    return normal.quantile(((draw >> 12) + 0.5) * 2.0**-52)


def below(draw: int, n: int) -> int:
    """A whole number 0 … n − 1 from the draw's upper half."""
    return (draw >> 32) * n >> 32


@cache
def _thresholds(shares: tuple[float, ...]) -> list[int]:
    last = max(i for i, share in enumerate(shares) if share > 0)
    cumulative = [int(min(c, 1.0) * 2.0**63) for c in accumulate(shares)]
    return [2**63 if i >= last else c for i, c in enumerate(cumulative)]


def category(draw: int, shares: tuple[float, ...]) -> int:
    """The first category whose cumulative share is above the draw's upper 63 bits.

    The last category with a share takes the rounding error of the cumulative shares.
    """
    return bisect_right(_thresholds(shares), draw >> 1)


def pick(draw: int, mix: Mapping[str, float], names: Sequence[str]) -> str:
    """A name drawn by its share in `mix`, in order of `names`; names not in `mix` have share 0."""
    return names[category(draw, tuple(mix.get(name, 0.0) for name in names))]


def first(k: int, entities: Iterable[int], key: Callable[[int], Any]) -> list[int]:
    """The k entities with the smallest key, ties by position; in order of position."""
    return sorted(sorted(entities, key=lambda e: (key(e), e))[: max(k, 0)])


def nearest(value: float) -> int:
    """The nearest whole number, halves rounded up."""
    return int(np.floor(value + 0.5))


def place(element: int, n: int, keys: Sequence[int]) -> int:
    """Image of an element under a keyed permutation of 0 … n − 1.

    Eight Feistel rounds on the smallest even number of bits that holds n, repeated until the
    result is below n (cycle walking).
    """
    half = 1
    while 4**half < n:
        half += 1
    mask = 2**half - 1
    while True:
        left, right = element >> half, element & mask
        for key in keys:
            x = (right ^ key) * 0x9E3779B97F4A7C15 & U64
            x = (x ^ x >> 32) * 0xD6E8FEB86659FD93 & U64
            left, right = right, left ^ ((x ^ x >> 29) & mask)
        element = left << half | right
        if element < n:
            return element


def quota_category(element: int, keys: Sequence[int], counts: Sequence[int]) -> int:
    """Category of an element when category c gets exactly counts[c] elements, by place."""
    bounds = list(accumulate(counts))
    return bisect_right(bounds, place(element, bounds[-1], keys))
