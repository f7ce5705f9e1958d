"""Dealing stubs to nodes: a random bipartite graph with given degrees and no double edge.

Configuration model inside one unit (a country and endpoint type): device stubs are
shuffled and dealt to nodes of drawn degrees; a device dealt twice to one node is swapped
with a partner so that neither side doubles. What no swap repairs is handed back.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.rng import philox


@kernel
def draw_degrees(k0, k1, first, cuts, minimum, cap, total):  # type: ignore[no-untyped-def]
    """Degrees drawn from `cuts` (P(k ≤ minimum + j), 63 bits) until they sum to `total`.

    Node i takes element first + i of the stream of key (k0, k1).

    The last is trimmed; if that leaves less than the minimum it is spread over the others
    below the cap, and kept as it is only where no room is left. Returns (degrees, 1 if kept).
    """
    out = np.empty(-(-total // minimum) + 1, dtype=np.int64)
    draws = np.empty(philox.MANY, dtype=np.uint64)
    n, used = 0, 0
    while used < total:
        low, high = 0, cuts.size - 1
        if n % philox.MANY == 0:
            philox.fill(k0, k1, np.uint64(first + n), draws[: out.size - n])
        d = draws[n % philox.MANY] >> np.uint64(1)
        while low < high:
            middle = (low + high) // 2
            if cuts[middle] <= d:
                low = middle + 1
            else:
                high = middle
        out[n] = min(minimum + low, total - used)
        used += out[n]
        n += 1
    if n > 1 and out[n - 1] < minimum:
        rest = out[n - 1]
        room = 0
        for i in range(n - 1):
            room += cap - out[i]
        if room < rest:
            return out[:n].copy(), 1
        n -= 1
        i = 0
        while rest > 0:
            if out[i] < cap:
                out[i] += 1
                rest -= 1
            i = (i + 1) % n
    return out[:n].copy(), 0


@inlined
def _on_node(stub, start, node, device):  # type: ignore[no-untyped-def]
    for i in range(start[node], start[node + 1]):  # noqa: SIM110 - compiled: no generators
        if stub[i] >> 1 == device:
            return True
    return False


@inlined
def _sort(stub, low, high):  # type: ignore[no-untyped-def]
    for i in range(low + 1, high):
        value, j = stub[i], i
        while j > low and stub[j - 1] > value:
            stub[j] = stub[j - 1]
            j -= 1
        stub[j] = value


@kernel
def match_stubs(stub, k0, k1, first, degree, attempts):  # type: ignore[no-untyped-def]
    """Shuffle `stub` (device · 2 + typical) over nodes; repair doubles by swaps, in place.

    Slot i takes element first + i of the stream of key (k0, k1), and mixes it anew for
    every swap it tries.

    Returns (start of every node, slots handed back, swaps made). Handed-back slots are
    set to −1; of a double the copy that is not typical goes. The stubs of a node are in order.
    """
    n = stub.size
    start = np.zeros(degree.size + 1, dtype=np.int64)
    node_of = np.empty(n, dtype=np.int32)
    for k in range(degree.size):
        start[k + 1] = start[k] + degree[k]
        for i in range(start[k], start[k + 1]):
            node_of[i] = k
    # Swapped upwards, the slots' nodes become those of the stubs after the shuffle, which
    # swaps downwards: the inverse. Stubs that go to their nodes in order need no sorting.
    node = node_of.copy()
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(1, n, philox.MANY):
        some = min(philox.MANY, n - low)
        philox.fill(k0, k1, np.uint64(first + low), draws[:some])
        for i in range(low, low + some):
            draw = draws[i - low] >> np.uint64(32)
            j = np.int64(draw * np.uint64(i + 1) >> np.uint64(32))
            node[i], node[j] = node[j], node[i]
    came, at = stub.copy(), start[:-1].copy()
    for i in range(n):
        k = node[i]
        j = at[k]
        while j > start[k] and stub[j - 1] > came[i]:
            stub[j] = stub[j - 1]
            j -= 1
        stub[j] = came[i]
        at[k] += 1
    returned = 0
    swaps = 0
    doubles = np.empty(n + 1, dtype=np.int64)
    found = 0
    for i in range(1, n):
        # Sorted: the typical copy is the later one, so give up the earlier.
        doubles[found] = i - 1
        found += (node_of[i] == node_of[i - 1]) & (stub[i] >> 1 == stub[i - 1] >> 1)
    touched = np.empty(2 * found, dtype=np.int32)
    for f in range(found):
        i = doubles[f]
        mine = node_of[i]
        device = stub[i] >> 1
        done, j = False, i
        position = np.uint64(first + i)
        mixed = philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)
        for _ in range(attempts):
            mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
            j = np.int64((mixed >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))
            other, partner = node_of[j], stub[j]
            if partner < 0 or other == mine:
                continue
            if _on_node(stub, start, other, device) or _on_node(stub, start, mine, partner >> 1):
                continue
            stub[i], stub[j] = partner, stub[i]
            swaps += 1
            done = True
            break
        if not done:
            # Systematic search, so that what can be repaired in a small unit is.
            for j in range(n):  # type: ignore[assignment]
                other, partner = node_of[j], stub[j]
                if partner < 0 or other == mine:
                    continue
                if _on_node(stub, start, other, device) or _on_node(
                    stub, start, mine, partner >> 1
                ):
                    continue
                stub[i], stub[j] = partner, stub[i]
                swaps += 1
                done = True
                break
        touched[2 * f], touched[2 * f + 1] = mine, node_of[j] if done else mine
        if not done:
            doubles[returned] = stub[i]
            returned += 1
            stub[i] = -1
    for place in touched:
        _sort(stub, start[place], start[place + 1])
    return start, doubles[:returned].copy(), swaps
