"""Weighted choices that kernels share. A draw is a u64, weights are integers.

Twins: tests/reference/transactions/choices.py:below and Urn.pick; world.py:World.account_of,
instrument_of, device_of; visits.py:Attachment._endpoint.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.rng import philox


@inlined
def below(draw, n):  # type: ignore[no-untyped-def]
    """A uniform integer 0 … n − 1 (int64)."""
    return np.int64(philox.mul_high(draw, np.uint64(n)))


@inlined
def happens(draw, threshold):  # type: ignore[no-untyped-def]
    """Whether an event occurs whose probability is `threshold` of 2**63 (u64)."""
    return (draw >> np.uint64(1)) < threshold


@kernel
def weighted_index(cumulative, low, high, draw):  # type: ignore[no-untyped-def]
    """An item of low … high − 1 in proportion to its weight; −1 where all weights are 0.

    cumulative: int64 (items + 1,), sums of the weights before each item.
    """
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
    """An account of the party that has an instrument, by use of its product; −1 for none.

    use: int64 weights by account type.
    """
    total = 0
    for a in range(world.account_start[party], world.account_start[party + 1]):
        if world.instrument_start[a + 1] > world.instrument_start[a]:
            total += use[world.account_type[a]]
    if total == 0:
        return -1
    remaining = below(draw, total)
    for a in range(world.account_start[party], world.account_start[party + 1]):
        if world.instrument_start[a + 1] > world.instrument_start[a]:
            remaining -= use[world.account_type[a]]
            if remaining < 0:
                return a
    return -1


@kernel
def instrument_of(world, account, use, draw):  # type: ignore[no-untyped-def]
    """An instrument of the account, by use of its type; −1 for none.

    use: int64 weights by instrument type.
    """
    low, high = world.instrument_start[account], world.instrument_start[account + 1]
    total = 0
    for i in range(low, high):
        total += use[world.instrument_type[i]]
    if total == 0:
        return -1
    remaining = below(draw, total)
    for i in range(low, high):
        remaining -= use[world.instrument_type[i]]
        if remaining < 0:
            return i
    return -1


@kernel
def device_of(world, party, use, draw):  # type: ignore[no-untyped-def]
    """A device that the party owns or shares, by use of its type; −1 where none is in use.

    use: int64 weights by device type.
    """
    total = 0
    for e in range(world.device_start[party], world.device_start[party + 1]):
        total += use[world.device_type[world.party_device[e]]]
    if total == 0:
        return -1
    remaining = below(draw, total)
    for e in range(world.device_start[party], world.device_start[party + 1]):
        remaining -= use[world.device_type[world.party_device[e]]]
        if remaining < 0:
            return world.party_device[e]
    return -1


@kernel
def endpoint_of(world, device, typical, typical_draw, choice_draw):  # type: ignore[no-untyped-def]
    """An endpoint of the device; −1 where there is no device or it has no endpoint.

    typical: probability of the device's typical endpoint, of 2**63; else one of all its endpoints,
    all equally likely.
    """
    if device < 0:
        return -1
    low, high = world.endpoint_start[device], world.endpoint_start[device + 1]
    if high == low:
        return -1
    if happens(typical_draw, typical):
        return world.device_endpoint[low]
    return world.device_endpoint[low + below(choice_draw, high - low)]
