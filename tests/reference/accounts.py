"""Plain twin of `stages/accounts` (S2): accounts of each product per party."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels import gamma, normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference.allocation import Common, Law, allocate
from reference.draws import Draws, deviate, nearest
from reference.parties import Party, Row

Cell = tuple[str | int, str]
"""Region (or the number of a country, where countries have rates of their own) and segment."""


@dataclass(frozen=True)
class Account:
    """One account; `owner` is a position in the list of parties."""

    owner: int
    type: str


def make(pack: PolicyPack, seed: int, geo: Geography, parties: list[Party]) -> list[Account]:
    """All accounts, in order of owner, then product."""
    held = {product: holdings(pack, seed, geo, product, parties) for product in products(pack)}
    return [
        Account(party, product)
        for party in range(len(parties))
        for product in products(pack)
        for _ in range(held[product].get(party, 0))
    ]


def products(pack: PolicyPack) -> tuple[str, ...]:
    """Account types, in published order."""
    return pack.codes("account_type")


def holdings(
    pack: PolicyPack, seed: int, geo: Geography, product: str, parties: list[Party]
) -> dict[int, int]:
    """Accounts of one product per party of its type.

    Cells are (region, segment), or (country, segment) with a share of holders of their own. All
    hurdle deviates of a party share one factor, all its weights another. Caps are not enforced
    where the policy only warns.
    """
    priors = pack.account_per_party_priors
    rule = priors.counts[product]
    party_type = pack.account_taxonomy.account_types[product].party_type
    cells: dict[Cell, list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        if party.type == party_type:
            cells[party.region, party.segment].append(p)
    plans, openness = plan(pack, seed, product, parties), dict[Cell, float]()
    if pack.product_mix_priors.country_rates.market == "country":
        plans, openness = over_countries(pack, geo, product, parties, plans)
        cells.clear()
        for p, party in enumerate(parties):
            if party.type == party_type:
                cells[party.country, party.segment].append(p)
    family = "account_allocation_sampling"
    law = Law(
        rule.zero_share,
        rule.sigma,
        Draws(seed, f"s2/account_allocation/{product}", family, 2),
        Draws(seed, f"s2/kmax_redistribution/{product}", family, rule.cap),
    )
    factor = Draws(seed, "s2/party_factor", "account_count_realisation", 2)
    common = Common(
        lambda p: deviate(factor(p, 0)),
        lambda p: deviate(factor(p, 1)),
        priors.party_factor_correlation,
    )
    return allocate(
        cells,
        plans,
        law,
        {p: rule.cap for members in cells.values() for p in members},
        common,
        capped=priors.constraints.cap_enforcement_mode == "hard_global_postmerge",
        openness=openness,
    )


def over_countries(
    pack: PolicyPack,
    geo: Geography,
    product: str,
    parties: list[Party],
    plans: dict[Cell, int],
) -> tuple[dict[Cell, int], dict[Cell, float]]:
    """Plans of regions split over their countries, and factors on the share that may hold.

    A country's weight is its parties times its factor; the factors of a cell's countries are
    divided by their mean over its parties.
    """
    factors = country_factors(pack, geo, product, parties)
    people = Counter((p.country, p.segment) for p in parties)
    split, openness = dict[Cell, int](), dict[Cell, float]()
    regions = pack.codes("region")
    for (region, segment), total in plans.items():
        inside = [
            c for c in range(len(geo.countries))
            if regions[geo.region[c]] == region and people[c, segment]
        ]  # fmt: skip
        if not inside:
            continue
        weights = [people[c, segment] * factors[c] for c in inside]
        mean = sum(weights) / sum(people[c, segment] for c in inside)
        for c, n in zip(inside, largest_remainder(total, weights), strict=True):
            split[c, segment], openness[c, segment] = int(n), factors[c] / mean
    return split, openness


def country_factors(
    pack: PolicyPack, geo: Geography, product: str, parties: list[Party]
) -> dict[int, float]:
    """Factor of every country: its card ownership over the region's geometric mean, dampened."""
    rule, regions = pack.product_mix_priors.country_rates, pack.codes("region")
    strength = rule.strength.get(product, 0.0)
    people, out = Counter(p.country for p in parties), dict[int, float]()
    for r, region in enumerate(regions):
        inside = [c for c in range(len(geo.countries)) if geo.region[c] == r]
        if not sum(people[c] for c in inside):
            continue
        ownership, typical = rule.card_ownership.countries, rule.card_ownership.regions[region]
        log = {c: normal.log(ownership.get(geo.countries[c], typical)) for c in inside}
        mean = sum(people[c] * log[c] for c in inside) / sum(people[c] for c in inside)
        for c in inside:
            away = min(max(strength * (log[c] - mean), -rule.clip), rule.clip)
            out[c] = normal.exp(away) if strength else 1.0
    return out


def plan(pack: PolicyPack, seed: int, product: str, parties: list[Party]) -> dict[Cell, int]:
    """Accounts of one product per cell: the world's total, split by largest remainder.

    The total is Σ parties · λ rounded; or, among all products of the party type, drawn around it.
    """
    cells = [(r, s) for r in pack.codes("region") for s in pack.codes("segment")]
    of = pack.account_taxonomy.account_types
    party_type = of[product].party_type
    own = [p for p in products(pack) if of[p].party_type == party_type]
    population = Counter((p.region, p.segment) for p in parties)
    expected = {
        p: np.array(
            [
                population[r, s] * (mean(pack, p, s) if _type_of(pack, s) == party_type else 0.0)
                for r, s in cells
            ]
        )
        for p in own
    }
    totals = {p: nearest(expected[p].sum()) for p in own}
    whole = sum(totals.values())
    if (scatter := pack.product_mix_priors.seed_overdispersion) and whole:
        draws = Draws(seed, "s2/product_totals", "account_count_realisation", gamma.WIDTH)
        tries = [draws.all_of(products(pack).index(p)) for p in own]
        weights = gamma.scattered(
            whole, [expected[p].sum() for p in own], scatter, np.array(tries, dtype=np.uint64)
        )
        totals = dict(zip(own, largest_remainder(whole, weights).tolist(), strict=True))
    counts = largest_remainder(totals[product], expected[product])
    return dict(zip(cells, counts.tolist(), strict=True))


def _type_of(pack: PolicyPack, segment: str) -> str:
    return pack.party_taxonomy.segments[segment]


def mean(pack: PolicyPack, product: str, segment: str) -> float:
    """λ = λ0 · exp(clip(Σ weight · (score − ½)))."""
    law = pack.product_mix_priors
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    weights = law.tilt.weights.get(product, {})
    tilt = sum(w * (profile[score] - 0.5) for score, w in weights.items())
    return law.lambda_per_party[product] * normal.exp(min(max(tilt, -law.tilt.clip), law.tilt.clip))


def account_base(geo: Geography, parties: list[Party], accounts: list[Account]) -> list[Row]:
    """`s2_account_base_6A`: one row an account."""
    rows: list[Row] = []
    for number, account in enumerate(accounts, 1):
        owner = parties[account.owner]
        rows.append(
            {
                "account_id": number,
                "owner_party_id": account.owner + 1,
                "account_type": account.type,
                "party_type": owner.type,
                "segment_id": owner.segment,
                "region_id": owner.region,
                "country_iso": geo.countries[owner.country],
                "currency": geo.currencies[geo.currency[owner.country]],
            }
        )
    return rows


def product_holdings(accounts: list[Account]) -> list[Row]:
    """`s2_party_product_holdings_6A`: accounts per party and product it holds any of."""
    held = Counter((a.owner, a.type) for a in accounts)
    return [
        {
            "owner_party_id": owner + 1,
            "account_type": account_type,
            "account_count": held[owner, account_type],
        }
        for owner, account_type in sorted(held)
    ]


def account_summary(
    pack: PolicyPack, geo: Geography, parties: list[Party], accounts: list[Account]
) -> list[Row]:
    """`s2_account_summary_6A`: accounts per country and product that has any."""
    cells = Counter((parties[a.owner].country, a.type) for a in accounts)
    return [
        {
            "country_iso": geo.countries[country],
            "region_id": pack.codes("region")[geo.region[country]],
            "party_type": pack.account_taxonomy.account_types[account_type].party_type,
            "account_type": account_type,
            "account_count": cells[country, account_type],
        }
        for country, account_type in sorted(cells)
    ]
