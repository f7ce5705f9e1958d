"""6B.S3: victims and kits of campaigns.

Victims are drawn as ordinary customers are, by activity, and then accepted in proportion to their
risk: whether the party has a risky account or device, and the role of the account. The kit of a
campaign, devices and endpoints that replace those of its victims, comes from its country's graph.

Both are rejection samplings of at most TRIES candidates; the last one is taken.

Law: policy/campaigns_6B.v1.yaml. Twins: tests/reference/transactions/campaigns.py:Campaigns.victim,
kit_device, kit_endpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import Campaigns, Tactics
from fraudworld.layers.transactions.choices import account_of, below, weighted_index
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World
from fraudworld.rng import StreamUse, philox, registry

I64 = NDArray[np.int64]

TRIES = registry.VICTIMS.width // 3
"""Candidates of a rejection sampling: all of them are rejected less often than once in 1 000."""

LOW_BITS = np.uint64((1 << 24) - 1)


class KitWeights(NamedTuple):
    """Policy of kits: integer weights that multiply."""

    device_role: I64  # by raw device role
    shared_device: int  # of a device with several users
    ip_type: I64  # by endpoint type
    ip_role: I64  # by endpoint family
    on_risky_device: int  # of an endpoint, reached through a device that is not `normal_device`
    normal_device: int  # code of the raw role


def draw_targets(
    inputs: Inputs, world: World, tactics: Tactics, campaigns: Campaigns, awake: I64
) -> list[StreamUse]:
    """Draws victims and kits of the campaigns `awake` into `campaigns`; returns RNG evidence."""
    policy, seed = inputs.pack.campaigns, inputs.identity.seed
    kit, n, start = policy.kit, campaigns.kind.size, campaigns.victim_start
    victims = registry.VICTIMS.of(seed)
    devices = registry.KIT_DEVICES.of(seed)
    endpoints = registry.KIT_ENDPOINTS.of(seed)
    use = inputs.table("account_type", inputs.pack.attachment.account_use).astype(np.int64)
    _victims(*victims.key, awake, campaigns, tactics, use, policy.victims_abroad_share, world)
    weights = _kit_weights(inputs)
    _kit_devices(*devices.key, awake, weights, campaigns, world)
    _kit_endpoints(*endpoints.key, awake, weights, campaigns, world)
    drawn = int(np.diff(start)[awake].sum())
    return [
        victims.use("awake", 0, int(start[-1]), entities=drawn),
        devices.use("awake", 0, n * kit.devices, entities=awake.size * kit.devices),
        endpoints.use("awake", 0, n * kit.endpoints, entities=awake.size * kit.endpoints),
    ]


def _kit_weights(inputs: Inputs) -> KitWeights:
    kit = inputs.pack.campaigns.kit
    anonymiser = np.isin(inputs.codes("ip_type"), kit.anonymiser_types)
    families = inputs.codes("ip_family")
    ip_role = np.ones(len(families), dtype=np.int64)
    ip_role[families.index("HIGH_RISK_IP")] = kit.risky_endpoint_weight
    return KitWeights(
        device_role=inputs.table("device_raw_role", kit.device_roles).astype(np.int64),
        shared_device=kit.shared_device_weight,
        ip_type=np.where(anonymiser, kit.anonymiser_weight, 1),
        ip_role=ip_role,
        on_risky_device=kit.on_risky_device_weight,
        normal_device=inputs.raw_code("device", "NORMAL_DEVICE"),
    )


@inlined
def _draw(k0, k1, position):  # type: ignore[no-untyped-def]
    """Draw number `position` (u64) of the stream of key (k0, k1)."""
    return philox.lane_of(philox.block(k0, k1, position >> np.uint64(2)), position)


@kernel
def _victims(k0, k1, awake, campaigns, tactics, use, abroad, world):  # type: ignore[no-untyped-def]
    """Draws the victims of campaigns into `campaigns.victim`.

    Draws of a victim: three a try: the party, its account, and, at the first try only, whether
    the victim lives abroad.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream.
    awake : int64 (n,)
        Campaigns to draw for.
    campaigns, tactics, world : Campaigns, Tactics, World
    use : int64 (account types,)
        Weights of accounts.
    abroad : float
        Share of victims from all countries, where others are from the campaign's. Where nobody
        there can transact, all are.
    """
    parties = world.party_country.size
    for i in range(awake.size):
        c = awake[i]
        kind = campaigns.kind[c]
        country = campaigns.country[c]
        most = tactics.exposed_weight[kind] * tactics.account_factor[kind].max()
        for v in range(campaigns.victim_start[c], campaigns.victim_start[c + 1]):
            at = np.uint64(v * TRIES * 3)
            far = normal.unit(_draw(k0, k1, at + np.uint64(2))) < abroad
            low = 0 if far else world.country_party[country]
            high = parties if far else world.country_party[country + 1]
            if world.activity[high] == world.activity[low]:
                low, high = 0, parties
            for _ in range(TRIES):
                p = weighted_index(world.activity, low, high, _draw(k0, k1, at))
                if p < 0:
                    break
                draw = _draw(k0, k1, at + np.uint64(1))
                a = account_of(world, p, use, draw)
                campaigns.victim[v] = a
                weight = tactics.account_factor[kind, world.account_role[a]]
                if world.exposed[p]:
                    weight *= tactics.exposed_weight[kind]
                # Choosing among few accounts depends on the high bits of the draw only.
                if np.float64(draw & LOW_BITS) < weight / most * 16777216.0:
                    break
                at += np.uint64(3)


@kernel
def _kit_devices(k0, k1, awake, weights, campaigns, world):  # type: ignore[no-untyped-def]
    """Draws the devices of kits into `campaigns.kit_device`: owned devices of the country.

    k0, k1: Philox key (u64); draws of an item: two a try, the candidate and whether it is taken.
    awake: campaigns to draw for, int64 (n,); weights: KitWeights.
    """
    role_weight, shared_weight = weights.device_role, weights.shared_device
    size = campaigns.kit_device.shape[1]
    most = role_weight.max() * shared_weight
    for i in range(awake.size):
        c = awake[i]
        country = campaigns.country[c]
        low, high = world.country_device[country], world.country_device[country + 1]
        for s in range(size if high > low else 0):
            for t in range(TRIES):
                at = np.uint64(((c * size + s) * TRIES + t) * 2)
                lanes = philox.block(k0, k1, at >> np.uint64(2))
                d = low + below(philox.lane_of(lanes, at), high - low)
                campaigns.kit_device[c, s] = d
                weight = role_weight[world.device_role[d]]
                if world.device_shared[d]:
                    weight *= shared_weight
                if below(philox.lane_of(lanes, at + np.uint64(1)), most) < weight:
                    break


@kernel
def _kit_endpoints(k0, k1, awake, weights, campaigns, world):  # type: ignore[no-untyped-def]
    """Draws the endpoints of kits into `campaigns.kit_endpoint`.

    Candidates are links of owned devices of the country, so an endpoint is drawn in proportion to
    its links. Parameters as of `_kit_devices`.
    """
    type_weight, role_weight = weights.ip_type, weights.ip_role
    risky_weight, normal_device = weights.on_risky_device, weights.normal_device
    size = campaigns.kit_endpoint.shape[1]
    most = type_weight.max() * role_weight.max() * risky_weight
    for i in range(awake.size):
        c = awake[i]
        country = campaigns.country[c]
        low = world.endpoint_start[world.country_device[country]]
        high = world.endpoint_start[world.country_device[country + 1]]
        for s in range(size if high > low else 0):
            for t in range(TRIES):
                at = np.uint64(((c * size + s) * TRIES + t) * 2)
                lanes = philox.block(k0, k1, at >> np.uint64(2))
                edge = low + below(philox.lane_of(lanes, at), high - low)
                ip = world.device_endpoint[edge]
                campaigns.kit_endpoint[c, s] = ip
                weight = type_weight[world.ip_type[ip]] * role_weight[world.ip_role[ip]]
                device = np.searchsorted(world.endpoint_start, edge, side="right") - 1
                if world.device_role[device] != normal_device:
                    weight *= risky_weight
                if below(philox.lane_of(lanes, at + np.uint64(1)), most) < weight:
                    break
