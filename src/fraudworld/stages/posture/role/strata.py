"""Strata of entities: group, tier and classes of exposure, packed into one number.

Twin of all kernels here: the cells of tests/reference/posture.py:owned_roles,
paired_roles and ip_roles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.stages.pieces import EndpointCountry
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.roles import RoleShard, Strata
from fraudworld.stages.posture.role.scan_edges import index_of

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]


class Owners(NamedTuple):
    """Owners of assets."""

    of: U32  # index in `type` and `row` of every asset's owner, (assets,)
    type: U8  # party type, (parties,)
    row: U8  # `Laws.owner_row` of the raw role, (parties,)


NO_OWNERS = Owners(
    np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.uint8)
)
"""For assets that have no owner."""

NOT_COUNTED = np.zeros(0, dtype=np.bool_)
"""For assets whose number of users is not known or does not count."""


def plain_strata(laws: Laws, entity: str, tier: U8, type_: U8) -> Strata:
    """(group, tier) of entities, flat; all (entities,). type_: code that `group_of` maps."""
    first: Strata = (np.arange(laws.scores[entity].groups) * laws.tiers).astype(np.uint8)
    return first[laws.group_of[entity][type_]] + tier


def owned_strata(
    laws: Laws, entity: str, tier: U8, type_: U8, owners: Owners, several: Bools
) -> tuple[Strata, I64]:
    """(group, tier, owner class, row of the owner, whether it has several users) of assets, flat.

    The last axis has length `laws.lanes[entity]`.

    tier, type_: (assets,). several: (assets,), or NOT_COUNTED. Returns the strata, (assets,), and
    assets per stratum, (strata,).
    """
    rows, lanes = laws.owner_rows, laws.lanes[entity]
    n = laws.scores[entity].groups * laws.tiers * laws.owner_classes * rows * lanes
    stratum = np.empty(tier.size, dtype=np.min_scalar_type(n - 1))
    sizes = np.zeros(n, dtype=np.int64)
    shape = laws.tiers, laws.owner_classes, rows, lanes
    _owned_strata(tier, type_, laws.group_of[entity], owners, several, shape, stratum, sizes)
    return stratum, sizes


@kernel
def _owned_strata(tier, type_, group_of, owners, several, shape, stratum, sizes):  # type: ignore[no-untyped-def]
    """Strata of assets as of `owned_strata`.

    Parameters
    ----------
    tier, type_ : uint8 (assets,)
    group_of : uint8 (types,)
    owners : Owners
        Empty if no asset has an owner.
    several : bool (assets,)
        Empty if no asset has several users.
    shape : (int, int, int, int)
        Numbers of tiers, owner classes, owner rows, and lanes.
    stratum : unsigned integer (assets,)
        Filled.
    sizes : int64 (strata,)
        Grows.
    """
    owner, party_type, row = owners
    tiers, classes, rows, lanes = shape
    for i in range(tier.size):
        c = (np.int64(group_of[type_[i]]) * tiers + tier[i]) * classes + classes - 1
        if owner.size:
            c += np.int64(party_type[owner[i]]) - (classes - 1)
        c *= rows
        if owner.size:
            c += row[owner[i]]
        c *= lanes
        if several.size:
            c += several[i]
        stratum[i] = c
        sizes[c] += 1


class RiskyDevices(NamedTuple):
    """Which devices that are seen in a country are risky."""

    first: int  # number in the world of the country's first party device
    own: Bools  # (party devices,)
    other: U32  # terminals and devices of other countries, counted in the world, ascending
    other_risky: Bools  # (others,)


def ip_strata(
    laws: Laws, of: EndpointCountry, group: U8, tier: U8, risky: RiskyDevices
) -> tuple[Strata, I64]:
    """(group, tier, high sharing, whether a device is risky) of a country's endpoints, flat.

    group, tier: (endpoints,). Returns the strata, (endpoints,), and endpoints per stratum,
    (strata,).
    """
    n = laws.scores["ip"].groups * laws.tiers * 4
    stratum = np.empty(tier.size, dtype=np.min_scalar_type(n - 1))
    sizes = np.zeros(n, dtype=np.int64)
    limits = laws.high_sharing, laws.tiers
    _ip_strata(tier, group, of.start, of.device, risky, limits, stratum, sizes)
    return stratum, sizes


@kernel
def _ip_strata(tier, group, start, device, risky, limits, stratum, sizes):  # type: ignore[no-untyped-def]
    """Strata of endpoints as of `ip_strata`.

    Parameters
    ----------
    tier, group : uint8 (endpoints,)
    start : int64 (endpoints + 1,)
        First link of every endpoint.
    device : uint32 (links,)
        A device that does not exist is not risky.
    risky : RiskyDevices
    limits : (int, int)
        Devices from which on an endpoint has high sharing, number of tiers.
    stratum : unsigned integer (endpoints,)
        Filled.
    sizes : int64 (strata,)
        Grows.
    """
    sharing, tiers = limits
    first, own, other, other_risky = risky
    for p in range(tier.size):
        exposed = False
        for i in range(np.uint64(start[p]), np.uint64(start[p + 1])):
            # Devices of earlier countries wrap around, and so are no party devices of this one.
            d = np.uint64(device[i]) - np.uint64(first)
            if d < np.uint64(own.size):
                exposed |= own[d]
            else:
                k = index_of(other, device[i])
                if k < other.size:
                    exposed |= other_risky[k]
        c = np.int64(group[p]) * tiers + tier[p]
        c = (c * 2 + (start[p + 1] - start[p] >= sharing)) * 2 + exposed
        stratum[p] = c
        sizes[c] += 1


def count_cells(laws: Laws, entity: str, roles: RoleShard, type_: U8) -> I64:
    """Entities by (group, tier, raw role, family); one whose code is none is not counted."""
    cells = np.zeros(laws.cells[entity], dtype=np.int64)
    columns = roles.raw, roles.family, roles.tier
    _count_cells(columns, type_, laws.group_of[entity], cells)
    return cells


@kernel
def _count_cells(columns, type_, group_of, cells):  # type: ignore[no-untyped-def]
    """Adds entities to their cells as of `count_cells`.

    Parameters
    ----------
    columns : three times uint8 (entities,)
        Raw role, family, tier.
    type_ : uint8 (entities,)
        If lengths differ, only entities with all columns are counted.
    group_of : uint8 (types,)
    cells : int64 (groups, tiers, raw roles, families)
        Grows.
    """
    raw, family, tier = columns
    _, tiers, roles, families = cells.shape
    flat = cells.reshape(-1)
    for i in range(min(raw.size, type_.size)):
        if tier[i] < tiers and raw[i] < roles and family[i] < families:
            g = np.int64(group_of[type_[i]])
            flat[((g * tiers + tier[i]) * roles + raw[i]) * families + family[i]] += 1
