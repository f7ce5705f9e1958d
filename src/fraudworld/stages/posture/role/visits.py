"""Links across borders: what crosses them in S5, as short lists of devices.

A *visit* is a link of a device to an endpoint of another country. The country of the endpoint
lists its visitors with their records (`scan_edges.py`), which the country of the device adds to its
own; in return it receives the visitors' owners, and later whether they are risky.

Twins: tests/reference/posture.py:device_features, ip_features and ip_roles, which look at the
whole world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.stages.country_of import NOWHERE, DeviceCountries
from fraudworld.stages.pieces import DeviceShard, EndpointCountry
from fraudworld.stages.posture.role.roles import RoleShard
from fraudworld.stages.posture.role.scan_edges import DEGREE, Away, EdgesLaw, add_link

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class Visits:
    """Links of the endpoints of one country to devices of other countries."""

    device: U32  # distinct, counted in the world, ascending; (visitors,)
    record: U32  # as of `scan_edges.DEGREE`, (visitors,)
    edge_cells: I64  # links by region of the device, (regions, types)
    misplaced: int  # links of types that the policy keeps at home


@kernel
def _collect_records(device, typical, anonymous, degree, record):  # type: ignore[no-untyped-def]
    """Records of visitors from their links.

    Parameters
    ----------
    device : int64 (links,)
        Index of the visitor.
    typical, anonymous : bool (links,)
    degree : int64 (links,)
        Of the endpoint.
    record : uint32 (visitors,)
        Zero before; filled.
    """
    for i in range(device.size):
        d = device[i]
        is_anonymous, shifted = np.uint64(anonymous[i]), np.uint64(degree[i]) << DEGREE
        record[d] = add_link(np.uint64(record[d]), is_anonymous, shifted, typical[i])


def scan_visits(
    law: EdgesLaw, where: DeviceCountries, region: U8, country: int, of: EndpointCountry
) -> Visits:
    """Task: visits to the endpoints of a country. region: of every country, (countries,)."""
    first, count = where.party_devices(country)
    # Unsigned: devices of earlier countries wrap around and are beyond the count.
    at = np.flatnonzero(of.device - np.uint32(first) >= np.uint32(count))
    home = where(of.device[at])
    visiting = (home != country) & (home != NOWHERE)
    at, home = at[visiting], home[visiting]
    node = of.start.searchsorted(at, side="right") - 1
    type_, degree = of.type[node], np.minimum(np.diff(of.start)[node], law.top)
    device, index = np.unique(of.device[at], return_inverse=True)
    record = np.zeros(device.size, dtype=np.uint32)
    _collect_records(index, of.role[at] == law.typical, law.anonymiser[type_], degree, record)
    cells = np.zeros((law.regions, law.anonymiser.size), dtype=np.int64)
    np.add.at(cells, (region[home], type_), 1)
    return Visits(device, record, cells, int(np.count_nonzero(~law.abroad[type_])))


def away_of(where: DeviceCountries, visits: Sequence[Visits]) -> list[Away]:
    """What every country learns of its devices from the visits to all others."""
    device = np.concatenate([v.device for v in visits])
    record = np.concatenate([v.record for v in visits])
    home = where(device)
    order = np.argsort(home, kind="stable")
    countries = len(visits)
    cuts = home[order].searchsorted(np.arange(countries + 1))
    out = []
    for c in range(countries):
        of_country = order[cuts[c] : cuts[c + 1]]
        numbers = device[of_country].astype(np.int64)
        first, count = where.party_devices(c)
        terminal = numbers >= where.first[-1]
        local = numbers - first
        local[terminal] = count + where.terminals(c).searchsorted(numbers[terminal])
        out.append(Away(local, record[of_country]))
    return out


def owners_at(first_party: int, devices: DeviceShard, at: I64) -> U32:
    """Task: owners, counted in the world, of some devices of a shard."""
    return devices.owner[at] + np.uint32(first_party)


def raw_roles_at(roles: RoleShard, at: I64) -> U8:
    """Task: raw roles of some devices of a shard."""
    return roles.raw[at]
