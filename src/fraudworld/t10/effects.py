"""Does fraud follow risk? S1, S2, S1p, S2p, S7, S8, S9 of one arm; docs/witness.md defines them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.t10.estimators import (
    ArmRatio,
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
"""Share of linked endpoints that count as crowded: those with the most devices."""


@dataclass(frozen=True)
class Effects:
    """Rate ratios of one arm, without the flows whose cause is a posture rule."""

    account: ArmRatio  # S1: risky account
    device: ArmRatio  # S2: risky device
    account_owner: ArmRatio  # S1p: risky owner of the account
    device_owner: ArmRatio  # S2p: risky owner of the device
    crowded: ArmRatio  # S7: flows on crowded endpoints, bad over legitimate; all flows


def effects(sample: Sample) -> Effects:
    """Rate ratios within party type × region × amount decile, clustered by party.

    A posture rule labels a flow because of the role of its account or device, and an owner's
    risk raises those roles: its flows would show an effect by construction and are excluded.
    Device ratios are also clustered by device (S2), because an attack uses the same few devices on
    many victims. Ratios by owner are also clustered by the owner's unit (circle, home or firm),
    because its members have risk in common and are seen on the same endpoints.
    """
    flows, world = sample.flows, sample.world
    strata, counted = _strata(sample), ~sample.posture
    owner = np.where(flows.device >= 0, world.device_owner[flows.device], -1)
    holder = world.account_owner[flows.account]
    account, device = asset_ratios(sample)
    return Effects(
        account,
        device,
        _ratio(sample, counted, world.party.risky[holder], strata, world.unit[holder]),
        _ratio(sample, counted & (owner >= 0), world.party.risky[owner], strata, world.unit[owner]),
        crowded(sample),
    )


def asset_ratios(sample: Sample, *, within_tier: bool = False) -> tuple[ArmRatio, ArmRatio]:
    """S1 and S2: rate ratio of risky to clean accounts, and of risky to clean devices.

    within_tier: stratifies by the asset's risk tier too. Permuted roles keep the share of
    risky assets in every tier, so without this a permuted world shows the effect of tiers.
    """
    flows, world = sample.flows, sample.world
    strata, counted = _strata(sample), ~sample.posture
    ratios = []
    for roles, asset, cluster in (
        (world.account, flows.account, None),
        (world.device, flows.device, flows.device),
    ):
        cell = strata * 4 + roles.tier[asset] if within_tier else strata
        ratios.append(_ratio(sample, counted & (asset >= 0), roles.risky[asset], cell, cluster))
    return ratios[0], ratios[1]


def permuted_ratios(sample: Sample, times: int) -> tuple[Ratio, Ratio]:
    """S1 and S2 of the same flows under `times` permutations of the roles, within tiers.

    The interval of one permutation is too narrow: most of its error lies in which entities
    hold a role, which a few hundred events of heavy-tailed parties do not reveal. The spread
    between permutations does (docs/decisions/0007-controls-of-the-witness.md).
    """
    drawn = [asset_ratios(permuted(sample, draw), within_tier=True) for draw in range(times)]
    return mean_ratio([d[0] for d in drawn]), mean_ratio([d[1] for d in drawn])


def _ratio(
    sample: Sample, rows: Bools, exposed: Bools, strata: NDArray[np.int32],
    second_cluster: NDArray[np.int32] | None = None,
) -> ArmRatio:  # fmt: skip
    """Rate ratio over the flows in the mask `rows`, clustered by party."""
    flows = sample.flows
    return rate_ratio(
        flows.bad[rows], exposed[rows], strata[rows], flows.party[rows],
        sample.world.party_type.size,
        None if second_cluster is None else second_cluster[rows],
    )  # fmt: skip


def _strata(sample: Sample) -> NDArray[np.int32]:
    """Stratum of every flow: party type × region × amount decile."""
    world, flows = sample.world, sample.flows
    regions = int(world.region.max(initial=0)) + 1
    place = world.party_type.astype(np.int32) * regions + world.region
    return place[flows.party] * 10 + deciles(flows.cents)


def crowded(sample: Sample) -> ArmRatio:
    """S7: share of bad flows on crowded endpoints over that of legitimate flows."""
    flows, degree = sample.flows, sample.world.degrees["ip_devices"]
    top = top_degrees(degree)
    on_top = (flows.ip >= 0) & top[flows.ip]
    parties = sample.world.party_type.size
    return rate_ratio(on_top, flows.bad, np.zeros(sample.size, np.int8), flows.party, parties)


def top_degrees(degree: NDArray[np.int32]) -> Bools:
    """Flags the TOP_SHARE of linked endpoints with the most devices.

    Ties at the cut are broken by id, so that exactly the share is flagged.
    """
    linked = int(np.count_nonzero(degree))
    top = np.zeros(degree.size, np.bool_)
    top[np.argsort(-degree, kind="stable")[: round(TOP_SHARE * linked)]] = True
    return top


def endpoint_missing(sample: Sample) -> Share:
    """S8: AUC of "the flow has no endpoint" for fraud; 0.5 means no information."""
    flows = sample.flows
    return area(flows.ip < 0, flows.bad, flows.party)


def struck_again(sample: Sample) -> Share:
    """S9: share of the accounts with a bad visit that had two or more.

    Visits (`session_id`) are counted, not flows: two bad flows of one visit are one attack.
    """
    flows, world = sample.flows, sample.world
    visits = np.unique(
        np.stack([flows.account[flows.bad].astype(np.int64), flows.session[flows.bad]]), axis=1
    )
    account, hits = np.unique(visits[0], return_counts=True)
    return share(hits >= 2, world.account_owner[account])
