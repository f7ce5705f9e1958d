"""Capped allocation: conserves plans, keeps caps, redistributes fairly; shards change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.engine.local import LocalEngine
from fraudworld.errors import InputError, InternalError
from fraudworld.kernels import capped, normal
from fraudworld.kernels import hurdles as hurdle_kernels
from fraudworld.kernels.capped import Entities, ProductLaw
from fraudworld.rng import Stream
from fraudworld.stages import allocation
from fraudworld.stages.allocation import hurdles, slots

SAMPLING = "account_allocation_sampling"
FACTOR = Stream(1, "test/factor", SAMPLING, 2)


def _law(zero_share: float = 0.5, sigma: float = 0.9, cap: int = 3, seed: int = 1) -> ProductLaw:
    draws = Stream(seed, "test/allocation", SAMPLING, 2)
    return ProductLaw(
        zero_share, sigma, cap, draws.key, Stream(seed, "test/slots", SAMPLING, cap).key
    )


@dataclass(frozen=True)
class Case:
    """Entities of one region, their cells (one per code), a law, and a plan per cell."""

    code: np.ndarray
    plan: np.ndarray
    law: ProductLaw
    rho: float = 0.0
    floor: np.ndarray = field(default_factory=lambda: allocation.NO_FLOOR)
    open: np.ndarray = field(default_factory=lambda: allocation.NOTHING_OPEN)
    hard: bool = True
    first: int = 0  # number in the world of entity 0

    @property
    def taking_part(self) -> np.ndarray:
        return self.open if self.open.size else np.ones(self.code.size, dtype=bool)

    @property
    def room(self) -> np.ndarray:
        held = self.floor == 0 if self.floor.size else np.zeros(self.code.size, dtype=bool)
        return self.law.cap - held.astype(np.int64)

    def per_cell(self, of: np.ndarray) -> np.ndarray:
        return np.bincount(self.code[of], minlength=self.plan.size)


def _part(case: Case, low: int, high: int) -> Entities:
    rows = slice(low, high)
    return Entities(case.first + low, case.code[rows], case.open[rows], case.floor[rows])


def allocate(case: Case, shards: int = 1, workers: int = 1):
    """Holdings per entity, and the result of the rounds over shards."""
    problem = allocation.allocation_problem(
        "S2", [("it", case.law)], [[0]] * case.plan.size, slots=[0],
        factor=FACTOR.key, correlation=case.rho,
    )  # fmt: skip
    size = case.per_cell(case.taking_part)
    placed = case.per_cell(case.taking_part & (case.room < case.law.cap))
    plan = case.plan + placed
    bounds = np.linspace(0, case.code.size, shards + 1).astype(int)
    counts = np.zeros(case.code.size, dtype=np.int64)
    with LocalEngine(workers) as engine:
        result = allocation.allocate(
            engine, problem, plan[None], size[None], placed[None], np.zeros(shards, dtype=int),
            partial(_part, case), bounds[:-1].tolist(), bounds[1:].tolist(), hard=case.hard,
        )  # fmt: skip
        pieces = engine.submit(allocation.final, *zip(*result.pieces, strict=True))
        for entities, entries, held in engine.fetch(pieces):
            counts[entities.first - case.first + entries.entity] = held
    return counts, result


def allocate_by_sorting(case: Case) -> tuple[np.ndarray, list[int], int]:
    """The law as written, entity by entity, by sorting.

    Returns holdings per entity, dropped holdings per cell, entities whose slots drew.
    """
    draws, law = Stream(1, "test/allocation", SAMPLING, 2), case.law
    spare = Stream(1, "test/slots", SAMPLING, law.cap)
    a, b = np.sqrt(case.rho), np.sqrt(1.0 - case.rho)

    def deviate(stream: Stream, e: int, index: int) -> float:
        draw = int(stream.at(np.array([case.first + e]), index)[0])
        return normal.quantile(((draw >> 12) + 0.5) * 2.0**-52)

    def mixed(e: int, index: int) -> float:
        own = deviate(draws, e, index)
        return a * deviate(FACTOR, e, index) + b * own if case.rho else own

    counts, dropped, drew = np.zeros(case.code.size, dtype=np.int64), [], 0
    part, room = case.taking_part, case.room
    widest = max(int(room[part].max(initial=1)), 1)
    for c, plan in enumerate(case.plan.tolist()):
        inside = [int(e) for e in np.flatnonzero((case.code == c) & part)]
        share = int(np.floor((1.0 - law.zero_share) * len(inside) + 0.5))
        quota = min(max(share, -(-plan // widest)), len(inside))
        hurdle_keys = sorted((int((16.0 - mixed(e, 0)) * 2**28), e) for e in inside)
        eligible = [e for _, e in hurdle_keys[:quota]]
        if not eligible:
            dropped.append(plan)
            continue
        weight = {
            e: max(int(normal.exp(law.sigma * mixed(e, 1) - 0.5 * law.sigma**2) * 2**20 + 0.5), 1)
            for e in eligible
        }
        total = sum(weight.values())
        for e in eligible:
            counts[e] = plan * weight[e] // total
        remaining = plan - sum(int(counts[e]) for e in eligible)
        for _, e in sorted((-(plan * weight[e] % total), e) for e in eligible)[:remaining]:
            counts[e] += 1
        if not case.hard:
            dropped.append(0)
            continue
        excess = sum(max(int(counts[e] - room[e]), 0) for e in eligible)
        counts[eligible] = np.minimum(counts[eligible], room[eligible])
        free = [
            (int(spare.at(np.array([case.first + e]), s)[0]), e)
            for e in eligible
            for s in range(int(room[e] - counts[e]))
        ]
        drew += len({e for _, e in free}) if excess else 0
        for _, e in sorted(free)[:excess]:
            counts[e] += 1
        dropped.append(max(excess - len(free), 0))
    return counts, dropped, drew


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small worlds of any load, with or without floors and excluded entities."""
    n, cells = draw(st.integers(1, 150)), draw(st.integers(1, 4))
    law = _law(draw(st.floats(0, 0.95)), draw(st.floats(0, 1.5)), draw(st.integers(1, 14)))
    code = np.random.default_rng(draw(st.integers(0, 99))).integers(0, cells, n, dtype=np.uint8)
    load = draw(st.floats(0, 8))
    case = Case(
        code,
        np.floor(np.bincount(code, minlength=cells) * load).astype(np.int64),
        law,
        draw(st.sampled_from([0.0, 0.3, 1.0])),
        hard=draw(st.booleans()),
        first=draw(st.integers(0, 9)),
    )
    if draw(st.booleans()):
        held = np.arange(n) % draw(st.integers(1, 4)) == 0
        case = replace(case, floor=np.where(held, 0, 255).astype(np.uint8))
    if draw(st.booleans()):
        case = replace(case, open=np.arange(n) % 3 != 0)
    return case


@settings(max_examples=60, deadline=None)
@given(case=cases(), shards=st.integers(1, 5))
def test_rounds_over_shards_equal_allocation_by_sorting(case, shards):
    counts, result = allocate(case, shards)
    expected, dropped, drew = allocate_by_sorting(case)
    assert counts.tolist() == expected.tolist()
    assert result.dropped[0].tolist() == dropped
    assert result.asked.sum() == drew


@pytest.fixture
def large() -> Case:
    code = np.random.default_rng(5).integers(0, 3, 5_000).astype(np.uint8)
    return Case(code, np.array([2_300, 2_100, 1_400]), _law(), 0.3)


@pytest.mark.parametrize("rho", [0.0, 0.3])
@pytest.mark.parametrize(("shards", "workers"), [(1, 1), (7, 2)])
def test_large_cells_equal_allocation_by_sorting(large, rho, shards, workers):
    """In large cells only candidates near the edge of the quota get exact keys."""
    case = replace(large, rho=rho, first=1_000_001)
    counts, result = allocate(case, shards, workers)
    expected, _, drew = allocate_by_sorting(case)
    assert counts.tolist() == expected.tolist()
    assert result.asked.sum() == drew > 0


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 400),
    cells=st.integers(1, 5),
    cap=st.integers(1, 6),
    zero=st.floats(0, 0.95),
    sigma=st.floats(0, 1.5),
    load=st.floats(0, 8),
)
def test_plan_is_conserved_or_counted_and_no_cap_is_broken(n, cells, cap, zero, sigma, load):
    code = (np.arange(n) % cells).astype(np.uint8)
    plan = np.floor(np.bincount(code, minlength=cells) * load).astype(np.int64)
    counts, result = allocate(Case(code, plan, _law(zero, sigma, cap)), 3)
    allocated = np.bincount(code, counts, cells).astype(np.int64)
    assert (allocated + result.dropped[0] == plan).all()
    assert counts.max(initial=0) <= cap
    assert counts.min(initial=0) >= 0
    capacity = np.bincount(code, minlength=cells) * cap
    assert (result.dropped[0] == np.maximum(plan - capacity, 0)).all(), "drops only what cannot fit"


def test_zero_share_is_an_exact_count():
    law = _law(zero_share=0.4, sigma=0.0, cap=9)
    counts, _ = allocate(Case(np.zeros(10_000, np.uint8), np.array([20_000]), law), 3)
    assert (counts > 0).sum() == 6_000


def test_warning_mode_leaves_the_overflow_and_reports_it():
    case = Case(np.zeros(50_000, np.uint8), np.array([25_000]), _law(0.5, 1.0, 2))
    uncapped, warn = allocate(replace(case, hard=False), 2)
    counts, hard = allocate(case, 2)
    over = int(np.maximum(uncapped - 2, 0).sum())
    assert warn.overflow.sum() == hard.overflow.sum() == over > 0
    assert warn.worst.max() == hard.worst.max() == uncapped.max() - 2
    assert (warn.handed.sum(), hard.handed.sum()) == (0, over)
    assert counts.sum() == uncapped.sum() == 25_000


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_a_band_that_misses_the_edge_of_the_quota_is_widened(large, monkeypatch, rho):
    """Bands that miss the edge of the quota: the cells are searched exhaustively."""
    case = replace(large, rho=rho)
    expected, right = allocate(case, 3)
    bands, bounds, widen = hurdles._bands, slots._bounds, hurdles._Bands.widen
    widened = []

    def counting_widen(self, cells):
        widened.append(int(cells.sum()))
        widen(self, cells)

    def bands_beside_the_edge(quota, size, shared):
        return bands(np.minimum(quota + 400, size - 1), size, shared)

    def bounds_too_low(handed, free):
        return bounds(handed // 2, free)

    monkeypatch.setattr(hurdles, "_bands", bands_beside_the_edge)
    monkeypatch.setattr(hurdles._Bands, "widen", counting_widen)
    assert (allocate(case, 3)[0] == expected).all()
    assert widened == [0, 3]
    monkeypatch.setattr(slots, "_bounds", bounds_too_low)
    counts, result = allocate(case, 3)
    assert (counts == expected).all()
    assert (result.asked == right.asked).all()


def test_fewer_free_slots_than_counted_is_an_internal_error(large, monkeypatch):
    """An inconsistent count raises and does not loop for ever."""
    monkeypatch.setattr(capped, "slot_draws", lambda *arguments: 0)
    with pytest.raises(InternalError, match=r"6A\.S2\.ALLOCATION_INCONSISTENT"):
        allocate(large, 2)


@pytest.mark.parametrize(("sigma", "plan"), [(4.6, 10), (50.0, 10), (4.4, 10**11)])
def test_weights_too_wide_for_integers_are_refused_by_code(sigma, plan):
    case = Case(np.zeros(3_000, np.uint8), np.array([plan]), _law(0.0, sigma), hard=False)
    with pytest.raises(InputError, match=r"6A\.S2\.WEIGHTS_TOO_WIDE.*of it"):
        allocate(case)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_counts_of_two_products_correlate_by_their_factor(rho):
    """Log counts of two products of one holder correlate by the loading of its factor."""
    n = 200_000
    case = Case(np.zeros(n, np.uint8), np.array([100 * n]), _law(0.0, 0.5, 400), rho)
    counts = [allocate(replace(case, law=_law(0.0, 0.5, 400, s)), 2)[0] for s in (1, 2)]
    assert np.corrcoef(np.log(counts))[0, 1] == pytest.approx(rho, abs=0.01)


def test_the_table_of_deviates_keeps_its_stated_error():
    draws = np.random.default_rng(3).integers(0, 2**64, 100_000, dtype=np.uint64)
    edges = np.arange(0, 2**64, 2**52, dtype=np.uint64)
    table = hurdle_kernels.table()
    for bits in (draws, edges, edges - np.uint64(1), ~draws >> np.uint64(5)):
        exact = np.empty(bits.size)
        normal.deviates(bits, exact)
        rough = np.empty(bits.size)
        hurdle_kernels.approximate_deviates(bits, table, rough)
        assert np.abs(rough - exact).max() < hurdle_kernels.TABLE_ERROR / 2


def test_a_weight_beyond_63_bits_shows_in_the_largest_sum() -> None:
    n = 4096
    cell_laws = capped.CellLaws(
        start=np.array([0, 1]),
        keys=np.array([[1, 2, 3, 4]], dtype=np.uint64),
        sigma=np.array([40.0]),
        cap=np.array([3]),
        slot=np.zeros(1, dtype=np.uint8),
        factor=np.zeros(2, dtype=np.uint64),
        correlation=0.0,
        table=np.empty(0, dtype=np.float32),
    )
    nothing = np.empty(0, dtype=np.uint8)
    entities = capped.Entities(0, np.zeros(n, dtype=np.uint8), nothing.astype(np.bool_), nothing)
    dtypes = (np.uint32, np.uint16, np.uint64, np.int64, np.uint64)
    entries = capped.Entries(*(np.empty(n, dtype=dtype) for dtype in dtypes))
    unbounded = np.array([np.inf])
    bands = capped.HurdleBands(
        np.array([True]), unbounded, unbounded, np.array([capped.KEPT], dtype=np.uint64)
    )
    sums = capped.WeightSums(
        np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64)
    )
    capped.collect_entries(cell_laws, entities, bands, entries, sums)
    assert sums.largest[0] >= 2**63
