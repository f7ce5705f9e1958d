"""A keyed random permutation of 0 … n − 1, computed element by element.

It gives exact quotas without a global sort: element i gets the place of i, and the places are
cut at the cumulative quotas. Every shard computes the places of its own elements.

A Feistel network of eight rounds over the smallest even-bit domain that holds n, walked until it
lands inside (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002). The eight round
keys are draws of a named stream.

Twin of all kernels here: tests/reference/draws.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel

ROUNDS = 8


@inlined
def _mix(x, key):  # type: ignore[no-untyped-def]
    """The round function: mixes a half (u64) with a round key (u64)."""
    x = (x ^ key) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(29))


AT_ONCE = 512
"""Elements that are walked together: rounds of one element depend on each other, rounds of
different elements overlap."""


@kernel
def places(first, n, keys, out):  # type: ignore[no-untyped-def]
    """out[j] = place of element first + j.

    Parameters
    ----------
    first, n : int
        0 ≤ first + j < n for every j.
    keys : uint64 (ROUNDS,)
    out : int64 (m,)
        Filled.
    """
    half = 1
    while (np.uint64(1) << np.uint64(2 * half)) < np.uint64(n):
        half += 1
    bits = np.uint64(half)
    mask = (np.uint64(1) << bits) - np.uint64(1)
    size = np.uint64(n)
    # The pool of walkers: both halves of each, and the element it belongs to. Walkers that landed
    # inside 0 … n − 1 are replaced by new ones, so that loops over the pool stay full vectors and
    # the number of steps of a walk is never branched on.
    lefts = np.empty(AT_ONCE + 1, dtype=np.uint64)
    rights = np.empty(AT_ONCE + 1, dtype=np.uint64)
    at = np.empty(AT_ONCE + 1, dtype=np.uint32)
    walking, begun = 0, 0
    while walking or begun < out.size:
        more = min(AT_ONCE - walking, out.size - begun)
        for k in range(more):
            x = np.uint64(first + begun + k)
            lefts[walking + k], rights[walking + k] = x >> bits, x & mask
            at[walking + k] = begun + k
        walking, begun = walking + more, begun + more
        for r in range(ROUNDS):
            key = keys[r]
            for k in range(walking):
                lefts[k] ^= _mix(rights[k], key) & mask
            lefts, rights = rights, lefts
        still = 0
        for k in range(walking):
            x = (lefts[k] << bits) | rights[k]
            out[at[k]] = x
            lefts[still], rights[still], at[still] = lefts[k], rights[k], at[k]
            still += x >= size
        walking = still


@kernel
def assign_by_quota(first, n, keys, cuts, out):  # type: ignore[no-untyped-def]
    """out[j] = the first category whose cumulative quota exceeds the place of element first + j.

    Parameters
    ----------
    first, n, keys
        As in `places`.
    cuts : int64 (categories,)
        Cumulative quotas.
    out : integer (m,)
        Filled.
    """
    where = np.empty(out.size, dtype=np.int64)
    places(first, n, keys, where)
    out[:] = 0
    for low in range(0, out.size, AT_ONCE):
        category, place = out[low : low + AT_ONCE], where[low : low + AT_ONCE]
        for end in cuts[:-1]:
            for j in range(category.size):
                category[j] += end <= place[j]


@kernel
def grouped(sizes, keys, group, elements, out):  # type: ignore[no-untyped-def]
    """out[i] = place of elements[i] in the permutation of its group; elements in any order.

    `places` is faster where elements are consecutive and the permutation is one.

    Parameters
    ----------
    sizes : uint64 (groups,)
    keys : uint64 (groups, ROUNDS)
    group : integer (n,)
        Negative: out[i] is not set.
    elements : int64 (n,)
        0 ≤ elements[i] < sizes[group[i]].
    out : int64 (n,)
        Filled.
    """
    halves = np.ones(sizes.size, dtype=np.uint64)
    for g in range(sizes.size):
        while (np.uint64(1) << (halves[g] + halves[g])) < sizes[g]:
            halves[g] += np.uint64(1)
    for i in range(elements.size):
        g = group[i]
        if g < 0:
            continue
        half, size = halves[g], sizes[g]
        mask = (np.uint64(1) << half) - np.uint64(1)
        x = np.uint64(elements[i])
        while True:
            left, right = x >> half, x & mask
            for r in range(ROUNDS):
                left, right = right, left ^ (_mix(right, keys[g, r]) & mask)
            x = (left << half) | right
            if x < size:
                break
        out[i] = x


def permuted(first: int, count: int, n: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Places of elements first … first + count − 1 of a permutation of n: int64 (count,)."""
    out = np.empty(count, dtype=np.int64)
    places(first, n, keys, out)
    return out


def grouped_places(
    sizes: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    group: NDArray[np.integer],
    elements: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Places of elements in the permutations of their groups, int64 (n,); 0 for no group."""
    out = np.zeros(elements.size, dtype=np.int64)
    grouped(sizes, keys, group, elements, out)
    return out
