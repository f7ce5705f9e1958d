"""S4 as published rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudworld.kernels.merge import Merge
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.batches import Batch, Rows, ids, ref, whole
from fraudworld.stages.columns import (
    DeviceLinks,
    Devices,
    Geography,
    IpEdges,
    Ips,
    MerchantEndpoints,
    Merchants,
)

METRICS = (
    "devices",
    "linked_devices",
    "device_ip_links",
    "ips",
    "shared_devices",
)


def device_base(devices: Devices, merchants: Merchants) -> Rows:
    """`s4_device_base_6A`: party devices in order of owner, then terminals."""
    merchant_id = np.append(merchants.id, 0)  # position −1 is the writer's null

    def batch(low: int, high: int) -> Batch:
        rows = slice(low, high)
        return {
            "device_id": ids(low, high),
            "device_type": devices.type[rows],
            "device_group": devices.group[rows],
            "os_family": devices.os[rows],
            "ua_family": devices.ua[rows],
            "primary_party_id": ref(devices.owner[rows]),
            "primary_merchant_id": merchant_id[devices.merchant[rows]],
            "home_region_id": devices.region[rows],
            "home_country_iso": devices.country[rows],
        }

    return Rows(devices.n, batch)


def ip_base(ips: Ips, geo: Geography) -> Rows:
    """`s4_ip_base_6A`, in order of country, type, node."""

    def batch(low: int, high: int) -> Batch:
        rows = slice(low, high)
        return {
            "ip_id": ids(low, high),
            "ip_type": ips.type[rows],
            "asn_class": ips.asn[rows],
            "ip_version": ips.version[rows],
            "region_id": geo.region[ips.country[rows]],
            "country_iso": ips.country[rows],
        }

    return Rows(ips.n, batch)


@njit(cache=True, nogil=True)
def _targets(role, target, place, merchant_place, merchant_id, columns):  # type: ignore[no-untyped-def]
    """Write the id of every link's target into its own column; the others stay 0."""
    for i in range(role.size):
        p = place[role[i]]
        columns[p, i] = merchant_id[target[i]] if p == merchant_place else target[i] + 1


def device_links(pack: PolicyPack, links: DeviceLinks, merchants: Merchants) -> Rows:
    """`s4_device_links_6A`, in order of device; one target column filled per row."""
    column_of = {
        "PRIMARY_OWNER": "party_id",
        "SECONDARY_USER": "party_id",
        "ASSOCIATED_ACCOUNT_ACCESS": "account_id",
        "ASSOCIATED_INSTRUMENT_ACCESS": "instrument_id",
        "MERCHANT_TERMINAL": "merchant_id",
    }
    names = ("party_id", "account_id", "instrument_id", "merchant_id")
    roles = pack.codes("device_link_role")
    place = np.array([names.index(column_of[r]) for r in roles], dtype=np.uint8)

    def batch(low: int, high: int) -> Batch:
        role = links.role[low:high]
        columns = np.zeros((len(names), high - low), dtype=np.int64)
        _targets(
            role, links.target[low:high], place, names.index("merchant_id"), merchants.id, columns
        )
        return {
            "device_id": ref(links.device[low:high]),
            **dict(zip(names, columns, strict=True)),
            "link_role": role,
        }

    return Rows(links.device.size, batch)


def ip_links(
    pack: PolicyPack, edges: IpEdges, endpoints: MerchantEndpoints, merchants: Merchants
) -> Rows:
    """`s4_ip_links_6A`, in order of IP; an IP's merchants come before its devices."""
    endpoint_role = np.uint8(pack.codes("ip_link_role").index("MERCHANT_ENDPOINT"))
    order = Merge.of(edges.ip, endpoints.ip)

    def batch(low: int, high: int) -> Batch:
        rows = order.rows(low, high)
        n = high - low
        ip, device, merchant = (np.zeros(n, dtype=np.int64) for _ in range(3))
        role = np.full(n, endpoint_role, dtype=np.uint8)
        ip[rows.left_at] = ref(edges.ip[rows.left])
        device[rows.left_at] = ref(edges.device[rows.left])
        role[rows.left_at] = edges.role[rows.left]
        ip[rows.right_at] = ref(endpoints.ip[rows.right])
        merchant[rows.right_at] = merchants.id[endpoints.merchant[rows.right]]
        return {"ip_id": ip, "device_id": device, "merchant_id": merchant, "link_role": role}

    return Rows(order.n, batch)


def network_summary(
    pack: PolicyPack, devices: Devices, ips: Ips, edges: IpEdges, geo: Geography
) -> Rows:
    """`s4_network_summary_6A`: METRICS per region, in order of region and metric."""
    regions = len(pack.codes("region"))
    linked = np.zeros(devices.n, dtype=np.bool_)
    linked[edges.device] = True
    at = geo.region[ips.country]
    measures = {
        "devices": np.bincount(devices.region, minlength=regions),
        "linked_devices": np.bincount(devices.region[linked], minlength=regions),
        # A device's endpoints are in its own country, and so in its region.
        "device_ip_links": np.bincount(at, np.diff(edges.start), regions),
        "ips": np.bincount(at, minlength=regions),
        "shared_devices": np.bincount(devices.region[devices.users > 1], minlength=regions),
    }
    names = sorted(METRICS)
    batch: Batch = {
        "region_id": np.repeat(np.arange(regions, dtype=np.uint8), len(names)),
        "metric_id": np.tile(np.arange(len(names), dtype=np.uint8), regions),
        "value": np.stack([measures[m] for m in names], axis=1).ravel().astype(np.float64),
    }
    return whole(batch)
