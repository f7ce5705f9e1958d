"""What a stream is asked for, and how it ended. Plain data, no I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudworld.errors import InputError

WINDOW_INVALID = "6B.S0.WINDOW_INVALID"


@dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """A stream over the run at `run`: `days` whole days from `from_day`, or `flows` flows.

    Exactly one of `days` and `flows` is given. `from_day` counts from 1. `to` is the folder
    to publish below; None is the run itself. `observable` leaves every truth table out.
    `rewired` deals the endpoints of all links anew inside every country, degrees kept: a
    control of T10, whose endpoints are not the run's, so that it never gets a flag.
    `block_flows` and `workers` say how the work is cut; neither can change a row. Raises
    InputError `6B.S0.WINDOW_INVALID`.
    """

    run: Path
    days: int | None = None
    flows: int | None = None
    from_day: int = 1
    to: Path | None = None
    observable: bool = False
    rewired: bool = False
    allow_unflagged: bool = False
    upstream_dir: Path | None = None
    block_flows: int = 1 << 17
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __post_init__(self) -> None:
        if (self.days is None) == (self.flows is None):
            raise _invalid("--days, --flows", "exactly one of the two says how long a stream is",
                           "say --days N or --flows N")  # fmt: skip
        for name, value in (("--days", self.days), ("--flows", self.flows),
                            ("--from-day", self.from_day), ("--workers", self.workers),
                            ("block_flows", self.block_flows)):  # fmt: skip
            if value is not None and value < 1:
                raise _invalid(name, f"{value} is not a positive number", "give 1 or more")


@dataclass(frozen=True)
class StreamOutcome:
    """A published stream: where it is, its rows, what S5 found, and the time it took."""

    layer: Path
    passed: bool
    reused: bool
    rows: dict[str, int]
    report: dict[str, Any]
    seconds: dict[str, float]


def outside(what: str, remedy: str) -> InputError:
    """A window the horizon does not hold."""
    return InputError("6B.S0.WINDOW_OUTSIDE_HORIZON", what, where="--days, --flows, --from-day",
                      remedy=remedy)  # fmt: skip


def _invalid(where: str, what: str, remedy: str) -> InputError:
    return InputError(WINDOW_INVALID, what, where=where, remedy=remedy)
