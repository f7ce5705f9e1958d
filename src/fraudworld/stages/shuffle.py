"""Parties of an atom in random order.

Twin: tests/reference/parties.py:shuffled.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined


@inlined
def shuffled(party_type, wanted, draws, order):  # type: ignore[no-untyped-def]
    """Parties of one type of an atom in random order: Fisher–Yates, by draw 0 of each.

    Step k uses the draw of the party that stood at k at first, so that every draw is used once.

    Parameters
    ----------
    party_type : uint8 (n,)
    wanted : int
    draws : uint64 (2 · n,)
        Two draws of every party.
    order : int64 (n + 1,)
        Filled with positions in the atom, as far as needed.

    Returns
    -------
    int
        Parties of the type.
    """
    count = 0
    for i in range(party_type.size):
        order[count] = i
        count += party_type[i] == wanted
    stood = order[:count].copy()
    for k in range(count - 1, 0, -1):
        # The high half of draw × (k + 1): uniform on 0 … k to within 2**-54.
        pick = np.int64((draws[2 * stood[k]] >> np.uint64(32)) * np.uint64(k + 1) >> np.uint64(32))
        order[k], order[pick] = order[pick], order[k]
    return count
