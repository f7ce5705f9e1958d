"""Every row states the support its statistic needs, fails below it, and has the table's owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudworld.gates import caps, network, roles
from fraudworld.gates.board import Gateboard, judge
from fraudworld.gates.counts import Counts, Sample
from fraudworld.gates.gate import OWNERS, Row
from fraudworld.gates.schema import violations
from fraudworld.policy.loader import load_pack
from fraudworld.store.layout import RunPlace

PACK = load_pack().pack
SUPPORT = PACK.validation_policy.support
PRODUCTS = PACK.codes("account_type")
CAPS = [PACK.account_per_party_priors.counts[product].cap for product in PRODUCTS]

Gate = Callable[[Sample], Iterator[Row]]


@pytest.fixture(scope="module")
def board(demo_world: Path) -> Gateboard:
    return judge(demo_world)


@pytest.fixture(scope="module")
def counts(demo_world: Path) -> Counts:
    document = json.loads(RunPlace(demo_world).gateboard.read_text())
    return Counts.from_dict(document["counts"])


def rows_of(gate: Gate, counts: Counts) -> dict[str, Row]:
    return {row.metric_name: row for row in gate(Sample(counts, PACK, 42))}


def test_minimums_follow_from_the_confidence() -> None:
    """A percentile's interval exists from 299 rows on; a share's is ± 5 pp from 385 rows on."""
    n = SUPPORT.min_for_percentile
    assert 1 - 0.99**n >= SUPPORT.confidence
    assert 1 - 0.99 ** (n - 2) < SUPPORT.confidence
    widest = 1.96 * (0.25 / np.array([SUPPORT.min_for_share, SUPPORT.min_for_share - 1])) ** 0.5
    assert widest[0] <= 0.05 < widest[1]


def test_every_row_states_its_support_and_its_minimum(board: Gateboard) -> None:
    for row in board.tests:
        assert row.support >= row.details["minimum_support"] > 1, row.metric_name


def test_every_row_and_every_routing_line_has_the_owner_of_the_table(board: Gateboard) -> None:
    failed = replace(board, tests=tuple(replace(r, pass_B=False) for r in board.tests))
    assert len(failed.routing) == len(board.tests)
    for row, line in zip(board.tests, failed.routing, strict=True):
        owner = OWNERS[row.test_id.split("_")[0]]
        assert row.owner_state == line["owner"] == owner, row.metric_name


@pytest.mark.parametrize("stated", ["", {}, {"reason": "r", "authority": "", "bounds": []}])
def test_a_gateboard_states_a_whole_rebaseline_or_none(board: Gateboard, stated: object) -> None:
    document = {**board.as_dict(), "rebaseline": stated}
    assert any("rebaseline" in line for line in violations("realism_gate_6A", document))


def holdings(*held: tuple[int, int, int]) -> np.ndarray:
    """Parties by (product, accounts of it), from (product, accounts, parties)."""
    table = np.zeros((len(PRODUCTS), max(CAPS) + 2), dtype=np.int64)
    for product, accounts, parties in held:
        table[product, accounts] = parties
    return table


THIN: dict[str, tuple[Gate, str, object]] = {
    "accounts": (caps.t1_kmax_hard_invariant, "held", holdings((0, 1, 299))),
    "holders of each product": (
        caps.t2_kmax_tail_sanity,
        "stated_holdings",
        holdings(*((p, 1, 299) for p in range(len(PRODUCTS)))),
    ),
    "devices": (network.t4_device_ip_coverage, "coverage", np.array([300, 384])),
    "linked endpoints": (network.t5_ip_reuse_tail_bounds, "degrees", np.array([0, 200, 99])),
}


@pytest.mark.parametrize("thin", THIN)
def test_below_its_minimum_a_statistic_never_passes(counts: Counts, thin: str) -> None:
    gate, field, table = THIN[thin]
    rows = rows_of(gate, replace(counts, **{field: table}))
    judged = {n: r for n, r in rows.items() if n != "worst_max_over_kmax"}  # exact, of all holders
    assert judged
    for name, row in judged.items():
        assert (row.status, row.pass_B, row.pass_Bplus) == (
            "INSUFFICIENT_EVIDENCE", False, False,
        ), name  # fmt: skip


@pytest.mark.parametrize("thin", THIN)
def test_at_its_minimum_a_statistic_is_judged(counts: Counts, thin: str) -> None:
    gate, field, table = THIN[thin]
    enough = np.array(table)
    place = np.unravel_index(int(enough.argmax()), enough.shape)
    enough[place] += 1
    rows = rows_of(gate, replace(counts, **{field: enough}))
    assert {row.status for row in rows.values()} == {"PASS"}


def test_too_few_role_rows_are_no_evidence(counts: Counts) -> None:
    few = replace(
        counts,
        merchants=np.minimum(counts.merchants, 20),
        families={k: np.minimum(v, 0) for k, v in counts.families.items()},
    )
    for row in rows_of(roles.t6_role_mapping_coverage, few).values():
        assert row.support < SUPPORT.min_for_percentile
        assert row.status == "INSUFFICIENT_EVIDENCE"


def test_a_product_with_few_holders_is_judged_by_its_maximum_and_named(counts: Counts) -> None:
    rare = 3
    full = [(p, 1, 1_000) for p in range(len(PRODUCTS)) if p != rare]
    table = holdings(*full, (rare, 1, 200), (rare, CAPS[rare] + 1, 99))
    rows = rows_of(caps.t2_kmax_tail_sanity, replace(counts, stated_holdings=table))
    p99, most = rows["worst_p99_over_kmax"], rows["worst_max_over_kmax"]
    assert p99.details["products_with_too_few_holders"] == [PRODUCTS[rare]]
    assert (p99.status, p99.support) == ("PASS", 1_000)
    assert (most.status, most.value, most.details["worst"]) == ("FAIL", 1.0, PRODUCTS[rare])


def test_the_support_of_t2_is_that_of_its_thinnest_judged_product(counts: Counts) -> None:
    table = holdings(*((p, 1, 400 + p) for p in range(len(PRODUCTS))))
    rows = rows_of(caps.t2_kmax_tail_sanity, replace(counts, stated_holdings=table))
    assert rows["worst_p99_over_kmax"].support == 400
    assert rows["worst_max_over_kmax"].support == table.sum()
