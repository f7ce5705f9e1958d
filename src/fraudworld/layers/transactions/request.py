"""What a stream is asked for, and its outcome. Plain data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from fraudworld.arguments import place, truth, whole
from fraudworld.documents import JsonObject
from fraudworld.errors import InputError

WINDOW_INVALID = "6B.S0.WINDOW_INVALID"


@dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """A stream over a published run: `days` whole days from `from_day`, or `flows` flows.

    Exactly one of `days` and `flows` is given. Numbers and paths are made exact as those of
    `RunRequest`. Raises InputError `6B.S0.WINDOW_INVALID`, `6A.CLI.ARGUMENT_INVALID` for another
    bad value and `6A.CLI.PATH_INVALID`.
    """

    run: Path
    days: int | None = None
    flows: int | None = None
    from_day: int = 1  # day of the horizon, counted from 1
    to: Path | None = None  # folder to publish below; None is the run itself
    observable: bool = False  # leaves out every truth table
    profiles: bool = False  # makes layer 6P first where neither the run nor `to` has one
    rewired: bool = False  # shuffles the endpoints of all links: T10's control, never flagged
    allow_unflagged: bool = False  # takes a run that failed its gates
    upstream_dir: Path | None = None  # None: the embedded upstream
    block_flows: int = 1 << 17  # flows of a task; changes no row
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # threads; changes no row

    def __post_init__(self) -> None:
        if (self.days is None) == (self.flows is None):
            raise _invalid("--days, --flows", "give exactly one of --days and --flows",
                           "use --days N or --flows N")  # fmt: skip
        exact: dict[str, object] = {
            "run": place(self.run, "run"),
            "workers": whole(self.workers, "--workers", least=1),
        }
        for name in ("observable", "profiles", "rewired", "allow_unflagged"):
            exact[name] = truth(getattr(self, name), name)
        for name, where in (("to", "--to"), ("upstream_dir", "--upstream")):
            given = getattr(self, name)
            exact[name] = None if given is None else place(given, where)
        for name, where in (
            ("days", "--days"),
            ("flows", "--flows"),
            ("from_day", "--from-day"),
            ("block_flows", "block_flows"),
        ):
            given = getattr(self, name)
            exact[name] = None if given is None else whole(given, where)
            if given is not None and given < 1:
                raise _invalid(where, f"{where} must be at least 1, it is {given}",
                               "give 1 or more")  # fmt: skip
        for name, value in exact.items():
            object.__setattr__(self, name, value)


class StreamOptions(TypedDict, total=False):
    """Keywords of `fraudworld.transactions`: the fields of StreamRequest but `run`.

    Paths may be strings.
    """

    days: int | None
    flows: int | None
    from_day: int
    to: Path | str | None
    observable: bool
    profiles: bool
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
