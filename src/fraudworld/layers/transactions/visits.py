"""6B.S1: arrivals of one hour → visits → party, account, instrument, device, endpoint.

An arrival is first offered to the campaigns awake in its country; whoever takes it decides
which visit it belongs to. All other arrivals of one country and channel are dealt to the
visits of ordinary customers. A visit draws its party, device and endpoint once, so arrivals
of one visit share them; accounts and instruments are chosen per arrival.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrivals import CHANNELS
from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import MOST_VISITS, Plan
from fraudworld.layers.transactions.choices import (
    account_of,
    below,
    device_of,
    endpoint_of,
    instrument_of,
    weighted_index,
)
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World
from fraudworld.rng import Stream, philox, registry

I64 = NDArray[np.int64]
FLOW_WIDTH = registry.FLOW_VISIT.width
VISIT_WIDTH = registry.VISIT.width
STRIKE_WIDTH = registry.STRIKE_VISIT.width
HOURS = 1 << 17
"""Room for hours in the numbers of campaign visits: more than the longest horizon has."""


class Habits(NamedTuple):
    """Attachment policy by position; chances are 63-bit thresholds."""

    home: NDArray[np.uint64]  # by channel
    flows_per_visit: float
    account_use: I64  # by account type
    instrument_use: I64  # (channels, instrument types)
    device_use: I64  # by device type
    borrowed: np.uint64
    typical: np.uint64
    collateral: np.uint64


class Keys(NamedTuple):
    """Philox keys: of flows, of visits of customers, of visits of campaigns."""

    flow0: np.uint64
    flow1: np.uint64
    visit0: np.uint64
    visit1: np.uint64
    strike0: np.uint64
    strike1: np.uint64


class Attached(NamedTuple):
    """Entities of the arrivals of one hour, positions; −1 where there is none."""

    session: I64  # flow number of the visit's first arrival, from 0
    party: NDArray[np.int32]
    account: NDArray[np.int32]
    instrument: NDArray[np.int32]
    device: NDArray[np.int32]
    endpoint: NDArray[np.int32]
    campaign: NDArray[np.int32]
    collateral: NDArray[np.uint8]
    swapped: NDArray[np.uint8]  # 1: device, 2: endpoint


def chance(share: float) -> np.uint64:
    """A share as a 63-bit threshold: it happens where (draw >> 1) is below."""
    return np.uint64(share * 2.0**63)


def habits(inputs: Inputs) -> Habits:
    """The attachment policy as arrays."""
    policy = inputs.pack.attachment
    return Habits(
        np.array([chance(policy.home_share[c]) for c in CHANNELS], dtype=np.uint64),
        policy.flows_per_visit,
        inputs.table("account_type", policy.account_use).astype(np.int64),
        np.stack(
            [inputs.table("instrument_type", policy.instrument_use[c]) for c in CHANNELS]
        ).astype(np.int64),
        inputs.table("device_type", policy.device_use).astype(np.int64),
        chance(policy.household_device_share),
        chance(policy.typical_endpoint_share),
        chance(inputs.pack.campaigns.collateral_share),
    )


def streams(seed: int) -> tuple[Stream, Stream, Stream]:
    """Streams of flows, of customers' visits and of campaigns' visits."""
    return (
        registry.FLOW_VISIT.of(seed),
        registry.VISIT.of(seed),
        registry.STRIKE_VISIT.of(seed),
    )


def strike_entities(campaigns: int) -> int:
    """Numbers that visits of this many campaigns may take: campaign, hour, visit."""
    return campaigns * HOURS * MOST_VISITS


def attach_hour(
    base: int,
    hour: int,
    first_hour: int,
    merchant: NDArray[np.int32],
    country: NDArray[np.uint8],
    channel: NDArray[np.uint8],
    plan: Plan,
    world: World,
    habits_: Habits,
    keys: Keys,
) -> Attached:
    """Entities of all arrivals of UTC hour `hour`, in order of time.

    base: arrivals of the horizon before it; first_hour: where the plan's window begins;
    merchant, country, channel: positions, one per arrival.
    """
    n = merchant.size
    out = Attached(
        np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32),
        np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32),
        np.zeros(n, np.uint8), np.zeros(n, np.uint8),
    )  # fmt: skip
    entity = np.empty(n, np.int64)
    _visits(base, hour, hour - first_hour, merchant, country, channel, plan.campaigns, plan.tactics,
            plan.active, world, habits_.flows_per_visit, keys, entity, out)  # fmt: skip
    _people(base, country, channel, entity, plan.campaigns, plan.tactics, world, habits_, keys,
            out)  # fmt: skip
    return out


@kernel
def _visits(  # type: ignore[no-untyped-def]
    base, hour, row, merchant, country, channel, campaigns, tactics, active, world,
    flows_per_visit, keys, entity, out,
):  # fmt: skip
    """Deal every arrival to a visit: the visit's number for draws, its first arrival."""
    n = merchant.size
    countries = world.country_party.size - 1
    groups = countries * 3
    count = np.zeros(groups + 1, np.int64)
    for i in range(n):
        count[np.int64(country[i]) * 3 + channel[i] + 1] += 1
    for g in range(groups):
        count[g + 1] += count[g]
    # At most two possible visits an arrival: the policy deals half an arrival or more to each.
    first_of_slot = np.full(2 * n, -1, np.int64)
    low_hour = active.start[row * countries]
    high_hour = active.start[(row + 1) * countries]
    strikes = 0
    if high_hour > low_hour:
        strikes = active.slot[high_hour - 1] + active.visits[high_hour - 1]
    first_of_strike = np.full(strikes, -1, np.int64)
    for i in range(n):
        lanes = philox.block(keys.flow0, keys.flow1, np.uint64(base + i))
        cell = row * countries + country[i]
        role = np.int64(world.merchant_role[merchant[i]])
        taste = world.merchant_class[merchant[i]]
        left = normal.unit(lanes[0])
        taken = -1
        for e in range(active.start[cell], active.start[cell + 1]):
            c = active.campaign[e]
            kind = campaigns.kind[c]
            if (tactics.roles[kind] >> role) & 1:
                left -= campaigns.share[c] * tactics.appetite[kind, channel[i], taste]
                if left < 0.0:
                    taken = e
                    break
        if taken >= 0:
            c = active.campaign[taken]
            j = below(lanes[1], active.visits[taken])
            slot = active.slot[taken] + j
            if first_of_strike[slot] < 0:
                first_of_strike[slot] = i
            out.session[i] = base + first_of_strike[slot]
            out.campaign[i] = c
            entity[i] = (np.int64(c) * HOURS + hour) * MOST_VISITS + j
        else:
            g = np.int64(country[i]) * 3 + channel[i]
            visits = np.int64(np.ceil((count[g + 1] - count[g]) / flows_per_visit))
            slot = 2 * count[g] + below(lanes[1], visits)
            if first_of_slot[slot] < 0:
                first_of_slot[slot] = i
            out.session[i] = base + first_of_slot[slot]
            out.campaign[i] = -1
            entity[i] = 2 * base + slot


@kernel
def _people(  # type: ignore[no-untyped-def]
    base, country, channel, entity, campaigns, tactics, world, habits_, keys, out
):
    """Party, device and endpoint once a visit; account and instrument once an arrival."""
    for i in range(entity.size):
        first = out.session[i] - base
        if first < i:
            out.party[i] = out.party[first]
            out.device[i] = out.device[first]
            out.endpoint[i] = out.endpoint[first]
            out.account[i] = out.account[first]
            out.collateral[i] = out.collateral[first]
            out.swapped[i] = out.swapped[first]
        elif out.campaign[i] >= 0:
            _strike(i, entity[i], campaigns, tactics, world, habits_, keys, out)
        else:
            _customer(i, entity[i], country[i], channel[i], world, habits_, keys, out)
        lanes = philox.block(keys.flow0, keys.flow1, np.uint64(base + i))
        if out.campaign[i] < 0:
            out.account[i] = account_of(world, out.party[i], habits_.account_use, lanes[2])
        out.instrument[i] = instrument_of(
            world, out.account[i], habits_.instrument_use[channel[i]], lanes[3]
        )


@kernel
def _customer(i, entity, country, channel, world, habits_, keys, out):  # type: ignore[no-untyped-def]
    """An ordinary visit: at home or from abroad, by activity; own device or a housemate's."""
    a = philox.block(keys.visit0, keys.visit1, np.uint64(entity * 2))
    b = philox.block(keys.visit0, keys.visit1, np.uint64(entity * 2 + 1))
    party = -1
    if (a[0] >> np.uint64(1)) < habits_.home[channel]:
        party = weighted_index(
            world.activity, world.country_party[country], world.country_party[country + 1], a[1]
        )
    if party < 0:
        # From abroad; so is everyone where no party of the country can transact.
        party = weighted_index(world.reach, 0, world.party_country.size, a[1])
    holder = party
    if (a[2] >> np.uint64(1)) < habits_.borrowed and world.home[party] >= 0:
        low = world.home_start[world.home[party]]
        high = world.home_start[world.home[party] + 1]
        holder = world.home_member[low + below(a[3], high - low)]
    device = device_of(world, holder, habits_.device_use, b[0])
    if device < 0:
        device = device_of(world, party, habits_.device_use, b[0])
    out.party[i] = party
    out.device[i] = device
    out.endpoint[i] = endpoint_of(world, device, habits_.typical, b[1], b[2])


@kernel
def _strike(i, entity, campaigns, tactics, world, habits_, keys, out):  # type: ignore[no-untyped-def]
    """A visit of a campaign: a victim or its neighbour, then what the tactics swap."""
    at = np.uint64(entity * 3)
    a = philox.block(keys.strike0, keys.strike1, at)
    b = philox.block(keys.strike0, keys.strike1, at + np.uint64(1))
    d = philox.block(keys.strike0, keys.strike1, at + np.uint64(2))
    c = out.campaign[i]
    kind = campaigns.kind[c]
    low, high = campaigns.victim_start[c], campaigns.victim_start[c + 1]
    account = campaigns.victim[low + below(a[0], high - low)]
    if (a[1] >> np.uint64(1)) < habits_.collateral:
        other = _neighbour(account, world, habits_, a[2], a[3])
        if other >= 0:
            account = other
            out.collateral[i] = 1
    party = world.account_owner[account]
    device = device_of(world, party, habits_.device_use, b[0])
    if normal.unit(b[1]) < tactics.device_swap[kind]:
        kit = campaigns.kit_device[c, below(b[2], campaigns.kit_device.shape[1])]
        if kit >= 0:
            device = kit
            out.swapped[i] |= 1
    endpoint = endpoint_of(world, device, habits_.typical, d[0], d[1])
    if normal.unit(b[3]) < tactics.ip_swap[kind]:
        kit = campaigns.kit_endpoint[c, below(d[2], campaigns.kit_endpoint.shape[1])]
        if kit >= 0:
            endpoint = kit
            out.swapped[i] |= 2
    out.party[i] = party
    out.account[i] = account
    out.device[i] = device
    out.endpoint[i] = endpoint


@kernel
def _neighbour(account, world, habits_, draw, second):  # type: ignore[no-untyped-def]
    """Another payable account of the owner, else one of somebody who shares a device; −1."""
    party = world.account_owner[account]
    other = account_of(world, party, habits_.account_use, draw)
    if other != account:
        return other
    for e in range(world.device_start[party], world.device_start[party + 1]):
        owner = world.device_owner[world.party_device[e]]
        if owner >= 0 and owner != party:
            return account_of(world, owner, habits_.account_use, second)
    return -1
