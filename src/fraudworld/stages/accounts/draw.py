"""The law of S2: how many accounts of each product every party holds.

λ = λ0 · exp(clip(Σ w · (score − ½))) is constant in a segment, so a cell (region × segment ×
product; 440 of them) has an integer plan. Where countries have rates of their own, every cell's
plan is split over its countries, which are then the cells. Inside a cell the plan passes a
hurdle, is apportioned by log-normal weights, and is capped (`kernels/capped`). The hurdle deviates
of a party share one factor and its log weights another, so an engaged party holds more of every
product. Figures: product_mix_priors_6A.v1.yaml and account_per_party_priors_6A.v1.yaml.

Twin of all kernels here: tests/reference/accounts.py:make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.shards import Shard
from fraudworld.engine.tasks import Engine
from fraudworld.errors import InternalError
from fraudworld.inputs.arrays import Geography
from fraudworld.jit import kernel
from fraudworld.kernels import gamma, normal, offsets
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Entities, ProductLaw, SlotDraws
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, registry
from fraudworld.stages import allocation
from fraudworld.stages.allocation import (
    Allocated,
    AllocationProblem,
    Quotas,
    Settlement,
    ShardEntries,
)
from fraudworld.stages.pieces import Accounts, AccountShard, Parties, PartyShard


@dataclass(frozen=True)
class ProductPlan:
    """Integer plan of one product over the cells of its party type."""

    product: int  # position in codes("account_type")
    cells: NDArray[np.int64]  # shape (regions or countries, segments)


@dataclass(frozen=True)
class KmaxCounters:
    """What the cap pass did, over all products; the names are published."""

    kmax_overflow_rows: int
    kmax_redistributed_rows: int
    kmax_dropped_rows: int
    kmax_postcheck_violations: int
    worst_overflow: int


@dataclass(frozen=True)
class Draft:
    """Every product allocated and its overflow counted; no account made yet."""

    problem: AllocationProblem
    allocated: Allocated


@dataclass(frozen=True)
class Holdings:
    """Accounts of the parties, and what the cap pass did."""

    accounts: Accounts
    rows: NDArray[np.int64]  # holdings (a party and a product it has) per shard
    counters: KmaxCounters
    dropped: dict[str, int]  # product → accounts no party had room for


def products_of(pack: PolicyPack, party_type: str) -> list[int]:
    """Products a party type may hold, as positions in code order."""
    types = pack.account_taxonomy.account_types
    return [
        i for i, a in enumerate(pack.codes("account_type")) if types[a].party_type == party_type
    ]


def cell_lambda(pack: PolicyPack, product: str, segment: str) -> float:
    """Accounts of `product` expected per party of `segment`."""
    mix = pack.product_mix_priors
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    weights = mix.tilt.weights.get(product, {})
    tilt = sum(w * (profile[score] - 0.5) for score, w in weights.items())
    tilted = float(normal.exp(min(max(tilt, -mix.tilt.clip), mix.tilt.clip)))
    return mix.lambda_per_party[product] * tilted


def account_rates(pack: PolicyPack) -> NDArray[np.float64]:
    """Accounts expected per party, (account types, segments); 0 for segments of other parties."""
    owners = pack.account_taxonomy.account_types
    return np.array(
        [
            [
                cell_lambda(pack, code, s)
                if pack.party_taxonomy.segments[s] == owners[code].party_type
                else 0.0
                for s in pack.codes("segment")
            ]
            for code in pack.codes("account_type")
        ]
    )


def plan_accounts(
    pack: PolicyPack, seed: int, rates: NDArray[np.float64], population: NDArray[np.int64]
) -> tuple[tuple[ProductPlan, ...], tuple[StreamUse, ...]]:
    """Rounds the world total of a product, then splits it over cells by largest remainder.

    Totals are those of the rates, or scatter around them among the products of a party type.
    rates: of `account_rates`. population: parties, (regions, segments).
    """
    expected = population * rates[:, None, :]
    totals = np.floor(expected.sum(axis=(1, 2)) + 0.5).astype(np.int64)
    scatter, uses = pack.product_mix_priors.seed_overdispersion, tuple[StreamUse, ...]()
    if scatter:
        stream = registry.PRODUCT_TOTALS.of(seed)
        draws = stream.draws(0, totals.size)
        for party_type in pack.codes("party_type"):
            own = products_of(pack, party_type)
            whole = int(totals[own].sum())
            if whole:
                weights = gamma.scattered(
                    whole, expected[own].sum(axis=(1, 2)), scatter, draws[own]
                )
                totals[own] = largest_remainder(whole, weights)
        uses = (stream.use("products", 0, totals.size),)
    cells = zip(totals.tolist(), expected, strict=True)
    return (
        tuple(ProductPlan(p, largest_remainder(n, of)) for p, (n, of) in enumerate(cells)),
        uses,
    )


@dataclass(frozen=True)
class Places:
    """What the cells of S2 are besides segment and product: regions, or countries."""

    of_shard: NDArray[np.integer]  # (shards,)
    population: NDArray[np.int64]  # parties, (places, segments)
    openness: NDArray[np.float64] | None
    """Factor on the share of parties that may hold a product, (places, account types, segments)."""


def places_of(
    pack: PolicyPack,
    geo: Geography,
    parties: Parties,
    plans: tuple[ProductPlan, ...],
) -> tuple[Places, tuple[ProductPlan, ...]]:
    """The cells of the policy's market, and the plans over them.

    plans: over regions. A region's plan of a (segment, product) is split over its countries by
    parties times the country's factor, by largest remainder: its total is kept.
    """
    regions = len(pack.codes("region"))
    if pack.product_mix_priors.country_rates.market == "world":
        return Places(parties.region, parties.population(regions), None), plans
    people = parties.by_country(len(geo.countries))
    factors = country_factors(pack, geo, people)
    openness = np.ones((*factors.shape, people.shape[1]))
    split = []
    for plan in plans:
        cells = np.zeros_like(people)
        for r in range(regions):
            inside = np.flatnonzero(geo.region == r)
            weight = people[inside] * factors[inside, plan.product, None]
            for s in np.flatnonzero(weight.sum(axis=0) > 0):
                cells[inside, s] = largest_remainder(int(plan.cells[r, s]), weight[:, s])
                mean = weight[:, s].sum() / people[inside, s].sum()
                openness[inside, plan.product, s] = factors[inside, plan.product] / mean
        split.append(ProductPlan(plan.product, cells))
    country = np.array([s.country for s in parties.shards], dtype=np.int64)
    return Places(country, people, openness), tuple(split)


def country_factors(
    pack: PolicyPack, geo: Geography, population: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Factor on the rate of every product, (countries, account types), before its region's mean.

    exp(clip(strength · (log ownership − the region's mean log ownership))). population: parties,
    (countries, segments), the weights of the mean.
    """
    rule, regions = pack.product_mix_priors.country_rates, pack.codes("region")
    log = np.array(
        [
            normal.log(rule.card_ownership.countries.get(
                code, rule.card_ownership.regions[regions[geo.region[c]]]
            ))
            for c, code in enumerate(geo.countries)
        ]
    )  # fmt: skip
    out = np.ones((len(geo.countries), len(pack.codes("account_type"))))
    people = population.sum(axis=1)
    for r in range(len(regions)):
        inside = np.flatnonzero(geo.region == r)
        if not people[inside].any():
            continue
        away = log[inside] - (log[inside] * people[inside]).sum() / people[inside].sum()
        for p, code in enumerate(pack.codes("account_type")):
            strength = rule.strength.get(code, 0.0)
            if strength:
                clipped = np.clip(strength * away, -rule.clip, rule.clip)
                out[inside, p] = [normal.exp(v) for v in clipped.tolist()]
    return out


def allocate_accounts(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    places: Places,
    plans: tuple[ProductPlan, ...],
    engine: Engine,
) -> tuple[Draft, tuple[StreamUse, ...]]:
    """Splits every product's plan among the parties of its type, and counts the overflow.

    places, plans: of `places_of`.
    """
    priors = pack.account_per_party_priors
    codes, segments = pack.codes("account_type"), pack.codes("segment")
    factor = registry.PARTY_FACTOR.of(seed)
    streams = [registry.ACCOUNT_ALLOCATION.of(seed, code=code) for code in codes]
    laws = []
    for code, stream in zip(codes, streams, strict=True):
        law = priors.counts[code]
        slots = _slot_stream(seed, code, law.cap)
        laws.append((code, ProductLaw(law.zero_share, law.sigma, law.cap, stream.key, slots.key)))
    offers = [products_of(pack, pack.party_taxonomy.segments[s]) for s in segments]
    problem = allocation.allocation_problem(
        "S2", laws, offers, factor=factor.key, correlation=priors.party_factor_correlation
    )
    segment = np.repeat(np.arange(len(segments)), [len(o) for o in offers])
    plan = np.stack([p.cells for p in plans], axis=2)[:, segment, problem.product]
    size = places.population[:, segment]
    openness = None if places.openness is None else places.openness[:, problem.product, segment]
    allocated = allocation.allocate(
        engine, problem, plan, size, np.zeros_like(plan), places.of_shard, _entities,
        parties.shards, parties.items, hard=_hard(pack), openness=openness,
    )  # fmt: skip
    return Draft(problem, allocated), (
        factor.use("world", 0, parties.n),
        *(
            stream.use(code, 0, parties.n, entities=n)
            for code, stream, n in zip(codes, streams, problem.per_product(size), strict=True)
        ),
    )


def _hard(pack: PolicyPack) -> bool:
    """Whether caps are enforced, not only counted."""
    constraints = pack.account_per_party_priors.constraints
    return constraints.cap_enforcement_mode == "hard_global_postmerge"


def _entities(shard: Shard, of: PartyShard) -> Entities:
    """Parties as entities of the allocation; their code is the segment."""
    return Entities(shard.first, of.segment, allocation.NOTHING_OPEN, allocation.NO_FLOOR)


def enforce_kmax_per_party_account_type(
    pack: PolicyPack, seed: int, parties: Parties, draft: Draft, engine: Engine
) -> tuple[Holdings, tuple[StreamUse, ...]]:
    """Clamps counts to K_max, hands the excess out, drops the rest; and makes the accounts.

    Accounts are in order of owner, then product. Raises InternalError
    `6A.S2.KMAX_POSTCHECK_FAILED` where a cap is broken under the hard mode; nothing is published
    then. Under `warn` the overflow is only counted.
    """
    priors = pack.account_per_party_priors
    codes = pack.codes("account_type")
    problem, allocated = draft.problem, draft.allocated
    task = partial(_accounts, problem.product.astype(np.uint8), len(codes))
    items, summaries = engine.run(task, *zip(*allocated.pieces, strict=True))
    violations = sum(s.violations for s in summaries)
    if _hard(pack) and violations > priors.constraints.max_allowed_kmax_violations:
        raise InternalError(
            "6A.S2.KMAX_POSTCHECK_FAILED",
            f"{violations} holdings above K_max after the cap pass",
            where="S2 enforce_kmax",
            remedy="report this with the seed and the policy pack; nothing was published",
        )
    dropped = dict(zip(codes, problem.per_product(allocated.dropped), strict=True))
    counters = KmaxCounters(
        kmax_overflow_rows=int(allocated.overflow.sum()),
        kmax_redistributed_rows=int(allocated.handed.sum()),
        kmax_dropped_rows=sum(dropped.values()),
        kmax_postcheck_violations=violations,
        worst_overflow=int(allocated.worst.max()),
    )
    per_shard = np.stack([s.types for s in summaries])
    accounts = Accounts(items, offsets.from_counts(per_shard.sum(axis=1)), per_shard)
    asked = problem.per_product(allocated.asked)
    uses = tuple(
        _slot_stream(seed, code, priors.counts[code].cap).use(code, 0, parties.n, entities=n)
        for code, n in zip(codes, asked, strict=True)
    )
    rows = np.array([s.holdings for s in summaries], dtype=np.int64)
    return Holdings(accounts, rows, counters, dropped), uses


class _Summary(NamedTuple):
    """Counts of one shard."""

    types: NDArray[np.int64]  # accounts of every type
    holdings: int
    violations: int  # holdings above their cap


def _accounts(
    product: NDArray[np.uint8],
    products: int,
    of: ShardEntries,
    quotas: Quotas,
    slots: SlotDraws | None,
    settled: Settlement,
) -> tuple[AccountShard, _Summary]:
    """Task over the values of an `allocation.Piece`: the accounts of one shard.

    product: of every cell.
    """
    entities, entries, counts = allocation.final(of, quotas, slots, settled)
    types = np.zeros(products, dtype=np.int64)
    holdings, violations = _tally(entries.cell, counts, product, settled.cell_laws.cap, types)
    n = int(types.sum())
    owner, account_type = np.empty(n + 1, dtype=np.uint32), np.empty(n + 1, dtype=np.uint8)
    start = np.empty(entities.code.size + 1, dtype=np.int32)
    offsets.expand_rows(entries.entity, entries.cell, counts, product, start, owner, account_type)
    shard = AccountShard(owner[:n], account_type[:n], start)
    return shard, _Summary(types, int(holdings), int(violations))


@kernel
def _tally(cell, counts, product, cap, types):  # type: ignore[no-untyped-def]
    """Counts accounts by type.

    Parameters
    ----------
    cell : uint16 (entries,)
    counts : uint16 (entries,)
    product : uint8 (cells,)
    cap : int64 (cells,)
    types : int64 (account types,)
        Grows by the counts.

    Returns
    -------
    (int, int)
        Holdings, and holdings above their cap.
    """
    holdings, violations = 0, 0
    for i in range(counts.size):
        types[product[cell[i]]] += counts[i]
        holdings += counts[i] > 0
        violations += counts[i] > cap[cell[i]]
    return holdings, violations


def _slot_stream(seed: int, code: str, cap: int) -> Stream:
    """The stream with a draw for every slot of a party for a product."""
    return registry.KMAX_REDISTRIBUTION.of(seed, code=code, width=cap)
