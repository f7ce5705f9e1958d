"""S5: risk that circles, homes and firms have in common."""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.policy.loader import load_pack
from fraudworld.stages.posture.role.frailty import FrailtyLaw, UnitFirsts
from fraudworld.stages.posture.role.roles import role_table
from support import chain, gathered

PACK = load_pack().pack
RULE = PACK.risk_propagation_coeffs.frailty
ROLES = PACK.codes("party_raw_role")
ORGANISER = ROLES.index("ORGANISER")


def with_frailty(**changes):
    return chain.with_coefficients(PACK, frailty=RULE.model_copy(update=changes))


@pytest.fixture(scope="module")
def built():
    return chain.build(PACK, 100_000)


@pytest.fixture(scope="module")
def party(built):
    return chain.posture(PACK, built).of(PACK, "party")


@pytest.fixture(scope="module")
def circle(built):
    of = built.states.network.circles
    return gathered.circles(of.items, of.first)


@pytest.fixture(scope="module")
def band(built):
    """Band of every circle."""
    law = FrailtyLaw.of(PACK, built.seed)
    return law.of_circles(0, int(built.states.network.circles.first[-1]))


def test_roles_stay_at_their_prior_in_every_group_and_tier(party):
    """Null: expectations of a cell are exact, and members of a unit scatter together: 6 times the
    binomial deviation, of which one unit in common may be 2."""
    shares = role_table(PACK, "party").shares
    cells = np.zeros(shares.shape)
    np.add.at(cells, (party.group, party.tier, party.raw), 1)
    sizes = cells.sum(axis=2, keepdims=True)
    spread = np.sqrt(sizes * shares * (1 - shares))
    assert (np.abs(cells - sizes * shares) <= 6 * spread + 2).all()
    assert cells[shares == 0].sum() == 0
    assert party.diagnostics["largest_relative_error"] < 1e-11


def test_bands_have_their_shares_of_circles(band):
    shares = np.bincount(band, minlength=3) / band.size
    wanted = [b.share for b in RULE.circle]
    assert shares[1:].tolist() == pytest.approx(wanted, abs=0.04)


def test_circles_of_a_band_hold_two_fifths_of_all_risk(party, circle, band):
    bad = np.append(band > 0, False)[circle]
    assert 0.3 <= party.risky[bad].mean() <= 0.5
    assert 0.3 <= party.risky[bad].sum() / party.risky.sum() <= 0.5
    innocent = np.append(band == 0, False)[circle]
    assert party.risky[innocent].mean() < 0.03


def test_large_circles_of_a_band_have_an_organiser_unless_the_country_has_none_left(
    built, party, circle, band
):
    size = np.bincount(circle[circle >= 0], minlength=band.size)
    has = np.zeros(band.size, dtype=bool)
    organisers = (party.raw == ORGANISER) & (circle >= 0)
    has[circle[organisers]] = True
    needs = (band > 0) & (size >= RULE.organiser_min_members)
    told = party.diagnostics
    assert needs.sum() == told["circles_that_need_an_organiser"]
    assert (needs & ~has).sum() == told["circles_without_an_organiser"]
    assert told["organisers_exchanged"] > 0
    # A country with a circle that has none has no organiser elsewhere of any of its tiers.
    states = built.states
    country = np.repeat([s.country for s in states.parties.shards],
                        [s.n for s in states.parties.shards])  # fmt: skip
    spare = (party.raw == ORGANISER) & ~np.append(band > 0, False)[circle]
    for c in np.flatnonzero(needs & ~has):
        members = np.flatnonzero(circle == c)
        left = spare & (country == country[members[0]]) & (party.group == party.group[members[0]])
        assert not np.isin(party.tier[left], party.tier[members]).any()


def test_an_exchange_of_organisers_moves_no_count(built):
    """With and without the rule, every (group, tier) has the same number of every role."""

    def cells(pack):
        of = chain.posture(pack, built).of(pack, "party")
        out = np.zeros(role_table(pack, "party").shares.shape)
        np.add.at(out, (of.group, of.tier, of.raw), 1)
        return out, of.raw

    (with_rule, raw), (without, before) = (
        cells(with_frailty(organiser_min_members=n)) for n in (8, 255)
    )
    assert np.array_equal(with_rule, without)
    assert (raw != before).any()


@pytest.mark.parametrize("parties_per_shard", [4_096, 20_480])
def test_the_cut_into_shards_changes_nothing(built, party, parties_per_shard):
    cut = chain.build(PACK, 100_000, parties_per_shard=parties_per_shard)
    again = chain.posture(PACK, cut).of(PACK, "party")
    assert np.array_equal(again.raw, party.raw)
    assert again.diagnostics == party.diagnostics


def test_without_units_roles_are_those_of_the_shares(built):
    none = chain.posture(with_frailty(circle=(), home=(), firm=()), built).of(PACK, "party")
    assert none.diagnostics == {}
    assert len(none.rng) == 2


def test_a_product_of_factors_is_limited(built):
    law = FrailtyLaw.of(with_frailty(max_odds_factor=50.0), built.seed)
    assert law.factors.max() == 50.0
    assert law.clamped == 8
    assert FrailtyLaw.of(PACK, built.seed).factors.max() == RULE.max_odds_factor


def test_rows_pair_the_band_of_the_circle_with_that_of_the_home_or_firm(built):
    law, states = FrailtyLaw.of(PACK, built.seed), built.states
    k = int(np.argmax([s.n for s in states.parties.shards]))
    parties, circles = states.parties.items[k], states.network.circles.items[k]
    firsts = (
        states.network.circles.first[k],
        states.parties.household_first[k],
        states.parties.business_group_first[k],
    )
    row = law.rows_of(UnitFirsts(*map(int, firsts)), parties, circles)
    of_circle = np.append(law.of_circles(int(firsts[0]), circles.start.size - 1), 0)[circles.of]
    assert np.array_equal(row // law.bands, of_circle)
    for home in np.unique(parties.household[parties.household >= 0])[:200]:
        assert np.unique(row[parties.household == home] % law.bands).size == 1
