"""A look-ahead that is bounded: results in order, few of them alive, errors in their turn."""

from __future__ import annotations

import threading
import time

import pytest

from fraudworld.gates.prefetch import AHEAD, WORKERS, prefetch


def test_results_come_in_the_order_of_the_jobs() -> None:
    def slowest_first(job: int) -> int:
        time.sleep(0.02 if job == 0 else 0.0)
        return job * job

    assert list(prefetch(slowest_first, range(20))) == [n * n for n in range(20)]
    assert list(prefetch(slowest_first, [])) == []


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_jobs_are_begun_than_may_be_alive(most: int) -> None:
    """However slow the caller is: what it has not taken is at most `most` results."""
    lock, begun, running, busiest = threading.Lock(), 0, 0, 0

    def job(_: int) -> None:
        nonlocal begun, running, busiest
        with lock:
            begun, running = begun + 1, running + 1
            busiest = max(busiest, running)
        time.sleep(0.001)
        with lock:
            running -= 1

    for taken, _ in enumerate(prefetch(job, range(30), most=most)):
        time.sleep(0.003)
        assert begun - taken <= most
    assert begun == 30
    assert busiest <= WORKERS


def test_jobs_are_drawn_as_lazily_as_they_are_begun() -> None:
    drawn: list[int] = []

    def jobs():
        for number in range(100):
            drawn.append(number)
            yield number

    results = prefetch(lambda job: job, jobs())
    assert drawn == []
    assert next(results) == 0
    assert len(drawn) == AHEAD
    results.close()
    assert len(drawn) == AHEAD


def test_an_error_comes_in_its_turn_and_ends_the_work() -> None:
    begun: list[int] = []

    def job(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("the fourth")
        return number

    results, taken = prefetch(job, range(1_000)), []
    with pytest.raises(ValueError, match="the fourth"):
        taken.extend(results)
    assert taken == [0, 1, 2]
    assert len(begun) <= 3 + AHEAD
