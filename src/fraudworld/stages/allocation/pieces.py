"""Round 5, the caller's last: what every shard holds in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import Entities, Entries, Terms
from fraudworld.stages.allocation.quotas import Quotas
from fraudworld.stages.allocation.slots import Slots
from fraudworld.stages.allocation.sums import within

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class Settlement:
    """What a shard needs to know its final counts; all of one region."""

    terms: Terms
    capped: bool
    quotas: ranks.Cut  # the last remainder of every cell that gets one more
    slots: ranks.Cut  # the last free slot of every cell that is filled


Piece = tuple[Item, Item, Item | None, Settlement]
"""Of one shard: entries, their quotas, slots that can win, and the settlement."""


def final(
    of: tuple[Entities, Entries],
    quotas: Quotas,
    slots: Slots | None,
    settled: Settlement,
) -> tuple[Entities, Entries, U16]:
    """Final counts of a shard's entries. For use in a task: the arguments are a `Piece`."""
    entities, entries = of
    counts = quotas.upto(settled.quotas, entities, entries)
    winners = np.empty(0, dtype=np.uint32)
    if slots is not None:
        who, draws, positions = slots
        winners = who[within(settled.slots, entries.cell[who].astype(np.int64), draws, positions)]
    capped.finish(settled.terms, entities, entries, counts, settled.capped, winners)
    return entities, entries, counts


@dataclass(frozen=True)
class Held:
    """What entities of a shard hold, in order of entity, then cell; nothing of count 0."""

    entities: int
    entity: U32
    cell: U16
    count: U16


def held(*piece: Any) -> tuple[Held, I64]:
    """A task over pieces: what is held, and told, how much of it per cell."""
    entities, entries, counts = final(*piece)
    kept = int(np.count_nonzero(counts))
    entity = np.empty(kept + 1, dtype=np.uint32)
    cell, count = (np.empty(kept + 1, dtype=np.uint16) for _ in range(2))
    per_cell = np.zeros(piece[-1].terms.start[-1], dtype=np.int64)
    capped.compact(entries, counts, entity, cell, count, per_cell)
    return Held(entities.code.size, entity[:-1], cell[:-1], count[:-1]), per_cell
