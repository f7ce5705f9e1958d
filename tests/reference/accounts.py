"""Plain twin of `stages/accounts` (S2): accounts of each product per party."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels import normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference.allocation import Common, Law, allocate
from reference.draws import Draws, deviate, nearest
from reference.parties import Party, Row

Cell = tuple[str, str]
"""Region and segment."""


@dataclass(frozen=True)
class Account:
    """One account; `owner` is a position in the list of parties."""

    owner: int
    type: str


def make(pack: PolicyPack, seed: int, parties: list[Party]) -> list[Account]:
    """All accounts, in order of owner, then product."""
    held = {product: holdings(pack, seed, product, parties) for product in products(pack)}
    return [
        Account(party, product)
        for party in range(len(parties))
        for product in products(pack)
        for _ in range(held[product].get(party, 0))
    ]


def products(pack: PolicyPack) -> tuple[str, ...]:
    """Account types, in published order."""
    return pack.codes("account_type")


def holdings(pack: PolicyPack, seed: int, product: str, parties: list[Party]) -> dict[int, int]:
    """Accounts of one product per party of its type.

    Cells are (region, segment). All hurdle deviates of a party share one factor, all its weights
    another. Caps are not enforced where the policy only warns.
    """
    priors = pack.account_per_party_priors
    rule = priors.counts[product]
    party_type = pack.account_taxonomy.account_types[product].party_type
    cells: dict[Cell, list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        if party.type == party_type:
            cells[party.region, party.segment].append(p)
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
        plan(pack, product, parties),
        law,
        {p: rule.cap for members in cells.values() for p in members},
        common,
        capped=priors.constraints.cap_enforcement_mode == "hard_global_postmerge",
    )


def plan(pack: PolicyPack, product: str, parties: list[Party]) -> dict[Cell, int]:
    """Accounts of one product per cell: Σ parties · λ rounded, split by largest remainder."""
    population = Counter((p.region, p.segment) for p in parties)
    cells = [(r, s) for r in pack.codes("region") for s in pack.codes("segment")]
    party_type = pack.account_taxonomy.account_types[product].party_type
    expected = np.array(
        [
            population[r, s] * (mean(pack, product, s) if _type_of(pack, s) == party_type else 0.0)
            for r, s in cells
        ]
    )
    counts = largest_remainder(nearest(expected.sum()), expected)
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
