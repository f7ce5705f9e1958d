"""Capped allocation: a plan of holdings shared among entities, none above its cap.

The law, used for accounts (S2), instruments (S3) and devices (S4). In a cell of n entities with
plan P:

1. *Hurdle.* A fixed number of entities may hold at all: those with the smallest hurdle keys.
2. *Apportionment.* P is split over them by largest remainder of integer weights, so every quota
   is an exact rational and no float decides a rank.
3. *Cap.* Counts above an entity's room are clamped. The excess is pooled per cell and handed to
   the free slots of the cell: each free slot has a draw, and the smallest draws win. This is a
   residual-weighted draw that cannot break a cap.
4. What no free slot can take is dropped and counted.

A shard walks its entities once a round, each through its cells (one a product). Sums over shards
between the rounds are `stages/allocation`'s. Entities that pass a hurdle become *entries*, in
order of entity, then cell.

Draws and deviates dominate the cost, so they are computed only where they can decide something:
weights for entities that pass the hurdle, exact hurdle keys for those near its edge. The others
are settled by their raw draw or, where products share a factor, by a table of deviates
(`kernels/hurdles.py`).

Twin of all kernels here: tests/reference/allocation.py:allocate.
"""

from fraudworld.kernels.capped.entries import collect_entries, count_candidates
from fraudworld.kernels.capped.pieces import (
    EXCLUDED,
    KEPT,
    UNSETTLED,
    Apportionment,
    CellLaws,
    EdgeEntries,
    Entities,
    Entries,
    Floors,
    HurdleBands,
    Overflow,
    ProductLaw,
    SlotDraws,
    WeightSums,
)
from fraudworld.kernels.capped.quotas import (
    apportion,
    drop_empty,
    final_counts,
    room_left,
    settle_quotas,
)
from fraudworld.kernels.capped.slots import slot_draws

__all__ = [
    "EXCLUDED",
    "KEPT",
    "UNSETTLED",
    "Apportionment",
    "CellLaws",
    "EdgeEntries",
    "Entities",
    "Entries",
    "Floors",
    "HurdleBands",
    "Overflow",
    "ProductLaw",
    "SlotDraws",
    "WeightSums",
    "apportion",
    "collect_entries",
    "count_candidates",
    "drop_empty",
    "final_counts",
    "room_left",
    "settle_quotas",
    "slot_draws",
]
