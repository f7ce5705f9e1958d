"""What a stream is asked for, and its outcome. Plain data, no I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from fraudworld.documents import JsonObject
from fraudworld.errors import InputError
from fraudworld.request import require_workers

WINDOW_INVALID = "6B.S0.WINDOW_INVALID"


@dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """A stream over a published run: `days` whole days from `from_day`, or `flows` flows.

    Exactly one of `days` and `flows` is given. Raises InputError `6B.S0.WINDOW_INVALID`.
    """

    run: Path
    days: int | None = None
    flows: int | None = None
    from_day: int = 1  # day of the horizon, counted from 1
    to: Path | None = None  # folder to publish below; None is the run itself
    observable: bool = False  # leaves out every truth table
    rewired: bool = False  # shuffles the endpoints of all links: T10's control, never flagged
    allow_unflagged: bool = False  # takes a run that failed its gates
    upstream_dir: Path | None = None  # None: the embedded upstream
    block_flows: int = 1 << 17  # flows of a task; changes no row
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # threads; changes no row

    def __post_init__(self) -> None:
        if (self.days is None) == (self.flows is None):
            raise _invalid("--days, --flows", "give exactly one of --days and --flows",
                           "use --days N or --flows N")  # fmt: skip
        for name, value in (
            ("--days", self.days),
            ("--flows", self.flows),
            ("--from-day", self.from_day),
            ("block_flows", self.block_flows),
        ):
            if value is not None and value < 1:
                raise _invalid(name, f"{name} must be at least 1, it is {value}", "give 1 or more")
        require_workers(self.workers)


class StreamOptions(TypedDict, total=False):
    """Keywords of `fraudworld.transactions`: the fields of StreamRequest but `run`.

    Paths may be strings.
    """

    days: int | None
    flows: int | None
    from_day: int
    to: Path | str | None
    observable: bool
    rewired: bool
    allow_unflagged: bool
    upstream_dir: Path | str | None
    block_flows: int
    workers: int


@dataclass(frozen=True)
class StreamOutcome:
    """A published stream."""

    layer: Path  # its folder, data/layer3/6B
    passed: bool  # whether it has its flag
    reused: bool  # whether it was there before
    rows: dict[str, int]  # by table
    report: JsonObject  # document of S5
    seconds: dict[str, float]  # by step


def outside_horizon(what: str, remedy: str) -> InputError:
    """The error for a window that the horizon does not contain."""
    return InputError("6B.S0.WINDOW_OUTSIDE_HORIZON", what, where="--days, --flows, --from-day",
                      remedy=remedy)  # fmt: skip


def _invalid(where: str, what: str, remedy: str) -> InputError:
    return InputError(WINDOW_INVALID, what, where=where, remedy=remedy)
