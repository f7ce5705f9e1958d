"""Entities that pass the hurdle of a cell, and their weights."""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import hurdles, normal
from fraudworld.kernels.capped.pieces import KEPT_BITS, UNSETTLED, WEIGHT_ONE
from fraudworld.rng import philox


@kernel
def count_candidates(cell_laws, entities, active, upto, inside):  # type: ignore[no-untyped-def]
    """Counts candidates, to size the buffers of `collect_entries`.

    Parameters
    ----------
    cell_laws, entities : CellLaws, Entities
    active : bool (cells,)
    upto, inside : float64 (cells,)
        Share of a cell's candidates expected below the end of its hurdle band, and inside it.

    Returns
    -------
    (int, float, float)
        Candidates of active cells, and how many of them are expected below and inside.
    """
    start, code, is_open = cell_laws.start, entities.code, entities.open
    of_code = np.zeros(start.size - 1, dtype=np.int64)
    for e in range(code.size):
        of_code[code[e]] += is_open.size == 0 or is_open[e]
    candidates, expected, near = 0, 0.0, 0.0
    for k in range(of_code.size):
        for c in range(start[k], start[k + 1]):
            if active[c]:
                candidates += of_code[k]
                expected += of_code[k] * upto[c]
                near += of_code[k] * inside[c]
    return candidates, expected, near


@inlined
def _active_cells(start, active):  # type: ignore[no-untyped-def]
    """Active cells of every code as rows of whole lanes, and how many a code has."""
    width = hurdles.LANES
    for k in range(start.size - 1):
        while width < start[k + 1] - start[k]:
            width += hurdles.LANES
    cells = np.zeros((start.size - 1, width), dtype=np.uint64)
    sizes = np.zeros(start.size - 1, dtype=np.uint64)
    for k in range(start.size - 1):
        for c in range(start[k], start[k + 1]):
            if active[c]:
                cells[k, sizes[k]] = c
                sizes[k] += np.uint64(1)
    return cells, sizes


@inlined
def _weigh(candidates, sigmas, z, factor, a, b, entry_entity, entry_cell, weight):  # type: ignore[no-untyped-def]
    """Writes entity, cell and integer weight exp(σ·z − σ²/2) of every candidate.

    z: deviates of the candidates, overwritten; factor: of an entity, by its number modulo a
    chunk; a, b: loadings of factor and deviate.
    """
    n = candidates.size
    for j in range(n):
        entry_entity[j] = hurdles.entity_of(candidates[j])
        entry_cell[j] = hurdles.cell_of(candidates[j])
        sigma = sigmas[entry_cell[j]]
        z[j] = (
            sigma * (b * z[j] + a * factor[entry_entity[j] % np.uint32(hurdles.CHUNK)])
            - 0.5 * sigma * sigma
        )
    raised = np.empty(n)
    normal.exps(z, raised)
    for j in range(n):
        # Beyond 63 bits the conversion gives 2**63, which is refused as too wide; never 1.
        weight[j] = max(np.uint64(np.int64(raised[j] * WEIGHT_ONE + 0.5)), np.uint64(1))


@inlined
def _yield_weights(cells, slot, kept, entity, floor, weight):  # type: ignore[no-untyped-def]
    """Leaves entities that hold a floor of a cell's product the part of their weight they keep."""
    for j in range(cells.size):
        c = cells[j]
        if floor[entity[j]] == slot[c]:
            weight[j] = max(weight[j] * kept[c] >> KEPT_BITS, np.uint64(1))


@kernel
def collect_entries(cell_laws, entities, bands, entries, sums):  # type: ignore[no-untyped-def]
    """Lists entities that pass their hurdle, and, flagged, those inside the band of its end.

    Parameters
    ----------
    cell_laws, entities, bands : CellLaws, Entities, HurdleBands
    entries : Entries
        Buffers to fill. Nothing is written past their ends.
    sums : WeightSums
        Grow: of settled entries; `largest` of all.

    Returns
    -------
    (int, int, bool)
        Entries and flagged entries there are, which may be more than the buffers hold, and
        whether a total left 64 bits.
    """
    start, keys, sigmas, factor_key = (
        cell_laws.start, cell_laws.keys, cell_laws.sigma, cell_laws.factor
    )  # fmt: skip
    first, code, is_open, table = entities.first, entities.code, entities.open, cell_laws.table
    floor, slot = entities.floor, cell_laws.slot
    low, high, kept = bands.low, bands.high, bands.kept
    entity, cell, weight = entries.entity, entries.cell, entries.weight
    unsettled_at, hurdle_key = entries.unsettled, entries.hurdle_key
    count, total, largest = sums.settled, sums.total, sums.largest
    correlation = cell_laws.correlation
    shared = correlation > 0.0
    a, b = np.sqrt(correlation), np.sqrt(1.0 - correlation)
    cells_of, sizes = _active_cells(start, bands.active)
    width = cells_of.shape[1]
    # Unsigned indices skip numba's test for negative ones.
    taking_part = np.empty(hurdles.CHUNK + 1, dtype=np.uint32)
    candidates = np.empty((hurdles.CHUNK + 1) * width, dtype=np.uint64)
    hurdle_draws = np.empty((hurdles.CHUNK + 1) * width, dtype=np.uint64)
    draws = np.empty((hurdles.CHUNK + 1) * width, dtype=np.uint64)
    hurdle_ranks = np.empty((hurdles.CHUNK + 1) * width, dtype=np.float64)
    # Factors of the entities of a chunk, by their number modulo a chunk.
    pairs = np.empty(2 * hurdles.CHUNK, dtype=np.uint64)
    hurdle_factor, factor = np.zeros(hurdles.CHUNK), np.zeros(hurdles.CHUNK)
    z = np.empty(hurdles.CHUNK * width)
    indices = np.empty(hurdles.CHUNK * width, dtype=np.int64)
    m, unsettled = 0, 0
    beyond = False
    for begin in range(0, code.size, hurdles.CHUNK):
        listed = 0
        for e in range(begin, min(begin + hurdles.CHUNK, code.size)):
            # Branch-free: a branch would mispredict.
            taking_part[listed] = e
            listed += (sizes[code[e]] > 0) & (is_open.size == 0 or is_open[e])
        if shared:
            philox.fill(factor_key[0], factor_key[1], np.uint64(2 * (first + begin)), pairs)
            for j in range(hurdles.CHUNK):
                hurdle_draws[j], draws[j] = pairs[2 * j], pairs[2 * j + 1]
            hurdles.approximate_deviates(hurdle_draws[: hurdles.CHUNK], table, hurdle_factor)
            normal.deviates(draws[: hurdles.CHUNK], factor)
        n = hurdles.list_candidates(taking_part[:listed], code, cells_of, sizes, candidates)
        hurdles.draw_both(first, candidates[:n], keys, hurdle_draws, draws)
        if shared:
            hurdles.rank_with_factor(
                candidates[:n], hurdle_draws[:n], hurdle_factor, a, b, table, hurdle_ranks[:n]
            )
        else:
            hurdles.rank_alone(hurdle_draws[:n], hurdle_ranks[:n])
        n = hurdles.keep_candidates(low, high, candidates[:n], draws, hurdle_ranks)
        if m + n > entity.size:
            m += n
            continue
        normal.deviates(draws[:n], z[:n])
        # Slices of their own, indexed from 0, so that the loops compile to vector instructions.
        cells, weights = cell[m : m + n], weight[m : m + n]
        _weigh(candidates[:n], sigmas, z[:n], factor, a, b, entity[m : m + n], cells, weights)
        if floor.size:
            _yield_weights(cells, slot, kept, entity[m : m + n], floor, weights)
        near = 0
        for j in range(n):
            c, w = cells[j], weights[j]
            largest[c] = max(largest[c], w)
            if candidates[j] & hurdles.UNSETTLED:
                weights[j] = w | UNSETTLED
                candidates[near], indices[near] = candidates[j], m + j
                near += 1
            else:
                count[c] += 1
                total[c] += w
                beyond |= total[c] < w
        hurdles.hurdle_keys(
            first, candidates[:near], keys, factor_key.reshape(1, 2), correlation, draws[:near]
        )
        for j in range(near):
            if unsettled < unsettled_at.size:
                unsettled_at[unsettled], hurdle_key[unsettled] = indices[j], draws[j]
            unsettled += 1
        m += n
    return m, unsettled, beyond
