"""Capped allocation as rounds over shards, for many products at once.

`kernels/capped.py` states the law and does the work per entity. A cell lies in one region; here
the sums of all shards meet, and per cell it is decided how many entities pass the hurdle and
where it ends, the total of the weights, which remainders get one more, and which slots take what
was above a cap. Five rounds, whatever the number of products:

1. `hurdles`: exact keys for candidates near the edge, weights for all that pass;
2. `quotas`: floors of the quotas, remainders counted by digit;
3. `quotas`: remainders at the edge ranked exactly, counts clamped to the room;
4. `slots`: draws of the free slots that can win, where anything is above a cap;
5. the caller's last round asks `final` for the counts and makes of them what it needs.

Hurdle draws and slot draws are uniform, so the end of a quota is known beforehand to within a few
standard deviations of a count. A cell whose quota ends elsewhere is passed over in full.

All sums are of integers, so no result depends on how entities were cut into shards.
"""

from __future__ import annotations

import numpy as np

from fraudworld.stages.allocation.final import Held, Piece, Settlement, final, held
from fraudworld.stages.allocation.products import AllocationProblem, allocation_problem
from fraudworld.stages.allocation.quotas import Quotas
from fraudworld.stages.allocation.rounds import Allocated, allocate
from fraudworld.stages.allocation.sums import ShardEntries

__all__ = [
    "NOTHING_OPEN",
    "NO_FLOOR",
    "Allocated",
    "AllocationProblem",
    "Held",
    "Piece",
    "Quotas",
    "Settlement",
    "ShardEntries",
    "allocate",
    "allocation_problem",
    "final",
    "held",
]

NOTHING_OPEN = np.empty(0, dtype=np.bool_)
"""`Entities.open` where every entity takes part."""

NO_FLOOR = np.empty(0, dtype=np.uint8)
"""`Entities.floor` where no entity holds anything yet."""
