"""Who stands where at the gate of an allocation (`kernels/capped.py`): places and gate keys.

A place costs little and tells all but those near the edge of their cell's quota; the exact key is
worked out for these alone. Where products share a factor, places are deviates by a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal, philox

GATE_SCALE = 268435456.0
"""Gate keys per unit of a deviate: 28 bits of resolution, five of range around ±16."""

GATE_BITS = 34
"""Of a gate key, at most."""

ROUGH = 2.0**-14
"""How far the gate by the table may be from the exact one."""

TABLE = 4096
"""Steps of the table of deviates."""

CHUNK = 512
"""Entities whose draws are made before any is turned into a weight."""


def table() -> NDArray[np.float32]:
    """Deviates at 0, 1/TABLE, …, 1; the ends, where they are infinite, are never used."""
    out = np.zeros(TABLE + 1, dtype=np.float32)
    _tabulate(out)
    return out


@kernel
def _tabulate(out):  # type: ignore[no-untyped-def]
    for i in range(1, TABLE):
        out[i] = normal.quantile(i / TABLE)


@inlined
def _step(draw):  # type: ignore[no-untyped-def]
    return np.int64(draw >> np.uint64(52))


@inlined
def _inner(step):  # type: ignore[no-untyped-def]
    return (step >= 64) & (step < TABLE - 64)


@inlined
def _interpolated(draw, step, table):  # type: ignore[no-untyped-def]
    part = np.float64(np.int64((draw >> np.uint64(20)) & np.uint64(0xFFFFFFFF))) * 2.0**-32
    low = np.float64(table[step])
    return low + part * (np.float64(table[step + 1]) - low)


@inlined
def gate_key(keys, factor, correlation, position, cell):  # type: ignore[no-untyped-def]
    """The exact gate key: small for those who are let in first."""
    gate = normal.deviate(philox.pair(keys[cell, 0], keys[cell, 1], position)[0])
    if correlation > 0.0:
        draw = philox.pair(factor[0], factor[1], position)[0]
        shared = np.sqrt(correlation) * normal.deviate(draw)
        gate = shared + np.sqrt(1.0 - correlation) * gate
    return np.uint64((16.0 - gate) * GATE_SCALE)


@kernel
def roughly(draws, table, out):  # type: ignore[no-untyped-def]
    """out[i]: the deviate of draws[i] to 2**-15, by the table; exactly in its outer 64 steps."""
    outer = np.empty(draws.size + 1, dtype=np.uint32)
    n = 0
    for i in range(draws.size):
        out[i] = _interpolated(draws[i], min(max(_step(draws[i]), 1), TABLE - 2), table)
    for i in range(draws.size):
        outer[n] = i
        n += not _inner(_step(draws[i]))
    for k in range(n):
        out[outer[k]] = normal.deviate(draws[outer[k]])


@inlined
def _both_draws(k0, k1, position, s, numbers, owners, halves):  # type: ignore[no-untyped-def]
    """The gate draw and the weight draw of an entity. Two entities share a block of draws: the
    second finds its half in row s of `halves`, if it was `numbers[s]` of key `owners[s]`.
    """
    number = (position >> np.uint64(1)) + np.uint64(1)  # 0 is no number
    odd = position & np.uint64(1) == np.uint64(1)
    if odd and numbers[s] == number and owners[s] == k0:
        return halves[s, 0], halves[s, 1]
    lanes = philox.block(k0, k1, position >> np.uint64(1))
    if odd:
        return lanes[2], lanes[3]
    numbers[s], owners[s] = number, k0
    halves[s, 0], halves[s, 1] = lanes[2], lanes[3]
    return lanes[0], lanes[1]


@inlined
def places_alone(  # type: ignore[no-untyped-def]
    standing, first, code, start, active, keys, numbers, owners, halves,
    high, who, at, draws, places,
):  # fmt: skip
    """Entity, cell, weight draw and place of those up to `high`; returns how many there are."""
    n = 0
    for e in standing:
        position = np.uint64(first + e)
        base = start[code[e]]
        for place in range(base, start[code[e] + 1]):
            c, s = np.uint32(place), np.uint32(place - base)
            if not active[c]:
                continue
            gate, draw = _both_draws(keys[c, 0], keys[c, 1], position, s, numbers, owners, halves)
            share = np.float64(np.int64(~gate >> np.uint64(12))) * 2.0**-52
            who[n], at[n], draws[n], places[n] = e, c, draw, share
            n += share <= high[c]
    return n


@inlined
def places_shared(  # type: ignore[no-untyped-def]
    standing, first, code, start, active, keys, numbers, owners, halves,
    high, factor, a, b, table, who, at, draws, places, gates, z,
):  # fmt: skip
    """`places_alone` where products share a factor: that of the gates of every entity."""
    n = 0
    for e in standing:
        position = np.uint64(first + e)
        gate_factor = a * factor[e % np.uint32(CHUNK)]
        base = start[code[e]]
        for place in range(base, start[code[e] + 1]):
            c, s = np.uint32(place), np.uint32(place - base)
            if not active[c]:
                continue
            gates[n], draws[n] = _both_draws(
                keys[c, 0], keys[c, 1], position, s, numbers, owners, halves
            )
            who[n], at[n], places[n] = e, c, gate_factor
            n += 1
    roughly(gates[:n], table, z)
    kept = 0
    for j in range(n):
        place = -(places[j] + b * z[j])
        who[kept], at[kept], draws[kept], places[kept] = who[j], at[j], draws[j], place
        kept += place <= high[at[j]]
    return kept
