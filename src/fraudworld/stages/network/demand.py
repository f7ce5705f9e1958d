"""Links that devices ask for: how many endpoints a device is seen on, and of which type.

A device that is not dormant has one link to its typical endpoint, and further links to spare.
Per region the links of each type are an exact quota (largest remainder of `edge_shares` in the
policy `ip_count_priors_6A.v1`). It is filled in this order:

1. typical endpoints, by a draw of every device (`device_draws.py`);
2. home lines (`leases.py`);
3. proxies, for devices of a fixed share of the parties, at places a keyed permutation decides;
4. all other links, by an integer plan between rows (device groups, and segments that are seen
   elsewhere than others) and types (`stubs.py`).

A link that has a type but no endpoint yet is a *stub*. Twin: tests/reference/demand.py:make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.errors import InputError
from fraudworld.jit import kernel
from fraudworld.kernels import permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, registry
from fraudworld.stages.network.demand_law import DemandLaw, DeviceDraws, demand_law, rows_of
from fraudworld.stages.network.device_draws import DrawSums, count_law, draw
from fraudworld.stages.network.leases import Leases, PronePlan, lease_homes
from fraudworld.stages.network.places import Pieces, Source, devices_of, parties_of
from fraudworld.stages.network.stubs import (
    PieceDemand,
    ProxySplit,
    StubSizes,
    count_spare,
    type_plan,
    typed_stubs,
)
from fraudworld.stages.pieces import Circles

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Demand:
    """Links that all devices ask for."""

    items: Sequence[Item[PieceDemand]]  # per piece
    sizes: Sequence[StubSizes]  # per piece
    quotas: I64  # links planned, (regions, types)
    rng: tuple[StreamUse, ...]


def device_demand(
    pack: PolicyPack,
    seed: int,
    pieces: Pieces,
    circles: Circles,
    countries: int,
    engine: Engine,
) -> Demand:
    """Draws endpoints per device and fills the regional quotas exactly.

    Raises InputError `6A.S4.IP_TARGETS_INCONSISTENT` where a region has no edge shares and
    the policy does not allow another region's.
    """
    law, n_regions = demand_law(pack, seed), len(pack.codes("region"))
    counts, proxy_keys, type_keys = (
        stream.of(seed)
        for stream in (registry.IP_COUNT, registry.PROXY_PLACE, registry.IP_TYPE_PLACE)
    )
    draws, summaries = engine.run(
        partial(draw, law, counts, count_law(pack)),
        pieces.first[:-1].tolist(), pieces.party_first[:-1].tolist(), pieces.sources,
    )  # fmt: skip
    # By piece: every field has one more axis, in front.
    sums = DrawSums(*(np.stack(column) for column in zip(*summaries, strict=True)))
    quotas = np.stack(
        [
            largest_remainder(int(links), shares)
            for links, shares in zip(sums.links.sum(axis=0), edge_shares(pack), strict=True)
        ]
    )
    left = quotas - sums.typical.sum(axis=0)

    prone_share = pack.graph_linkage_rules.prone_party_share
    prone_quota = np.floor(sums.parties.sum(axis=0) * prone_share + 0.5).astype(np.int64)
    prone = PronePlan(sums.prone_digits.sum(axis=0), prone_quota)
    leased, stubs = lease_homes(law, pieces, draws, sums.roaming, left, prone, engine)

    total, keys = stubs.sum(axis=0), proxy_keys.draws(0, n_regions)
    quota = np.maximum(left[:, law.proxy_type], 0)
    split, placed = engine.run(
        partial(_proxies, law, total, quota, keys),
        pieces.sources, draws, leased, np.cumsum(stubs, axis=0) - stubs,
    )  # fmt: skip
    left[:, law.proxy_type] -= np.sum([s.proxies for s in placed], axis=0)

    spare = np.stack([s.spare for s in placed])
    plan = type_plan(law, type_keys, spare.sum(axis=0), left)
    items, sizes = engine.run(
        partial(typed_stubs, law, plan, countries),
        pieces.sources, draws, leased, split, np.cumsum(spare, axis=0) - spare,
        [*circles.items, None],
    )  # fmt: skip
    uses = (
        counts.use("world", 0, int(pieces.first[-1])),
        law.home_rank.use("world", 0, int(pieces.home_first[-1])),
        law.prone_rank.use("world", 0, int(pieces.party_first[-1])),
        proxy_keys.use("regions", 0, n_regions),
        type_keys.use("cells", 0, n_regions * len(law.weights)),
    )
    return Demand(items, sizes, quotas, uses)


def edge_shares(pack: PolicyPack) -> NDArray[np.float64]:
    """Share of device–IP links per region and type, (regions, types); rows sum to one."""
    priors = pack.ip_count_priors
    types, regions = pack.codes("ip_type"), pack.codes("region")
    rows = []
    for region in regions:
        mix = priors.edge_shares.get(region)
        if not mix:
            if priors.missing_region_mix == "abort" or not priors.edge_shares:
                raise InputError(
                    "6A.S4.IP_TARGETS_INCONSISTENT",
                    f"no IP type mix for {region}",
                    where="ip_count_priors_6A.v1.yaml: edge_shares",
                    remedy=f"add edge_shares.{region}; no other region's mix is taken instead",
                )
            mix = priors.edge_shares[sorted(priors.edge_shares)[0]]
        rows.append([mix.get(t, 0.0) for t in types])
    return np.array(rows)


@kernel
def _place_proxies(devices, allowed, prone, place, quota, split, placed):  # type: ignore[no-untyped-def]
    """Turns spare links whose place is below the region's quota into proxy links.

    Parameters
    ----------
    devices : PieceDevices
    allowed : bool (groups,)
        Groups that may use proxies.
    prone : bool (parties,)
        Parties that do.
    place : int64 (stubs,)
        Of every spare link of such devices, in order of device.
    quota : int64 (regions,)
    split : ProxySplit
        Updated.
    placed : int64 (regions,)
        Grows by the proxy links.
    """
    owner, group, region = devices.owner, devices.group, devices.region
    spare, proxy = split.spare, split.proxy
    at = 0
    for d in range(owner.size):
        for _ in range(spare[d] * (allowed[group[d]] & prone[owner[d]])):
            proxy[d] += place[at] < quota[region[d]]
            at += 1
        spare[d] -= proxy[d]
        placed[region[d]] += proxy[d]


class _ProxySums(NamedTuple):
    """Sums over the links of one piece after proxies are placed."""

    spare: I64  # links without a type yet, (regions, rows)
    proxies: I64  # (regions,)


def _proxies(
    law: DemandLaw,
    total: I64,
    quota: I64,
    keys: U64,
    source: Source,
    draws: DeviceDraws,
    leased: Leases,
    before: I64,
) -> tuple[ProxySplit, _ProxySums]:
    """Task: proxy links of one piece.

    total, before: spare links that may become proxy links, of all pieces and of earlier ones;
    quota: how many do; all (regions,). keys: of the permutations, (regions, permute.ROUNDS).
    """
    devices = devices_of(source)
    split = ProxySplit(leased.spare.copy(), np.zeros(leased.spare.size, dtype=np.uint16))
    placed = np.zeros(law.regions, dtype=np.int64)
    if leased.stubs:
        _, region = parties_of(source)
        place = permute.permuted(
            int(before[region]), leased.stubs, int(total[region]), keys[region]
        )
        _place_proxies(devices, law.proxy_allowed, leased.prone, place, quota, split, placed)
    counts = np.zeros((law.regions, len(law.weights)), dtype=np.int64)
    count_spare(devices.region, rows_of(law, devices), draws.typical, split.spare, counts)
    return split, _ProxySums(counts, placed)
