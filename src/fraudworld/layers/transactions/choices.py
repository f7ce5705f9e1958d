"""Choices kernels share: uniform below n, by cumulative weights, one of a party's things.

All are inlined into the kernels that call them. A draw is a u64; integers decide.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.rng import philox


@inlined
def below(draw, n):  # type: ignore[no-untyped-def]
    """A uniform integer 0 … n − 1."""
    return np.int64(philox.mul_high(draw, np.uint64(n)))


@kernel
def weighted_index(cumulative, low, high, draw):  # type: ignore[no-untyped-def]
    """An item of low … high − 1 by weight; −1 where all weigh nothing."""
    total = cumulative[high] - cumulative[low]
    if total <= 0:
        return -1
    target = cumulative[low] + below(draw, total)
    while high - low > 1:
        middle = (low + high) >> 1
        if cumulative[middle] <= target:
            low = middle
        else:
            high = middle
    return low


@kernel
def account_of(world, party, use, draw):  # type: ignore[no-untyped-def]
    """One of the party's payable accounts, by how much its product is used; −1: none."""
    total = 0
    for a in range(world.account_start[party], world.account_start[party + 1]):
        if world.instrument_start[a + 1] > world.instrument_start[a]:
            total += use[world.account_type[a]]
    if total == 0:
        return -1
    left = below(draw, total)
    for a in range(world.account_start[party], world.account_start[party + 1]):
        if world.instrument_start[a + 1] > world.instrument_start[a]:
            left -= use[world.account_type[a]]
            if left < 0:
                return a
    return -1


@kernel
def instrument_of(world, account, use, draw):  # type: ignore[no-untyped-def]
    """One of the account's instruments, by `use` of its type; −1: none."""
    low, high = world.instrument_start[account], world.instrument_start[account + 1]
    total = 0
    for i in range(low, high):
        total += use[world.instrument_type[i]]
    if total == 0:
        return -1
    left = below(draw, total)
    for i in range(low, high):
        left -= use[world.instrument_type[i]]
        if left < 0:
            return i
    return -1


@kernel
def device_of(world, party, use, draw):  # type: ignore[no-untyped-def]
    """One of the party's devices, by `use` of its type; −1: none."""
    total = 0
    for e in range(world.device_start[party], world.device_start[party + 1]):
        total += use[world.device_type[world.party_device[e]]]
    if total == 0:
        return -1
    left = below(draw, total)
    for e in range(world.device_start[party], world.device_start[party + 1]):
        left -= use[world.device_type[world.party_device[e]]]
        if left < 0:
            return world.party_device[e]
    return -1


@kernel
def endpoint_of(world, device, typical, whether, which):  # type: ignore[no-untyped-def]
    """An endpoint of the device: its typical one with chance `typical` (63 bits); −1: none."""
    low, high = world.endpoint_start[device], world.endpoint_start[device + 1]
    if high == low:
        return -1
    if (whether >> np.uint64(1)) < typical:
        return world.device_endpoint[low]
    return world.device_endpoint[low + below(which, high - low)]
