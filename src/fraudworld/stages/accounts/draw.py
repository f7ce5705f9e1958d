"""The law of S2: how many accounts of each product every party holds.

λ = λ0 · exp(clip(Σ w · (score − ½))) is constant in a segment, so a cell (region × segment
× product; 440 of them) has an integer plan. Inside a cell the plan is gated, apportioned by
log-normal weights and capped after all merging (`kernels/capped.py`). Gates and weights of
one party share a factor, so an engaged party holds more of everything.
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
from fraudworld.kernels.capped import allocate, gate_and_weight
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Accounts, Parties

COUNTS = "account_count_realisation"
SAMPLING = "account_allocation_sampling"


@njit(cache=True, nogil=True)
def _deviates(draws, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = normal.deviate(draws[i])


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
class Holdings:
    """Counts per slot and party; slot s of a party type is its s-th product.

    counts: u16 (slots, parties), u16 because a world without enforced caps overflows u8.
    products: u8 (party types, slots), positions in codes("account_type"); 255 = no product.
    """

    counts: NDArray[np.uint16]
    products: NDArray[np.uint8]
    counters: KmaxCounters
    dropped: dict[str, int]  # product → accounts no legal receiver could take
    rng: tuple[StreamUse, ...]


def products_of(pack: PolicyPack, party_type: str) -> list[int]:
    """Products a party type may hold, in code order."""
    types = pack.account_taxonomy.account_types
    return [i for i, a in enumerate(pack.codes("account_type")) if types[a].party_type == party_type]


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
) -> Holdings:
    """Realise the plans; caps hold after all merging unless the policy only warns.

    Raises InternalError `6A.S2.KMAX_POSTCHECK_FAILED` if a cap is broken under the hard
    mode: nothing is published then.
    """
    priors = pack.account_per_party_priors
    codes = pack.codes("account_type")
    types = pack.codes("party_type")
    per_type = [products_of(pack, t) for t in types]
    slots = max(map(len, per_type))
    products = np.full((len(types), slots), 255, dtype=np.uint8)
    for t, found in enumerate(per_type):
        products[t, : len(found)] = found
    hard = priors.constraints.cap_enforcement_mode == "hard_global_postmerge"

    factor_stream = Stream(seed, "s2/party_factor", COUNTS)
    factor = np.empty(parties.n)
    engine.map(lambda s: _deviates(factor_stream.flat(s.first, s.last - s.first), factor[s.first : s.last]), shards)

    counts = np.zeros((slots, parties.n), dtype=np.uint16)
    uses = [factor_stream.use("world", 0, parties.n)]
    overflow = redistributed = violations = worst = 0
    dropped: dict[str, int] = {}
    n_segments = len(pack.codes("segment"))
    cell_of = parties.region.astype(np.uint16) * np.uint16(n_segments) + parties.segment
    for t in range(len(types)):
        members = np.flatnonzero(parties.type == t)
        cells = cell_of[members]
        for slot, product in enumerate(per_type[t]):
            code = codes[product]
            law = priors.counts[code]
            stream = Stream(seed, f"s2/account_allocation/{code}", SAMPLING, 2)
            spare = Stream(seed, f"s2/kmax_redistribution/{code}", SAMPLING, law.cap)
            gate = np.empty(members.size, dtype=np.uint64)
            weight = np.empty(members.size, dtype=np.uint64)
            chunks = np.array_split(np.arange(members.size), max(len(shards), 1))

            def fill(
                chunk: NDArray[np.int64],
                stream: Stream = stream,
                members: NDArray[np.int64] = members,
                gate: NDArray[np.uint64] = gate,
                weight: NDArray[np.uint64] = weight,
                sigma: float = law.sigma,
            ) -> None:
                if chunk.size == 0:
                    return
                own = members[chunk]
                dense = stream.draws(int(own[0]), int(own[-1] - own[0]) + 1)[own - own[0]]
                part = slice(int(chunk[0]), int(chunk[-1]) + 1)
                gate_and_weight(
                    factor[own], dense, priors.party_factor_correlation, sigma, gate[part], weight[part]
                )

            engine.map(fill, chunks)
            done = allocate(
                cells,
                gate,
                weight,
                plans[product].cells.ravel(),
                law.zero_share,
                np.full(members.size, law.cap, dtype=np.int32),
                lambda at, m=members, s=spare: _slots(s, m[at]),
                enforce_cap=hard,
            )
            counts[slot, members] = done.counts
            overflow += done.overflow
            redistributed += done.redistributed
            worst = max(worst, done.worst_overflow)
            dropped[code] = int(done.dropped.sum())
            violations += int((done.counts > law.cap).sum())
            uses.append(stream.use(code, 0, parties.n, entities=members.size))
    if hard and violations > priors.constraints.max_allowed_kmax_violations:
        raise InternalError(
            "6A.S2.KMAX_POSTCHECK_FAILED",
            f"{violations} holdings above K_max after the cap pass",
            where="S2 enforce_kmax",
            remedy="report this with the seed and the policy pack; nothing was published",
        )
    counters = KmaxCounters(overflow, redistributed, sum(dropped.values()), violations, worst)
    return Holdings(counts, products, counters, dropped, tuple(uses))


def _slots(stream: Stream, entities: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One draw per free slot of each entity: u64 (entities, width)."""
    return np.stack([stream.at(entities, i) for i in range(stream.width)], axis=1)


def accounts_of(holdings: Holdings, parties: Parties, shards: tuple[Shard, ...], engine: Engine) -> Accounts:
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
