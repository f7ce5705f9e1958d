"""Draws of every device: whether it is dormant, its links to spare, and its typical endpoint.

Twin of all kernels here: tests/reference/demand.py:_count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import ranks
from fraudworld.kernels.discrete import (
    category,
    guide,
    guided_category,
    negative_binomial,
    thresholds,
)
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, philox
from fraudworld.stages.network.demand_law import NONE, DemandLaw, DeviceDraws, may_join
from fraudworld.stages.network.places import Source, devices_of, parties_of

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


class CountLaw(NamedTuple):
    """Laws of a device's three draws; thresholds are u64, guides as in `kernels/discrete.py`."""

    dormant: U64  # thresholds of not dormant, dormant; (groups, 2)
    spare: U64  # thresholds of links beyond the typical one, (groups, counts)
    spare_guide: U8
    types: U64  # thresholds of the typical type, (owner types · groups, types)
    types_guide: U8


def count_law(pack: PolicyPack) -> CountLaw:
    """Dormant by the group's share; spare links negative binomial; typical types by the policy."""
    priors, rules = pack.ip_count_priors, pack.graph_linkage_rules
    groups, types = pack.codes("device_group"), pack.codes("ip_type")
    owners = (*pack.codes("party_type"), "MERCHANT")
    top = priors.max_ips_per_device
    dormant = np.zeros((len(groups), 2))
    counts = np.zeros((len(groups), top))
    legacy = pack.device_linkage_rules.legacy_device_groups
    for g, group in enumerate(groups):
        law = priors.device_ips[group]
        dormant_share = law.dormant_share
        if legacy and group not in ("COMPUTER_PORTABLE", "IOT_OTHER"):
            # The published baseline looks its other groups up under names that have no law.
            dormant_share = 1.0
        dormant[g] = 1.0 - dormant_share, dormant_share
        counts[g] = negative_binomial(law.mean - 1.0, priors.dispersion, top - 1)
    shares = np.zeros((len(owners), len(groups), len(types)))
    for o, owner in enumerate(owners):
        for g, group in enumerate(groups):
            mix = rules.typical_ip_shares.get(owner, {}).get(group, {types[0]: 1.0})
            for name, share in mix.items():
                shares[o, g, types.index(name)] = share
    spare, typical = thresholds(counts), thresholds(shares.reshape(-1, len(types)))
    return CountLaw(thresholds(dormant), spare, guide(spare), typical, guide(typical))


@kernel
def _draw_devices(first, devices, key, law, draws):  # type: ignore[no-untyped-def]
    """Three draws of every device: dormant or not, links to spare, type of the typical one.

    Parameters
    ----------
    first : int
        Number in the world of the piece's first device.
    devices : PieceDevices
    key : (uint64, uint64)
        Of the stream, which has width 3.
    law : CountLaw
    draws : DeviceDraws
        Filled.
    """
    group, owner_type, spare, typical = (
        devices.group, devices.owner_type, draws.spare, draws.typical
    )  # fmt: skip
    dormant, counts, count_guide, types, type_guide = (
        law.dormant, law.spare, law.spare_guide, law.types, law.types_guide
    )  # fmt: skip
    k0, k1 = key
    owners = types.shape[0] // dormant.shape[0]
    buffer = np.empty(3 * philox.MANY, dtype=np.uint64)
    for low in range(0, group.size, philox.MANY):
        n = min(philox.MANY, group.size - low)
        philox.fill(k0, k1, np.uint64(3 * (first + low)), buffer[: 3 * n])
        for j in range(n):
            i = low + j
            row = min(owner_type[i], owners - 1) * dormant.shape[0] + group[i]
            awake = category(buffer[3 * j], dormant, group[i]) == 0
            spare[i] = awake * guided_category(buffer[3 * j + 1], counts, count_guide, group[i])
            type_ = guided_category(buffer[3 * j + 2], types, type_guide, row)
            typical[i] = type_ if awake else NONE


class DrawSums(NamedTuple):
    """Sums over the draws of one piece."""

    links: I64  # (regions,)
    typical: I64  # typical endpoints, (regions, types)
    roaming: I64  # devices that may join lease 1 of their home, (regions,)
    parties: I64  # (regions,)
    prone_digits: I64  # parties by leading digit of `prone_rank`, (regions, ranks.DIGITS)


@kernel
def _sum_draws(devices, draws, rule, sums):  # type: ignore[no-untyped-def]
    """Adds the devices of a piece to `links`, `typical` and `roaming` of `sums`.

    devices, draws, rule, sums: PieceDevices, DeviceDraws, HomeRule, DrawSums.
    """
    region, group, owner_type = devices.region, devices.group, devices.owner_type
    spare, typical = draws.spare, draws.typical
    allowed, home_type, retail = rule.allowed, rule.home_type, rule.retail
    links, of_type, roaming = sums.links, sums.typical, sums.roaming
    for d in range(region.size):
        # Branch-free: a branch would mispredict.
        r, awake = region[d], typical[d] != NONE
        links[r] += awake * (spare[d] + 1)
        of_type[r, typical[d] if awake else 0] += awake
        roaming[r] += awake & may_join(
            owner_type[d] == retail, allowed[group[d]], typical[d] == home_type, spare[d]
        )


def draw(
    law: DemandLaw,
    stream: Stream,
    counts: CountLaw,
    first: int,
    party_first: int,
    source: Source,
) -> tuple[DeviceDraws, DrawSums]:
    """Task: draws of the devices of one piece, and their sums as summary."""
    devices = devices_of(source)
    draws = DeviceDraws(
        np.empty(devices.group.size, dtype=np.uint16), np.empty(devices.group.size, dtype=np.uint8)
    )
    _draw_devices(first, devices, stream.key, counts, draws)
    n_regions, n_types = law.regions, law.eligible.shape[1]
    shapes = (n_regions,), (n_regions, n_types), (n_regions,), (n_regions,)
    sums = DrawSums(
        *(np.zeros(shape, dtype=np.int64) for shape in (*shapes, (n_regions, ranks.DIGITS)))
    )
    _sum_draws(devices, draws, law.home, sums)
    parties, region = parties_of(source)
    sums.parties[region] += parties
    ranks.count(law.prone_rank.flat(party_first, parties), sums.prone_digits[region])
    return draws, sums
