"""What the laws of device demand share: policy figures, and the draws of devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined
from fraudworld.policy.models import CircleLine
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry
from fraudworld.stages.network.places import PieceDevices

NONE = 255
"""Typical type of a dormant device."""

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
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
    row_class: U8  # class of rows of an owner's segment, NOBODY's for terminals; (256,)
    weights: F64  # of links by row (class · groups + group) and type; 0: not eligible
    home: HomeRule
    max_per_lease: int  # devices on one endpoint of a home
    circle_line: CircleLine
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
    row_class, weights = _rows(pack, eligible)
    home_type, proxy_type = types.index("RESIDENTIAL"), types.index("VPN_PROXY")
    return DemandLaw(
        regions=len(pack.codes("region")),
        eligible=eligible,
        row_class=row_class,
        weights=weights,
        home=HomeRule(
            eligible[:, home_type].copy(), home_type, pack.codes("party_type").index("RETAIL")
        ),
        max_per_lease=pack.ip_count_priors.homes.max_devices_per_lease,
        circle_line=pack.device_linkage_rules.circles.line,
        home_rank=registry.HOME_LEASE.of(seed),
        proxy_type=proxy_type,
        proxy_allowed=eligible[:, proxy_type].copy(),
        prone_rank=registry.PROXY_PRONE.of(seed),
    )


def _rows(pack: PolicyPack, eligible: Bools) -> tuple[U8, F64]:
    """Classes of segments with weights of their own, and weights by row and type.

    Class 0 is everybody whose weights are all 1, terminals included. eligible: (groups, types).
    """
    types, of_type = pack.codes("ip_type"), pack.graph_linkage_rules.segment_weights
    row_class, rows = np.zeros(256, dtype=np.uint8), [eligible.astype(np.float64)]
    for s, segment in enumerate(pack.codes("segment")):
        factor = np.array([of_type.get(t, {}).get(segment, 1.0) for t in types])
        if (factor != 1.0).any():
            row_class[s] = len(rows)
            rows.append(eligible * factor)
    return row_class, np.concatenate(rows)


def rows_of(law: DemandLaw, devices: PieceDevices) -> NDArray[np.uint16]:
    """Row of `DemandLaw.weights` of every device, (devices,)."""
    groups = np.uint16(law.eligible.shape[0])
    return law.row_class[devices.segment].astype(np.uint16) * groups + devices.group


@inlined
def may_join(retail, allowed, is_typical, spare):  # type: ignore[no-untyped-def]
    """Whether a device that is not dormant joins lease 1 of its home while the quota lasts."""
    return retail & allowed & (not is_typical) & (spare > 0)
