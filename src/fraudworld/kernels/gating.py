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

CHUNK = 1024
"""Entities whose draws are made before any is turned into a weight."""

LANES = 8
"""Words of 64 bits that are written at once."""

DOUBTED = np.uint64(1 << 63)
"""Mark on one of whom only the exact gate key says whether the gate lets it in."""


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


@kernel
def roughly(draws, table, out):  # type: ignore[no-untyped-def]
    """out[i]: the deviate of draws[i] to 2**-15, by the table; exactly in its outer 64 steps."""
    at, outer = np.empty(draws.size + 1, dtype=np.uint32), np.empty(draws.size + 1, dtype=np.uint64)
    n = 0
    for i in range(draws.size):
        step = _step(draws[i])
        out[i] = _interpolated(draws[i], min(max(step, 1), TABLE - 2), table)
        at[n], outer[n] = i, draws[i]
        n += not _inner(step)
    exact = np.empty(n)
    normal.deviates(outer[:n], exact)
    for k in range(n):
        out[at[k]] = exact[k]


# Who stands at a gate is one word, as all of it is copied together: the entity, counted in its
# shard and below 2**31, from bit 32 on, the cell below, and in the last bit DOUBTED.


@inlined
def entity_of(standing):  # type: ignore[no-untyped-def]
    """The entity in such a word."""
    return (standing & ~DOUBTED) >> np.uint64(32)


@inlined
def cell_of(standing):  # type: ignore[no-untyped-def]
    """The cell in such a word."""
    return standing & np.uint64(0xFFFFFFFF)


@inlined
def list_standing(entities, code, cells, sizes, standing):  # type: ignore[no-untyped-def]
    """Entity and cell of all that stand at a gate; returns how many there are.

    cells, sizes: those of every code, in rows of a multiple of LANES, and how many they are.
    There is room for one row more.
    """
    n = np.uint64(0)
    for e in entities:
        k, entity = code[e], np.uint64(e) << np.uint64(32)
        # All of the row: how many of them are meant, nobody could predict.
        for low in range(0, cells.shape[1], LANES):
            for s in range(low, low + LANES):
                standing[n + np.uint64(s)] = entity | cells[k, s]
        n += sizes[k]
    return np.int64(n)


@kernel
def draw_both(first, standing, keys, gates, draws):  # type: ignore[no-untyped-def]
    """The gate draw and the weight draw of all that stand at a gate."""
    streams = np.empty((2, philox.AT_ONCE), dtype=np.uint64)
    numbers = np.empty(philox.AT_ONCE, dtype=np.uint64)
    lanes = np.empty((4, philox.AT_ONCE), dtype=np.uint64)
    for low in range(0, standing.size, philox.AT_ONCE):
        some = standing[low : low + philox.AT_ONCE]
        gate, draw = gates[low : low + philox.AT_ONCE], draws[low : low + philox.AT_ONCE]
        n = some.size
        for j in range(n):
            cell = cell_of(some[j])
            streams[0, j], streams[1, j] = keys[cell, 0], keys[cell, 1]
            numbers[j] = (np.uint64(first) + entity_of(some[j])) >> np.uint64(1)
        philox.blocks(streams, numbers[:n], lanes)
        # Two entities share a block of draws.
        a, b, c, d = lanes[0, :n], lanes[1, :n], lanes[2, :n], lanes[3, :n]
        for j in range(n):
            odd = (np.uint64(first) + entity_of(some[j])) & np.uint64(1) == np.uint64(1)
            gate[j] = c[j] if odd else a[j]
            draw[j] = d[j] if odd else b[j]


@inlined
def place_alone(gates, places):  # type: ignore[no-untyped-def]
    """places[j]: the share of draws that is let in earlier."""
    for j in range(gates.size):
        places[j] = normal.whole(~gates[j] >> np.uint64(12)) * 2.0**-52


@inlined
def place_shared(standing, gates, factor, a, b, table, places):  # type: ignore[no-untyped-def]
    """places[j]: minus the deviate, where products share a factor: `factor` of every entity, by
    its number modulo a chunk.
    """
    roughly(gates, table, places)
    for j in range(gates.size):
        places[j] = -(a * factor[entity_of(standing[j]) % np.uint64(CHUNK)] + b * places[j])


@inlined
def keep(low, high, standing, draws, places):  # type: ignore[no-untyped-def]
    """Leave out those beyond `high` of their cell, and mark those from `low` on as DOUBTED;
    returns how many are kept.
    """
    n = 0
    for j in range(standing.size):
        cell, place = cell_of(standing[j]), places[j]
        standing[n] = standing[j] | (DOUBTED if place >= low[cell] else np.uint64(0))
        draws[n] = draws[j]
        n += place <= high[cell]
    return n


@kernel
def gate_keys(first, standing, keys, factor, correlation, out):  # type: ignore[no-untyped-def]
    """The exact gate key of all that stand at a gate: small for those who are let in first.

    factor: the key of the shared factors' stream, (1, 2).
    """
    n = standing.size
    draws, unused = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint64)
    gates, shared = np.empty(n), np.zeros(n)
    draw_both(first, standing, keys, draws, unused)
    normal.deviates(draws, gates)
    if correlation > 0.0:
        # One stream, as if of one cell.
        draw_both(first, standing & ~np.uint64(0xFFFFFFFF), factor, draws, unused)
        normal.deviates(draws, shared)
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    for j in range(n):
        gate = a * shared[j] + b * gates[j] if correlation > 0.0 else gates[j]
        out[j] = np.uint64((16.0 - gate) * GATE_SCALE)
