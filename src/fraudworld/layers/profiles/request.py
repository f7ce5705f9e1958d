"""What profiles are asked for, and their outcome. Plain data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from fraudworld.arguments import place, truth, whole, word
from fraudworld.documents import JsonObject
from fraudworld.request import require_engine


@dataclass(frozen=True, kw_only=True)
class ProfilesRequest:
    """Profiles of a published run.

    Paths and numbers are made exact as those of `RunRequest`. Raises InputError
    `6A.CLI.ARGUMENT_INVALID` and `6A.CLI.PATH_INVALID` for a bad value.
    """

    run: Path
    to: Path | None = None  # folder to publish below; None is the run itself
    identities: bool = True  # whether to make names, contact data and numbers of people
    allow_unflagged: bool = False  # takes a run that failed its gates
    upstream_dir: Path | None = None  # None: the embedded upstream
    block_rows: int = 1 << 18  # rows of a task of a law; changes no row
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # threads; changes no row
    engine: str = "local"  # where tables are written: `local` or `dask`; changes no row
    scheduler: str | None = None  # address of a Dask scheduler, tcp://HOST:PORT

    def __post_init__(self) -> None:
        exact: dict[str, object] = {
            "run": place(self.run, "run"),
            "workers": whole(self.workers, "--workers", least=1),
            "block_rows": whole(self.block_rows, "block_rows", least=1),
        }
        for name in ("identities", "allow_unflagged"):
            exact[name] = truth(getattr(self, name), name)
        for name, where in (("to", "--to"), ("upstream_dir", "--upstream")):
            given = getattr(self, name)
            exact[name] = None if given is None else place(given, where)
        exact["engine"] = word(self.engine, "--engine")
        if self.scheduler is not None:
            exact["scheduler"] = word(self.scheduler, "--scheduler")
        for name, value in exact.items():
            object.__setattr__(self, name, value)
        require_engine(self.engine, self.scheduler)


class ProfilesOptions(TypedDict, total=False):
    """Keywords of `fraudworld.api.profiles`: the fields of ProfilesRequest but `run`."""

    to: Path | str | None
    identities: bool
    allow_unflagged: bool
    upstream_dir: Path | str | None
    block_rows: int
    workers: int
    engine: str
    scheduler: str | None


@dataclass(frozen=True)
class ProfilesOutcome:
    """Published profiles."""

    layer: Path  # their folder, data/layer3/6P
    passed: bool  # whether they have their flag
    reused: bool  # whether they were there before
    rows: dict[str, int]  # by table
    report: JsonObject  # checks, gates and counts
    seconds: dict[str, float]  # by step
