"""Plain twin of `stages/parties` (S1): country, type, segment, home and firm of every party."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels import gamma, normal
from fraudworld.kernels.apportion import bounded, controlled, fit, largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference.draws import ROUNDS, Draws, below, category, deviate, quota_category

ATOM = 1024
"""Homes and firms are formed among so many consecutive parties of one country."""

Row = dict[str, Any]


@dataclass
class Party:
    """A customer; `household` and `firm` are numbers in the world or None."""

    type: str
    segment: str
    country: int  # position in the geography
    region: str
    household: int | None = None
    firm: int | None = None


def make(pack: PolicyPack, seed: int, geo: Geography) -> list[Party]:
    """Every party, country by country.

    Segments of a country get exactly their planned numbers, at places of a keyed permutation.
    """
    keys = Draws(seed, "s1/segment_place", "party_attribute_sampling", ROUNDS)
    regions, segments = pack.codes("region"), pack.codes("segment")
    parties = []
    for country, counts in enumerate(plan(pack, seed, geo).tolist()):
        for i in range(sum(counts)):
            segment = segments[quota_category(i, keys.all_of(country), counts)]
            party_type = pack.party_taxonomy.segments[segment]
            parties.append(Party(party_type, segment, country, regions[geo.region[country]]))
    rule = pack.population_priors.households
    if rule.composition == "by_kind":
        homes = _homes_by_kind(pack, seed, parties)
    else:
        homes = _units(parties, seed, "RETAIL", rule.size_shares)
    for unit, members in enumerate(homes):
        for p in members:
            parties[p].household = unit
    firms = _units(parties, seed, "BUSINESS", rule.business_group_size_shares)
    for unit, members in enumerate(firms):
        for p in members:
            parties[p].firm = unit
    return parties


def _units(
    parties: list[Party], seed: int, party_type: str, size_shares: tuple[float, ...]
) -> list[list[int]]:
    """Homes (retail) or firms (business): the members of every atom, shuffled and cut."""
    label = "s1/household" if party_type == "RETAIL" else "s1/business_group"
    draws = Draws(seed, label, "party_attribute_sampling", 2)
    units = []
    for atom in atoms(parties):
        in_atom = [p for p in atom if parties[p].type == party_type]
        units += _cut(shuffled(in_atom, draws), draws, size_shares)
    return units


def shuffled(members: list[int], draws: Draws) -> list[int]:
    """Fisher–Yates from the last member down.

    Who stands at position k swaps with a position ≤ k, by the draw of who stood at k at first.
    """
    out = list(members)
    for k in range(len(out) - 1, 0, -1):
        j = below(draws(members[k], 0), k + 1)
        out[k], out[j] = out[j], out[k]
    return out


def _cut(members: list[int], draws: Draws, size_shares: tuple[float, ...]) -> list[list[int]]:
    """The next member draws the size of a unit, which takes the following members."""
    units, remaining = [], iter(members)
    for p in remaining:
        size = 1 + category(draws(p, 1), size_shares)
        units.append([p, *islice(remaining, size - 1)])
    return units


def _homes_by_kind(pack: PolicyPack, seed: int, parties: list[Party]) -> list[list[int]]:
    """Homes of retail parties, in order of their first party.

    Every party draws its place, head or dependant in a kind of home. Heads of a kind are cut into
    homes: first those who look for their own segment, segment by segment, then all others. A
    dependant draws a home of its kind; if that is full, the next one with room takes it; if there
    is none, it lives alone.
    """
    rule, segments = pack.population_priors.households, pack.codes("segment")
    draws = Draws(seed, "s1/household", "party_attribute_sampling", 2)
    places = Draws(seed, "s1/household_place", "party_attribute_sampling", 2)
    kinds = sorted(rule.kinds)
    homes: list[list[int]] = []
    for atom in atoms(parties):
        heads: dict[str, list[tuple[int, int]]] = {kind: [] for kind in kinds}
        dependants: dict[str, list[int]] = {kind: [] for kind in kinds}
        for p in shuffled([p for p in atom if parties[p].type == "RETAIL"], draws):
            living = rule.living[parties[p].region][parties[p].segment]
            shares = [living.heads.get(k, 0.0) for k in kinds]
            shares += [living.dependants.get(k, 0.0) for k in kinds]
            role, kind = divmod(category(places(p, 0), tuple(shares)), len(kinds))
            name = kinds[kind]
            if role:
                dependants[name].append(p)
                continue
            alike = rule.kinds[name].same_segment
            anyone = category(places(p, 1), (alike, 1.0 - alike))
            group = len(segments) if anyone else segments.index(parties[p].segment)
            heads[name].append((group, p))
        in_atom: list[list[int]] = []
        for kind in kinds:
            ordered = [p for _, p in sorted(heads[kind], key=lambda member: member[0])]
            of_kind = _cut(ordered, draws, rule.kinds[kind].heads)
            for p in dependants[kind]:
                drawn = below(draws(p, 1), len(of_kind))
                around = of_kind[drawn:] + of_kind[:drawn]
                room = (home for home in around if len(home) < rule.max_members)
                home = next(room, None)
                if home is None:
                    in_atom.append([p])
                else:
                    home.append(p)
            in_atom += of_kind
        homes += sorted(in_atom, key=min)
    return homes


def atoms(parties: list[Party]) -> list[list[int]]:
    """Atoms: up to 1 024 consecutive parties of one country."""
    size = Counter(party.country for party in parties)
    out, start = [], 0
    for country in sorted(size):
        end = start + size[country]
        out += [list(range(low, min(low + ATOM, end))) for low in range(start, end, ATOM)]
        start = end
    return out


def plan(pack: PolicyPack, seed: int, geo: Geography) -> NDArray[np.int64]:
    """Parties per (country, segment): the world's size, split over regions, then countries.

    Weights are (outlets + offset)^e · (arrivals + offset)^f; no country below its floor.
    """
    priors = pack.population_priors
    law, rule = priors.country_weight, priors.country_floor
    weight = np.array(
        [
            (outlets + law.outlet_offset) ** law.outlet_exponent
            * (arrivals + law.arrival_offset) ** law.arrival_exponent
            for outlets, arrivals in zip(
                geo.outlets.tolist(), geo.weekly_arrivals.tolist(), strict=True
            )
        ]
    )
    floor = max(round(rule.parties_at_authority * geo.profile_scale), rule.minimum)
    regions = range(len(pack.codes("region")))
    inside = [np.flatnonzero(geo.region == r) for r in regions]
    per_region = bounded(
        _world_size(pack, seed, geo),
        [weight[i].sum() for i in inside],
        [floor * i.size for i in inside],
    )
    tilts = _tilts(pack, seed, len(geo.countries))
    out = np.zeros(tilts.shape, dtype=np.int64)
    for r in regions:
        if per_region[r]:
            parties = bounded(int(per_region[r]), weight[inside[r]], floor)
            out[inside[r]] = _region_plan(pack, seed, r, parties, tilts[inside[r]])
    return out


def _world_size(pack: PolicyPack, seed: int, geo: Geography) -> int:
    """Weekly arrivals / (arrivals per active party · active share), times a log-normal scale."""
    priors = pack.population_priors
    law = priors.scale_draw
    z = deviate(Draws(seed, "s1/world_scale", "party_count_realisation")(0))
    scale = min(max(normal.exp(law.sigma * z), law.low), law.high)
    active = priors.arrivals_per_active_party * priors.active_share
    return round(float(geo.weekly_arrivals.sum()) / active * scale)


def _tilts(pack: PolicyPack, seed: int, countries: int) -> NDArray[np.float64]:
    """Factor of every (country, segment): exp(clip(σ · z, ±clip)); 1 if modulation is off."""
    rule, segments = pack.segmentation_priors.country_modulation, len(pack.codes("segment"))
    draws = Draws(seed, "s1/country_tilt", "party_count_realisation", segments)
    if not rule.enabled:
        return np.ones((countries, segments))

    def tilt(country: int, segment: int) -> float:
        z = rule.sigma * deviate(draws(country, segment))
        return normal.exp(min(max(z, -rule.clip), rule.clip))

    return np.array([[tilt(c, s) for s in range(segments)] for c in range(countries)])


def _region_plan(
    pack: PolicyPack,
    seed: int,
    region: int,
    parties: NDArray[np.int64],
    tilts: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Parties per (country, segment) of one region.

    Its types are exact shares, its segments too, or shares that a seed draws around them.
    """
    types, segments, name = (
        pack.codes("party_type"), pack.codes("segment"), pack.codes("region")[region],
    )  # fmt: skip
    mix, scatter = (
        pack.population_priors.party_type_mix[name],
        pack.segmentation_priors.seed_overdispersion,
    )
    draws = Draws(seed, "s1/segment_totals", "party_count_realisation", gamma.WIDTH)
    by_type = largest_remainder(int(parties.sum()), [mix[t] for t in types])
    by_country = controlled(np.outer(parties, by_type) / parties.sum(), parties, by_type)
    out = np.zeros(tilts.shape, dtype=np.int64)
    for t, party_type in enumerate(types):
        inside = [s for s, code in enumerate(segments) if _type_of(pack, code) == party_type]
        shares = pack.segmentation_priors.segment_mix[name][party_type]
        tries = [draws.all_of(region * len(segments) + s) for s in inside]
        drawn = gamma.scattered(
            int(by_type[t]), [shares[segments[s]] for s in inside], scatter,
            np.array(tries, dtype=np.uint64),
        )  # fmt: skip
        columns = largest_remainder(int(by_type[t]), drawn)
        rows = by_country[:, t]
        out[:, inside] = controlled(_tilted(pack, rows, columns, tilts[:, inside]), rows, columns)
    return out


def _type_of(pack: PolicyPack, segment: str) -> str:
    return pack.party_taxonomy.segments[segment]


def _tilted(
    pack: PolicyPack,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    tilts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected counts under the tilts, with the region's margins.

    The tilt of a country further than 0.9 · max_tv from its region shrinks by a fifth, and the
    table is fitted again, at most fifty times.
    """
    limit = 0.9 * pack.segmentation_priors.country_modulation.max_tv
    base = columns / max(columns.sum(), 1)
    strength = np.ones(rows.size)
    for _ in range(50):
        expected = fit(np.outer(rows, base) * (1 + strength[:, None] * (tilts - 1)), rows, columns)
        away = 0.5 * np.abs(expected / np.maximum(rows, 1)[:, None] - base).sum(axis=1)
        beyond = (away > limit) & (rows > 0)
        if not beyond.any():
            break
        strength[beyond] *= 0.8
    return expected


def party_base(geo: Geography, parties: list[Party]) -> list[Row]:
    """`s1_party_base_6A`: one row a party."""
    return [
        {
            "party_id": number,
            "party_type": party.type,
            "segment_id": party.segment,
            "region_id": party.region,
            "country_iso": geo.countries[party.country],
            "household_id": None if party.household is None else party.household + 1,
            "business_group_id": None if party.firm is None else party.firm + 1,
        }
        for number, party in enumerate(parties, 1)
    ]


def party_summary(geo: Geography, parties: list[Party]) -> list[Row]:
    """`s1_party_summary_6A`: parties per country and segment that has any."""
    cells = Counter((p.country, p.segment, p.type, p.region) for p in parties)
    return [
        {
            "country_iso": geo.countries[country],
            "region_id": region,
            "party_type": party_type,
            "segment_id": segment,
            "party_count": cells[country, segment, party_type, region],
        }
        for country, segment, party_type, region in sorted(cells)
    ]
