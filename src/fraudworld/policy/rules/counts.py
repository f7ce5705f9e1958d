"""The count law of `kernels/capped`, evaluated on a fixed grid instead of by simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy import models as m
from fraudworld.policy.pack import PolicyPack

Reals = NDArray[np.float64]

_GRID = 2000
_NORMAL = NormalDist()


@lru_cache(maxsize=4096)
def coverage(mean: float, law: m.HurdleCount, correlation: float) -> float:
    """Share of entities that hold at least one, under the law of `kernels.capped`.

    mean: expected count over all entities; correlation: between hurdle and weight. Quotas are
    proportional to log-normal weights of the eligible, rounded by largest remainder, and the
    excess above the cap is handed to the free slots of the eligible.
    """
    open_share = 1.0 - law.zero_share
    if mean / open_share >= law.cap:
        return open_share
    counts, parts, hit = _eligible(mean / open_share, law, correlation)
    free = np.maximum(law.cap - counts, 0)
    held = np.where(counts >= 1, 1.0, 1.0 - (1.0 - hit) ** free)
    return open_share * float((held * parts).sum())


@lru_cache(maxsize=4096)
def held(mean: float, law: m.HurdleCount, correlation: float) -> tuple[float, ...]:
    """Share of entities that hold 0, 1, … cap; arguments and law as in `coverage`."""
    open_share = 1.0 - law.zero_share
    out = [0.0] * (law.cap + 1)
    out[0] = law.zero_share
    if mean / open_share >= law.cap:
        out[law.cap] += open_share
        return tuple(out)
    counts, parts, hit = _eligible(mean / open_share, law, correlation)
    for before in range(law.cap + 1):
        mass = open_share * float(parts[np.minimum(counts, law.cap) == before].sum())
        free = law.cap - before
        for more in range(free + 1):
            chance = math.comb(free, more) * hit**more * (1.0 - hit) ** (free - more)
            out[before + more] += mass * chance
    return tuple(out)


def _eligible(
    per_eligible: float, law: m.HurdleCount, correlation: float
) -> tuple[Reals, Reals, float]:
    """Counts of the eligible before the cap, the share of each, and how full free slots get."""
    z = np.array(_quantiles())
    mass = _selected(z, law.zero_share, correlation)
    weight = np.exp(law.sigma * z)
    quota = per_eligible * weight / float((weight * mass).sum())
    whole = np.floor(quota)
    extra = per_eligible - float((whole * mass).sum())  # share that gets one more
    order = np.argsort(-(quota - whole), kind="stable")
    before = np.cumsum(mass[order]) - mass[order]
    more = np.empty_like(quota)
    remainder = np.zeros_like(quota)  # 0 where no entity is eligible
    np.divide(extra - before, mass[order], out=remainder, where=mass[order] > 0.0)
    more[order] = np.clip(remainder, 0.0, 1.0)
    # Two states per grid point: without and with the extra one.
    counts = np.concatenate([whole, whole + 1])
    parts = np.concatenate([mass * (1 - more), mass * more])
    excess = float((np.maximum(counts - law.cap, 0) * parts).sum())
    slots = float((np.maximum(law.cap - counts, 0) * parts).sum())
    return counts, parts, min(excess / slots, 1.0) if slots > 0 else 0.0


@lru_cache(maxsize=1)
def _quantiles() -> tuple[float, ...]:
    return tuple(_NORMAL.inv_cdf((i + 0.5) / _GRID) for i in range(_GRID))


def _selected(z: Reals, zero_share: float, correlation: float) -> Reals:
    """Mass of each weight quantile among entities that pass the hurdle."""
    if zero_share == 0.0 or correlation == 0.0:
        return np.full(z.size, 1.0 / z.size)
    cut = _NORMAL.inv_cdf(zero_share)
    scale = math.sqrt(1.0 - correlation * correlation)
    above = (correlation * z - cut).tolist()
    mass = np.array([_NORMAL.cdf(v / scale) if scale > 0.0 else float(v > 0.0) for v in above])
    if mass.sum() == 0.0:  # fewer than one grid point passes: the last
        mass[-1] = 1.0
    return np.asarray(mass / mass.sum())


def tilted(
    base: float, weights: Mapping[str, float], profile: Mapping[str, float], clip: float
) -> float:
    """base · exp(clip(Σ weight · (score − 0.5), ±clip))."""
    tilt = math.fsum(w * (profile[score] - 0.5) for score, w in weights.items())
    return base * math.exp(min(max(tilt, -clip), clip))


def account_lambda(pack: PolicyPack, product: str, segment: str) -> float:
    """Accounts of `product` expected per party of `segment`."""
    mix = pack.product_mix_priors
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    weights = mix.tilt.weights.get(product, {})
    return tilted(mix.lambda_per_party[product], weights, profile, mix.tilt.clip)


def device_lambdas(pack: PolicyPack, segment: str) -> dict[str, float]:
    """Devices expected per party of `segment`, by device type."""
    priors = pack.device_count_priors
    owner = pack.party_taxonomy.segments[segment]
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    total = tilted(priors.lambda_per_party[owner], priors.tilt.weights, profile, priors.tilt.clip)
    mix = dict(priors.type_mix[owner])
    for score, weights in priors.type_tilt.items():
        for name in mix:
            mix[name] *= math.exp(weights.get(name, 0.0) * (profile[score] - 0.5))
    whole = math.fsum(mix.values())
    return {t: total * priors.density_multiplier * share / whole for t, share in mix.items()}


def segments_of(pack: PolicyPack, region: str, party_type: str | None = None) -> dict[str, float]:
    """Segment → share of the region's parties (of one type, if given)."""
    out = {}
    for owner, share in pack.population_priors.party_type_mix[region].items():
        if party_type is None or owner == party_type:
            for segment, part in pack.segmentation_priors.segment_mix[region][owner].items():
                out[segment] = part if party_type is not None else share * part
    return out
