"""Bounded, ordered prefetch on threads.

The input is as large as the world; at any time only the results of a few jobs are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

WORKERS = 2
AHEAD = 4
"""Most jobs that are started before their result is consumed."""


def prefetch(
    fn: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int = WORKERS, most: int = AHEAD
) -> Iterator[Result]:
    """`fn` of every job, in order, on threads; at most `most` jobs run ahead of the consumer.

    An exception of a job is raised in its turn. After that, or where the caller stops consuming,
    no further job is started.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(fn, job))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
