"""The size of a world, estimated from policy and upstream before any of it is made."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np

from fraudworld.errors import InputError
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts, devices, endpoints
from fraudworld.request import (
    LEAST_DISK_PER_PARTY,
    LEAST_MEMORY,
    LEAST_MEMORY_PER_PARTY,
    MOST_ENTITIES,
)
from fraudworld.stages.parties.plan import (
    country_floor,
    country_weights,
    planned_parties,
    too_small,
)


def require_memory(parties: float, engine: str) -> None:
    """Raises InputError `6A.S0.WORLD_TOO_LARGE` where this machine's memory surely is too small.

    Workers of a cluster have memory of their own, which is not looked at.
    """
    if engine == "local":
        here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        least = LEAST_MEMORY + LEAST_MEMORY_PER_PARTY * parties
        _require_room(parties, "memory", least, here, "in this machine")


def require_disk(pack: PolicyPack, seed: int, geo: Geography, runs_root: Path) -> None:
    """Raises InputError `6A.S0.WORLD_TOO_LARGE` where the world does not fit below its root."""
    place = runs_root
    while not place.exists():
        place = place.parent
    parties = planned_parties(pack, seed, geo)
    free = shutil.disk_usage(place).free
    _require_room(parties, "disk", LEAST_DISK_PER_PARTY * parties, free, f"below {place}")


def _require_room(parties: float, what: str, needed: float, here: int, where: str) -> None:
    if needed > here:
        raise InputError(
            "6A.S0.WORLD_TOO_LARGE",
            f"a world of about {parties:.3g} parties needs at least {needed / 1e9:.1f} GB of "
            f"{what}, and there are {here / 1e9:.1f} GB {where}",
            where="--scale",
            remedy=f"give a smaller --scale, or more {what}",
        )


def require_floors(pack: PolicyPack, seed: int, geo: Geography, scale: float | None) -> None:
    """Raises InputError `6A.S1.PARTY_TARGETS_INCONSISTENT` unless every country has its floor.

    scale: that of the embedded upstream, and the error names the smallest that would do; None for
    an upstream of the user's own, whose arrivals decide the size.
    """
    countries, floor = len(geo.countries), country_floor(pack, geo)
    planned = planned_parties(pack, seed, geo)
    if not 0.0 < planned < math.inf or round(planned) >= countries * floor:
        return
    # Parties grow with the scale, and so does the part of a floor that is not its minimum.
    factor = countries * floor / planned
    grown = pack.population_priors.country_floor.parties_at_authority * geo.profile_scale * factor
    if round(grown) > floor:
        remedy = "lower country_floor.parties_at_authority: a larger world has larger floors, too"
    elif scale is None:
        remedy = f"use an upstream with {_rounded_up(factor):g} times its weekly arrivals"
    else:
        remedy = f"give --scale {_rounded_up(scale * factor):g} or more with this policy and seed"
    raise too_small(floor, countries, round(planned), remedy)


def _rounded_up(value: float) -> float:
    """At least `value`, of four significant digits."""
    unit: float = 10.0 ** (math.floor(math.log10(value)) - 3)
    return round(math.ceil(value / unit) * unit, 12)


def require_size(pack: PolicyPack, seed: int, geo: Geography, merchants: Merchants) -> None:
    """Raises InputError `6A.S0.WORLD_TOO_LARGE` for more than `MOST_ENTITIES` of any entity.

    The pack is one that lint accepts.
    """
    expected = estimate(pack, seed, geo, merchants)
    worst = max(expected, key=lambda name: expected[name])
    # Negated, so that a number that is not one is refused, too.
    if not expected[worst] <= MOST_ENTITIES:
        raise InputError(
            "6A.S0.WORLD_TOO_LARGE",
            f"the world would have about {expected[worst]:.3g} {worst}, and can have at most "
            f"{MOST_ENTITIES:.3g}",
            where="population_priors_6A.v1.yaml, --scale and the upstream's weekly arrivals",
            remedy="lower --scale, raise arrivals_per_active_party or active_share, or lower the "
            f"policy's number of {worst} per party",
        )


def estimate(pack: PolicyPack, seed: int, geo: Geography, merchants: Merchants) -> dict[str, float]:
    """Expected parties, accounts, instruments, devices and endpoints of a world.

    Within 10 % of what stages make. A replayed baseline has fewer endpoints than estimated, as its
    degrees are unbounded and most of its device groups have no links.
    """
    parties = planned_parties(pack, seed, geo)
    if not parties <= MOST_ENTITIES:
        return {"parties": parties}
    by_region = _by_region(pack, geo, parties)
    accounts, instruments = _holdings(pack, by_region)
    owned = math.fsum(
        n * math.fsum(devices.device_numbers(pack, region).values())
        for region, n in by_region.items()
    )
    terminals = _terminals(pack, geo, merchants)
    return {
        "parties": parties,
        "accounts": accounts,
        "instruments": instruments,
        "devices": owned + terminals,
        "endpoints": _endpoints(pack, by_region, terminals / parties),
    }


def _by_region(pack: PolicyPack, geo: Geography, parties: float) -> dict[str, float]:
    """Region → parties: countries by weight, none below its floor."""
    weight = country_weights(pack, geo)
    country = np.maximum(parties * weight / weight.sum(), country_floor(pack, geo))
    country *= parties / country.sum()
    regions = pack.codes("region")
    of_region = np.bincount(geo.region, country, len(regions)).tolist()
    return {name: n for name, n in zip(regions, of_region, strict=True) if n}


def _holdings(pack: PolicyPack, by_region: dict[str, float]) -> tuple[float, float]:
    """Accounts and instruments; an instrument type has its plan, or its floors where more."""
    mix, owners = pack.instrument_mix_priors, pack.account_taxonomy.account_types
    of_segment = dict.fromkeys(pack.party_taxonomy.segments, 0.0)
    for region, n in by_region.items():
        for segment, share in counts.segments_of(pack, region).items():
            of_segment[segment] += n * share
    accounts = instruments = 0.0
    for product, owner in owners.items():
        n = math.fsum(
            of_segment[segment] * counts.account_lambda(pack, product, segment)
            for segment, party_type in pack.party_taxonomy.segments.items()
            if party_type == owner.party_type
        )
        floors = {} if mix.floor == "none" else mix.floors.get(product, {})
        per_account = math.fsum(
            max(mix.lambda_per_account[product] * share, floors.get(name, 0.0))
            for name, share in mix.shares[product].items()
        )
        accounts += n
        instruments += n * per_account
    return accounts, instruments


def _terminals(pack: PolicyPack, geo: Geography, merchants: Merchants) -> float:
    """Devices of merchants, none with more than its cap."""
    wanted = pack.device_count_priors.terminals_per_outlet * geo.profile_scale * merchants.outlets
    return float(np.minimum(wanted, pack.device_linkage_rules.max_devices_per_merchant).sum())


def _endpoints(pack: PolicyPack, by_region: dict[str, float], terminals: float) -> float:
    """Endpoints: links of a type over its mean degree. terminals: per party."""
    priors, types = pack.ip_count_priors, pack.device_taxonomy.device_types
    total = 0.0
    for region, n in by_region.items():
        degrees = endpoints.mean_degrees(pack, region)
        mixes = priors.edge_shares
        shares = mixes[region] if region in mixes else next(iter(mixes.values()))
        per_party = math.fsum(endpoints.edge_numbers(pack, region).values())
        for kind, share in pack.device_count_priors.terminal_mix.items():
            per_party += terminals * share * _links(pack, types[kind].group)
        total += n * per_party * math.fsum(s / degrees[t] for t, s in shares.items())
    return total


def _links(pack: PolicyPack, group: str) -> float:
    """Endpoints of a device of a group."""
    priors = pack.ip_count_priors
    law = priors.device_ips[group]
    numbers = endpoints.endpoint_numbers(law.mean, priors.dispersion, priors.max_ips_per_device)
    return (1.0 - law.dormant_share) * math.fsum(p * k for k, p in enumerate(numbers, start=1))
