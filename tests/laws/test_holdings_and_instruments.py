"""S2 and S3: plans, caps, coverage, floors, legality, parent cards, schemes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fraudworld.engine.local import LocalEngine
from fraudworld.policy.loader import load_pack
from fraudworld.stages.accounts.draw import (
    account_rates,
    allocate_accounts,
    cell_lambda,
    enforce_kmax_per_party_account_type,
    plan_accounts,
)
from fraudworld.stages.instruments.draw import (
    accounts_by_region,
    allocate_instruments,
    instruments_of,
    plan_instruments,
    scheme_table,
)
from fraudworld.stages.parties.draw import PartyLaws, draw_parties
from fraudworld.stages.parties.plan import plan_counts
from support import gathered, worlds

PACK = load_pack().pack


def build(pack=PACK, seed=42, shard=5_000, workers=1):
    """S2 and S3 over all shards; `counts` has shape (products, parties)."""
    geo = worlds.geography(pack, 100_000)
    with LocalEngine(workers) as engine:
        plan = plan_counts(PACK, 42, geo)
        people, _ = draw_parties(PartyLaws.of(pack, 42), geo, plan, shard, engine)
        regions = len(pack.codes("region"))
        plans = plan_accounts(account_rates(pack), people.population(regions))
        draft, _ = allocate_accounts(pack, seed, people, plans, engine)
        held, _ = enforce_kmax_per_party_account_type(pack, seed, people, draft, engine)
        pairs = plan_instruments(pack, accounts_by_region(held.accounts, people.region, regions))
        wallets = allocate_instruments(pack, seed, people, held.accounts, pairs, engine)
        carried, _ = instruments_of(scheme_table(pack, geo), seed, wallets, people, engine)
        parties = gathered.parties(engine, people, geo)
        accounts = gathered.accounts(engine, held.accounts, people)
        counts = np.zeros((len(pack.codes("account_type")), parties.n), dtype=np.int64)
        np.add.at(counts, (accounts.type, accounts.holder), 1)
        return SimpleNamespace(
            geo=geo,
            parties=parties,
            plans=plans,
            held=held,
            counts=counts,
            accounts=accounts,
            wallets=wallets,
            instruments=gathered.instruments(engine, carried, held.accounts),
        )


@pytest.fixture(scope="module")
def world():
    return build()


def test_account_plans_are_conserved_cell_by_cell(world):
    parties, plans, held, accounts = world.parties, world.plans, world.held, world.accounts
    segments = len(PACK.codes("segment"))
    assert held.counters.kmax_dropped_rows == 0
    cells = (
        parties.region[accounts.holder].astype(int) * segments + parties.segment[accounts.holder]
    )
    for plan in plans:
        rows = np.bincount(cells[accounts.type == plan.product], minlength=plan.cells.size)
        assert (rows == plan.cells.ravel()).all()


def test_means_are_the_lambdas_of_the_policy(world):
    parties = world.parties
    for plan in world.plans:
        code = PACK.codes("account_type")[plan.product]
        lam = np.array([cell_lambda(PACK, code, s) for s in PACK.codes("segment")])
        owner = PACK.account_taxonomy.account_types[code].party_type
        inside = parties.type == PACK.codes("party_type").index(owner)
        assert plan.cells.sum() == pytest.approx(lam[parties.segment[inside]].sum(), abs=0.51)


def test_no_holding_is_above_its_cap_after_redistribution(world):
    held, accounts = world.held, world.accounts
    caps = np.array(
        [PACK.account_per_party_priors.counts[a].cap for a in PACK.codes("account_type")]
    )
    assert (world.counts <= caps[:, None]).all()
    counters = held.counters
    assert counters.kmax_overflow_rows == counters.kmax_redistributed_rows > 0
    assert counters.kmax_postcheck_violations == 0
    assert 0.01 < counters.kmax_overflow_rows / accounts.n < 0.04


def test_required_products_are_covered(world):
    parties, accounts = world.parties, world.accounts
    for code, share in PACK.product_mix_priors.required_coverage.items():
        owner_type = PACK.codes("party_type").index(
            PACK.account_taxonomy.account_types[code].party_type
        )
        holders = np.unique(
            accounts.holder[accounts.type == PACK.codes("account_type").index(code)]
        )
        assert holders.size / (parties.type == owner_type).sum() >= share


def test_counts_of_different_products_of_a_party_correlate_positively(world):
    retail = world.parties.type == PACK.codes("party_type").index("RETAIL")
    counts = world.counts[:, retail].astype(float)
    counts = counts[counts.any(axis=1)]
    correlations = np.corrcoef(counts)
    pairs = correlations[np.triu_indices_from(correlations, 1)]
    assert pairs.mean() > 0.03


def test_accounts_holdings_and_instruments_per_party(world):
    parties, accounts, instruments = world.parties, world.accounts, world.instruments
    assert accounts.n / parties.n == pytest.approx(2.66, rel=0.05)
    assert world.held.rows.sum() == (world.counts > 0).sum()
    assert world.held.rows.sum() / parties.n == pytest.approx(2.27, rel=0.05)
    assert instruments.n / accounts.n == pytest.approx(1.5, rel=0.05)


def test_instrument_means_over_all_accounts_meet_their_lambda(world):
    accounts, instruments = world.accounts, world.instruments
    mix = PACK.instrument_mix_priors
    kinds = PACK.codes("instrument_type")
    for t, code in enumerate(PACK.codes("account_type")):
        n = (accounts.type == t).sum()
        on = instruments.type[accounts.type[instruments.holder] == t]
        for name, share in mix.shares[code].items():
            expected = mix.lambda_per_account[code] * share * n
            assert (on == kinds.index(name)).sum() == pytest.approx(expected, rel=0.02, abs=3)


def test_instruments_keep_floors_caps_and_legality(world):
    accounts, instruments = world.accounts, world.instruments
    kinds, codes = PACK.codes("instrument_type"), PACK.codes("account_type")
    taxonomy = PACK.instrument_taxonomy.instrument_types
    per = np.zeros((accounts.n, len(kinds)), dtype=np.int64)
    np.add.at(per, (instruments.holder, instruments.type), 1)
    assert per.sum(axis=1).max() <= PACK.instrument_per_account_priors.max_per_account
    card = [k for k, n in enumerate(kinds) if taxonomy[n].family == "CARD"]
    for t, code in enumerate(codes):
        of_type = per[accounts.type == t]
        if floors := PACK.instrument_mix_priors.floors.get(code):
            assert of_type[:, [kinds.index(n) for n in floors]].sum(axis=1).min() >= 1
        for k, name in enumerate(kinds):
            if not of_type[:, k].any():
                continue
            assert PACK.account_taxonomy.account_types[code].ledger in taxonomy[name].ledgers
            assert of_type[:, k].max() <= PACK.instrument_per_account_priors.counts[code][name].cap
            if taxonomy[name].needs_card:
                assert (of_type[of_type[:, k] > 0][:, card].sum(axis=1) > 0).all()
    assert all(v == 0 for v in world.wallets.dropped.values())


def test_schemes_depend_on_the_region_and_not_on_the_id(world):
    geo, parties = world.geo, world.parties
    accounts, instruments = world.accounts, world.instruments
    schemes, regions = PACK.codes("scheme"), PACK.codes("region")
    region = parties.region[accounts.holder[instruments.holder]]
    for code in ("DISCOVER", "ACH"):
        used = region[instruments.scheme == schemes.index(code)]
        assert used.size
        assert (used == regions.index("REGION_AMER")).all()
    us = parties.country[accounts.holder[instruments.holder]] == geo.countries.index("US")
    visa = (instruments.scheme[us] == schemes.index("VISA")).astype(float)
    halves = np.array_split(visa, 2)
    assert halves[0].mean() == pytest.approx(halves[1].mean(), abs=0.01)


def test_shards_and_workers_change_nothing_and_another_seed_does(world):
    for shard, workers in ((None, 1), (50_000, 2)):
        other = build(shard=shard, workers=workers)
        for name in ("holder", "type", "start"):
            for table in ("accounts", "instruments"):
                expected, actual = (getattr(getattr(w, table), name) for w in (world, other))
                assert (expected == actual).all(), (table, name)
        assert (other.instruments.scheme == world.instruments.scheme).all()
        assert other.held.counters == world.held.counters
        assert (other.wallets.rows, other.wallets.rng) == (world.wallets.rows, world.wallets.rng)
    seeded = build(seed=43)
    assert not np.array_equal(seeded.accounts.holder, world.accounts.holder)
    assert not np.array_equal(seeded.instruments.type, world.instruments.type)


def test_two_policies_share_the_draws_of_unchanged_products(world):
    """An unchanged product keeps exactly its holders when another product changes."""
    counts = dict(PACK.account_per_party_priors.counts)
    law = counts["RETAIL_SAVINGS_FIXED"]
    counts["RETAIL_SAVINGS_FIXED"] = law.model_copy(update={"zero_share": 0.5})
    changed = PACK.model_copy(
        update={
            "account_per_party_priors": PACK.account_per_party_priors.model_copy(
                update={"counts": counts}
            )
        }
    )
    other = build(changed)
    same = (world.counts == other.counts).all(axis=1)
    assert [PACK.codes("account_type")[p] for p in np.flatnonzero(~same)] == [
        "RETAIL_SAVINGS_FIXED"
    ]
