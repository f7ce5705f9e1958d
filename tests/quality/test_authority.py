"""The authority world: size checks per party, every invariant by SQL, gates, budgets.

About two minutes and 5 GiB; `make test-full`.
"""

from __future__ import annotations

import json

import pytest

from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.published import open_world
from fraudworld.verification import fidelity, invariants

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    root = tmp_path_factory.mktemp("authority")
    return pipeline.run(RunRequest(profile="authority", seed=42, runs_root=root))


def test_entities_per_party(authority):
    rows = authority.rows
    parties = rows["s1_party_base_6A"]
    assert 0.8 * 3_510_000 <= parties <= 1.25 * 3_513_000
    assert rows["s2_account_base_6A"] / parties == pytest.approx(2.66, rel=0.05)
    assert rows["s2_party_product_holdings_6A"] / parties == pytest.approx(2.27, rel=0.05)
    assert rows["s3_instrument_base_6A"] / rows["s2_account_base_6A"] == pytest.approx(
        1.5, rel=0.05
    )
    assert rows["s4_device_base_6A"] / parties == pytest.approx(2.22, rel=0.02)
    assert rows["s4_ip_links_6A"] / parties == pytest.approx(8.3, rel=0.04)
    assert rows["s4_ip_base_6A"] / parties == pytest.approx(1.135, rel=0.02)


def test_every_invariant_holds(authority):
    outcomes = invariants.check(open_world(authority.place.root))
    assert [o for o in outcomes if not o.holds] == []


def test_degrees_follow_their_law(authority):
    tables = {t.title: t for t in fidelity.compare(open_world(authority.place.root))}
    degree = {line.what: line.observed for line in tables["Devices per IP"].lines}
    assert degree["p50"] == 4
    assert 70 <= degree["p99"] <= 79
    assert degree["p99.9"] == pytest.approx(241, rel=0.05)
    assert degree["max (policy: the cap)"] <= 340


def test_the_world_passes_b_plus_within_its_budgets(authority):
    assert authority.grade == "B+"
    check = next(authority.place.reports.rglob("perf_budget_check_6A.json"))
    assert json.loads(check.read_text())["segment"]["pass"]
