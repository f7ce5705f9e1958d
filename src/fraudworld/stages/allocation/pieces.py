"""Round 5, the caller's last: what every shard holds in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Item
from fraudworld.kernels import capped, ranks
from fraudworld.kernels.capped import Entities, Entries, Shares, Terms
from fraudworld.stages.allocation.slots import Slots
from fraudworld.stages.allocation.sums import within

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class Settlement:
    """What a shard needs to know its final counts; all of one region."""

    terms: Terms
    shares: Shares
    capped: bool
    slots: ranks.Cut  # the last free slot of every cell that is filled


Piece = tuple[Item, Item, Item | None, Settlement]
"""Of one shard: entries, floors of their quotas, slots that can win, and the settlement."""


def final(
    of: tuple[Entities, Entries],
    floors: U16,
    slots: Slots | None,
    settled: Settlement,
) -> tuple[Entities, Entries, NDArray[np.int32]]:
    """Final counts of a shard's entries. For use in a task: the arguments are a `Piece`."""
    entities, entries = of
    winners = np.empty(0, dtype=np.uint32)
    if slots is not None:
        who, draws, positions = slots
        winners = who[within(settled.slots, entries.cell[who].astype(np.int64), draws, positions)]
    counts = np.empty(floors.size, dtype=np.int32)
    capped.finish(
        settled.terms, entities, entries, settled.shares, floors, settled.capped, winners, counts
    )
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
    out = Held(
        entities.code.size,
        np.empty(kept, dtype=np.uint32),
        *(np.empty(kept, dtype=np.uint16) for _ in range(2)),
    )
    per_cell = np.zeros(piece[-1].terms.start[-1], dtype=np.int64)
    capped.compact(entries, counts, out.entity, out.cell, out.count, per_cell)
    return out, per_cell
