"""Seconds of the steps of a layer, reported as they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fraudworld.request import Progress

Report = Callable[[Progress], None]


@dataclass
class Clock:
    """Seconds of every step of a segment, `state.name`, reported to `progress` as steps end."""

    segment: str  # 6B, 6P
    progress: Report | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, state: str, name: str) -> Iterator[None]:
        """Times the body as step `name` of a state."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.seconds[f"{state}.{name}"] = round(seconds, 3)
        self.report(Progress(f"{self.segment}.{state}", name, 1, 1, 0, seconds))

    def report(self, progress: Progress) -> None:
        """Passes progress on, if anybody listens."""
        if self.progress is not None:
            self.progress(progress)
