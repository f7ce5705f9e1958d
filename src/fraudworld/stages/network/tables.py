"""S4 as published rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fraudworld.kernels.merge import merged
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.batches import Batch, ids, ref, spans
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


def device_base(devices: Devices, merchants: Merchants) -> Iterator[Batch]:
    """`s4_device_base_6A`: party devices in order of owner, then terminals."""
    merchant_id = np.append(merchants.id, 0)  # position −1 is the writer's null
    for low, high in spans(devices.n):
        rows = slice(low, high)
        yield {
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


def ip_base(ips: Ips, geo: Geography) -> Iterator[Batch]:
    """`s4_ip_base_6A`, in order of country, type, node."""
    for low, high in spans(ips.n):
        rows = slice(low, high)
        yield {
            "ip_id": ids(low, high),
            "ip_type": ips.type[rows],
            "asn_class": ips.asn[rows],
            "ip_version": ips.version[rows],
            "region_id": geo.region[ips.country[rows]],
            "country_iso": ips.country[rows],
        }


def device_links(pack: PolicyPack, links: DeviceLinks, merchants: Merchants) -> Iterator[Batch]:
    """`s4_device_links_6A`, in order of device; one target column filled per row."""
    column_of = {
        "PRIMARY_OWNER": "party_id",
        "SECONDARY_USER": "party_id",
        "ASSOCIATED_ACCOUNT_ACCESS": "account_id",
        "ASSOCIATED_INSTRUMENT_ACCESS": "instrument_id",
        "MERCHANT_TERMINAL": "merchant_id",
    }
    columns = ("party_id", "account_id", "instrument_id", "merchant_id")
    roles = pack.codes("device_link_role")
    target_column = np.array([columns.index(column_of[r]) for r in roles], dtype=np.uint8)
    for low, high in spans(links.device.size):
        role = links.role[low:high]
        place = target_column[role]
        target = ref(links.target[low:high])
        merchant = place == columns.index("merchant_id")
        if merchant.any():
            target[merchant] = merchants.id[links.target[low:high][merchant]]
        yield {
            "device_id": ref(links.device[low:high]),
            **{name: np.where(place == i, target, 0) for i, name in enumerate(columns)},
            "link_role": role,
        }


def ip_links(
    pack: PolicyPack, edges: IpEdges, endpoints: MerchantEndpoints, merchants: Merchants
) -> Iterator[Batch]:
    """`s4_ip_links_6A`, in order of IP; an IP's merchants come before its devices."""
    endpoint_role = np.uint8(pack.codes("ip_link_role").index("MERCHANT_ENDPOINT"))
    for batch in merged(edges.ip, endpoints.ip):
        ip = np.empty(batch.size, dtype=np.int64)
        device = np.zeros(batch.size, dtype=np.int64)
        merchant = np.zeros(batch.size, dtype=np.int64)
        role = np.full(batch.size, endpoint_role, dtype=np.uint8)
        ip[batch.left_at] = ref(edges.ip[batch.left])
        device[batch.left_at] = ref(edges.device[batch.left])
        role[batch.left_at] = edges.role[batch.left]
        ip[batch.right_at] = ref(endpoints.ip[batch.right])
        merchant[batch.right_at] = merchants.id[endpoints.merchant[batch.right]]
        yield {"ip_id": ip, "device_id": device, "merchant_id": merchant, "link_role": role}


def network_summary(
    pack: PolicyPack, devices: Devices, ips: Ips, edges: IpEdges, geo: Geography
) -> Iterator[Batch]:
    """`s4_network_summary_6A`: METRICS per region, in order of region and metric."""
    regions = len(pack.codes("region"))
    linked = np.zeros(devices.n, dtype=np.bool_)
    linked[edges.device] = True
    measures = {
        "devices": np.bincount(devices.region, minlength=regions),
        "linked_devices": np.bincount(devices.region[linked], minlength=regions),
        "device_ip_links": np.bincount(devices.region[edges.device], minlength=regions),
        "ips": np.bincount(geo.region[ips.country], minlength=regions),
        "shared_devices": np.bincount(devices.region[devices.users > 1], minlength=regions),
    }
    names = sorted(METRICS)
    yield {
        "region_id": np.repeat(np.arange(regions, dtype=np.uint8), len(names)),
        "metric_id": np.tile(np.arange(len(names), dtype=np.uint8), regions),
        "value": np.stack([measures[m] for m in names], axis=1).ravel().astype(np.float64),
    }
