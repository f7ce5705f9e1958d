"""Bounded prefetch: results in order, few of them alive, errors raised in order."""

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
def test_started_jobs_are_bounded(most: int) -> None:
    """At most `most` results are started and not yet consumed, however slow the consumer."""
    lock, started, running, busiest = threading.Lock(), 0, 0, 0

    def job(_: int) -> None:
        nonlocal started, running, busiest
        with lock:
            started, running = started + 1, running + 1
            busiest = max(busiest, running)
        time.sleep(0.001)
        with lock:
            running -= 1

    for consumed, _ in enumerate(prefetch(job, range(30), most=most)):
        time.sleep(0.003)
        assert started - consumed <= most
    assert started == 30
    assert busiest <= WORKERS


def test_jobs_are_requested_as_lazily_as_they_are_started() -> None:
    requested: list[int] = []

    def jobs():
        for number in range(100):
            requested.append(number)
            yield number

    results = prefetch(lambda job: job, jobs())
    assert requested == []
    assert next(results) == 0
    assert len(requested) == AHEAD
    results.close()
    assert len(requested) == AHEAD


def test_an_error_is_raised_in_order_and_ends_the_work() -> None:
    started: list[int] = []

    def job(number: int) -> int:
        started.append(number)
        if number == 3:
            raise ValueError("the fourth")
        return number

    results, consumed = prefetch(job, range(1_000)), []
    with pytest.raises(ValueError, match="the fourth"):
        consumed.extend(results)
    assert consumed == [0, 1, 2]
    assert len(started) <= 3 + AHEAD
