"""The units whose members have risk in common: circles, homes, firms, parties alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.estimators import rate_ratio
from fraudworld.t10.sample import _units, load_world


def test_a_circle_goes_before_a_home_and_nobody_else_joins() -> None:
    home = np.array([7, 7, 8, 0, 0, 0, 9])
    firm = np.array([0, 0, 0, 7, 7, 0, 0])
    circles = {"circle_id": np.array([7, 7]), "party_id": np.array([2, 3])}
    unit = _units(home, firm, circles).tolist()
    groups = [{p for p, u in enumerate(unit) if u == one} for one in sorted(set(unit))]
    assert sorted(map(sorted, groups)) == [[0], [1, 2], [3, 4], [5], [6]]


def test_units_of_a_world_are_those_of_its_tables(demo_world: Path) -> None:
    place = RunPlace(demo_world)
    identity, pack = read_receipt(place).identity, sealed_policy(demo_world)

    def rows(name: str, *columns: str) -> list[tuple[object, ...]]:
        table = pq.read_table(place.dataset(name, identity), columns=list(columns),
                              partitioning=None)  # fmt: skip
        return list(zip(*(table[c].to_pylist() for c in columns), strict=True))

    circle = {p: c for c, p in rows("s4_circle_members_6A", "circle_id", "party_id")}
    people = rows("s1_party_base_6A", "party_id", "household_id", "business_group_id")
    expected = [
        ("circle", circle[p]) if p in circle
        else ("home", home) if home is not None
        else ("firm", firm) if firm is not None
        else ("alone", p)
        for p, home, firm in people
    ]  # fmt: skip
    unit = load_world(place, pack, identity).unit
    assert len(set(zip(expected, unit.tolist(), strict=True))) == len(set(expected))
    assert len(set(expected)) == len(set(unit.tolist()))


def test_units_that_share_events_widen_the_interval() -> None:
    """Twelve parties a unit; units differ in their rate of events and in who is exposed."""
    random = np.random.default_rng(3)
    party = np.repeat(np.arange(6_000), 10)
    unit = party // 12
    exposed = (random.random(6_000) < random.choice([0.01, 0.5], 500)[np.arange(6_000) // 12])[
        party
    ]
    event = random.random(party.size) < random.choice([0.01, 0.09], 500)[unit]
    cell = np.zeros(party.size, np.int8)
    alone = rate_ratio(event, exposed, cell, party, 6_000)
    together = rate_ratio(event, exposed, cell, party, 6_000, unit)
    assert alone.value == together.value
    assert together.log_se > 1.3 * alone.log_se
    assert together.design == together.log_se / alone.log_se
