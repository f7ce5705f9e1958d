"""Metrics N2 to N6 of one arm: is its stream sound? N1 is SQL over its files.

docs/witness.md defines the metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import CAMPAIGN_TYPES, CODES
from fraudworld.t10.estimators import Figure, Share, pooled_share, share, total_variation
from fraudworld.t10.sample import Sample

IN_CAMPAIGN = [CODES["cause"].index(word) for word in ("CAMPAIGN", "COLLATERAL")]


@dataclass(frozen=True)
class Soundness:
    """Figures that decide whether an arm can be compared with the others."""

    flows: int
    parties: int
    arrivals: str  # SHA-256 of times, merchants and channels, equal in all arms; "" if pooled
    prevalence: Share  # N2
    campaign_flows: dict[str, int]  # N3: flows by campaign type
    transacting: Figure  # N4: share of parties that can transact
    attached: Figure  # N4: share of flows whose account belongs to their party
    attachable_distance: Figure  # N5: total variation between parties that can transact and all
    cap_breaches: int  # N6: (party, product) pairs above their cap


def soundness(sample: Sample) -> Soundness:
    """Computes N2 to N6 of one arm."""
    flows, world = sample.flows, sample.world
    inside = np.isin(flows.cause, IN_CAMPAIGN)
    by_type = np.bincount(flows.subtype[inside], minlength=len(CODES["truth_subtype"]))
    known = (flows.party >= 0) & (flows.account >= 0)
    owned = known & (world.account_owner[flows.account] == flows.party)
    return Soundness(
        sample.size,
        world.party_type.size,
        _arrivals(sample),
        share(flows.bad, flows.party),
        {t: int(by_type[CODES["truth_subtype"].index(t)]) for t in CAMPAIGN_TYPES},
        float(world.attachable.mean()),
        float(owned.mean()),
        _distance(sample),
        cap_breaches(sample),
    )


def pooled_soundness(seeds: Sequence[Soundness]) -> Soundness:
    """Soundness over several seeds: counts are added, shares weighted by what they are of."""
    flows, parties = sum(s.flows for s in seeds), sum(s.parties for s in seeds)
    types = sorted({name for s in seeds for name in s.campaign_flows})
    return Soundness(
        flows,
        parties,
        "",
        pooled_share([s.prevalence for s in seeds]),
        {name: sum(s.campaign_flows.get(name, 0) for s in seeds) for name in types},
        sum(s.transacting * s.parties for s in seeds) / parties,
        sum(s.attached * s.flows for s in seeds) / flows,
        sum(s.attachable_distance * s.parties for s in seeds) / parties,
        sum(s.cap_breaches for s in seeds),
    )


def _arrivals(sample: Sample) -> str:
    digest = hashlib.sha256()
    for column in (sample.flows.ts, sample.flows.merchant, sample.flows.channel):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def _distance(sample: Sample) -> float:
    """N5: distance of the parties that can transact from all, over type × region × segment."""
    world = sample.world
    regions, segments = (len(sample.pack.codes(c)) for c in ("region", "segment"))
    cell = (world.party_type.astype(np.int64) * regions + world.region) * segments + world.segment
    everyone = np.bincount(cell)
    return total_variation(np.bincount(cell[world.attachable], minlength=everyone.size), everyone)


def cap_breaches(sample: Sample) -> int:
    """N6: (party, product) pairs above the cap of the product with at least one flow.

    A product without a rule has cap 0, so every account of it is a breach.
    """
    world, products = sample.world, sample.pack.codes("account_type")
    rules = sample.pack.account_per_party_priors.counts
    caps = np.array([rules[p].cap if p in rules else 0 for p in products], np.int64)
    pair = world.account_owner.astype(np.int64) * len(products) + world.account_type
    attached = np.zeros(pair.size, np.bool_)
    attached[sample.flows.account] = True
    over = _over(pair, caps, len(products))
    return int(np.unique(pair[over & attached]).size)


def _over(pair: NDArray[np.int64], caps: NDArray[np.int64], products: int) -> NDArray[np.bool_]:
    """Flags accounts whose (party, product) pair exceeds the product's cap."""
    held = np.bincount(pair)
    return np.asarray(held[pair] > caps[pair % products])
