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
    country_factors,
    enforce_kmax_per_party_account_type,
    places_of,
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
        by_region, _ = plan_accounts(pack, seed, account_rates(pack), people.population(regions))
        places, plans = places_of(pack, geo, people, by_region)
        draft, _ = allocate_accounts(pack, seed, people, places, plans, engine)
        held, _ = enforce_kmax_per_party_account_type(pack, seed, people, draft, engine)
        pairs = plan_instruments(pack, accounts_by_region(held.accounts, people.region, regions))
        wallets = allocate_instruments(pack, seed, people, held.accounts, pairs, engine)
        carried, _ = instruments_of(
            pack, seed, geo, scheme_table(pack, geo), wallets, people, held.accounts, engine
        )
        parties = gathered.parties(engine, people, geo)
        accounts = gathered.accounts(engine, held.accounts, people)
        counts = np.zeros((len(pack.codes("account_type")), parties.n), dtype=np.int64)
        np.add.at(counts, (accounts.type, accounts.holder), 1)
        return SimpleNamespace(
            geo=geo,
            parties=parties,
            plans=plans,
            by_region=by_region,
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
        parties.country[accounts.holder].astype(int) * segments + parties.segment[accounts.holder]
    )
    for plan in plans:
        rows = np.bincount(cells[accounts.type == plan.product], minlength=plan.cells.size)
        assert (rows == plan.cells.ravel()).all()


def test_countries_conserve_the_plans_of_their_region(world):
    region = world.geo.region
    for plan, of_region in zip(world.plans, world.by_region, strict=True):
        sums = np.zeros_like(of_region.cells)
        np.add.at(sums, region, plan.cells)
        assert (sums == of_region.cells).all()


def test_more_people_hold_a_card_where_more_adults_do(world):
    """Inside a region, holders per party follow the countries' factors; of current accounts not."""
    parties, accounts, geo = world.parties, world.accounts, world.geo
    population = np.zeros((len(geo.countries), len(PACK.codes("segment"))), dtype=np.int64)
    np.add.at(population, (parties.country, parties.segment), 1)
    factors = country_factors(PACK, geo, population)
    retail = parties.type == PACK.codes("party_type").index("RETAIL")

    def holders(code: str) -> np.ndarray:
        product = PACK.codes("account_type").index(code)
        holds = np.zeros(parties.n, dtype=bool)
        holds[accounts.holder[accounts.type == product]] = True
        return np.array(
            [holds[retail & (parties.country == c)].mean() for c in range(len(geo.countries))]
        )

    product = PACK.codes("account_type").index("RETAIL_CREDIT_CARD_STANDARD")
    cards, current = holders("RETAIL_CREDIT_CARD_STANDARD"), holders("RETAIL_CURRENT_BASIC")
    judged = 0
    for r in np.unique(geo.region):
        inside = np.flatnonzero(geo.region == r)
        low, high = (inside[f(factors[inside, product])] for f in (np.argmin, np.argmax))
        wanted = factors[high, product] / factors[low, product]
        if wanted > 1.2:
            judged += 1
            assert cards[high] / cards[low] == pytest.approx(wanted, rel=0.2)
            assert current[high] == pytest.approx(current[low], abs=0.03)
    assert judged >= 1


def test_means_are_the_lambdas_of_the_policy(world):
    """Per product within the scatter of a seed, per party type exactly."""
    parties, codes = world.parties, PACK.codes("account_type")
    scatter = PACK.product_mix_priors.seed_overdispersion
    wanted, made = {}, {}
    for plan in world.plans:
        code = codes[plan.product]
        lam = np.array([cell_lambda(PACK, code, s) for s in PACK.codes("segment")])
        owner = PACK.account_taxonomy.account_types[code].party_type
        inside = parties.type == PACK.codes("party_type").index(owner)
        mean = lam[parties.segment[inside]].sum()
        assert plan.cells.sum() == pytest.approx(mean, abs=4 * np.sqrt(scatter * mean) + 0.51)
        wanted[owner] = wanted.get(owner, 0.0) + mean
        made[owner] = made.get(owner, 0) + plan.cells.sum()
    assert made == pytest.approx(wanted, abs=len(codes) / 2)


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
