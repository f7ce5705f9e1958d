"""The law of gated, weighted, capped allocation as rounds over shards, for many products.

`kernels/capped.py` states the law and does what is done entity by entity. A cell lies in one
region; here counts of all shards are added, and what they say is found out once a cell: how
many the gate lets in and where it closes, the total of the weights, which remainders get one
more, which slots take what was above a cap. Five rounds, whatever the number of products:

1. those near the gate's edge are told exactly, all certainly let in are weighed;
2. floors of the quotas, their remainders counted;
3. remainders at the edge told exactly, counts clamped to their room;
4. slots that can win draw, where anything is above a cap;
5. the caller's last round asks `final` for the counts and makes of them what it needs.

Gates and slots are uniform, so where a quota ends is known beforehand to a few deviations of a
count. A cell whose quota ends elsewhere is looked at whole.

Everything added is an integer, so nothing depends on how entities were cut into shards.
"""

from __future__ import annotations

import numpy as np

from fraudworld.stages.allocation.pieces import Held, Piece, Settlement, final, held
from fraudworld.stages.allocation.products import Book, book
from fraudworld.stages.allocation.rounds import Allocated, allocate

__all__ = [
    "NOTHING_OPEN",
    "NO_FLOOR",
    "Allocated",
    "Book",
    "Held",
    "Piece",
    "Settlement",
    "allocate",
    "book",
    "final",
    "held",
]

NOTHING_OPEN = np.empty(0, dtype=np.bool_)
"""`Entities.open` where everybody takes part."""

NO_FLOOR = np.empty(0, dtype=np.uint8)
"""`Entities.floor` where nobody holds anything yet."""
