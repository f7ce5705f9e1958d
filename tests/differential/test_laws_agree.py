"""Stages publish the same values as their plain twins in `tests/reference`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from differential.compare import first_difference
from differential.policies import BASELINE, HOME_KNOBS, Case, cases, changed, packs
from differential.published import published
from fraudworld.contracts import TABLES
from fraudworld.engine.local import LocalEngine
from fraudworld.policy.loader import load_pack
from fraudworld.stages.parties.draw import PartyLaws, draw_parties
from fraudworld.stages.parties.plan import plan_counts
from reference.parties import make
from reference.world import generate
from support import gathered, worlds

SEED = 42
FEW = {"population_priors.country_floor.minimum": 40}
"""Country floors that a world of two thousand parties can hold."""

TIGHT: dict[str, object] = {
    **FEW,
    # Homes so small that dependants often find theirs full.
    "population_priors.households.max_members": 3,
    "population_priors.households.kinds.STUDENT_HOME.heads": [0.0, 0.6, 0.4],
    "segmentation_priors.country_modulation.sigma": 0.8,
    "segmentation_priors.country_modulation.clip": 2.0,
    "segmentation_priors.country_modulation.max_tv": 0.1,
    # Accounts far above their caps, and parties with as many devices as they may use.
    "account_per_party_priors.counts.*.sigma": 1.5,
    "account_per_party_priors.party_factor_correlation": 0.7,
    "device_count_priors.lambda_per_party.*": 1.1,
    "device_count_priors.lambda_per_party.BUSINESS": 2.2,
    "device_count_priors.counts.*": {"cap": 1, "zero_share": 0.0, "sigma": 1.2},
    "device_count_priors.max_owned_per_party": 5,
    "device_count_priors.max_used_per_party": 5,
    "device_count_priors.terminals_per_outlet": 3_000.0,
    "device_linkage_rules.sharing.*": {"share": 0.25, "max_users": 4},
    "device_linkage_rules.accounts_per_device.*": {"zero_share": 0.0, "mean": 3.0, "maximum": 8},
    "device_linkage_rules.instruments_per_device.*": {"zero_share": 0.0, "mean": 4.0, "maximum": 8},
    "device_linkage_rules.max_devices_per_account": 2,
    "device_linkage_rules.max_devices_per_instrument": 1,
    "device_linkage_rules.max_devices_per_merchant": 20,
    # Nodes hardly larger than a home, so that few swaps are possible.
    "ip_count_priors.degree_laws.*": {"minimum": 3, "alpha": 1.2},
    "ip_count_priors.degree_cap": 4,
    "device_linkage_rules.circles.line": {"min_devices": 2, "max_devices": 4},
    "ip_count_priors.homes.max_devices_per_lease": 3,
    "ip_count_priors.homes.mean_devices.*": 2.7,
    "graph_linkage_rules.typical_ip_shares.BUSINESS.CONSUMER_SHARED": {
        "RESIDENTIAL": 0.5,
        "CORPORATE": 0.5,
    },
    "graph_linkage_rules.repair_attempts": 1,
    # More links abroad than other countries can take, and visitors that no swap places.
    "graph_linkage_rules.abroad.*": 0.9,
    "risk_propagation_coeffs.device_to_ip.high_sharing_min_devices": 3,
}
"""Limits reached everywhere, so that rare paths are taken often."""

QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


def agree(case: Case) -> None:
    """Fails with the first difference between stages and twins."""
    inputs = case.pack, case.seed, case.geo, case.merchants
    tables = published(*inputs, case.parties_per_shard)
    assert set(tables) == {table.name for table in TABLES}
    difference = first_difference(tables, generate(*inputs))
    assert difference is None, f"{difference}; in a world of {case}"


def test_stages_and_twins_agree_on_the_tiny_world() -> None:
    pack = load_pack().pack
    agree(Case(pack, SEED, worlds.geography(pack, 6_000), worlds.merchants(pack), None, "shipped"))


@pytest.mark.parametrize(
    ("overlays", "changes"), [((BASELINE,), FEW), ((), TIGHT)], ids=["baseline", "tight"]
)
def test_stages_and_twins_agree_on_extreme_worlds(
    overlays: tuple[str, ...], changes: dict[str, object]
) -> None:
    pack = changed(overlays, changes)
    geo, merchants = worlds.geography(pack, 2_000), worlds.merchants(pack)
    agree(Case(pack, SEED, geo, merchants, None, f"{overlays} {changes}"))


@given(case=cases((300, 800)))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_stages_and_twins_agree_on_some_random_policies(case: Case) -> None:
    agree(case)


@given(case=cases((300, 3_000), packs(12, HOME_KNOBS, ((),))))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_homes_and_their_twin_agree_on_random_laws_of_homes(case: Case) -> None:
    plan = plan_counts(case.pack, case.seed, case.geo)
    laws = PartyLaws.of(case.pack, case.seed)
    with LocalEngine(1) as engine:
        parties, _ = draw_parties(laws, case.geo, plan, case.parties_per_shard, engine)
        homes = gathered.parties(engine, parties, case.geo).household
    twin = [
        -1 if p.household is None else p.household for p in make(case.pack, case.seed, case.geo)
    ]
    assert homes.tolist() == twin, case


@pytest.mark.full
@given(case=cases((300, 3_000)))
@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
def test_stages_and_twins_agree_on_many_random_policies(case: Case) -> None:
    agree(case)


def test_the_first_difference_is_named() -> None:
    table = {"account_id": [1, 2, 3], "instrument_id": [1, 2, 3]}
    table |= {"instrument_type": [0, 0, 1], "scheme": [2, 2, 2]}
    name = "s3_account_instrument_links_6A"
    changed = {**table, "scheme": np.array([2, 2, 4]), "account_id": [1, 9]}
    assert first_difference({name: table}, {name: table}) is None
    difference = first_difference({name: table}, {name: changed})
    assert difference == f"{name}.account_id, row 1: published 2, reference 9"
    shorter = {column: values[:2] for column, values in table.items()}
    difference = first_difference({name: table}, {name: shorter})
    assert difference == f"{name}.account_id, row 2: published 3, reference ends after 2 rows"
    assert first_difference({name: table}, {}) == f"{name}: only the published has it"
