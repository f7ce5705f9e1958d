"""The law of S3: which instruments every account carries, and on which scheme they run.

Plans go from the world total of an (account type, instrument) pair down to regions. Floor
instruments are placed first, without a hurdle; the rest of the plan is split by capped allocation
(`kernels/capped`). Wallet tokens go only to accounts that hold a card. Figures:
instrument_mix_priors_6A.v1.yaml and instrument_per_account_priors_6A.v1.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.tasks import Engine, Item
from fraudworld.errors import InputError
from fraudworld.inputs.arrays import Geography
from fraudworld.kernels import offsets
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Entities, ProductLaw
from fraudworld.kernels.discrete import guide, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse, registry
from fraudworld.stages import allocation, platforms
from fraudworld.stages.allocation import Allocated
from fraudworld.stages.instruments import wallets
from fraudworld.stages.instruments.wallets import (
    NO_SLOT,
    Carried,
    FloorLaw,
    PlatformLaw,
    SchemeLaw,
    Tokens,
)
from fraudworld.stages.pieces import Accounts, Instruments, Parties

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class PairPlan:
    """Integer plan of one instrument on one account type, per region."""

    account_type: str
    instrument_type: str
    cells: I64  # shape (regions,)

    @property
    def name(self) -> str:
        return f"{self.account_type}/{self.instrument_type}"


@dataclass(frozen=True)
class Wallets:
    """What every account carries: floors, cards and handles, tokens.

    Slot s of an account type is its s-th instrument in order of name. Counts are by pair,
    "account/instrument".
    """

    carried: Sequence[Item[Carried]]  # floors, cards and handles, and which accounts hold a card
    tokens: Sequence[Item[Tokens]]
    first: I64  # first instrument of every shard, (shards + 1,)
    table: NDArray[np.uint8]  # instrument of every slot, (account types, slots); 255: none
    rows: dict[str, int]  # instruments made
    dropped: dict[str, int]  # instruments no account had room for
    floors: dict[str, int]  # instruments placed as floor
    floor_excess: dict[str, int]  # floors beyond the plan
    rng: tuple[StreamUse, ...]


def accounts_by_region(accounts: Accounts, region: NDArray[np.uint8], regions: int) -> I64:
    """Accounts, (account types, regions). region: of every shard, uint8 (shards,)."""
    return _by_region(region, accounts.types, regions).T


def plan_instruments(pack: PolicyPack, population: I64) -> tuple[PairPlan, ...]:
    """Splits the world total of an account type over instruments, then regions.

    Each split is by largest remainder. population: of `accounts_by_region`.
    """
    mix = pack.instrument_mix_priors
    n_regions = population.shape[1]
    plans = []
    for t, code in enumerate(pack.codes("account_type")):
        shares = mix.shares[code]
        names = sorted(shares)
        total = int(np.floor(mix.lambda_per_account[code] * population[t].sum() + 0.5))
        for name, count in zip(
            names, largest_remainder(total, [shares[n] for n in names]), strict=True
        ):
            weights = population[t] if population[t].any() else np.ones(n_regions)
            plans.append(PairPlan(code, name, largest_remainder(int(count), weights)))
    return tuple(plans)


def _by_region(region: NDArray[np.uint8], counts: I64, regions: int) -> I64:
    """Adds counts of shards, (shards, …), by region: (regions, …)."""
    out = np.zeros((regions, *counts.shape[1:]), dtype=np.int64)
    np.add.at(out, region, counts)
    return out


@dataclass(frozen=True)
class _Pair:
    """A plan with its slot and its streams."""

    plan: PairPlan
    type: int  # position of the account type
    slot: int
    token: bool
    stream: Stream
    spare: Stream  # draws of the cap pass
    law: ProductLaw


def _pairs(pack: PolicyPack, seed: int, plans: tuple[PairPlan, ...]) -> list[_Pair]:
    """All pairs in order of account type, then slot."""
    taxonomy = pack.instrument_taxonomy.instrument_types
    types = pack.codes("account_type")
    slots = dict.fromkeys(types, 0)
    pairs = []
    for plan in sorted(plans, key=lambda p: (types.index(p.account_type), p.instrument_type)):
        code, name = plan.account_type, plan.instrument_type
        counted = pack.instrument_per_account_priors.counts[code][name]
        stream = registry.INSTRUMENT_ALLOCATION.of(seed, code=plan.name)
        spare = registry.INSTRUMENT_REDISTRIBUTION.of(seed, code=plan.name, width=counted.cap)
        law = ProductLaw(counted.zero_share, counted.sigma, counted.cap, stream.key, spare.key)
        token = taxonomy[name].needs_card
        pairs.append(_Pair(plan, types.index(code), slots[code], token, stream, spare, law))
        slots[code] += 1
    return pairs


def allocate_instruments(
    pack: PolicyPack,
    seed: int,
    parties: Parties,
    accounts: Accounts,
    plans: tuple[PairPlan, ...],
    engine: Engine,
) -> Wallets:
    """Realises the plans: floors, then cards and handles, then tokens on accounts with a card."""
    taxonomy = pack.instrument_taxonomy.instrument_types
    codes, instrument_types = pack.codes("account_type"), pack.codes("instrument_type")
    pairs = _pairs(pack, seed, plans)
    slots = 1 + max(p.slot for p in pairs)
    table = np.full((len(codes), slots), 255, dtype=np.uint8)
    is_card = np.zeros(table.shape, dtype=np.bool_)
    for p in pairs:
        table[p.type, p.slot] = instrument_types.index(p.plan.instrument_type)
        is_card[p.type, p.slot] = taxonomy[p.plan.instrument_type].family == "CARD"
    everyone = np.repeat(accounts.types[:, :, None], slots, axis=2)
    law, floor_streams = _floor_law(pack, seed, accounts, pairs, slots)
    first = accounts.first[:-1].tolist()
    entities, floor_counts = engine.run(partial(wallets.place_floors, law), first, accounts.items)
    floors = np.stack([counts.floors for counts in floor_counts])
    ends = np.stack([counts.ends for counts in floor_counts])

    allocate = partial(_allocate, engine, parties.region, len(pack.codes("region")), len(codes))
    cards = allocate([p for p in pairs if not p.token], everyone, floors, entities)
    task = partial(wallets.carry, is_card)
    carried, card_counts = engine.run(task, *zip(*cards.allocated.pieces, strict=True))
    card_rows = np.stack([counts.rows for counts in card_counts])
    able_floors = np.stack([counts.floors for counts in card_counts])
    able = np.stack([counts.accounts for counts in card_counts])
    able = np.repeat(able[:, :, None], slots, axis=2)
    tokens = allocate([p for p in pairs if p.token], able, able_floors, carried)
    added, token_counts = engine.run(wallets.add, *zip(*tokens.allocated.pieces, strict=True))
    token_rows = np.stack(token_counts)

    rows = floors.copy()
    for batch, counts in ((cards, card_rows), (tokens, token_rows)):
        for i, p in enumerate(batch.pairs):
            rows[:, p.type, p.slot] += counts[:, i]
    of = {p.plan.name: (batch, i) for batch in (cards, tokens) for i, p in enumerate(batch.pairs)}
    return Wallets(
        carried,
        added,
        offsets.from_counts(rows.sum(axis=(1, 2))),
        table,
        {p.plan.name: int(rows[:, p.type, p.slot].sum()) for p in pairs},
        {name: int(batch.allocated.dropped[:, i].sum()) for name, (batch, i) in of.items()},
        {p.plan.name: int(floors[:, p.type, p.slot].sum()) for p in pairs},
        {name: int(batch.excess[:, i].sum()) for name, (batch, i) in of.items()},
        _evidence(codes, pairs, of, accounts, floor_streams, ends),
    )


@dataclass(frozen=True)
class _Batch:
    """Pairs allocated together, each a cell of its own."""

    pairs: list[_Pair]
    allocated: Allocated
    offered: I64  # accounts that took part, (regions, pairs)
    excess: I64  # floors beyond the plan, (regions, pairs)


def _allocate(
    engine: Engine,
    region: NDArray[np.uint8],
    regions: int,
    types: int,
    pairs: list[_Pair],
    accounts: I64,
    floors: I64,
    entities: Sequence[Item[Entities | Carried]],
) -> _Batch:
    """Allocates pairs to the accounts of every shard.

    accounts, floors: accounts that take part, and floors they hold, (shards, types, slots).
    """
    problem = allocation.allocation_problem(
        "S3",
        [(p.plan.name, p.law) for p in pairs],
        [[i for i, p in enumerate(pairs) if p.type == t] for t in range(types)],
        slots=[p.slot for p in pairs],
    )
    at = (slice(None), [p.type for p in pairs], [p.slot for p in pairs])
    size, placed = (_by_region(region, counts[at], regions) for counts in (accounts, floors))
    plan = np.zeros_like(size)
    for i, p in enumerate(pairs):
        plan[:, i] = p.plan.cells
    allocated = allocation.allocate(
        engine, problem, plan, size, placed, region, wallets.entities_of, entities
    )
    return _Batch(pairs, allocated, size, np.maximum(placed - plan, 0))


def _evidence(
    codes: Sequence[str],
    pairs: list[_Pair],
    of: dict[str, tuple[_Batch, int]],
    accounts: Accounts,
    floor_streams: dict[int, Stream],
    ends: I64,
) -> tuple[StreamUse, ...]:
    """Draws by account type: floors, cards and handles, tokens, each with its cap pass.

    ends: the first and the last account that drew a floor, (shards, types, 2).
    """
    uses = []
    for t, code in enumerate(codes):
        n = int(accounts.types[:, t].sum())
        if t in floor_streams and n:
            low, high = int(ends[:, t, 0].min()), int(ends[:, t, 1].max())
            uses.append(floor_streams[t].use(code, low, high - low + 1, entities=n))
        for p in sorted((p for p in pairs if p.type == t), key=lambda p: p.token):
            batch, i = of[p.plan.name]
            for stream, drew in ((p.stream, batch.offered), (p.spare, batch.allocated.asked)):
                entities = int(drew[:, i].sum())
                uses.append(stream.use(p.plan.name, 0, accounts.n, entities=entities))
    return tuple(uses)


def _floor_law(
    pack: PolicyPack, seed: int, accounts: Accounts, pairs: list[_Pair], slots: int
) -> tuple[FloorLaw, dict[int, Stream]]:
    """The slot of every account type's floor, drawn per account where there are several.

    Raises InputError `6A.S3.INSTRUMENT_TARGETS_INCONSISTENT` where a floor names an instrument
    that the mix of its account type does not hold.
    """
    mix = pack.instrument_mix_priors
    codes = pack.codes("account_type")
    law = FloorLaw(
        single=np.full(len(codes), NO_SLOT, dtype=np.uint8),
        drawn=np.zeros(len(codes), dtype=np.bool_),
        keys=np.zeros((len(codes), 2), dtype=np.uint64),
        slot=np.full((len(codes), slots), NO_SLOT, dtype=np.uint8),
        thresholds=np.full((len(codes), slots), 2**63, dtype=np.uint64),
        slots=slots,
    )
    streams = {}
    for t, code in enumerate(codes):
        shares = mix.floors.get(code, {})
        if mix.floor == "none" or not shares or not accounts.types[:, t].any():
            continue
        slot_of = {p.plan.instrument_type: p.slot for p in pairs if p.type == t}
        unknown = sorted(set(shares) - set(slot_of))
        if unknown:
            raise InputError(
                "6A.S3.INSTRUMENT_TARGETS_INCONSISTENT",
                f"the floor of {code} names {unknown}, which its mix does not hold",
                where="instrument_mix_priors_6A.v1.yaml: floors",
                remedy=f"use instruments of shares.{code}, or add a share for it",
            )
        order = sorted(shares)
        if len(order) == 1:
            law.single[t] = slot_of[order[0]]
            continue
        streams[t] = registry.FLOOR.of(seed, code=code)
        law.drawn[t], law.keys[t] = True, streams[t].key
        law.slot[t, : len(order)] = [slot_of[n] for n in order]
        law.thresholds[t, : len(order)] = thresholds([shares[n] for n in order])
    return law, streams


def instruments_of(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    schemes: SchemeTable,
    wallets_of: Wallets,
    parties: Parties,
    accounts: Accounts,
    engine: Engine,
) -> tuple[Instruments, tuple[StreamUse, ...]]:
    """One row an instrument, in order of account.

    Every instrument draws its scheme; a token that of its owner's mobile system, where parties
    have one.
    """
    stream = registry.SCHEME.of(seed)
    laws = [
        SchemeLaw(wallets_of.table, stream.key, schemes.thresholds[of], schemes.guides[of])
        for of in schemes.rows.T
    ]
    of_country, platform_uses = _platform_laws(pack, seed, geo, parties)
    items = engine.submit(
        wallets.instruments,
        [laws[s.country] for s in parties.shards],
        [of_country[s.country] for s in parties.shards],
        zip(wallets_of.first[:-1].tolist(), wallets_of.first[1:].tolist(), strict=True),
        parties.shards,
        parties.items,
        accounts.items,
        wallets_of.carried,
        wallets_of.tokens,
    )
    n = int(wallets_of.first[-1])
    return Instruments(items, wallets_of.first), (stream.use("world", 0, n), *platform_uses)


def _platform_laws(
    pack: PolicyPack, seed: int, geo: Geography, parties: Parties
) -> tuple[list[PlatformLaw | None], tuple[StreamUse, ...]]:
    """The wallets of every country; None where parties have no mobile system."""
    if not platforms.follows_country(pack):
        return [None] * len(geo.countries), ()
    taxonomy, codes = pack.instrument_taxonomy.instrument_types, pack.codes("scheme")
    is_wallet = np.array([taxonomy[t].family == "WALLET" for t in pack.codes("instrument_type")])
    of_system = pack.device_count_priors.mobile_platform.wallets
    wallet = [codes.index(of_system[s]) for s in (platforms.ANDROID, platforms.IOS)]
    population = parties.by_country(len(geo.countries))
    ends = platforms.android_ends(platforms.ios_shares(pack, geo, population))
    stream = registry.WALLET_PLATFORM.of(seed)
    schemes = np.array(wallet, dtype=np.uint8)
    laws = [PlatformLaw(stream.key, end, is_wallet, schemes) for end in ends]
    return [*laws], (stream.use("world", 0, parties.n),)


class SchemeTable(NamedTuple):
    """Scheme laws by row, one a pair of instrument type and country."""

    rows: NDArray[np.int32]  # (instrument types, countries)
    thresholds: NDArray[np.uint64]  # (rows, schemes)
    guides: NDArray[np.uint8]  # to `thresholds`, as in kernels/discrete.py


def scheme_table(pack: PolicyPack, geo: Geography) -> SchemeTable:
    """The scheme laws of a policy and an upstream.

    Raises InputError `6A.S3.INSTRUMENT_TARGETS_INCONSISTENT` where a family has no mix for a
    region: no scheme is taken by default.
    """
    mix = pack.instrument_mix_priors
    schemes, regions = pack.codes("scheme"), pack.codes("region")
    instrument_types = pack.codes("instrument_type")
    shares = np.zeros((len(instrument_types), len(geo.countries), len(schemes)))
    for k, instrument_type in enumerate(instrument_types):
        family = pack.instrument_taxonomy.instrument_types[instrument_type].family
        override = mix.scheme_country_overrides.get(family, {})
        for c, country in enumerate(geo.countries):
            region = regions[geo.region[c]]
            scheme_mix = override.get(country) or mix.scheme_mix[family].get(region)
            if not scheme_mix:
                raise InputError(
                    "6A.S3.INSTRUMENT_TARGETS_INCONSISTENT",
                    f"no scheme mix for {family} in {region}",
                    where="instrument_mix_priors_6A.v1.yaml: scheme_mix",
                    remedy=f"add scheme_mix.{family}.{region}",
                )
            excluded = mix.scheme_exclusions.get(instrument_type, ())
            for name, share in scheme_mix.items():
                if name not in excluded:
                    shares[k, c, schemes.index(name)] = share
            if excluded:
                shares[k, c] /= shares[k, c].sum()
    rows = np.arange(len(instrument_types) * len(geo.countries), dtype=np.int32)
    flat = shares.reshape(-1, len(schemes))
    cuts = thresholds(flat)
    return SchemeTable(rows.reshape(len(instrument_types), len(geo.countries)), cuts, guide(cuts))
