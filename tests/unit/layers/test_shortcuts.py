"""The search finds a rule that names fraud too surely, and takes chance for none."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from fraudworld.layers.transactions.checks import Sealed
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.layers.transactions.shortcuts import (
    KEYS,
    QUANTILES,
    RARE,
    Facts,
    by_channel,
    conditions,
    read_facts,
    search,
)
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt

N = 40_000


def planted(*, both: float, alone: float = 0.01) -> tuple[Facts, np.ndarray, np.ndarray]:
    """Flows of which those with code A and a number above 8 of 10 are bad with `both`."""
    random = np.random.default_rng(3)
    code = random.choice(["A", "B", "C", "D"], N).astype(object)
    number = random.uniform(0, 10, N)
    noise = random.integers(0, 5, N)
    bad = random.uniform(size=N) < np.where((code == "A") & (number > 8), both, alone)
    return {"kind*": code, "number": number, "noise": noise}, bad, random.uniform(size=N) < 0.5


def test_a_planted_rule_is_found_with_its_precision() -> None:
    facts, bad, side = planted(both=0.9)
    (rule,) = search(facts, bad, side, 0.6)
    assert rule.words.startswith("kind = A and number >= ")
    assert rule.precision == pytest.approx(0.9, abs=0.03)
    assert rule.recall > 0.55


def test_a_rule_of_one_condition_is_a_rule() -> None:
    facts, _, side = planted(both=0.0)
    bad = (facts["kind*"] == "B") & (np.arange(N) % 4 == 0)
    (rule,) = search({"kind*": facts["kind*"]}, bad, side, 0.95)
    assert rule.words == "kind = B"
    assert rule.precision == pytest.approx(0.25, abs=0.02)
    assert rule.recall == 1.0
    assert rule.named == np.count_nonzero((facts["kind*"] == "B") & ~side)


def test_a_rule_that_names_too_few_is_none() -> None:
    facts, bad, side = planted(both=0.9, alone=0.2)
    (rule,) = search(facts, bad, side, 0.5)
    assert rule.precision < 0.4
    assert rule.recall >= 0.45


def test_chance_is_no_rule() -> None:
    """The surest of thousands of rules over noise names no more fraud where it is measured."""
    facts, _, side = planted(both=0.0)
    bad = np.random.default_rng(11).uniform(size=N) < 0.02
    for rule in search(facts, bad, side, 0.01, rules=3):
        assert rule.precision < 0.06


def test_further_rules_have_other_conditions() -> None:
    facts, bad, side = planted(both=0.9)
    rules = search(facts, bad, side, 0.01, rules=3)
    parts = [part for rule in rules for part in rule.words.split(" and ")]
    assert len(parts) == len(set(parts))


@pytest.mark.parametrize("on", [True, False])
def test_nothing_is_said_of_a_side_without_bad_flows(on: bool) -> None:
    facts, _, side = planted(both=0.0)
    assert search(facts, np.where(side == on, False, True), side, 0.05) == []
    assert search(facts, np.zeros(N, bool), side, 0.05) == []


def test_conditions_are_the_common_codes_and_the_quantiles() -> None:
    rare = np.where(np.arange(N) < RARE * N / 2, "rare", "often").astype(object)
    flat = np.ones(N)
    found = dict(conditions({"party_id": np.arange(N), "word*": rare, "flat": flat,
                             "steps": np.arange(N)}))  # fmt: skip
    assert "word = often" in found
    assert not [words for words in found if "rare" in words or "flat" in words or "party" in words]
    assert len([words for words in found if words.startswith("steps")]) == 2 * (QUANTILES + 1)
    for words, rows in found.items():
        if " >= " in words:
            cut = float(words.rpartition(" ")[2])
            assert rows.sum() == pytest.approx(N - cut, abs=1)


def test_facts_are_those_of_the_published_tables(small_world: Path, small_stream: Path) -> None:
    identity = read_receipt(RunPlace(small_world)).identity
    place = StreamPlace.below(small_stream)
    facts = read_facts(Sealed(small_world, identity), place)
    sql = duckdb.connect()
    for root, name in ((small_world, "s4_ip_links_6A"), (small_world, "s4_device_links_6A"),
                       (small_stream, "s1_arrival_entities_6B")):  # fmt: skip
        files = [str(p) for p in sorted(root.glob(f"data/layer3/*/{name}/**/*.parquet"))]
        sql.execute(f"create view {name} as from read_parquet({files}, hive_partitioning=false)")
    ((flows, no_device, own, linked),) = sql.sql("""
        select count(*), count_if(device_id is null),
          count_if((device_id, party_id) in (select (device_id, party_id) from s4_device_links_6A)),
          count_if((ip_id, device_id) in (select (ip_id, device_id) from s4_ip_links_6A))
        from s1_arrival_entities_6B""").fetchall()
    assert set(KEYS) <= facts.keys()
    assert {values.size for values in facts.values()} == {flows}
    assert np.count_nonzero(facts["device_of*"] == "NONE") == no_device
    assert np.count_nonzero(facts["device_of*"] == "CUSTOMER") == own
    assert np.count_nonzero(facts["endpoint_of*"] == "DEVICE") == linked
    assert (facts["flow_id"] == np.arange(1, flows + 1)).all()
    first = facts["times_on_device"] == 1
    pairs = sql.sql("select count(distinct (party_id, device_id)) from s1_arrival_entities_6B")
    assert np.count_nonzero(first) == pairs.fetchall()[0][0]
    found = by_channel(facts, 0.05)
    assert found.keys() == {"BILL", "ONLINE", "POS"}
