"""Columns of a country's endpoints and links: devices and roles, operators and IP versions.

Twin of all kernels here: tests/reference/endpoints.py:make.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import kernel
from fraudworld.kernels import offsets
from fraudworld.kernels.discrete import category
from fraudworld.rng import philox
from fraudworld.stages.network.endpoint_law import NEVER, EndpointLaw
from fraudworld.stages.network.units import CountryLinks
from fraudworld.stages.pieces import EndpointCountry


@kernel
def _split_slots(slots, codes, device, role):  # type: ignore[no-untyped-def]
    """Device of every link, and its role but for public access.

    Parameters
    ----------
    slots : int32 (links,)
        device · 2 + typical.
    codes : uint8 (3,)
        As in `RoleLaw`.
    device, role : uint32, uint8 (links,)
        Filled.

    Returns
    -------
    int
        Links that are typical: one of every device that is not dormant, in its own country.
    """
    typical = 0
    for i in range(slots.size):
        device[i] = slots[i] >> 1
        role[i] = codes[slots[i] & 1]
        typical += slots[i] & 1
    return typical


@kernel
def _draw_public_access(slots, first_of, first_link, law, role):  # type: ignore[no-untyped-def]
    """Turns links that are not typical into public access, by a draw per link.

    Parameters
    ----------
    slots : int32 (links,)
        device · 2 + typical, in order of type.
    first_of : int64 (types + 1,)
        First link of every type.
    first_link : int
        Number in the world of the first link.
    law : RoleLaw
    role : uint8 (links,)
        Updated.
    """
    (k0, k1), codes, public = law.key, law.codes, law.public
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for t in range(public.size):
        if public[t] == NEVER:
            continue
        for low in range(first_of[t], first_of[t + 1], philox.MANY):
            n = min(philox.MANY, first_of[t + 1] - low)
            philox.fill(k0, k1, np.uint64(first_link + low), draws[:n])
            for i in range(n):
                is_public = (draws[i] >> np.uint64(1) >= public[t]) & (slots[low + i] & 1 == 0)
                role[low + i] = codes[2] if is_public else role[low + i]


@kernel
def _draw_attributes(key, first, type_, asn_cuts, version_cuts, asn, version):  # type: ignore[no-untyped-def]
    """Operator class and IP version of endpoints: two draws each.

    Parameters
    ----------
    key : (uint64, uint64)
        Of the stream, which has width 2.
    first : int
        Number in the world of the first endpoint.
    type_ : uint8 (endpoints,)
    asn_cuts, version_cuts : uint64 (types, classes), (types, versions)
        Thresholds.
    asn, version : uint8 (endpoints,)
        Filled.
    """
    k0, k1 = key
    draws = np.empty(philox.MANY, dtype=np.uint64)
    for low in range(0, type_.size, philox.MANY // 2):
        n = min(philox.MANY // 2, type_.size - low)
        philox.fill(k0, k1, np.uint64(2 * (first + low)), draws[: 2 * n])
        for j in range(n):
            t = type_[low + j]
            asn[low + j] = category(draws[2 * j], asn_cuts, t)
            version[low + j] = category(draws[2 * j + 1], version_cuts, t)


def country_columns(
    law: EndpointLaw, ip_first: int, link_first: int, matched: CountryLinks
) -> tuple[EndpointCountry, int]:
    """Task: columns of one country; summary: devices of the country with a link.

    ip_first, link_first: numbers in the world of its first endpoint and its first link.
    """
    slots = matched.slots
    device, role = np.empty(slots.size, dtype=np.uint32), np.empty(slots.size, dtype=np.uint8)
    devices = _split_slots(slots, law.roles.codes, device, role)
    _draw_public_access(slots, offsets.from_counts(matched.links), link_first, law.roles, role)
    type_ = np.repeat(np.arange(len(law.degree), dtype=np.uint8), matched.nodes)
    asn, version = np.empty_like(type_), np.empty_like(type_)
    _draw_attributes(law.attributes.key, ip_first, type_, law.asn, law.version, asn, version)
    return EndpointCountry(type_, asn, version, device, role, matched.start), int(devices)
