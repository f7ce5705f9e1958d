"""A keyed random permutation of 0 … n − 1 that can be asked one element at a time.

Exact quotas without a global sort: give element i the place `permute(i)` and cut the places
at the cumulative quotas. Every shard can do this for its own elements.

A Feistel network of eight rounds over the smallest even-bit domain that holds n, walked
until it lands inside (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002).
The eight round keys are draws of a named stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel

ROUNDS = 8


@inlined
def _mix(x, key):  # type: ignore[no-untyped-def]
    x = (x ^ key) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(29))


@inlined
def _network(x, bits, mask, keys):  # type: ignore[no-untyped-def]
    left = x >> bits
    right = x & mask
    for r in range(8):
        left, right = right, left ^ (_mix(right, keys[r]) & mask)
    return (left << bits) | right


@inlined
def _looked_up(x, bits, mask, rounds):  # type: ignore[no-untyped-def]
    """`_network` by tables of its rounds: (8, 2**bits)."""
    left = x >> bits
    right = x & mask
    for r in range(8):
        left, right = right, left ^ np.uint64(rounds[r, right])
    return (left << bits) | right


_BLOCK = 256
_WORTH = 2
"""Elements per entry of a table from which it is worth making."""


@kernel
def places(first, n, keys, out):  # type: ignore[no-untyped-def]
    """out[j] = place of element first + j (0 ≤ first + j < n) under `keys`: u64, shape (8,)."""
    half = 1
    while (np.uint64(1) << np.uint64(2 * half)) < np.uint64(n):
        half += 1
    bits = np.uint64(half)
    mask = (np.uint64(1) << bits) - np.uint64(1)
    size = np.uint64(n)
    # A round is a function of half the bits: tables of them fit into the processor's caches.
    tabled = half <= 16 and out.size >= _WORTH << half
    rounds = np.empty((8, (1 << half) if tabled else 0), dtype=np.uint16)
    for r in range(8):
        for right in range(rounds.shape[1]):
            rounds[r, right] = _mix(np.uint64(right), keys[r]) & mask
    outside = np.empty(_BLOCK + 1, dtype=np.uint32)
    for low in range(0, out.size, _BLOCK):
        high = min(low + _BLOCK, out.size)
        # All walk once, then again and again those that landed outside: the processor
        # overlaps what does not wait for a branch.
        if tabled:
            for j in range(low, high):
                out[j] = _looked_up(np.uint64(first + j), bits, mask, rounds)
        else:
            for j in range(low, high):
                out[j] = _network(np.uint64(first + j), bits, mask, keys)
        walking = np.int64(0)
        for j in range(low, high):
            outside[walking] = j
            walking += np.int64(np.uint64(out[j]) >= size)
        while walking:
            still = np.int64(0)
            for k in range(walking):
                x = np.uint64(out[outside[k]])
                if tabled:  # noqa: SIM108 - one line would be too long to read
                    x = _looked_up(x, bits, mask, rounds)
                else:
                    x = _network(x, bits, mask, keys)
                out[outside[k]] = x
                outside[still] = outside[k]
                still += np.int64(x >= size)
            walking = still


@kernel
def deal_out(first, n, keys, cuts, out):  # type: ignore[no-untyped-def]
    """out[j] = the first category whose cumulative count `cuts` is above place first + j."""
    where = np.empty(out.size, dtype=np.int64)
    places(first, n, keys, where)
    for j in range(out.size):
        t = 0
        for c in range(cuts.size - 1):
            t += cuts[c] <= where[j]
        out[j] = t


def permuted(first: int, count: int, n: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Places of elements first … first + count − 1 of a permutation of n."""
    out = np.empty(count, dtype=np.int64)
    places(first, n, keys, out)
    return out
