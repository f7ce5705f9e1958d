"""Endpoints of homes: every lease of a home, cut into nodes.

Twin of all kernels here: tests/reference/endpoints.py:lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.stages.network.demand_law import DemandLaw
from fraudworld.stages.network.places import PieceDevices

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@kernel
def _fill(home, rank, lease, typical, home_type, local, size, slots):  # type: ignore[no-untyped-def]
    """Lists the devices of every lease, by rank of the home, then lease, then device.

    Parameters
    ----------
    home : int32 (devices,)
    rank : int64 (homes,)
        Permutation of the homes.
    lease, typical : uint8 (devices,)
        As in `Leases` and `DeviceDraws`.
    home_type : int
    local : int32 (devices,)
        Number of a device in its country.
    size : int32 (2 · homes,)
        Zero before; becomes the devices of every lease.
    slots : int32 (devices on leases,)
        Filled: device · 2 + 1 where the endpoint is its typical one, else device · 2.
    """
    for d in range(home.size):
        key = 2 * rank[home[d]]
        size[key] += lease[d] & 1
        size[key + 1] += lease[d] >> 1
    at = np.zeros(size.size, dtype=np.int64)
    for k in range(1, size.size):
        at[k] = at[k - 1] + size[k - 1]
    for d in range(home.size):
        key = 2 * rank[home[d]]
        if lease[d] & 1:
            slots[at[key]] = local[d] * 2 + (typical[d] == home_type)
            at[key] += 1
        if lease[d] & 2:
            slots[at[key + 1]] = local[d] * 2
            at[key + 1] += 1


@kernel
def _cut_leases(size, country, max_per_lease, nodes, n_slots, n_nodes):  # type: ignore[no-untyped-def]
    """Cuts every lease into the fewest nodes of at most `max_per_lease` devices, evenly.

    Parameters
    ----------
    size : int32 (2 · homes,)
        Devices of every lease.
    country : uint8 (homes,)
    max_per_lease : int
    nodes : int32
        Filled with the devices of every node, as far as needed.
    n_slots, n_nodes : int64 (countries,)
        Grow by the devices and the nodes of every country.

    Returns
    -------
    int
        Nodes.
    """
    n = 0
    for key in range(size.size):
        chunks = -(-size[key] // max_per_lease)
        for j in range(chunks):
            nodes[n] = size[key] // chunks + (j < size[key] % chunks)
            n += 1
        n_slots[country[key // 2]] += size[key]
        n_nodes[country[key // 2]] += chunks
    return n


class HomeLines(NamedTuple):
    """Nodes of the home lines of a piece, in order of country, home, lease and device."""

    slots: I32  # device · 2 + typical, devices counted in the piece's country; (links,)
    nodes: I32  # devices of every node, (nodes,)
    n_slots: I64  # links per country, (countries,)
    n_nodes: I64  # nodes per country, (countries,)


def home_lines(
    law: DemandLaw,
    devices: PieceDevices,
    country: U8,
    local: I32,
    countries: int,
    typical: U8,
    lease: U8,
) -> HomeLines:
    """Home lines of a piece.

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
    slots, size = np.empty(links, dtype=np.int32), np.zeros(2 * homes, dtype=np.int32)
    _fill(devices.home, rank, lease, typical, law.home.home_type, local, size, slots)
    nodes = np.empty(links, dtype=np.int32)
    n_slots, n_nodes = (np.zeros(countries, dtype=np.int64) for _ in range(2))
    n = _cut_leases(size, home_country[order], law.max_per_lease, nodes, n_slots, n_nodes)
    return HomeLines(slots, nodes[:n].copy(), n_slots, n_nodes)
