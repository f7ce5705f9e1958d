"""S5 by pair of roles: an asset's role follows from its owner's role and its users."""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.policy.loader import load_pack
from fraudworld.policy.pairs import MULE_OWNERS, pair_factors
from fraudworld.stages.posture.role.roles import role_table
from support import chain

PACK = load_pack().pack
ASSETS = ("account", "device")


class World:
    """Roles of parties and their assets, owners, and devices with several users."""

    def __init__(self, pack, built):
        posture = chain.posture(pack, built)
        self.roles = {e: posture.of(pack, e) for e in chain.ENTITIES}
        self.owner = chain.owners(built)
        self.several = {"account": np.zeros(self.owner["account"].size, dtype=bool),
                        "device": chain.users(pack, built) > 1}  # fmt: skip

    def table(self, asset):
        """Assets with an owner by role of the owner and own role."""
        has = self.owner[asset] >= 0
        owner = self.roles["party"].raw[self.owner[asset][has]]
        out = np.zeros((len(PACK.codes("party_raw_role")), len(PACK.codes(f"{asset}_raw_role"))))
        np.add.at(out, (owner, self.roles[asset].raw[has]), 1)
        return out


@pytest.fixture(scope="module")
def built():
    return chain.build(PACK, 100_000)


@pytest.fixture(scope="module")
def world(built):
    return World(PACK, built)


@pytest.fixture(scope="module")
def flat(built):
    return World(chain.with_coefficients(PACK, propagation="off"), built)


def _named(table, asset):
    return {
        owner: dict(zip(PACK.codes(f"{asset}_raw_role"), line, strict=True))
        for owner, line in zip(PACK.codes("party_raw_role"), table.tolist(), strict=True)
    }


@pytest.mark.parametrize("asset", ASSETS)
def test_roles_stay_at_their_prior_in_every_group_and_tier(world, asset):
    """Null: a cell is binomial with its prior. False alarm below 1e-5 for all cells at 6 sd.

    Inside a stratum expectations are exact, so counts vary less than binomial ones.
    """
    roles, shares = world.roles[asset], role_table(PACK, asset).shares
    cells = np.zeros(shares.shape)
    np.add.at(cells, (roles.group, roles.tier, roles.raw), 1)
    sizes = cells.sum(axis=2, keepdims=True)
    spread = np.sqrt(sizes * shares * (1 - shares))
    assert (np.abs(cells - sizes * shares) <= 6 * spread + 1).all()
    assert cells[shares == 0].sum() == 0


@pytest.mark.parametrize("asset", ASSETS)
def test_roles_as_drawn_scatter_around_the_implied_table(world, asset):
    """Null: every pair is Poisson around its expectation. False alarm below 1e-4 at 5 sd."""
    diagnostics = world.roles[asset].diagnostics
    implied = diagnostics["implied"]["by_owner_role"]
    assert diagnostics["realised"]["by_owner_role"] == _named(world.table(asset), asset)
    for owner, line in diagnostics["realised"]["by_owner_role"].items():
        for role, drawn in line.items():
            expected = implied[owner][role]
            assert abs(drawn - expected) <= 5 * np.sqrt(expected) + 1, (owner, role)


@pytest.mark.parametrize("asset", ASSETS)
def test_diagnostics_tell_how_the_law_was_solved(world, asset):
    told = world.roles[asset].diagnostics
    assert told["factors_clamped"] == 0
    assert 0 < told["most_steps"] < 1_000
    assert told["largest_relative_error"] <= 1e-12
    band = getattr(PACK.risk_propagation_coeffs.role_pairs, asset).nominal_odds_ratio
    assert band.low <= told["implied_odds_ratio"] <= band.high
    assert told["realised_odds_ratio"] == pytest.approx(told["implied_odds_ratio"], rel=0.25)


def test_mule_accounts_belong_to_those_who_run_them(world):
    table = _named(world.table("account"), "account")
    whole = sum(line["MULE_ACCOUNT"] for line in table.values())
    assert sum(table[owner]["MULE_ACCOUNT"] for owner in MULE_OWNERS) / whole >= 0.40


def test_shared_suspicious_devices_are_shared(world):
    role = PACK.codes("device_raw_role").index("SHARED_SUSPICIOUS_DEVICE")
    shared = (world.roles["device"].raw == role) & (world.owner["device"] >= 0)
    assert world.several["device"][shared].mean() >= 0.90
    by_users = world.roles["device"].diagnostics["realised"]["by_users"]
    told = [by_users[n]["SHARED_SUSPICIOUS_DEVICE"] for n in ("one", "several")]
    assert told == [(~world.several["device"])[shared].sum(), world.several["device"][shared].sum()]


@pytest.mark.parametrize("asset", ASSETS)
def test_no_role_of_an_owner_decides_its_assets(world, asset):
    table = world.table(asset)
    clean = [
        PACK.codes(f"{asset}_raw_role").index(r)
        for r, family in PACK.fraud_role_taxonomy.entities[asset].mapping.items()
        if family == PACK.fraud_role_taxonomy.entities[asset].clean_family
    ]
    assert (1 - table[:, clean].sum(axis=1) / table.sum(axis=1) <= 0.35).all()


@pytest.mark.parametrize("asset", ASSETS)
def test_without_propagation_roles_are_those_by_risk_without_propagation(flat, built, asset):
    by_risk = chain.with_coefficients(PACK, propagation="off", propagation_by="risk")
    assert (World(by_risk, built).roles[asset].raw == flat.roles[asset].raw).all()
    assert flat.roles[asset].diagnostics["strata_solved"] == 0


def test_terminals_keep_the_roles_they_have_without_propagation(world, flat):
    """They have no owner and no users, so only their own group and tier count."""
    terminals = world.owner["device"] < 0
    assert terminals.any()
    assert (world.roles["device"].raw == flat.roles["device"].raw)[terminals].all()


def test_parties_and_merchants_do_not_depend_on_role_pairs(world, flat):
    for entity in ("party", "merchant"):
        assert (world.roles[entity].raw == flat.roles[entity].raw).all()


def test_products_of_factors_are_clamped_and_counted(built):
    few = chain.with_coefficients(PACK, max_odds_factor=10.0)
    assert pair_factors(few, "account").table.max() == 10.0
    assert pair_factors(few, "account").table.min() == 1.0
    assert pair_factors(few, "device").table.min() == 0.1
    for asset in ASSETS:
        told = chain.posture(few, built).of(few, asset).diagnostics
        assert told["factors_clamped"] == pair_factors(few, asset).clamped > 0


@pytest.mark.parametrize("parties_per_shard", [4_096, 20_480])
def test_the_cut_into_shards_changes_nothing(built, world, parties_per_shard):
    cut = chain.build(PACK, 100_000, parties_per_shard=parties_per_shard)
    assert len(cut.states.parties.shards) > len(built.states.parties.shards)
    posture = chain.posture(PACK, cut)
    for entity in chain.ENTITIES:
        a, b = world.roles[entity], posture.of(PACK, entity)
        assert (a.raw == b.raw).all()
        assert a.diagnostics == b.diagnostics
        assert a.rng == b.rng
