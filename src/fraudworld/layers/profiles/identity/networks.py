"""Addresses of endpoints in ranges that nobody routes, and private autonomous systems.

IPv4 lies in 240.0.0.0/4 (RFC 1112, reserved), IPv6 in 2001:db8::/32 (RFC 3849, documentation),
autonomous systems among the private numbers of RFC 6996. A cell (country and class of operator)
has one range of a version, cut into equal parts, one for each of its autonomous systems: an
address tells its system, and with it country and class, as in the real registries. The systems of
a cell are the same for both versions.

Twin: tests/reference/identity.py:endpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import permute
from fraudworld.layers.profiles.identity.formats import check_space
from fraudworld.layers.profiles.identity.text import (
    I64,
    U64,
    Text,
    digits_in,
    filled,
    put_number,
)
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.rng import identities as streams

FIRST_IPV4 = 240 << 24
IPV4_SPACE = 2**28 - 1
"""Addresses of 240.0.0.0/4 without 255.255.255.255, the broadcast address."""

IPV6_SPACE = 2**32
"""Networks /64 of 2001:db8::/32."""

SHORT_SYSTEMS = (64_512, 65_534)
LONG_SYSTEMS = (4_200_000_000, 4_294_967_294)
"""Private autonomous systems, ends included (RFC 6996)."""

IPV4, IPV6 = 4, 6


class NetworkLaw(NamedTuple):
    """Ranges of one IP version."""

    version: int
    first: I64  # first address of every cell, from the start of the space
    space: U64  # addresses of every cell
    keys: U64  # (cells, rounds)
    systems: I64  # of every cell
    first_system: I64  # number of the first system of every cell


def network_law(
    policy: IdentityPolicy,
    seed: int,
    version: int,
    used: NDArray[np.integer],
    systems: NDArray[np.integer],
) -> NetworkLaw:
    """Ranges of an IP version: `spare` times the addresses in use, for every cell.

    used: (cells,), addresses in use by cell, those of the unlinked pool included; systems:
    (cells,), autonomous systems of a cell, at least 1. Raises
    InputError `6P.S1.ID_SPACE_EXHAUSTED` where the version's space is too small.
    """
    networks, number = policy.numbers.networks, systems.astype(np.int64)
    whole = IPV4_SPACE if version == IPV4 else IPV6_SPACE
    wanted = np.ceil(np.asarray(used) * networks.spare / number).astype(np.int64) * number
    space = np.maximum(wanted, number)
    if space.sum() > whole:
        raise InputError(
            "6P.S1.ID_SPACE_EXHAUSTED",
            f"{space.sum()} addresses of IPv{version} are asked for; there are {whole}",
            where="numbers_6P.v1.yaml: networks.spare",
            remedy="make a smaller world, or lower `networks.spare`",
        )
    stream = streams.NETWORK_PLACE.of(seed, code=f"IPV{version}")
    return NetworkLaw(
        version, np.cumsum(space) - space, space.astype(np.uint64),
        stream.draws(0, space.size), number, np.cumsum(number) - number,
    )  # fmt: skip


class Endpoints(NamedTuple):
    """Addresses of n endpoints and their autonomous systems."""

    address: Text
    system: I64  # (n,)


def endpoints(
    law: NetworkLaw, seed: int, cell: NDArray[np.integer], counter: I64, entity: I64
) -> Endpoints:
    """Addresses, unique by (cell, counter), as `ipaddress` writes them, and their systems.

    cell: (n,); counter: int64 (n,), below the addresses in use of the cell; entity: int64 (n,),
    an id, of whose draw the lower half of an IPv6 address is.
    """
    check_space(cell.astype(np.int32), counter, law.space, f"IPv{law.version} address")
    places = permute.grouped_places(law.space, law.keys, cell, counter)
    part = places * law.systems[cell] // law.space[cell].astype(np.int64)
    network = law.first[cell] + places
    system = systems(law.first_system[cell] + part)
    if law.version == IPV4:
        return Endpoints(_written(network, None), system)
    low = streams.INTERFACE.of(seed).at(entity)
    return Endpoints(_written(network, low), system)


def systems(number: NDArray[np.integer]) -> I64:
    """Private autonomous systems by their number, (n,): the short ones first."""
    short = SHORT_SYSTEMS[1] - SHORT_SYSTEMS[0] + 1
    number = number.astype(np.int64)
    return np.where(number < short, SHORT_SYSTEMS[0] + number, LONG_SYSTEMS[0] + number - short)


def _written(network: I64, low: U64 | None) -> Text:
    if low is None:
        return filled(write_ipv4, (network + FIRST_IPV4,), network.size)
    return filled(write_ipv6, (network, low), network.size)


@kernel
def write_ipv4(address, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Dotted decimals.

    address : int64 (n,); offsets : int32 (n + 1,), filled with lengths from 1 on, or read if
    `fill`; data : uint8, filled if `fill`.
    """
    for i in range(address.size):
        size, at = 3, offsets[i]
        for k in range(4):
            byte = (address[i] >> (24 - 8 * k)) & 255
            width = digits_in(byte)
            if fill:
                at = put_number(data, at, byte, width)
                if k < 3:
                    data[at] = 46
                    at += 1
            size += width
        if not fill:
            offsets[i + 1] = size


@inlined
def _group(network, low, k):  # type: ignore[no-untyped-def]
    """Group k (0 … 7) of an IPv6 address in 2001:db8::/32."""
    if k == 0:
        return np.int64(0x2001)
    if k == 1:
        return np.int64(0xDB8)
    if k < 4:
        return (network >> (16 * (3 - k))) & 0xFFFF
    return np.int64((low >> np.uint64(16 * (7 - k))) & np.uint64(0xFFFF))


@kernel
def write_ipv6(network, low, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Groups in hexadecimal without leading zeros, the longest run of zeros as `::` (RFC 5952).

    Parameters
    ----------
    network : int64 (n,)
        Bits 64 to 95 of the address.
    low : uint64 (n,)
        Interface identifier.
    offsets : int32 (n + 1,)
        Without `fill`, filled with lengths from 1 on; else read.
    data : uint8
        Filled if `fill`.
    fill : bool
    """
    groups = np.empty(8, dtype=np.int64)
    for i in range(network.size):
        first, longest, run = 8, 1, 0
        for k in range(8):
            groups[k] = _group(network[i], low[i], k)
            run = run + 1 if groups[k] == 0 else 0
            if run > longest:
                first, longest = k + 1 - run, run
        at = offsets[i] if fill else 0
        k = 0
        while k < 8:
            if k == first:
                # One colon ends the group before; the second stands for the run.
                if fill:
                    data[at] = 58
                at += 1
                if k + longest == 8:
                    break
                k += longest
                continue
            shift = 12
            while shift > 0 and groups[k] >> shift == 0:
                shift -= 4
            while shift >= 0:
                digit = (groups[k] >> shift) & 15
                if fill:
                    data[at] = 48 + digit if digit < 10 else 87 + digit
                at += 1
                shift -= 4
            if k < 7:
                if fill:
                    data[at] = 58
                at += 1
            k += 1
        if not fill:
            offsets[i + 1] = at
