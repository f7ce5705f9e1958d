"""Matching stubs to nodes: a random bipartite graph with given degrees and no double edge.

Configuration model inside one unit (a country and an endpoint type): device stubs are shuffled
and matched to the slots of nodes with drawn degrees. A device matched twice to one node is
swapped with a partner such that neither side doubles; what no swap repairs is returned.

Twin of all kernels here: tests/reference/endpoints.py.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import inlined, kernel
from fraudworld.rng import philox


@kernel
def draw_degrees(k0, k1, first, cuts, minimum, cap, total):  # type: ignore[no-untyped-def]
    """Draws degrees of nodes until they sum to `total`.

    The last degree is trimmed. Where that leaves less than the minimum it is spread over the
    others below the cap, and kept only where they have no room.

    Parameters
    ----------
    k0, k1 : uint64
        Key of a stream of width 1; node i takes element first + i.
    first : int
    cuts : uint64 (n,)
        P(degree ≤ minimum + j), in 63 bits.
    minimum, cap, total : int

    Returns
    -------
    (int64 (nodes,), int)
        Degrees, and 1 where a degree below the minimum was kept.
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
    """Whether a node has a stub of a device.

    stub : int64 (slots,), device · 2 + typical; start : int64 (nodes + 1,); node, device : int.
    """
    for i in range(start[node], start[node + 1]):  # noqa: SIM110 - compiled: no generators
        if stub[i] >> 1 == device:
            return True
    return False


@inlined
def _sort(stub, low, high):  # type: ignore[no-untyped-def]
    """Sorts stub[low:high] by insertion; nodes are small."""
    for i in range(low + 1, high):
        value, j = stub[i], i
        while j > low and stub[j - 1] > value:
            stub[j] = stub[j - 1]
            j -= 1
        stub[j] = value


@inlined
def _shuffle(stub, k0, k1, first, node_of, start):  # type: ignore[no-untyped-def]
    """Permutes stubs over the slots (Fisher–Yates) and sorts them inside every node; in place.

    Applying the swaps in reverse order to the slots' nodes gives the node of every stub. Stubs
    that are inserted node by node in this order need no sorting of the whole.

    Parameters
    ----------
    stub : int64 (slots,)
    k0, k1, first
        Slot i takes element first + i of the stream of key (k0, k1).
    node_of : int32 (slots,)
        Node of every slot.
    start : int64 (nodes + 1,)
        First slot of every node.
    """
    n = stub.size
    node = node_of.copy()
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(1, n, philox.MANY):
        size = min(philox.MANY, n - low)
        philox.fill(k0, k1, np.uint64(first + low), draws[:size])
        for i in range(low, low + size):
            draw = draws[i - low] >> np.uint64(32)
            j = np.int64(draw * np.uint64(i + 1) >> np.uint64(32))
            node[i], node[j] = node[j], node[i]
    unordered, at = stub.copy(), start[:-1].copy()
    for i in range(n):
        k = node[i]
        j = at[k]
        while j > start[k] and stub[j - 1] > unordered[i]:
            stub[j] = stub[j - 1]
            j -= 1
        stub[j] = unordered[i]
        at[k] += 1


@inlined
def _swappable(stub, start, node_of, i, j):  # type: ignore[no-untyped-def]
    """Whether swapping slots i and j gives neither node a device twice.

    stub : int64 (slots,); start : int64 (nodes + 1,); node_of : int32 (slots,); i, j : int.
    """
    mine, other, partner = node_of[i], node_of[j], stub[j]
    if partner < 0 or other == mine:
        return False
    return not (
        _on_node(stub, start, other, stub[i] >> 1) or _on_node(stub, start, mine, partner >> 1)
    )


@inlined
def _partner(stub, start, node_of, i, mixed, attempts):  # type: ignore[no-untyped-def]
    """A slot to swap slot i with, or −1: random attempts first, then all slots in order.

    The exhaustive search repairs what can be repaired in a small unit.

    Parameters
    ----------
    stub, start, node_of
        As in `_swappable`.
    i : int
    mixed : uint64
        Draw of slot i, mixed again for every attempt.
    attempts : int
    """
    n = stub.size
    for _ in range(attempts):
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
        j = np.int64((mixed >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))
        if _swappable(stub, start, node_of, i, j):
            return j
    for j in range(n):  # type: ignore[assignment]
        if _swappable(stub, start, node_of, i, j):
            return j
    return np.int64(-1)


@kernel
def match_stubs(stub, k0, k1, first, degree, attempts):  # type: ignore[no-untyped-def]
    """Shuffles stubs over the slots of nodes and repairs doubles by swaps, in place.

    Of a double the copy that is not typical is swapped or returned. Stubs of a node are in order
    afterwards; returned slots are −1.

    Parameters
    ----------
    stub : int64 (slots,)
        device · 2 + (1 where the endpoint type is typical of the device).
    k0, k1, first
        Slot i takes element first + i of the stream of key (k0, k1), mixed again for every swap
        it attempts.
    degree : int64 (nodes,)
        Slots of every node; their sum is the number of slots.
    attempts : int
        Random partners to try before the exhaustive search.

    Returns
    -------
    (int64 (nodes + 1,), int64 (returned,), int)
        First slot of every node, returned stubs, swaps made.
    """
    n = stub.size
    start = np.zeros(degree.size + 1, dtype=np.int64)
    node_of = np.empty(n, dtype=np.int32)
    for k in range(degree.size):
        start[k + 1] = start[k] + degree[k]
        for i in range(start[k], start[k + 1]):
            node_of[i] = k
    _shuffle(stub, k0, k1, first, node_of, start)
    returned = 0
    swaps = 0
    doubles = np.empty(n + 1, dtype=np.int64)
    count = 0
    for i in range(1, n):
        # Sorted: the typical copy is the later one, so the earlier is given up.
        doubles[count] = i - 1
        count += (node_of[i] == node_of[i - 1]) & (stub[i] >> 1 == stub[i - 1] >> 1)
    touched = np.empty(2 * count, dtype=np.int32)
    for f in range(count):
        i = doubles[f]
        position = np.uint64(first + i)
        mixed = philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)
        j = _partner(stub, start, node_of, i, mixed, attempts)
        touched[2 * f], touched[2 * f + 1] = node_of[i], node_of[i]
        if j >= 0:
            stub[i], stub[j] = stub[j], stub[i]
            swaps += 1
            touched[2 * f + 1] = node_of[j]
        else:
            doubles[returned] = stub[i]
            returned += 1
            stub[i] = -1
    for node in touched:
        _sort(stub, start[node], start[node + 1])
    return start, doubles[:returned].copy(), swaps
