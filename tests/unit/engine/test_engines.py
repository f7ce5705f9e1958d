"""The contract of engines (`engine/tasks.py`), tested on every engine."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudworld import engine as engines
from fraudworld.engine import rows
from fraudworld.engine.local import LocalEngine
from fraudworld.engine.tasks import Engine
from fraudworld.errors import (
    FraudworldError,
    InputError,
    InternalError,
    LostError,
    RefusedError,
)
from fraudworld.perf.meter import Account
from support.clocks import FakeClocks

I64 = NDArray[np.int64]
GIB = engines.GIB


@pytest.fixture(scope="module", params=["local", "spilling", "dask"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    name = "dask" if request.param == "dask" else "local"
    memory = 1 / GIB if request.param == "spilling" else None
    if name == "dask":
        pytest.importorskip("distributed")
    scratch = tmp_path_factory.mktemp(request.param) / "scratch"
    with engines.opened(name, workers=2, memory=memory, scratch=scratch) as opened:
        yield opened


def numbers(n: int) -> I64:
    return np.arange(n, dtype=np.int64)


def add(a: I64, b: Any) -> I64:
    return np.asarray(a + b)


def total(values: I64) -> int:
    return int(values.sum())


def halves(values: I64, factor: int) -> tuple[I64, int]:
    return values * factor, int(values.size)


def totals(pieces: list[tuple[list[I64], int]]) -> list[tuple[int, int]]:
    return [(sum(int(a.sum()) for a in arrays), number) for arrays, number in pieces]


def sleep_for(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def raise_error(error: type[FraudworldError], where: str) -> None:
    raise error("6A.S2.TEST", "it broke", where=where, remedy="mend it")


def raise_os_error(n: int) -> int:
    raise OSError(28, "No space left on device", f"part-{n}")


def test_results_are_in_the_order_of_the_rows(engine: Engine) -> None:
    assert engine.collect(sleep_for, [0.15, 0.0, 0.05, 0.0]) == [0.15, 0.0, 0.05, 0.0]
    assert engine.collect(pow, [2, 3], [5, 4]) == [32, 81]
    assert engine.collect(pow, [], []) == engine.submit(pow, [], []) == []


def test_columns_of_different_length_are_an_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match="shorter"):
        engine.collect(pow, [1, 2], [3])


def test_items_reach_tasks_as_values(engine: Engine) -> None:
    items = engine.submit(numbers, [10, 100_000])
    sums = engine.submit(add, items, [1, 2])
    assert engine.collect(total, sums) == [55, 4_999_950_000 + 200_000]
    assert [a.size for a in engine.fetch(sums)] == [10, 100_000]


def test_later_tasks_are_run(engine: Engine) -> None:
    items = engine.submit(add, engine.submit(numbers, [10, 1_000]), [1, 2], later=True)
    assert engine.collect(abs, [-3]) == [3]
    assert [int(a.sum()) for a in engine.fetch(items)] == [55, 499_500 + 2_000]


def test_a_round_does_not_wait_for_later_tasks() -> None:
    over = threading.Event()
    with LocalEngine(1) as engine:
        items = engine.submit(over.wait, [60.0, 60.0], later=True)
        engine.collect(lambda _: over.set(), [0])
        assert engine.fetch(items) == [True, True]


def test_a_round_raises_the_error_of_its_first_failed_row_and_starts_no_more() -> None:
    later_failed, started = threading.Event(), []

    def task(row: int) -> int:
        started.append(row)
        if row == 3:
            assert later_failed.wait(60)
        if row == 4:
            later_failed.set()
        if row in (3, 4):
            raise ValueError(row)
        return row

    with LocalEngine(2) as engine, pytest.raises(ValueError, match="3"):
        engine.collect(task, range(100))
    assert sorted(started) == [0, 1, 2, 3, 4]


def test_items_inside_lists_and_tuples_reach_tasks_as_values(engine: Engine) -> None:
    a, b = engine.submit(numbers, [10, 20])
    rows = [[([a, b], 7), ([b], 8)], [([a], 9)]]
    assert engine.collect(totals, rows) == [[(45 + 190, 7), (190, 8)], [(45, 9)]]


def test_run_keeps_results_as_items_and_returns_summaries(engine: Engine) -> None:
    items, summaries = engine.run(halves, engine.submit(numbers, [3, 70_000]), [2, 3])
    assert summaries == [3, 70_000]
    assert engine.collect(total, items) == [6, 3 * 70_000 * 69_999 // 2]


def test_tasks_may_be_partials_and_columns_any_iterable(engine: Engine) -> None:
    items = engine.submit(partial(add, numbers(4)), iter(range(3)))
    assert engine.collect(total, items) == [6, 10, 14]


def test_large_constants_reach_every_task(engine: Engine) -> None:
    law = partial(add, numbers(1 << 17))
    assert engine.collect(total, engine.submit(law, [0, 1])) == [
        s := sum(range(1 << 17)),
        s + (1 << 17),
    ]


def test_an_array_is_a_column_of_its_elements(engine: Engine) -> None:
    assert engine.collect(abs, np.array([-1, 2, -3])) == [1, 2, 3]


@pytest.mark.parametrize("error", [InputError, RefusedError, InternalError, LostError])
def test_a_typed_error_keeps_its_type_and_fields(
    engine: Engine, error: type[FraudworldError]
) -> None:
    with pytest.raises(error) as caught:
        engine.collect(raise_error, [error], ["s2_account_base_6A"])
    assert type(caught.value) is error
    assert caught.value.as_dict() == {
        "code": "6A.S2.TEST",
        "what": "it broke",
        "where": "s2_account_base_6A",
        "remedy": "mend it",
    }


def test_an_os_error_keeps_errno_and_file_name(engine: Engine) -> None:
    with pytest.raises(OSError, match="No space") as caught:
        engine.collect(raise_os_error, [3])
    assert (caught.value.errno, caught.value.filename) == (28, "part-3")


def test_a_failed_item_raises_when_it_is_used(engine: Engine) -> None:
    items = engine.submit(raise_error, [InputError], ["x"])
    with pytest.raises(InputError):
        engine.fetch(items)
    with pytest.raises(InputError):
        engine.collect(total, items)
    with pytest.raises(InputError):
        engine.check(items)


def test_check_does_not_wait_and_passes_unless_an_item_failed(engine: Engine) -> None:
    items = engine.submit(sleep_for, [0.3, 0.0])
    before = time.monotonic()
    engine.check(items)
    assert time.monotonic() - before < 0.25
    assert engine.fetch(items) == [0.3, 0.0]
    engine.check(items)


def test_a_chain_of_rounds_may_drop_its_inputs(engine: Engine) -> None:
    """References to earlier rounds are dropped before they are computed."""
    items = engine.submit(numbers, [70_000, 80_000, 3])
    for _ in range(20):
        items = engine.submit(add, items, [1] * 3)
        gc.collect()
    assert engine.collect(total, items) == [sum(range(n)) + 20 * n for n in (70_000, 80_000, 3)]


def test_a_local_cluster_listens_on_loopback_only(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    psutil = pytest.importorskip("psutil")
    listening = _listening(psutil)
    with engines.opened("dask", workers=1, scratch=tmp_path) as engine:
        assert engine.workers == 1
        opened = _listening(psutil) - listening
        assert [address for address, _ in opened if not ip_address(address).is_loopback] == []


def _listening(psutil: Any) -> set[tuple[str, int]]:
    connections = psutil.Process().net_connections("inet")
    return {tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN}


def test_without_dask_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask.config", None)
    with pytest.raises(InputError) as caught:
        engines.opened("dask", workers=1, scratch=tmp_path)
    assert caught.value.code == "6A.CLI.EXTRA_MISSING"
    assert caught.value.remedy == "pip install 'fraudworld[dask]'"


def test_machine_memory_is_plausible() -> None:
    limit = engines.machine_memory()
    assert 1 << 28 < limit < 1 << 50


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    """Fails a test that takes longer than two minutes, as a hanging engine would."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < 120


FAKE = FakeClocks()


def work(cpu: float) -> float:
    FAKE.spend(cpu, 2 * cpu)
    return cpu


def worked(cpu: float) -> tuple[float, float]:
    return work(cpu), cpu


def work_in_vain(cpu: float) -> float:
    raise OSError(work(cpu))


@pytest.mark.parametrize("name", ["local", "dask"])
def test_every_kind_of_round_charges_the_account_that_was_open(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "dask":
        pytest.importorskip("distributed")
    monkeypatch.setattr(rows, "Clocks", lambda: FAKE.clocks)  # the worker is in this process
    accounts = [Account(FAKE.clocks) for _ in range(5)]
    opened: list[Account | None] = [None]
    with engines.opened(name, workers=1, scratch=tmp_path, meter=lambda: opened[0]) as engine:
        engine.collect(work, [1024.0])  # charged to nobody
        opened[0] = accounts[0]
        items = engine.submit(work, [1.0, 2.0])
        opened[0] = accounts[1]
        later = engine.submit(work, [4.0], later=True)
        opened[0] = accounts[2]
        engine.collect(work, items)  # waits for the items, whose cost is not its own
        opened[0] = accounts[3]
        engine.run(worked, [8.0, 8.0, 8.0])
        opened[0] = accounts[4]
        failing = engine.submit(work_in_vain, [16.0])
        with pytest.raises(OSError, match=r"16\.0"):
            engine.fetch(failing)
        opened[0] = None
        engine.fetch(later)
        engine.settle()
        engine.settle()  # charges nothing twice
    assert [a.cpu_s for a in accounts] == [3.0, 4.0, 3.0, 24.0, 16.0]
    assert [a.error_type for a in accounts] == [None, None, None, None, "OSError"]
