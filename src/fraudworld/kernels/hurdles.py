"""The hurdle of capped allocation: approximate ranks of all candidates, exact keys of few.

A candidate is an entity in a cell. Its *rank* is cheap and settles the hurdle for all but those
near the edge of their cell's quota; only these get the exact *key*. Where products share a
factor, ranks are deviates read from a table.

A candidate packs into one u64, since it is copied as a whole: cell in bits 0–31, entity (counted
in the shard, below 2**31) in bits 32–62, UNSETTLED in bit 63.

Twin of all kernels here: tests/reference/allocation.py:hurdle_key.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal
from fraudworld.rng import philox

HURDLE_SCALE = 268435456.0
"""Hurdle keys per unit of a deviate: 28 bits of resolution, five of range around ±16."""

HURDLE_BITS = 34
"""Bits of a hurdle key, at most."""

TABLE_ERROR = 2.0**-14
"""Largest error of a rank that is read from the table."""

TABLE = 4096
"""Steps of the table of deviates."""

OUTER = 64
"""Steps at either end of the table whose deviates are computed: there the table errs too far."""

CHUNK = 1024
"""Entities whose draws are made before any is turned into a weight."""

LANES = 8
"""Words of 64 bits of one vector store."""

UNSETTLED = np.uint64(1 << 63)
"""Flag of a candidate whose hurdle needs the exact key."""


def table() -> NDArray[np.float32]:
    """Deviates at 0, 1/TABLE, …, 1: float32 (TABLE + 1,). The ends are infinite and not used."""
    out = np.zeros(TABLE + 1, dtype=np.float32)
    _tabulate(out)
    return out


@kernel
def _tabulate(out):  # type: ignore[no-untyped-def]
    """out[i] = the normal quantile at i / TABLE, for 0 < i < TABLE."""
    for i in range(1, TABLE):
        out[i] = normal.quantile(i / TABLE)


@inlined
def _step(draw):  # type: ignore[no-untyped-def]
    """Step of the table a u64 draw falls into, 0 … TABLE − 1."""
    return np.int64(draw >> np.uint64(52))


@inlined
def _inner(step):  # type: ignore[no-untyped-def]
    """Whether the table is exact enough at a step."""
    return (step >= OUTER) & (step < TABLE - OUTER)


@inlined
def _interpolated(draw, step, table):  # type: ignore[no-untyped-def]
    """Deviate of a draw, linear between the ends of its step."""
    part = np.float64(np.int64((draw >> np.uint64(20)) & np.uint64(0xFFFFFFFF))) * 2.0**-32
    low = np.float64(table[step])
    return low + part * (np.float64(table[step + 1]) - low)


@kernel
def approximate_deviates(draws, table, out):  # type: ignore[no-untyped-def]
    """out[i] = deviate of draws[i], within 2**-15 by the table; exact in its OUTER steps.

    draws : uint64 (n,); table : float32 (TABLE + 1,); out : float64 (n,).
    """
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


@inlined
def entity_of(candidate):  # type: ignore[no-untyped-def]
    """The entity of a packed candidate."""
    return (candidate & ~UNSETTLED) >> np.uint64(32)


@inlined
def cell_of(candidate):  # type: ignore[no-untyped-def]
    """The cell of a packed candidate."""
    return candidate & np.uint64(0xFFFFFFFF)


@inlined
def list_candidates(entities, code, cells, sizes, candidates):  # type: ignore[no-untyped-def]
    """Packs a candidate for every active cell of every entity; returns how many there are.

    Parameters
    ----------
    entities : uint32 (n,)
    code : uint8
        Of all entities of the shard.
    cells, sizes : uint64 (codes, width), uint64 (codes,)
        Active cells of a code, and how many; width is a multiple of LANES.
    candidates : uint64
        Filled; one row longer than there are candidates.
    """
    n = np.uint64(0)
    for e in entities:
        k, entity = code[e], np.uint64(e) << np.uint64(32)
        # Copies whole rows: a data-dependent bound would mispredict.
        for low in range(0, cells.shape[1], LANES):
            for s in range(low, low + LANES):
                candidates[n + np.uint64(s)] = entity | cells[k, s]
        n += sizes[k]
    return np.int64(n)


@kernel
def draw_both(first, candidates, keys, hurdle_draws, weight_draws):  # type: ignore[no-untyped-def]
    """Makes the hurdle draw and the weight draw of every candidate.

    Parameters
    ----------
    first : int
        Number in the world of entity 0.
    candidates : uint64 (n,)
    keys : uint64 (cells, 2 or more)
        Philox key of a cell's stream of width 2, in the first two columns.
    hurdle_draws, weight_draws : uint64 (n,)
        Filled.
    """
    streams = np.empty((2, philox.AT_ONCE), dtype=np.uint64)
    numbers = np.empty(philox.AT_ONCE, dtype=np.uint64)
    lanes = np.empty((4, philox.AT_ONCE), dtype=np.uint64)
    for low in range(0, candidates.size, philox.AT_ONCE):
        chunk = candidates[low : low + philox.AT_ONCE]
        hurdle_draw = hurdle_draws[low : low + philox.AT_ONCE]
        weight_draw = weight_draws[low : low + philox.AT_ONCE]
        n = chunk.size
        for j in range(n):
            cell = cell_of(chunk[j])
            streams[0, j], streams[1, j] = keys[cell, 0], keys[cell, 1]
            numbers[j] = (np.uint64(first) + entity_of(chunk[j])) >> np.uint64(1)
        philox.blocks(streams, numbers[:n], lanes)
        # Two entities share a block of four draws.
        a, b, c, d = lanes[0, :n], lanes[1, :n], lanes[2, :n], lanes[3, :n]
        for j in range(n):
            odd = (np.uint64(first) + entity_of(chunk[j])) & np.uint64(1) == np.uint64(1)
            hurdle_draw[j] = c[j] if odd else a[j]
            weight_draw[j] = d[j] if odd else b[j]


@inlined
def rank_alone(hurdle_draws, hurdle_ranks):  # type: ignore[no-untyped-def]
    """hurdle_ranks[j] = share of draws that rank before hurdle_draws[j], 0 to 1."""
    for j in range(hurdle_draws.size):
        hurdle_ranks[j] = normal.whole(~hurdle_draws[j] >> np.uint64(12)) * 2.0**-52


@inlined
def rank_with_factor(candidates, hurdle_draws, factor, a, b, table, hurdle_ranks):  # type: ignore[no-untyped-def]
    """hurdle_ranks[j] = minus the deviate of candidate j, within TABLE_ERROR.

    Parameters
    ----------
    candidates, hurdle_draws : uint64 (n,)
    factor : float64 (CHUNK,)
        Hurdle factor of an entity, by its number modulo CHUNK.
    a, b : float
        Loadings of the factor and of the candidate's own deviate; a² + b² = 1.
    table : float32 (TABLE + 1,)
    hurdle_ranks : float64 (n,)
        Filled.
    """
    approximate_deviates(hurdle_draws, table, hurdle_ranks)
    for j in range(hurdle_draws.size):
        common = factor[entity_of(candidates[j]) % np.uint64(CHUNK)]
        hurdle_ranks[j] = -(a * common + b * hurdle_ranks[j])


@inlined
def keep_candidates(low, high, candidates, draws, hurdle_ranks):  # type: ignore[no-untyped-def]
    """Drops candidates beyond the band of their cell, flags those inside it; in place.

    Parameters
    ----------
    low, high : float64 (cells,)
        A rank below `low` passes for certain, one above `high` is excluded.
    candidates, draws : uint64 (n,)
        Compacted to the front.
    hurdle_ranks : float64 (n,)

    Returns
    -------
    int
        How many candidates are kept.
    """
    n = 0
    for j in range(candidates.size):
        cell, rank = cell_of(candidates[j]), hurdle_ranks[j]
        candidates[n] = candidates[j] | (UNSETTLED if rank >= low[cell] else np.uint64(0))
        draws[n] = draws[j]
        n += rank <= high[cell]
    return n


@kernel
def hurdle_keys(first, candidates, keys, factor_key, correlation, out):  # type: ignore[no-untyped-def]
    """out[j] = exact hurdle key of candidate j; the smallest keys pass.

    Parameters
    ----------
    first, candidates, keys
        As in `draw_both`.
    factor_key : uint64 (1, 2)
        Key of the stream with the entities' factors.
    correlation : float
        Between products of one entity; 0 where they share no factor.
    out : uint64 (n,)
        Below 2**HURDLE_BITS. Filled.
    """
    n = candidates.size
    draws, unused = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint64)
    own, shared = np.empty(n), np.zeros(n)
    draw_both(first, candidates, keys, draws, unused)
    normal.deviates(draws, own)
    if correlation > 0.0:
        # Cell 0 for all: one stream holds every entity's factor.
        draw_both(first, candidates & ~np.uint64(0xFFFFFFFF), factor_key, draws, unused)
        normal.deviates(draws, shared)
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    for j in range(n):
        deviate = a * shared[j] + b * own[j] if correlation > 0.0 else own[j]
        out[j] = np.uint64((16.0 - deviate) * HURDLE_SCALE)
