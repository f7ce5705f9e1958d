"""Round 5, the caller's: what every shard holds in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import CellLaws, Entities, Entries, SlotDraws
from fraudworld.stages.allocation.quotas import Quotas
from fraudworld.stages.allocation.sums import ShardEntries, within

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class Settlement:
    """What a shard needs to know its final counts; cuts are of its region."""

    cell_laws: CellLaws
    capped: bool
    quotas: ranks.Cut  # the last remainder of a cell that gets one more
    slots: ranks.Cut  # the last free slot of a cell that is filled


class Piece(NamedTuple):
    """Arguments of `final` for one shard, as items."""

    entries: Item[ShardEntries]
    quotas: Item[Quotas]
    slots: Item[SlotDraws] | None
    settlement: Settlement


def final(
    of: ShardEntries,
    quotas: Quotas,
    slots: SlotDraws | None,
    settled: Settlement,
) -> tuple[Entities, Entries, U16]:
    """Final counts of a shard's entries. For use in a task, with the values of a `Piece`."""
    entities, entries = of
    counts = quotas.upto(settled.quotas, entities, entries)
    winners = np.empty(0, dtype=np.uint32)
    if slots is not None:
        cell = entries.cell[slots.entry].astype(np.int64)
        winners = slots.entry[within(settled.slots, cell, slots.draw, slots.position)]
    capped.final_counts(settled.cell_laws, entities, entries, counts, settled.capped, winners)
    return entities, entries, counts


@dataclass(frozen=True)
class Held:
    """What entities of a shard hold, in order of entity, then cell; no count is 0."""

    entities: int
    entity: U32
    cell: U16
    count: U16


def held(
    of: ShardEntries,
    quotas: Quotas,
    slots: SlotDraws | None,
    settled: Settlement,
) -> tuple[Held, I64]:
    """Task over the values of a `Piece`: what is held, and its sum per cell as summary."""
    entities, entries, counts = final(of, quotas, slots, settled)
    kept = int(np.count_nonzero(counts))
    entity = np.empty(kept + 1, dtype=np.uint32)
    cell, count = (np.empty(kept + 1, dtype=np.uint16) for _ in range(2))
    per_cell = np.zeros(settled.cell_laws.start[-1], dtype=np.int64)
    capped.drop_empty(entries, counts, entity, cell, count, per_cell)
    return Held(entities.code.size, entity[:-1], cell[:-1], count[:-1]), per_cell
