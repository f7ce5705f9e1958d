"""S4's devices as published rows."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.stages.batches import Batch, Rows, ids, ref
from fraudworld.stages.columns import Merchants
from fraudworld.stages.world import Devices, DeviceShard, Parties, Terminals


def device_base(parties: Parties, devices: Devices, merchants: Merchants) -> Rows:
    """`s4_device_base_6A`: party devices in order of owner, then terminals."""
    columns = (
        devices.first.tolist(),
        [*parties.shards, None],
        [*parties.region.tolist(), None],
        [*devices.items, devices.terminals],
    )
    first = np.append(devices.first, devices.n)
    return Rows(first, partial(_device_rows, merchants.id), columns)


def _device_rows(
    merchant_id: NDArray[np.int64],
    first: int,
    shard: Shard | None,
    region: int | None,
    of: DeviceShard | Terminals,
    low: int,
    high: int,
) -> Batch:
    rows, n = slice(low, high), high - low
    party, merchant = (np.zeros(n, dtype=np.int64) for _ in range(2))
    if isinstance(of, Terminals):
        merchant[:] = merchant_id[of.merchant[rows]]
        regions, countries = of.region[rows], of.country[rows]
    else:
        assert shard is not None
        party = ref(of.owner[rows], shard.first)
        regions = np.full(n, region, dtype=np.uint8)
        countries = np.full(n, shard.country, dtype=np.uint8)
    return {
        "device_id": ids(first, low, high),
        "device_type": of.type[rows],
        "device_group": of.group[rows],
        "os_family": of.os[rows],
        "ua_family": of.ua[rows],
        "primary_party_id": party,
        "primary_merchant_id": merchant,
        "home_region_id": regions,
        "home_country_iso": countries,
    }
