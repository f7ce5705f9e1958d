"""Clocks that move when a test says so."""

from __future__ import annotations

import threading

from fraudworld.perf.meter import Clocks


class FakeClocks:
    """Clocks that stand still until a thread spends time; each thread has its own CPU clock."""

    def __init__(self) -> None:
        self.now = self.process = 0.0
        self.of_thread = threading.local()

    def spend(self, cpu: float, wall: float) -> None:
        """The calling thread works."""
        self.of_thread.cpu = getattr(self.of_thread, "cpu", 0.0) + cpu
        self.process += cpu
        self.now += wall

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            wall=lambda: self.now,
            thread=lambda: getattr(self.of_thread, "cpu", 0.0),
            process=lambda: self.process,
        )
