"""The law of S2: how many accounts of each product every party holds.

λ = λ0 · exp(clip(Σ w · (score − ½))) is constant in a segment, so a cell (region × segment
× product; 440 of them) has an integer plan. Inside a cell the plan is gated, apportioned by
log-normal weights and capped after all merging (`kernels/capped.py`). All gates of a party
share one factor and all its weights another, so an engaged party holds more of everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.engine.local import Engine, Shard
from fraudworld.errors import InternalError
from fraudworld.kernels import expand, normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Allocation, Draft, Factors, Law, capped, draft, uncapped
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Accounts, Parties

COUNTS = "account_count_realisation"
SAMPLING = "account_allocation_sampling"


@njit(cache=True, nogil=True)
def _deviates(draws, gate, weight):  # type: ignore[no-untyped-def]
    for i in range(gate.size):
        gate[i] = normal.deviate(draws[i, 0])
        weight[i] = normal.deviate(draws[i, 1])


@dataclass(frozen=True)
class ProductPlan:
    """Integer plan of one product over the cells of its party type."""

    product: int  # position in codes("account_type")
    party_type: int
    cells: NDArray[np.int64]  # shape (regions, segments)


@dataclass(frozen=True)
class KmaxCounters:
    """What the cap pass did, over all products (binding names)."""

    kmax_overflow_rows: int
    kmax_redistributed_rows: int
    kmax_dropped_rows: int
    kmax_postcheck_violations: int
    worst_overflow: int


@dataclass(frozen=True)
class ProductDraft:
    """One product apportioned over the parties of its type, caps not yet enforced."""

    code: str
    slot: int
    law: Law
    made: Draft


@dataclass(frozen=True)
class Holdings:
    """Counts per slot and party; slot s of a party type is its s-th product.

    counts: u16 (slots, parties), u16 because a world without enforced caps overflows u8.
    products: u8 (party types, slots), positions in codes("account_type"); 255 = no product.
    """

    counts: NDArray[np.uint16]
    products: NDArray[np.uint8]
    counters: KmaxCounters
    dropped: dict[str, int]  # product → accounts no legal receiver could take


def products_of(pack: PolicyPack, party_type: str) -> list[int]:
    """Products a party type may hold, in code order."""
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
    return mix.lambda_per_party[product] * normal.exp(min(max(tilt, -mix.tilt.clip), mix.tilt.clip))


def plan_accounts(pack: PolicyPack, parties: Parties) -> tuple[ProductPlan, ...]:
    """World total per product by rounding, then cells by largest remainder."""
    segments, types = pack.codes("segment"), pack.codes("party_type")
    n_regions = len(pack.codes("region"))
    population = np.bincount(
        parties.region.astype(np.int64) * len(segments) + parties.segment,
        minlength=n_regions * len(segments),
    ).reshape(n_regions, len(segments))
    plans = []
    for product, code in enumerate(pack.codes("account_type")):
        owner = pack.account_taxonomy.account_types[code].party_type
        lam = np.array(
            [
                cell_lambda(pack, code, s) if pack.party_taxonomy.segments[s] == owner else 0.0
                for s in segments
            ]
        )
        expected = population * lam
        total = int(np.floor(expected.sum() + 0.5))
        plans.append(ProductPlan(product, types.index(owner), largest_remainder(total, expected)))
    return tuple(plans)


def allocate_accounts(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    plans: tuple[ProductPlan, ...],
    shards: tuple[Shard, ...],
    engine: Engine,
) -> tuple[tuple[ProductDraft, ...], tuple[StreamUse, ...]]:
    """Gate and apportion every product's plan over the parties of its type."""
    priors = pack.account_per_party_priors
    codes, types = pack.codes("account_type"), pack.codes("party_type")
    factor_stream = Stream(seed, "s2/party_factor", COUNTS, 2)
    factors = Factors(np.empty(parties.n), np.empty(parties.n), priors.party_factor_correlation)
    engine.map(
        lambda s: _deviates(
            factor_stream.draws(s.first, s.last - s.first),
            factors.gate[s.first : s.last],
            factors.weight[s.first : s.last],
        ),
        shards,
    )
    cell_of = parties.region.astype(np.uint16) * np.uint16(len(pack.codes("segment")))
    cell_of += parties.segment
    members = [np.flatnonzero(parties.type == t) for t in range(len(types))]
    cells = [cell_of[own] for own in members]

    def one(product: int) -> tuple[ProductDraft, StreamUse]:
        code = codes[product]
        counts = priors.counts[code]
        owner = pack.account_taxonomy.account_types[code].party_type
        t = types.index(owner)
        stream = Stream(seed, f"s2/account_allocation/{code}", SAMPLING, 2)
        spare = _slot_stream(seed, code, counts.cap)
        law = Law(counts.zero_share, counts.sigma, counts.cap, stream.key, spare.key)
        plan = plans[product].cells.ravel()
        made = draft(members[t], cells[t], plan, law, counts.cap, factors)
        slot = products_of(pack, owner).index(product)
        return ProductDraft(code, slot, law, made), stream.use(
            code, 0, parties.n, entities=members[t].size
        )

    results = engine.map(one, range(len(codes)))
    drafts, uses = zip(*results, strict=True)
    return drafts, (factor_stream.use("world", 0, parties.n), *uses)


def enforce_kmax_per_party_account_type(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    drafts: tuple[ProductDraft, ...],
    engine: Engine,
) -> tuple[Holdings, tuple[StreamUse, ...]]:
    """Clamp, pool, hand out, drop: the last pass before anything is written.

    Raises InternalError `6A.S2.KMAX_POSTCHECK_FAILED` if a cap is broken under the hard
    mode: nothing is published then. Under `warn` the overflow is only counted.
    """
    priors = pack.account_per_party_priors
    hard = priors.constraints.cap_enforcement_mode == "hard_global_postmerge"

    def one(item: ProductDraft) -> tuple[Allocation, StreamUse]:
        room = np.full(item.made.entities.size, item.law.cap, dtype=np.int32)
        done = capped(item.made, room, item.law) if hard else uncapped(item.made, room)
        spare = _slot_stream(seed, item.code, item.law.cap)
        return done, spare.use(item.code, 0, parties.n, entities=done.asked)

    results = engine.map(one, drafts)
    types = pack.codes("party_type")
    per_type = [products_of(pack, t) for t in types]
    products = np.full((len(types), max(map(len, per_type))), 255, dtype=np.uint8)
    for t, found in enumerate(per_type):
        products[t, : len(found)] = found
    counts = np.zeros((products.shape[1], parties.n), dtype=np.uint16)
    violations = 0
    for item, (done, _) in zip(drafts, results, strict=True):
        counts[item.slot, item.made.entities] = done.counts
        violations += int((done.counts > item.law.cap).sum())
    if hard and violations > priors.constraints.max_allowed_kmax_violations:
        raise InternalError(
            "6A.S2.KMAX_POSTCHECK_FAILED",
            f"{violations} holdings above K_max after the cap pass",
            where="S2 enforce_kmax",
            remedy="report this with the seed and the policy pack; nothing was published",
        )
    dropped = {i.code: int(d.dropped.sum()) for i, (d, _) in zip(drafts, results, strict=True)}
    counters = KmaxCounters(
        kmax_overflow_rows=sum(d.overflow for d, _ in results),
        kmax_redistributed_rows=sum(d.redistributed for d, _ in results),
        kmax_dropped_rows=sum(dropped.values()),
        kmax_postcheck_violations=violations,
        worst_overflow=max(d.worst_overflow for d, _ in results),
    )
    return Holdings(counts, products, counters, dropped), tuple(use for _, use in results)


def _slot_stream(seed: int, code: str, cap: int) -> Stream:
    """A draw for every slot a party could fill with a product."""
    return Stream(seed, f"s2/kmax_redistribution/{code}", SAMPLING, cap)


def accounts_of(
    holdings: Holdings, parties: Parties, shards: tuple[Shard, ...], engine: Engine
) -> Accounts:
    """One row per account, in order of owner, then product."""
    start = expand.starts(holdings.counts.sum(axis=0, dtype=np.int64))
    owner = np.empty(int(start[-1]), dtype=np.uint32)
    code = np.empty(int(start[-1]), dtype=np.uint8)
    engine.map(
        lambda s: expand.fill(
            holdings.counts, holdings.products, parties.type, start, s.first, s.last, owner, code
        ),
        shards,
    )
    return Accounts(owner, code, start)
