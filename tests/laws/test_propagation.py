"""S5: exact tiers, roles at their prior, propagation by risk at constant expected risk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.propagate import (
    exposed_probabilities,
    implied_odds_ratio,
    intercept,
    sigmoid,
    solve_uplift,
)
from fraudworld.policy.loader import load_pack
from fraudworld.stages.posture.role.roles import role_table
from support import chain

PACK = chain.with_coefficients(load_pack().pack, propagation_by="risk")
"""The shipped pack propagates by role pair: tests/laws/test_role_pairs.py."""

ENTITIES = chain.ENTITIES


class World:
    """Roles per entity kind, and the graph they were drawn on."""

    def __init__(self, pack, built):
        posture = chain.posture(pack, built)
        self.roles = {e: posture.of(pack, e) for e in ENTITIES}
        self.graph = chain.graph(built)


@pytest.fixture(scope="module")
def built():
    return chain.build(PACK, 100_000)


@pytest.fixture(scope="module")
def world(built):
    return World(PACK, built)


@pytest.fixture(scope="module")
def flat(built):
    return World(chain.with_coefficients(PACK, propagation="off"), built)


def _cells(roles):
    """Counts by (group, tier, raw role)."""
    shape = role_table(PACK, roles.entity).shares.shape
    out = np.zeros(shape, dtype=np.int64)
    np.add.at(out, (roles.group, roles.tier, roles.raw), 1)
    return out


def _table(exposed, risky):
    return [np.sum(e & r) for e in (exposed, ~exposed) for r in (risky, ~risky)]


def _log_odds_ratio(exposed, risky):
    """Log odds ratio and its standard error, rows taken as independent."""
    a, b, c, d = (float(n) for n in _table(exposed, risky))
    return np.log(a * d / (b * c)), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)


strata = st.lists(
    st.tuples(st.floats(1e-4, 0.6), st.integers(0, 10**6), st.integers(0, 10**5)),
    min_size=1,
    max_size=12,
)


@given(strata, st.floats(-1.386, 1.386))
@settings(max_examples=60, deadline=None)
def test_marginals_are_kept_exactly(cells, uplift):
    """For any uplift, the expected number of risky entities of a stratum is that of its prior."""
    priors = np.array([c[0] for c in cells])
    sizes = np.array([c[1:] for c in cells], dtype=np.int64)
    p = exposed_probabilities(priors, sizes, uplift)
    np.testing.assert_allclose(
        (sizes * p).sum(axis=1), priors * sizes.sum(axis=1), rtol=1e-10, atol=1e-9
    )
    odds = p / (1 - p)
    np.testing.assert_allclose(np.log(odds[:, 1] / odds[:, 0]), uplift, atol=1e-9)


def test_the_closed_form_equals_a_bisection():
    sizes = np.array([[900, 100], [10, 990], [0, 50], [70, 0]])
    priors = np.array([0.01, 0.2, 0.05, 0.4])
    p = exposed_probabilities(priors, sizes, 0.9)
    for row, prior, pair in zip(p, priors, sizes, strict=True):
        b = intercept(prior, pair, np.array([0.0, 0.9]))
        np.testing.assert_allclose(row, [sigmoid(b), sigmoid(b + 0.9)], rtol=1e-9)


def test_priors_of_zero_and_one_and_empty_strata_stay():
    p = exposed_probabilities(np.array([0.0, 1.0]), np.array([[5, 5], [5, 5]]), 1.0)
    assert p.tolist() == [[0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("target", [1.0, 1.9, 2.8])
def test_the_uplift_reaches_its_target_odds_ratio(target):
    """Crude and conditional odds ratios differ; the uplift is solved for the crude one."""
    priors = np.array([0.002, 0.01, 0.05, 0.2])
    sizes = np.array([[5_000, 40], [11_000, 150], [3_600, 70], [400, 10]])
    uplift = solve_uplift(priors, sizes, target, 1.386)
    assert implied_odds_ratio(priors, sizes, uplift) == pytest.approx(target, abs=1e-5)


def test_the_uplift_is_clipped_and_zero_without_a_ratio():
    priors, sizes = np.array([0.01]), np.array([[1_000, 50]])
    assert solve_uplift(priors, sizes, 30.0, 1.386) == 1.386
    assert solve_uplift(priors, np.array([[1_000, 0]]), 2.8, 1.386) == 0.0


@pytest.mark.parametrize("entity", ENTITIES)
def test_tiers_are_exact_in_every_group(world, entity):
    sizes = _cells(world.roles[entity]).sum(axis=2)
    shares = PACK.fraud_role_taxonomy.tier_shares
    for row in sizes:
        assert row.tolist() == largest_remainder(int(row.sum()), shares).tolist()


@pytest.mark.parametrize("entity", ENTITIES)
def test_roles_stay_at_their_prior(world, entity):
    """Null: every cell is binomial with its prior. False alarm below 1e-6 a role at 5.5 sd.

    Propagation only makes counts less variable than binomial, so the bound is generous.
    """
    cells, shares = _cells(world.roles[entity]), role_table(PACK, entity).shares
    sizes = cells.sum(axis=2, keepdims=True)
    expected = (sizes * shares).sum(axis=(0, 1))
    spread = np.sqrt((sizes * shares * (1 - shares)).sum(axis=(0, 1)))
    assert (np.abs(cells.sum(axis=(0, 1)) - expected) <= 5.5 * spread + 1).all()
    assert cells[shares == 0].sum() == 0


def _owned(world, entity):
    owner = world.graph.account_owner if entity == "account" else world.graph.device_owner
    has = owner >= 0
    exposed = world.roles["party"].risky[owner[has]]
    return exposed, has


@pytest.mark.parametrize("entity", ["account", "device"])
def test_risky_owners_raise_the_odds_of_their_assets_to_the_target(world, entity):
    """About 240 000 assets. Null: odds ratio 2.8; assets of one owner are drawn independently, so
    rows are independent given owners. False alarm below 1e-4 at 4 standard errors."""
    exposed, has = _owned(world, entity)
    value, error = _log_odds_ratio(exposed, world.roles[entity].risky[has])
    assert abs(value - np.log(2.8)) < 4 * error
    diagnostics = world.roles[entity].diagnostics
    assert diagnostics["implied_odds_ratio"] == pytest.approx(2.8, abs=1e-4)
    assert diagnostics["realised_odds_ratio"] == pytest.approx(np.exp(value), rel=0.02)
    assert diagnostics["rows_touched"] == exposed.sum()
    assert diagnostics["clamped"] is False


@pytest.mark.parametrize("entity", ["account", "device"])
def test_without_propagation_the_odds_ratio_is_flat(flat, entity):
    """Null: odds ratio 1, with a tolerance of 0.05 for shared features; false alarm below 1e-4."""
    exposed, has = _owned(flat, entity)
    value, error = _log_odds_ratio(exposed, flat.roles[entity].risky[has])
    assert abs(value) < 4 * error + 0.05
    assert flat.roles[entity].diagnostics["uplift_log_odds"] == 0.0
    assert flat.roles[entity].diagnostics["rows_touched"] == 0


@pytest.mark.parametrize("entity", ["account", "device"])
def test_propagation_changes_roles_only_in_the_direction_of_the_uplift(world, flat, entity):
    """Same draws, so the uplift only adds risk where owners are risky and removes it elsewhere."""
    on, off = world.roles[entity], flat.roles[entity]
    assert (on.tier == off.tier).all()
    exposed, has = _owned(world, entity)
    raised, plain = on.risky[has], off.risky[has]
    assert not (plain & ~raised)[exposed].any()
    assert not (raised & ~plain)[~exposed].any()
    assert (raised & ~plain).sum() > 0
    assert (plain & ~raised).sum() > 0


def test_roles_of_parties_and_merchants_do_not_depend_on_propagation(world, flat):
    for entity in ("party", "merchant"):
        assert (world.roles[entity].raw == flat.roles[entity].raw).all()


@pytest.mark.parametrize("entity", ["account", "device"])
def test_signals_of_owner_and_asset_are_nearly_independent(world, entity):
    limit = PACK.validation_policy.role_distribution_checks.max_owner_asset_score_correlation
    assert abs(world.roles[entity].diagnostics["owner_signal_correlation"]) <= limit


def _mantel_haenszel(exposed, risky, stratum):
    above = below = 0.0
    for s in np.unique(stratum):
        at = stratum == s
        a, b, c, d = _table(exposed[at], risky[at])
        above += a * d / at.sum()
        below += b * c / at.sum()
    return above / below


def _exposed_and_risky_endpoints(world):
    high = PACK.codes("ip_raw_role").index("HIGH_RISK_IP")
    exposed = np.zeros(world.graph.degree.size, dtype=bool)
    exposed[world.graph.ip[world.roles["device"].risky[world.graph.device]]] = True
    return exposed, world.roles["ip"].raw == high


def test_risky_devices_raise_the_odds_of_their_endpoints_at_equal_degree(world):
    """Well above the guard's bound of 1.2, as the policy's uplift is ln 2."""
    exposed, risky = _exposed_and_risky_endpoints(world)
    degree = world.graph.degree
    decile = np.digitize(degree, np.quantile(degree, np.arange(0.1, 1.0, 0.1)))
    stratum = world.roles["ip"].group.astype(int) * 10 + decile
    assert _mantel_haenszel(exposed, risky, stratum) > 1.5


def test_endpoint_diagnostics_agree_with_the_roles(world, flat):
    """Null: realised odds scatter around the implied ones; false alarm below 1e-4."""
    exposed, risky = _exposed_and_risky_endpoints(world)
    value, error = _log_odds_ratio(exposed, risky)
    diagnostics = world.roles["ip"].diagnostics
    assert abs(value - np.log(diagnostics["implied_crude_odds_ratio"])) < 4 * error
    assert diagnostics["with_risky_device"] == exposed.sum()
    assert flat.roles["ip"].diagnostics["rows_touched"] == 0
    assert flat.roles["ip"].diagnostics["implied_crude_odds_ratio"] < np.exp(value)


def test_crowded_endpoints_are_riskier_than_most(world):
    _, risky = _exposed_and_risky_endpoints(world)
    degree = world.graph.degree
    top = np.argsort(-degree, kind="stable")[: degree.size // 100]
    assert risky[top].mean() >= 1.5 * risky.mean()


def test_unmapped_is_the_family_of_devices_and_endpoints_without_a_mapping(built, world):
    bare = World(chain.with_coefficients(PACK, role_mapping="none"), built)
    for entity in ENTITIES:
        names = np.array(PACK.codes(f"{entity}_family"))[bare.roles[entity].family]
        assert (names == "UNMAPPED").all() == (entity in ("device", "ip"))
        assert (bare.roles[entity].raw == world.roles[entity].raw).all()


def test_families_follow_the_taxonomy(world):
    for entity in ENTITIES:
        roles, mapping = world.roles[entity], PACK.fraud_role_taxonomy.entities[entity].mapping
        raw = np.array(PACK.codes(f"{entity}_raw_role"))
        family = np.array(PACK.codes(f"{entity}_family"))
        pairs = set(zip(raw[roles.raw].tolist(), family[roles.family].tolist(), strict=True))
        assert pairs <= set(mapping.items())


def test_the_same_seed_gives_the_same_posture(built, world):
    repeated = World(PACK, built)
    for entity in ENTITIES:
        a, b = world.roles[entity], repeated.roles[entity]
        assert (a.raw == b.raw).all()
        assert (a.tier == b.tier).all()
        assert a.rng == b.rng
        assert {u.family for u in a.rng} == {f"fraud_role_sampling_{entity}"}


@pytest.mark.parametrize("parties_per_shard", [4_096, 20_480])
def test_the_cut_into_shards_changes_nothing(built, world, parties_per_shard):
    """Roles, tiers, and every figure of the diagnostics and checks."""
    cut = chain.build(PACK, 100_000, parties_per_shard=parties_per_shard)
    assert len(cut.states.parties.shards) > len(built.states.parties.shards)
    posture = chain.posture(PACK, cut)
    for entity in ENTITIES:
        a, b = world.roles[entity], posture.of(PACK, entity)
        assert (a.raw == b.raw).all()
        assert (a.tier == b.tier).all()
        assert a.diagnostics == b.diagnostics
        assert a.rng == b.rng
    assert chain.checks(PACK, posture) == chain.checks(PACK, chain.posture(PACK, built))
