"""Counts devices, endpoints and the links between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.census import Census
from fraudworld.gates.entities import Ids, Kind, Rows
from fraudworld.gates.owners import Owned, Owners
from fraudworld.gates.published import Columns, Published
from fraudworld.gates.tally import (
    I64,
    Array,
    ColumnBuffer,
    CountPerEntity,
    Occurrences,
    crosstab,
    histogram,
    narrow,
    occurrences,
    ravel_codes,
    sum_over_slices,
)
from fraudworld.policy.pack import PolicyPack

HOME = "RESIDENTIAL"


@dataclass(frozen=True)
class Network:
    """Devices and IPs of a world, and their links.

    link_types: links by (region of the device, IP type); node_types: linked IPs by (region,
    type); abroad: links to devices of other countries by IP type; sharing: linked IPs by (group,
    devices, any of them risky?, HIGH_RISK_IP?); users: devices with an owner by (raw role, several
    parties linked?); home_lines: is an IP residential and short enough to tell who is near whom?
    """

    devices: Census
    owned: Owned
    ips: Census
    linked_devices: int
    link_types: I64
    node_types: I64
    abroad: I64
    sharing: I64
    users: I64
    home_lines: NDArray[np.bool_]

    @property
    def degrees(self) -> I64:
        """Linked IPs by devices on them; empty where none is linked."""
        histogram: I64 = self.sharing.sum(axis=(0, 2, 3))
        return histogram if histogram.any() else histogram[:0]


class _Endpoints:
    """Every IP: traits is its cell of (region, IP type, group, HIGH_RISK_IP?)."""

    def __init__(self, kind: Kind, pack: PolicyPack) -> None:
        self.ids, self.census = kind.ids, Census(kind, pack)
        regions, types = (len(pack.codes(c)) for c in ("region", "ip_type"))
        self.shape = (regions, types, len(kind.groups), 2)
        self.cells = int(np.prod(self.shape))
        self.devices, self.meets_risk = (
            CountPerEntity(self.ids.n),
            np.zeros(self.ids.n, dtype=np.bool_),
        )
        kept = ColumnBuffer(self.ids.n, narrow(self.cells))
        for counts, traits in kind.map(lambda rows: (self.census.of(rows), self._traits(rows))):
            self.census.add(counts)
            kept.append(traits)
        self.traits = kept.values

    def _traits(self, rows: Rows) -> Array:
        columns = (rows.region, rows.codes["ip_type"], rows.group, rows.label)
        return ravel_codes(*zip(columns, self.shape, strict=True))

    def node_types(self) -> I64:
        def of_slice(part: slice) -> I64:
            return histogram(self.traits[part][self.devices.counts[part] > 0], self.cells)

        return np.asarray(
            sum_over_slices(of_slice, self.ids.n).reshape(self.shape).sum(axis=(2, 3))
        )

    def home_lines(self, pack: PolicyPack) -> NDArray[np.bool_]:
        most = pack.validation_policy.guards.transmission_max_degree
        _, types, groups, risks = self.shape
        type_ = self.traits // (groups * risks) % types
        home = type_ == pack.codes("ip_type").index(HOME)
        return np.asarray(home & (self.devices.counts <= most))

    def sharing(self) -> I64:
        groups = self.shape[2]
        most = int(self.devices.counts.max(initial=0)) + 1

        def of_slice(part: slice) -> I64:
            degree = self.devices.counts[part]
            on = degree > 0
            kinds = self.traits[part][on] % (2 * groups)
            return crosstab(
                (kinds // 2, groups), (degree[on], most), (self.meets_risk[part][on], 2),
                (kinds % 2, 2),
            )  # fmt: skip

        return sum_over_slices(of_slice, self.ids.n)


class _Devices:
    """Every device: its region, whether it is risky, its raw role, and whether it has an IP link.

    `role` is the raw role, or the number of raw roles for a device without an owner.
    """

    def __init__(self, kind: Kind, pack: PolicyPack, owners: Owners) -> None:
        self.ids, self.census, self.owned = kind.ids, Census(kind, pack), Owned(kind, owners)
        self.shape = (len(pack.codes("region")), 2)
        self.cells = int(np.prod(self.shape))
        self.linked = np.zeros(self.ids.n, dtype=np.bool_)
        self.roles = len(kind.raw_roles)
        kept = ColumnBuffer(self.ids.n, narrow(self.cells))
        role = ColumnBuffer(self.ids.n, np.uint8)
        for counts, assets, traits, roles in kind.map(
            lambda rows: (
                self.census.of(rows), self.owned.of(rows), self._traits(rows), self._role(rows)
            )
        ):  # fmt: skip
            self.census.add(counts)
            self.owned.add(assets)
            kept.append(traits)
            role.append(roles)
        self.traits, self.role = kept.values, role.values

    def _traits(self, rows: Rows) -> Array:
        return ravel_codes(*zip((rows.region, rows.risky), self.shape, strict=True))

    def _role(self, rows: Rows) -> Array:
        assert rows.owner is not None
        return np.where(rows.owner > 0, rows.raw, np.uint8(self.roles))

    def users(self, published: Published) -> I64:
        """Devices with an owner by (raw role, several parties linked?)."""
        table, parties = BY_NAME["s4_device_links_6A"], CountPerEntity(self.ids.n)

        def count(block: Columns) -> Occurrences:
            return occurrences(
                self.ids.rows_of(block["device_id"][block["party_id"] > 0], table, "device")
            )

        for per_device in published.map(count, table, ("device_id", "party_id")):
            parties.add(per_device)

        def of_slice(part: slice) -> I64:
            return crosstab((self.role[part], self.roles + 1), (parties.counts[part] > 1, 2))

        return sum_over_slices(of_slice, self.ids.n)[:-1]


def _countries(published: Published, devices: Ids, ips: Ids) -> tuple[Array, Array]:
    """Country of every device and of every IP, as positions in one list."""
    tables = BY_NAME["s4_device_base_6A"], BY_NAME["s4_ip_base_6A"]
    names = ("device_id", "home_country_iso"), ("ip_id", "country_iso")
    lists = [
        published.code_list(table, next(c for c in table.columns if c.name == name))
        for table, (_, name) in zip(tables, names, strict=True)
    ]
    known = sorted({code for codes in lists for code in codes})
    out = []
    for ids, table, (key, name), codes in zip((devices, ips), tables, names, lists, strict=True):
        place = np.array(
            [known.index(code) for code in codes], dtype=np.min_scalar_type(len(known))
        )
        of = np.empty(ids.n, dtype=place.dtype)
        for block in published.map(lambda columns: columns, table, (key, name)):
            of[ids.rows_of(block[key], table, key)] = place[block[name]]
        out.append(of)
    return out[0], out[1]


def count_network(
    published: Published, pack: PolicyPack, device: Kind, ip: Kind, owners: Owners
) -> Network:
    """Counts devices, IPs and all links between them."""
    devices, ips = _Devices(device, pack, owners), _Endpoints(ip, pack)
    lives, stands = _countries(published, devices.ids, ips.ids)
    table = BY_NAME["s4_ip_links_6A"]

    def count(block: Columns) -> tuple[I64, I64, Occurrences]:
        at, who = block["ip_id"], block["device_id"]
        to_device = who > 0
        if not to_device.all():
            at, who = at[to_device], who[to_device]
        at = ips.ids.rows_of(at, table, "IP")
        who = devices.ids.rows_of(who, table, "device")
        traits = devices.traits[who]
        # Set to True only, so threads cannot conflict.
        devices.linked[who] = True
        ips.meets_risk[at[traits % 2 == 1]] = True
        cells = ips.traits[at]
        return (
            crosstab((traits, devices.cells), (cells, ips.cells)),
            histogram(cells[lives[who] != stands[at]], ips.cells),
            occurrences(at),
        )

    pairs = np.zeros((devices.cells, ips.cells), dtype=np.int64)
    abroad = np.zeros(ips.cells, dtype=np.int64)
    for link_counts, crossing, per_ip in published.map(count, table, ("ip_id", "device_id")):
        pairs += link_counts
        abroad += crossing
        ips.devices.add(per_ip)
    by = pairs.reshape(*devices.shape, *ips.shape)
    return Network(
        devices=devices.census,
        owned=devices.owned,
        ips=ips.census,
        linked_devices=int(np.count_nonzero(devices.linked)),
        link_types=by.sum(axis=(1, 2, 4, 5)),
        node_types=ips.node_types(),
        abroad=abroad.reshape(ips.shape).sum(axis=(0, 2, 3)),
        sharing=ips.sharing(),
        users=devices.users(published),
        home_lines=ips.home_lines(pack),
    )
