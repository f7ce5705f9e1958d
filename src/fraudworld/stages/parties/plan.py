"""The population plan: integer counts of world, region, country, type and segment.

Type and segment counts are planned per region, so that a small country's mix is not noise: at
the policy's shares, or at shares that a seed draws around them. Countries differ from their
region only by bounded tilts that conserve the region's totals exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.inputs.arrays import Geography
from fraudworld.kernels import gamma, normal
from fraudworld.kernels.apportion import bounded, controlled, fit, largest_remainder
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, registry


@dataclass(frozen=True)
class PopulationPlan:
    """Parties per country and segment; segments carry their party type."""

    counts: NDArray[np.int64]  # shape (countries, segments)
    scale_draw: float
    rng: tuple[StreamUse, ...]


def plan_counts(pack: PolicyPack, seed: int, geo: Geography) -> PopulationPlan:
    """The population plan of one seed.

    World size = arrivals / (arrivals per active party · active share) × a clipped log-normal
    draw; countries get shares by outlets and arrivals, above a floor. Figures:
    population_priors_6A.v1.yaml. Raises InputError `6A.S1.PARTY_TARGETS_INCONSISTENT` where the
    floors of the countries exceed the world.
    """
    stream = registry.WORLD_SCALE.of(seed)
    scale_draw = _scale_draw(pack, stream)
    world = round(_expected_parties(pack, geo) * scale_draw)
    weight = country_weights(pack, geo)
    floor = country_floor(pack, geo)
    if floor * len(geo.countries) > world:
        raise too_small(
            floor, len(geo.countries), world, "generate a larger world, or lower country_floor"
        )
    n_regions = len(pack.codes("region"))
    region_weight = np.bincount(geo.region, weight, n_regions)
    region_floor = np.bincount(geo.region, minlength=n_regions) * floor
    per_region = bounded(world, region_weight, region_floor)

    totals = registry.SEGMENT_TOTALS.of(seed)
    tilts, tilt_use = _country_tilts(pack, seed, len(geo.countries))
    counts = np.zeros((len(geo.countries), len(pack.codes("segment"))), dtype=np.int64)
    for region in np.flatnonzero(per_region):
        inside = np.flatnonzero(geo.region == region)
        parties = bounded(int(per_region[region]), weight[inside], floor)
        draws = totals.draws(int(region) * counts.shape[1], counts.shape[1])
        counts[inside] = _region_counts(pack, int(region), parties, tilts[inside], draws)
    uses = (stream.use("world", 0, 1), *tilt_use)
    if pack.segmentation_priors.seed_overdispersion:
        uses += (totals.use("regions", 0, n_regions * counts.shape[1]),)
    return PopulationPlan(counts, scale_draw, uses)


def too_small(floor: int, countries: int, world: int, remedy: str) -> InputError:
    """The error for a world that cannot hold the floors of its countries."""
    return InputError(
        "6A.S1.PARTY_TARGETS_INCONSISTENT",
        f"{countries} countries of at least {floor} parties exceed a world of {world}",
        where="population_priors_6A.v1.yaml: country_floor",
        remedy=remedy,
    )


def planned_parties(pack: PolicyPack, seed: int, geo: Geography) -> float:
    """Parties of the world of a seed, not rounded; infinite where the policy divides by zero."""
    return _expected_parties(pack, geo) * _scale_draw(pack, registry.WORLD_SCALE.of(seed))


def country_weights(pack: PolicyPack, geo: Geography) -> NDArray[np.float64]:
    """Weight of every country by outlets and arrivals, (countries,)."""
    w = pack.population_priors.country_weight
    return np.array(
        [
            (o + w.outlet_offset) ** w.outlet_exponent
            * (a + w.arrival_offset) ** w.arrival_exponent
            for o, a in zip(geo.outlets.tolist(), geo.weekly_arrivals.tolist(), strict=True)
        ]
    )


def country_floor(pack: PolicyPack, geo: Geography) -> int:
    """Least parties of a country."""
    rule = pack.population_priors.country_floor
    return max(round(rule.parties_at_authority * geo.profile_scale), rule.minimum)


def _expected_parties(pack: PolicyPack, geo: Geography) -> float:
    """Parties before the seed's scale draw."""
    priors = pack.population_priors
    per_party = priors.arrivals_per_active_party * priors.active_share
    return float(geo.weekly_arrivals.sum()) / per_party if per_party else math.inf


def _scale_draw(pack: PolicyPack, stream: Stream) -> float:
    """The seed's factor on the size of the world."""
    draw = pack.population_priors.scale_draw
    z = normal.quantile(float(int(stream.flat(0, 1)[0]) >> 12) * 2.0**-52 + 2.0**-53)
    return min(max(float(normal.exp(draw.sigma * z)), draw.low), draw.high)


def _country_tilts(
    pack: PolicyPack, seed: int, n_countries: int
) -> tuple[NDArray[np.float64], tuple[StreamUse, ...]]:
    """Log-tilts, (countries, segments); zero where the policy switches modulation off."""
    rule = pack.segmentation_priors.country_modulation
    n_segments = len(pack.codes("segment"))
    stream = registry.COUNTRY_TILT.of(seed, width=n_segments)
    if not rule.enabled:
        return np.zeros((n_countries, n_segments)), ()
    draws = stream.draws(0, n_countries)
    z = np.vectorize(lambda d: normal.quantile(float(int(d) >> 12) * 2.0**-52 + 2.0**-53))(draws)
    tilts = np.clip(rule.sigma * z, -rule.clip, rule.clip)
    return tilts, (stream.use("countries", 0, n_countries),)


def _region_counts(
    pack: PolicyPack,
    region: int,
    parties: NDArray[np.int64],
    tilts: NDArray[np.float64],
    draws: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Parties of a region, (countries, segments), with exact row and column sums.

    Types have the policy's shares; segments of a type too, or shares that scatter around them.
    draws: (segments, gamma.WIDTH).
    """
    region_code = pack.codes("region")[region]
    types, segments = pack.codes("party_type"), pack.codes("segment")
    mix, scatter = (
        pack.population_priors.party_type_mix[region_code],
        pack.segmentation_priors.seed_overdispersion,
    )
    shares = np.array([mix[t] for t in types])
    by_type = largest_remainder(int(parties.sum()), shares)
    country_type = controlled(np.outer(parties, by_type) / parties.sum(), parties, by_type)
    counts = np.zeros((parties.size, len(segments)), dtype=np.int64)
    for t, party_type in enumerate(types):
        inside = [s for s, code in enumerate(segments) if _party_type(pack, code) == party_type]
        segment_mix = pack.segmentation_priors.segment_mix[region_code][party_type]
        share = np.array([segment_mix[segments[s]] for s in inside])
        drawn = gamma.scattered(int(by_type[t]), share, scatter, draws[inside])
        columns = largest_remainder(int(by_type[t]), drawn)
        rows = country_type[:, t]
        expected = _tilted(pack, rows, columns, tilts[:, inside])
        counts[:, inside] = controlled(expected, rows, columns)
    return counts


def _tilted(
    pack: PolicyPack,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    tilts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected counts under the tilts, fitted to both margins, no country beyond `max_tv`.

    `max_tv` bounds the total variation distance between a country's mix and its region's. A
    country beyond it has its tilt shrunk and the fit is repeated, since the margins couple the
    countries.
    """
    limit = pack.segmentation_priors.country_modulation.max_tv
    base = columns / max(columns.sum(), 1)
    strength = np.ones(rows.size)
    tilt = np.array([[normal.exp(v) for v in row] for row in tilts.tolist()]).reshape(tilts.shape)
    for _ in range(50):
        seed_matrix = rows[:, None] * base[None, :] * (1 + strength[:, None] * (tilt - 1))
        expected = fit(seed_matrix, rows, columns)
        mix = expected / np.maximum(rows, 1)[:, None]
        distance = 0.5 * np.abs(mix - base).sum(axis=1)
        # A tenth of room keeps the mix inside the bound after rounding to integers.
        beyond = (distance > 0.9 * limit) & (rows > 0)
        if not beyond.any():
            break
        strength[beyond] *= 0.8
    return expected


def _party_type(pack: PolicyPack, segment: str) -> str:
    return pack.party_taxonomy.segments[segment]
