"""What the laws of device demand share: policy figures, and the draws of devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry

NONE = 255
"""Typical type of a dormant device."""

Bools = NDArray[np.bool_]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]


class HomeRule(NamedTuple):
    """Which devices may be seen on an endpoint of their home."""

    allowed: Bools  # whether devices of a group may, (groups,)
    home_type: int  # endpoint type of homes
    retail: int  # party type whose devices may be on two leases


@dataclass(frozen=True)
class DemandLaw:
    """The laws of what devices ask for, as every piece needs them."""

    regions: int
    eligible: Bools  # whether devices of a group may use a type, (groups, types)
    home: HomeRule
    max_per_lease: int  # devices on one endpoint of a home
    home_rank: Stream  # rank of a home for second leases
    proxy_type: int  # endpoint type of proxies
    proxy_allowed: Bools  # whether devices of a group may use it, (groups,)
    prone_rank: Stream  # rank of a party among those that use proxies


class DeviceDraws(NamedTuple):
    """Draws of the devices of a piece; all (devices,)."""

    spare: U16  # links beyond the typical one
    typical: U8  # endpoint type of the typical one; NONE for a dormant device


def demand_law(pack: PolicyPack, seed: int) -> DemandLaw:
    """The law of one policy and seed."""
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    eligible = np.zeros((len(groups), len(types)), dtype=np.bool_)
    for group, names in pack.graph_linkage_rules.eligible_ip_types.items():
        eligible[groups.index(group), [types.index(t) for t in names]] = True
    home_type, proxy_type = types.index("RESIDENTIAL"), types.index("VPN_PROXY")
    return DemandLaw(
        regions=len(pack.codes("region")),
        eligible=eligible,
        home=HomeRule(
            eligible[:, home_type].copy(), home_type, pack.codes("party_type").index("RETAIL")
        ),
        max_per_lease=pack.ip_count_priors.homes.max_devices_per_lease,
        home_rank=registry.HOME_LEASE.of(seed),
        proxy_type=proxy_type,
        proxy_allowed=eligible[:, proxy_type].copy(),
        prone_rank=registry.PROXY_PRONE.of(seed),
    )


@inlined
def may_join(retail, allowed, is_typical, spare):  # type: ignore[no-untyped-def]
    """Whether a device that is not dormant joins lease 1 of its home while the quota lasts."""
    return retail & allowed & (not is_typical) & (spare > 0)
