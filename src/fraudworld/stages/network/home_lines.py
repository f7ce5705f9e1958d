"""Endpoints of homes and circles: every lease of a home, and every circle's line, cut into nodes.

Of a circle's member, every second device on lease 1 of its home, the first one included, is on the
circle's line instead. A circle with too few such devices has no line; they stay at home.

Twin of all kernels here: tests/reference/endpoints.py:lines_of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.stages.network.demand_law import DemandLaw
from fraudworld.stages.network.places import PieceDevices
from fraudworld.stages.pieces import CircleShard

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@kernel
def _share_lines(owner, lease, circle, least, line):  # type: ignore[no-untyped-def]
    """Puts devices of members on the lines of their circles.

    Parameters
    ----------
    owner : uint32 (devices,)
        Ascending.
    lease : uint8 (devices,)
        As in `Leases`.
    circle : int32 (parties,)
        −1 for none.
    least : int
        Devices below which a circle has no line.
    line : int32 (devices,)
        Filled: the circle on whose line a device is, −1 for none.
    """
    devices = np.zeros(circle.size + 1, dtype=np.int32)
    nth = 0
    for d in range(owner.size):
        if d == 0 or owner[d] != owner[d - 1]:
            nth = 0
        c = circle[owner[d]]
        joins = (c >= 0) & (lease[d] & 1 == 1) & (nth % 2 == 0)
        nth += lease[d] & 1
        line[d] = c if joins else -1
        devices[line[d]] += joins
    for d in range(owner.size):
        if line[d] >= 0 and devices[line[d]] < least:
            line[d] = -1


@kernel
def _fill(home, rank, lease, line, typical, home_type, local, size, slots):  # type: ignore[no-untyped-def]
    """Lists the devices of every lease, by rank of the home, then lease; then of every circle.

    Parameters
    ----------
    home : int32 (devices,)
    rank : int64 (homes,)
        Permutation of the homes.
    lease, typical : uint8 (devices,)
        As in `Leases` and `DeviceDraws`.
    line : int32 (devices,)
        As of `_share_lines`.
    home_type : int
    local : int32 (devices,)
        Number of a device in its country.
    size : int32 (2 · homes + circles,)
        Zero before; becomes the devices of every lease and circle.
    slots : int32 (devices on leases,)
        Filled: device · 2 + 1 where the endpoint is its typical one, else device · 2; in order of
        device inside a lease or circle.
    """
    homes = rank.size
    for d in range(home.size):
        key = 2 * rank[home[d]]
        size[key if line[d] < 0 else 2 * homes + line[d]] += lease[d] & 1
        size[key + 1] += lease[d] >> 1
    at = np.zeros(size.size, dtype=np.int64)
    for k in range(1, size.size):
        at[k] = at[k - 1] + size[k - 1]
    for d in range(home.size):
        key = 2 * rank[home[d]]
        if lease[d] & 1 and line[d] >= 0:
            shared = 2 * homes + line[d]
            slots[at[shared]] = local[d] * 2 + (typical[d] == home_type)
            at[shared] += 1
        elif lease[d] & 1:
            slots[at[key]] = local[d] * 2 + (typical[d] == home_type)
            at[key] += 1
        if lease[d] & 2:
            slots[at[key + 1]] = local[d] * 2
            at[key + 1] += 1


@inlined
def _cut(size, most, nodes, n):  # type: ignore[no-untyped-def]
    """Writes the fewest nodes of at most `most` devices to nodes[n:], evenly; returns how many."""
    chunks = -(-size // most)
    for j in range(chunks):
        nodes[n + j] = size // chunks + (j < size % chunks)
    return chunks


@kernel
def _cut_leases(size, country, most, nodes, n_slots, n_nodes):  # type: ignore[no-untyped-def]
    """Cuts every lease and every circle's line into nodes.

    Parameters
    ----------
    size : int32 (2 · homes + circles,)
        Devices of every lease and circle.
    country : uint8 (homes,)
        Circles are of country 0.
    most : (int, int)
        Devices of a node on a lease, and on a circle's line.
    nodes : int32
        Filled with the devices of every node, as far as needed.
    n_slots, n_nodes : int64 (countries,)
        Grow by the devices and the nodes of every country.

    Returns
    -------
    (int, int)
        Nodes of homes, and of homes and circles.
    """
    n, of_homes, leases = 0, 0, 2 * country.size
    for key in range(size.size):
        at_home = key < leases
        chunks = _cut(size[key], most[0] if at_home else most[1], nodes, n)
        n += chunks
        of_homes += chunks * at_home
        c = country[key // 2] if at_home else 0
        n_slots[c] += size[key]
        n_nodes[c] += chunks
    return of_homes, n


Lines = tuple[I32, I32]
"""Slots (device · 2 + typical, devices counted in the piece's country); devices of every node."""


class HomeLines(NamedTuple):
    """Nodes of a piece."""

    of_homes: Lines  # in order of country, home, lease and device
    of_circles: Lines  # in order of circle and device
    n_slots: I64  # links per country, those of circles included; (countries,)
    n_nodes: I64  # the same of nodes, (countries,)


def home_lines(
    law: DemandLaw,
    devices: PieceDevices,
    circles: CircleShard | None,
    country: U8,
    local: I32,
    countries: int,
    typical: U8,
    lease: U8,
) -> HomeLines:
    """Lines of homes and circles of a piece; circles: None for terminals.

    country, local: of every device, below `countries`, and its number among the piece's devices
    there. typical, lease: as in `DeviceDraws` and `Leases`.
    """
    homes = devices.homes
    home_country = np.zeros(homes, dtype=np.uint8)
    order = rank = np.arange(homes)
    if countries > 1:
        home_country[devices.home] = country
        order = np.argsort(home_country, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(homes)
    links = int(np.count_nonzero(lease & 1) + np.count_nonzero(lease & 2))
    line = np.full(lease.size, -1, dtype=np.int32)
    shared = 0
    if circles is not None:
        shared = circles.start.size - 1
        _share_lines(devices.owner, lease, circles.of, law.circle_line.min_devices, line)
    slots, size = np.empty(links, dtype=np.int32), np.zeros(2 * homes + shared, dtype=np.int32)
    _fill(devices.home, rank, lease, line, typical, law.home.home_type, local, size, slots)
    nodes = np.empty(links, dtype=np.int32)
    n_slots, n_nodes = (np.zeros(countries, dtype=np.int64) for _ in range(2))
    most = law.max_per_lease, law.circle_line.max_devices
    at_homes, n = _cut_leases(size, home_country[order], most, nodes, n_slots, n_nodes)
    links = int(size[: 2 * homes].sum())
    of_homes = slots[:links], nodes[:at_homes].copy()
    return HomeLines(of_homes, (slots[links:], nodes[at_homes:n].copy()), n_slots, n_nodes)
