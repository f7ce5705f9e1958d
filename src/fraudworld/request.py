"""What a run is asked for, and what it tells while it works. Plain data, no I/O."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from fraudworld.errors import InputError

PROFILES = {"demo": 100_000, "small": 300_000, "authority": 3_510_000}
"""Nominal parties of each profile; the seed's own scale draw multiplies them."""

ENGINES = ("local", "dask")
SCHEDULER = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]+")
SHARD_PARTIES = 131_072
"""Parties of one shard: small enough for a core's cache, large enough that what a task costs
beside its work does not count (docs/dask.md)."""

FROM_STATES = ("S2", "S3", "S4", "S5")
RUNS_ROOT = Path("runs/fix-data-engine/segment_6A")
RUN_ID = re.compile(r"[0-9a-f]{32}")
ROLE = re.compile(r"none|baseline|candidate|last_good|witness:[0-9]+")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One run, as asked for. Raises InputError `6A.CLI.ARGUMENT_INVALID` for a bad value.

    `policy_dir` and `upstream_dir` default to what the package brings along. `scale`
    multiplies the profile's size. `shard_parties` and `workers` say how the work is cut and
    on how many threads it runs; neither can change a row. `shard_parties=0` makes every
    country one shard. `engine` says where: `local` on threads, of whose results `memory` GiB
    stay in memory and the rest goes to files (by default a twelfth of the machine's);
    `dask` on the cluster at `scheduler`, or on one of its own in this process. `run_id` names
    a place; by default it follows from the request. `from_state` and `base` (the folder of a
    published run) go together: states before `from_state` are taken from the base; what is
    made is the same world.
    """

    profile: str = "demo"
    seed: int = 42
    runs_root: Path = RUNS_ROOT
    policy_dir: Path | None = None
    overlays: tuple[str, ...] = ()
    upstream_dir: Path | None = None
    scale: float = 1.0
    shard_parties: int = SHARD_PARTIES
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    role: str = "none"
    run_id: str | None = None
    engine: str = "local"
    scheduler: str | None = None
    memory: float | None = None
    from_state: str | None = None
    base: Path | None = None

    def __post_init__(self) -> None:
        _require(
            self.profile in PROFILES,
            "--profile",
            f"there is no profile {self.profile!r}",
            f"choose one of {', '.join(PROFILES)}",
        )
        _require(
            math.isfinite(self.scale) and self.scale > 0,
            "--scale",
            f"{self.scale} is no size",
            "give a number above 0; 1 is the profile's own size",
        )
        _require(
            self.shard_parties >= 0,
            "--shard-parties",
            f"{self.shard_parties} parties cannot be a shard",
            "give a number of parties, or 0 for one shard per country",
        )
        _require(
            self.workers >= 1,
            "--workers",
            f"{self.workers} threads cannot work",
            "give at least 1",
        )
        _require(
            self.engine in ENGINES,
            "--engine",
            f"there is no engine {self.engine!r}",
            f"choose one of {', '.join(ENGINES)}",
        )
        _require(
            self.scheduler is None or self.engine == "dask",
            "--scheduler",
            f"the engine {self.engine} has no scheduler",
            "add --engine dask, or leave --scheduler out",
        )
        _require(
            self.scheduler is None or SCHEDULER.fullmatch(self.scheduler) is not None,
            "--scheduler",
            f"{self.scheduler!r} is no address of a scheduler",
            "give tcp://HOST:PORT as the scheduler prints it, or leave it out",
        )
        _require(
            self.memory is None or (math.isfinite(self.memory) and self.memory > 0),
            "--memory",
            f"{self.memory} GiB hold nothing",
            "give a number above 0, or leave it out",
        )
        _require(
            self.memory is None or self.engine == "local",
            "--memory",
            f"the engine {self.engine} does not take it",
            "leave it out: the workers of a cluster have limits of their own",
        )
        _require(
            (self.from_state is None) == (self.base is None),
            "--from",
            "--from and --base go together",
            "name both the first state to make again and the run that has those before it",
        )
        _require(
            self.from_state in (None, *FROM_STATES),
            "--from",
            f"{self.from_state!r} is no state to start from",
            f"choose one of {', '.join(FROM_STATES)}; a whole run needs no base",
        )
        _require(
            ROLE.fullmatch(self.role) is not None,
            "--role",
            f"{self.role!r} is no role of a run",
            "use none, baseline, candidate, last_good or witness:<seed>",
        )
        _require(
            self.run_id is None or RUN_ID.fullmatch(self.run_id) is not None,
            "--run-id",
            f"{self.run_id!r} is no id of a run",
            "give 32 digits of 0-9 a-f, or leave it out",
        )

    @property
    def nominal_parties(self) -> float:
        """Parties expected before the seed's scale draw."""
        return PROFILES[self.profile] * self.scale

    @property
    def volume_scale(self) -> float:
        """Size relative to the authority profile at scale 1."""
        return self.nominal_parties / PROFILES["authority"]

    @property
    def parties_per_shard(self) -> int | None:
        """Parties of one shard; None for a shard per country."""
        return self.shard_parties or None


@dataclass(frozen=True)
class Progress:
    """A step of a run ended: `done` of `total` steps of `state`, `rows` written by it so far."""

    state: str
    step: str
    done: int
    total: int
    rows: int
    elapsed_s: float


Cell = str | int | float | bool | None


@dataclass(frozen=True)
class SummaryTable:
    """A small table for people: every row has one cell per column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def as_dict(self) -> dict[str, object]:
        """Plain data, for `--json`."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


def _require(holds: bool, where: str, what: str, remedy: str) -> None:
    if not holds:
        raise InputError("6A.CLI.ARGUMENT_INVALID", what, where=where, remedy=remedy)
