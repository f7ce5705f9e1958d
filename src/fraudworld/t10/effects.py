"""Does fraud follow risk? S1, S2, S1p, S2p, S7, S8, S9 of one arm (page 5, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.t10.estimators import (
    Bools,
    Ratio,
    Share,
    area,
    deciles,
    mean_ratio,
    rate_ratio,
    share,
)
from fraudworld.t10.sample import Sample, permuted

TOP_SHARE = 0.01
"""Endpoints that count as crowded: the one per cent with the most devices."""


@dataclass(frozen=True)
class Effects:
    """Rate ratios of one arm, flows a posture rule caused removed."""

    account: Ratio  # S1: risky account
    device: Ratio  # S2: risky device
    account_owner: Ratio  # S1p: risky owner of the account
    device_owner: Ratio  # S2p: risky owner of the device
    crowded: Ratio  # S7: flows on crowded endpoints, bad over legitimate; all flows


def effects(sample: Sample) -> Effects:
    """Rate ratios within party type × region × amount decile, clustered by party.

    Posture reads the roles of accounts and devices, and an owner's risk raises those: its
    flows would make an effect out of a label's construction, and are left out. What goes by
    devices is clustered by device (S2) or its owner (S2p) as well: attacks carry a few from
    victim to victim.
    """
    flows, world = sample.flows, sample.world
    people, kept = _people(sample), ~sample.posture
    owner = np.where(flows.device >= 0, world.device_owner[flows.device], -1)
    account, device = asset_ratios(sample)
    return Effects(
        account,
        device,
        _ratio(sample, kept, world.party.risky[world.account_owner[flows.account]], people),
        _ratio(sample, kept & (owner >= 0), world.party.risky[owner], people, owner),
        crowded(sample),
    )


def asset_ratios(sample: Sample, *, within_tier: bool = False) -> tuple[Ratio, Ratio]:
    """S1 and S2: ratios of risky to clean accounts, and devices.

    within_tier: strata are cut by the asset's risk tier as well. Permuted roles keep each
    tier's share of risky assets, so without this a permuted world shows the effect of tiers
    (about 1.09 at the demo's scale).
    """
    flows, world = sample.flows, sample.world
    people, kept = _people(sample), ~sample.posture
    found = []
    for roles, at, also in (
        (world.account, flows.account, None),
        (world.device, flows.device, flows.device),
    ):
        strata = people * 4 + roles.tier[at] if within_tier else people
        found.append(_ratio(sample, kept & (at >= 0), roles.risky[at], strata, also))
    return found[0], found[1]


def permuted_ratios(sample: Sample, times: int) -> tuple[Ratio, Ratio]:
    """S1 and S2 of the same flows against roles dealt anew, `times` over, within tiers.

    One dealing's own interval is too narrow: its error is in who was dealt a role, and a few
    hundred events among heavy-tailed parties do not show it. The spread over dealings does.
    """
    drawn = [asset_ratios(permuted(sample, draw), within_tier=True) for draw in range(times)]
    return mean_ratio([d[0] for d in drawn]), mean_ratio([d[1] for d in drawn])


def _ratio(
    sample: Sample, on: Bools, exposed: Bools, strata: NDArray[np.int32],
    also: NDArray[np.int32] | None = None,
) -> Ratio:  # fmt: skip
    flows = sample.flows
    return rate_ratio(
        flows.bad[on], exposed[on], strata[on], flows.party[on], sample.world.party_type.size,
        None if also is None else also[on],
    )  # fmt: skip


def _people(sample: Sample) -> NDArray[np.int32]:
    """Stratum of every flow: party type × region × amount decile."""
    world, flows = sample.world, sample.flows
    regions = int(world.region.max(initial=0)) + 1
    place = world.party_type.astype(np.int32) * regions + world.region
    return place[flows.party] * 10 + deciles(flows.cents)


def crowded(sample: Sample) -> Ratio:
    """S7: chance that a bad flow comes from a crowded endpoint over that of a legitimate one.

    Crowded are the TOP_SHARE of endpoints with devices, ties at the border left out.
    """
    flows, degree = sample.flows, sample.world.degrees["ip_devices"]
    top = top_degrees(degree)
    on_top = (flows.ip >= 0) & top[flows.ip]
    parties = sample.world.party_type.size
    return rate_ratio(on_top, flows.bad, np.zeros(sample.size, np.int8), flows.party, parties)


def top_degrees(degree: NDArray[np.int32]) -> Bools:
    """The TOP_SHARE of endpoints with the most devices; of a tie at the border, the first."""
    linked = int(np.count_nonzero(degree))
    top = np.zeros(degree.size, np.bool_)
    top[np.argsort(-degree, kind="stable")[: round(TOP_SHARE * linked)]] = True
    return top


def endpoint_missing(sample: Sample) -> Share:
    """S8: AUC of "this flow shows no endpoint" for fraud; .5 where it tells nothing."""
    flows = sample.flows
    return area(flows.ip < 0, flows.bad, flows.party)


def struck_again(sample: Sample) -> Share:
    """S9: of the accounts with a bad visit, the share that had two or more.

    A hit is a visit (`session_id`): two flows of one visit are one strike.
    """
    flows, world = sample.flows, sample.world
    visits = np.unique(
        np.stack([flows.account[flows.bad].astype(np.int64), flows.session[flows.bad]]), axis=1
    )
    account, hits = np.unique(visits[0], return_counts=True)
    return share(hits >= 2, world.account_owner[account])
