"""Segment 6B publishes what the row-by-row laws of `tests/reference/transactions` say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from differential.compare import first_difference
from differential.policies import changed, packs
from differential.small_bank import Bank, publish, upstream
from differential.transaction_policies import (
    ATTACKED,
    KNOBS,
    PEACEFUL,
    SPARSE,
    TABLETS,
    UNTRAVELLED,
    UNTRIED,
)
from differential.transactions import Columns, published_stream, read_upstream, twin_stream
from fraudworld.contracts.transactions import CODES, DOWNSTREAM_TABLES
from fraudworld.documents import load_json
from fraudworld.inputs.arrivals import load_arrivals
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from reference.transactions.arrivals import LARGE_MEAN, ORIGIN_MS, Arrivals
from reference.transactions.choices import HOUR_MS

SEED = 42
MOST_SEED = 2**63 - 1
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example publishes a run: shrinking one would take minutes."""
Make = Callable[[int, Mapping[str, object]], Bank]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A published run of a seed and changes of the policy; each is made once."""
    made: dict[str, Bank] = {}

    def make(seed: int, changes: Mapping[str, object]) -> Bank:
        key = f"{seed} {changes}"
        if key not in made:
            made[key] = publish(tmp_path_factory.mktemp("bank"), seed, changed((), changes))
        return made[key]

    return make


def agree(bank: Bank, to: Path, days: int | None = None, flows: int | None = None,
          from_day: int = 1, **request: Any) -> Columns:  # fmt: skip
    """Fail with the first difference between stream and twin; returns the twin's tables."""
    found = published_stream(bank, to, days=days, flows=flows, from_day=from_day, **request)
    twin = twin_stream(bank, days=days, most_flows=flows, first_day=from_day,
                       rewired=request.get("rewired", False))  # fmt: skip
    difference = first_difference(found, twin, DOWNSTREAM_TABLES)
    assert difference is None, difference
    return twin


@pytest.mark.parametrize("seed", [SEED, 7, MOST_SEED])
def test_small_streams_follow_the_laws(bank: Make, tmp_path: Path, seed: int) -> None:
    agree(bank(seed, {}), tmp_path, days=2)


@pytest.mark.parametrize(
    "window",
    [
        {"days": 1, "from_day": 3},
        {"days": 1, "from_day": 90},
        {"flows": 500, "block_flows": 60},
        {"flows": 1},
    ],
    ids=["later", "last day", "flows", "one flow"],
)
def test_windows_follow_the_laws(bank: Make, tmp_path: Path, window: dict[str, int]) -> None:
    agree(bank(SEED, ATTACKED), tmp_path, **window)


def test_rewired_streams_follow_the_laws(bank: Make, tmp_path: Path) -> None:
    agree(bank(SEED, {}), tmp_path, days=1, rewired=True)


def test_sparse_streams_follow_the_laws(bank: Make, tmp_path: Path) -> None:
    agree(bank(SEED, SPARSE), tmp_path, days=2)


def test_without_a_propensity_to_buy_abroad_travellers_are_drawn_by_activity(
    bank: Make, tmp_path: Path
) -> None:
    agree(bank(SEED, UNTRAVELLED), tmp_path, days=1)


def test_flows_of_accounts_without_a_device_in_use_have_no_device(
    bank: Make, tmp_path: Path
) -> None:
    twin = agree(bank(SEED, TABLETS), tmp_path, days=2)
    entities, truth = twin["s1_arrival_entities_6B"], twin["s4_flow_truth_labels_6B"]
    without = [i for i, device in enumerate(entities["device_id"]) if device is None]
    assert without
    for i in without:
        assert truth["cause"][i] == "COLLATERAL"
        assert truth["tactic"][i] in ("NONE", "IP_SWAP")
        assert (entities["ip_id"][i] is None) == (truth["tactic"][i] == "NONE")
    report = load_json(StreamPlace.below(tmp_path).report)
    broken = [row for row in report["checks"] if row["violations"]]
    assert broken == []


@pytest.mark.parametrize("policy", [PEACEFUL, UNTRIED], ids=["no campaigns", "one type less"])
def test_types_without_a_share_of_the_flows_have_no_campaigns(
    bank: Make, tmp_path: Path, policy: dict[str, object]
) -> None:
    twin = agree(bank(SEED, policy), tmp_path, days=2)
    assert "CARD_TESTING" not in twin["s3_campaign_catalogue_6B"]["campaign_type"]


def test_attacked_streams_follow_the_laws_and_reach_every_code(bank: Make, tmp_path: Path) -> None:
    twin = agree(bank(SEED, ATTACKED), tmp_path, days=4)
    for table in DOWNSTREAM_TABLES:
        for column in table.columns:
            reached = set(twin[table.name][column.name])
            assert reached >= set(CODES.get(str(column.codes), ())), column.name
            # Whoever can pay has a device; every other column that may be null is.
            maybe = column.nullable and column.name != "device_id"
            assert (None in reached) == maybe, column.name


@pytest.mark.parametrize("dispersion", [3, 8, 63])
def test_arrivals_follow_the_law(tmp_path: Path, dispersion: int) -> None:
    """Merchants from none to thousands an hour; the second window has a change of clocks."""
    source = upstream(tmp_path / "upstream", load_pack().pack, 400_000, dispersion)
    rows = read_upstream(source)
    countries = tuple(sorted(row["country_iso"] for row in rows.places))
    fast, twin = load_arrivals(source, SEED, countries), Arrivals(rows, SEED)
    for first, before in ((0, 0), (24 * 66 + 9, 10**12 + 3)):
        counts = fast.counts(first, first + 3)
        assert counts.min() == 0
        assert counts.max() > LARGE_MEAN
        assert counts.tolist() == [twin.counts(hour) for hour in range(first, first + 3)]
        moments, cells = fast.hour(before, counts[0])
        found = list(zip(moments.tolist(), cells.tolist(), strict=True))
        number = {id(cell): c for c, cell in enumerate(twin.cells)}
        start = ORIGIN_MS + first * HOUR_MS
        arrivals = twin.hour(first, before)
        assert found == [(a.moment - start, number[id(a.cell)]) for a in arrivals]
        assert [a.number for a in arrivals] == list(range(before, before + len(found)))


@pytest.mark.full
@given(case=packs(knobs=KNOBS), seed=st.integers(0, MOST_SEED), from_day=st.integers(1, 3))
@settings(max_examples=60, deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_many_random_policies_follow_the_laws(
    case: tuple[PolicyPack, list[str]], seed: int, from_day: int
) -> None:
    pack, said = case
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = publish(folder, seed, pack)
        try:
            agree(found, folder / "stream", days=1, from_day=from_day)
        except AssertionError as difference:
            raise AssertionError(f"{difference}; seed {seed}, {said}") from None
