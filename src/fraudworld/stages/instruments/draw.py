"""The law of S3: which instruments sit on every account, and on which scheme they run.

Plans go from the world total of an (account type, instrument) pair down to regions. Floor
instruments are placed first and override the gate; what the plan has left is shared by the
gated, weighted, capped law. Wallet tokens go only to accounts that hold a card.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.engine.local import Engine
from fraudworld.errors import InputError
from fraudworld.kernels import expand
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.capped import Law, allocate
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Accounts, Geography, Instruments, Parties

SAMPLING = "instrument_allocation_sampling"
COUNTS = "instrument_count_realisation"
ATTRIBUTES = "instrument_attribute_sampling"


@dataclass(frozen=True)
class PairPlan:
    """Integer plan of one instrument on one account type, per region."""

    account_type: str
    instrument_type: str
    cells: NDArray[np.int64]  # shape (regions,)


@dataclass(frozen=True)
class Wallets:
    """Counts per slot and account; slot s of an account type is its s-th instrument.

    Called so because it is what an account's holder carries: cards, handles, tokens.
    """

    counts: NDArray[np.uint8]  # (slots, accounts)
    instruments: NDArray[np.uint8]  # (account types, slots), 255 = none
    dropped: dict[str, int]  # "account/instrument" → instruments no account could take
    floors: dict[str, int]  # "account/instrument" → instruments placed as floor
    floor_excess: dict[str, int]  # "account/instrument" → floors beyond the plan
    rng: tuple[StreamUse, ...]


def plan_instruments(
    pack: PolicyPack, accounts: Accounts, region: NDArray[np.uint8]
) -> tuple[PairPlan, ...]:
    """World total per account type → instrument → region, each by largest remainder.

    region: of every account's owner, u8 (accounts,).
    """
    mix = pack.instrument_mix_priors
    n_regions = len(pack.codes("region"))
    codes = pack.codes("account_type")
    cell = accounts.type.astype(np.int64) * n_regions + region
    population = np.bincount(cell, minlength=len(codes) * n_regions).reshape(-1, n_regions)
    plans = []
    for t, code in enumerate(codes):
        shares = mix.shares[code]
        names = sorted(shares)
        total = int(np.floor(mix.lambda_per_account[code] * population[t].sum() + 0.5))
        for name, count in zip(
            names, largest_remainder(total, [shares[n] for n in names]), strict=True
        ):
            weights = population[t] if population[t].any() else np.ones(n_regions)
            plans.append(PairPlan(code, name, largest_remainder(int(count), weights)))
    return tuple(plans)


def allocate_instruments(
    pack: PolicyPack,
    seed: int,
    accounts: Accounts,
    region: NDArray[np.uint8],
    plans: tuple[PairPlan, ...],
    engine: Engine,
) -> Wallets:
    """Realise the plans: floors, then cards and handles, then tokens where a card is."""
    priors = pack.instrument_per_account_priors
    taxonomy = pack.instrument_taxonomy.instrument_types
    all_codes = pack.codes("instrument_type")
    account_codes = pack.codes("account_type")
    by_type = {
        t: sorted(p.instrument_type for p in plans if p.account_type == t) for t in account_codes
    }
    slots = max(map(len, by_type.values()))
    table = np.full((len(account_codes), slots), 255, dtype=np.uint8)
    for t, names in enumerate(by_type.values()):
        table[t, : len(names)] = [all_codes.index(n) for n in names]
    counts = np.zeros((slots, accounts.n), dtype=np.uint8)
    plan_of = {(p.account_type, p.instrument_type): p.cells for p in plans}
    dropped: dict[str, int] = {}
    placed: dict[str, int] = {}
    excess: dict[str, int] = {}
    uses: list[StreamUse] = []

    def account_type(t: int) -> list[StreamUse]:
        code = account_codes[t]
        members = np.flatnonzero(accounts.type == t)
        cells = region[members].astype(np.uint16)
        names = by_type[code]
        held = np.zeros((len(names), members.size), dtype=np.int32)
        used = _floors(pack, seed, code, names, members, cells, held)
        for name, row in zip(names, held, strict=True):
            placed[f"{code}/{name}"] = int(row.sum())
        # Tokens last: they need to know where the cards are.
        for slot in sorted(range(len(names)), key=lambda s: taxonomy[names[s]].needs_card):
            name = names[slot]
            counted = priors.counts[code][name]
            inside = np.arange(members.size)
            if taxonomy[name].needs_card:
                cards = [i for i, n in enumerate(names) if taxonomy[n].family == "CARD"]
                inside = np.flatnonzero(held[cards].sum(axis=0) > 0)
            who = members[inside]
            stream = Stream(seed, f"s3/instrument_allocation/{code}/{name}", SAMPLING, 2)
            spare = Stream(seed, f"s3/cap_redistribution/{code}/{name}", SAMPLING, counted.cap)
            base = held[slot, inside]
            floor = np.bincount(cells[inside], base, plan_of[code, name].size).astype(np.int64)
            rest = plan_of[code, name] - floor
            law = Law(counted.zero_share, counted.sigma, counted.cap, stream.key, spare.key)
            done = allocate(who, cells[inside], np.maximum(rest, 0), law, law.cap - base)
            held[slot, inside] += done.counts
            dropped[f"{code}/{name}"] = int(done.dropped.sum())
            excess[f"{code}/{name}"] = int(np.maximum(-rest, 0).sum())
            used.append(stream.use(f"{code}/{name}", 0, accounts.n, entities=who.size))
        counts[: len(names), members] = held
        return used

    for used in engine.map(account_type, range(len(account_codes))):
        uses += used
    return Wallets(counts, table, dropped, placed, excess, tuple(uses))


def _floors(
    pack: PolicyPack,
    seed: int,
    code: str,
    names: list[str],
    members: NDArray[np.int64],
    cells: NDArray[np.uint16],
    held: NDArray[np.int32],
) -> list[StreamUse]:
    """Place the floor instrument of every account into `held`; exact shares by rank."""
    shares = pack.instrument_mix_priors.floors.get(code, {})
    if pack.instrument_mix_priors.floor == "none" or not shares or members.size == 0:
        return []
    unknown = sorted(set(shares) - set(names))
    if unknown:
        raise InputError(
            "6A.S3.INSTRUMENT_TARGETS_INCONSISTENT",
            f"the floor of {code} names {unknown}, which its mix does not hold",
            where="instrument_mix_priors_6A.v1.yaml: floors",
            remedy=f"use instruments of shares.{code}, or add a share for it",
        )
    if len(shares) == 1:
        held[names.index(next(iter(shares)))] = 1
        return []
    order = sorted(shares)
    stream = Stream(seed, f"s3/floor/{code}", COUNTS)
    pick = choices(
        stream.at(members),
        np.zeros(members.size, dtype=np.uint8),
        thresholds([[shares[n] for n in order]]),
    )
    for i, name in enumerate(order):
        held[names.index(name)] = pick == i
    return [
        stream.use(code, int(members[0]), int(members[-1] - members[0]) + 1, entities=members.size)
    ]


def instruments_of(
    pack: PolicyPack,
    seed: int,
    wallets: Wallets,
    accounts: Accounts,
    parties: Parties,
    geo: Geography,
    engine: Engine,
) -> tuple[Instruments, tuple[StreamUse, ...]]:
    """One row per instrument in order of account, its scheme drawn per instrument."""
    start = expand.starts(wallets.counts.sum(axis=0, dtype=np.int64))
    n = int(start[-1])
    account = np.empty(n, dtype=np.uint32)
    kind = np.empty(n, dtype=np.uint8)
    bounds = np.linspace(0, accounts.n, 9).astype(np.int64)
    spans = list(itertools.pairwise(bounds))
    engine.map(
        lambda span: expand.fill(
            wallets.counts,
            wallets.instruments,
            accounts.type,
            start,
            span[0],
            span[1],
            account,
            kind,
        ),
        spans,
    )
    rows, table = scheme_table(pack, geo)
    stream = Stream(seed, "s3/scheme", ATTRIBUTES)
    country = parties.country[accounts.owner]
    scheme = np.empty(n, dtype=np.uint8)

    def draw(span: tuple[np.int64, np.int64]) -> None:
        low, high = int(start[span[0]]), int(start[span[1]])
        where = country[account[low:high]]
        scheme[low:high] = choices(stream.flat(low, high - low), rows[kind[low:high], where], table)

    engine.map(draw, spans)
    return Instruments(account, kind, scheme, start), (stream.use("world", 0, n),)


def scheme_table(pack: PolicyPack, geo: Geography) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Row per (instrument type, country), and the scheme thresholds of every row.

    Raises InputError where a family has no mix for a region: there is no first available.
    """
    mix = pack.instrument_mix_priors
    schemes, regions = pack.codes("scheme"), pack.codes("region")
    kinds = pack.codes("instrument_type")
    shares = np.zeros((len(kinds), len(geo.countries), len(schemes)))
    for k, kind in enumerate(kinds):
        family = pack.instrument_taxonomy.instrument_types[kind].family
        override = mix.scheme_country_overrides.get(family, {})
        for c, country in enumerate(geo.countries):
            region = regions[geo.region[c]]
            found = override.get(country) or mix.scheme_mix[family].get(region)
            if not found:
                raise InputError(
                    "6A.S3.INSTRUMENT_TARGETS_INCONSISTENT",
                    f"no scheme mix for {family} in {region}",
                    where="instrument_mix_priors_6A.v1.yaml: scheme_mix",
                    remedy=f"add scheme_mix.{family}.{region}",
                )
            for name, share in found.items():
                shares[k, c, schemes.index(name)] = share
    rows = np.arange(len(kinds) * len(geo.countries), dtype=np.int32)
    flat = shares.reshape(-1, len(schemes))
    return rows.reshape(len(kinds), len(geo.countries)), thresholds(flat)
