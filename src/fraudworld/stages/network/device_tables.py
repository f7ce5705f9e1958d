"""Devices as published rows. Twin: tests/reference/devices.py:device_base."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.inputs.arrays import Merchants
from fraudworld.stages.batches import Batch, Fill, Rows, ids, ref, same
from fraudworld.stages.pieces import Devices, DeviceShard, Parties, Terminals


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
    """Rows of one piece. shard, region: None for the terminals."""
    rows = slice(low, high)
    party: Fill
    merchant: Fill | NDArray[np.int64]
    location: Batch
    if isinstance(of, Terminals):
        party, merchant = same(0), merchant_id[of.merchant[rows]]
        location = {"home_region_id": of.region[rows], "home_country_iso": of.country[rows]}
    else:
        assert shard is not None
        assert region is not None
        party, merchant = ref(of.owner[rows], shard.first), same(0)
        location = {"home_region_id": same(region), "home_country_iso": same(shard.country)}
    return {
        "device_id": ids(first, low),
        "device_type": of.type[rows],
        "device_group": of.group[rows],
        "os_family": of.os[rows],
        "ua_family": of.ua[rows],
        "primary_party_id": party,
        "primary_merchant_id": merchant,
        **location,
    }
