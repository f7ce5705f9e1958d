"""Work done a little ahead of whoever takes the results, which come in the order of the jobs.

What is read is as large as the world; what is alive of it at any time is a few jobs' worth.
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
"""Jobs begun whose results nobody has taken yet: at most this many."""


def prefetch(
    fn: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int = WORKERS, most: int = AHEAD
) -> Iterator[Result]:
    """`fn` of every job, in order, on threads; a job is begun only `most` before it is taken.

    What a job raises is raised in its turn; then, and where the caller stops taking, no
    further job is begun.
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
