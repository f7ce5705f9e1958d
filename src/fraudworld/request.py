"""The request of a run, and what it reports while it works. Plain data."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from fraudworld.arguments import LARGEST_SEED, invalid, place, positive, whole, word, words

PROFILES = {"demo": 100_000, "small": 300_000, "authority": 3_510_000}
"""Nominal parties of each profile; the seed's own scale draw multiplies them."""

LEAST_DISK_PER_PARTY = 40
"""Bytes on disk without which no run is published: a world of 32.5 million parties takes 50 a party
(docs/trust.md), smaller ones more."""

LEAST_MEMORY, LEAST_MEMORY_PER_PARTY = 256 << 20, 50
"""Bytes without which no run of this machine ends: the same world peaks at 4.5 GiB, 2 GiB of them
results kept, which is 80 a party without these."""

ENGINES = ("local", "dask")
SCHEDULER = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]+")
SHARD_PARTIES = 131_072
"""Parties of one shard: small enough for a core's cache, large enough that the overhead of a
task is small beside its work (docs/dask.md)."""

MOST_ENTITIES = 2**30
"""Most parties, accounts, instruments, devices or endpoints of a world: stages hold positions as
int32, and of a device twice its position."""

FROM_STATES = ("S2", "S3", "S4", "S5")
RUNS_ROOT = Path("runs/fix-data-engine/segment_6A")
RUN_ID = re.compile(r"[0-9a-f]{32}")
ROLE = re.compile(r"none|baseline|candidate|last_good|witness:[0-9]+")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The request of one run.

    Numbers may be numpy's and paths may be texts; afterwards they are int, float and absolute
    Path. Raises InputError `6A.CLI.ARGUMENT_INVALID` for a bad value and `6A.CLI.PATH_INVALID`.

    Parameters
    ----------
    profile : str
        `demo`, `small` or `authority`: the nominal number of parties.
    seed : int
        The realisation, 0 to 2**63 − 1.
    runs_root : Path
        Folder the run is published in.
    policy_dir, upstream_dir : Path or None
        By default those of the package.
    overlays : tuple of str
        Names of shipped overlays, or paths of YAML files, applied in order.
    scale : float
        Multiplies the profile's size.
    shard_parties : int
        Parties of one shard; 0 makes every country one shard. Changes no value.
    workers : int
        Threads, at least 1. Changes no value.
    role : str
        Role in the run store: none, baseline, candidate, last_good or witness:<seed>.
    run_id : str or None
        Name of the run's folder, 32 hex digits; by default it follows from the request.
    engine : str
        `local`: threads of this process. `dask`: the cluster at `scheduler`, or one in this
        process.
    scheduler : str or None
        Address of a Dask scheduler, tcp://HOST:PORT.
    memory : float or None
        GiB of results the local engine keeps in memory, the rest goes to files; by default a
        twelfth of the machine's memory.
    from_state, base : str, Path
        States before `from_state` are taken from the published run at `base`; both or neither.
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
        self._take_exact_kinds()
        _require(
            self.profile in PROFILES,
            "--profile",
            f"there is no profile {self.profile!r}",
            f"choose one of {', '.join(PROFILES)}",
        )
        _require(
            self.nominal_parties <= MOST_ENTITIES,
            "--scale",
            f"{self.scale:g} times {self.profile} is {self.nominal_parties:.3g} parties",
            f"give at most {MOST_ENTITIES / PROFILES[self.profile]:.6g}: a world has at most "
            f"{MOST_ENTITIES:.3g} parties",
        )
        _require(
            self.shard_parties >= 0,
            "--shard-parties",
            f"{self.shard_parties} is not a number of parties",
            "give a number of parties, or 0 for one shard per country",
        )
        require_engine(self.engine, self.scheduler)
        _require(
            self.memory is None or self.engine == "local",
            "--memory",
            f"the engine {self.engine} takes no memory limit",
            "leave it out: the workers of a cluster have their own limits",
        )
        _require(
            (self.from_state is None) == (self.base is None),
            "--from",
            "--from and --base go together",
            "name both the first state to make again and the run that holds the states before it",
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
            f"{self.role!r} is not a role of a run",
            "use none, baseline, candidate, last_good or witness:<seed>",
        )
        _require(
            self.run_id is None or RUN_ID.fullmatch(self.run_id) is not None,
            "--run-id",
            f"{self.run_id!r} is not the id of a run",
            "give 32 digits of 0-9 a-f, or leave it out",
        )

    def _take_exact_kinds(self) -> None:
        """Replaces numbers and paths of other kinds by int, float and absolute Path."""
        size = "give a number above 0; 1 is the profile's own size"
        limit = "give a number above 0, or leave it out"
        exact: dict[str, object] = {
            "seed": whole(self.seed, "--seed", least=0, most=LARGEST_SEED),
            "scale": positive(self.scale, "--scale", size),
            "shard_parties": whole(self.shard_parties, "--shard-parties"),
            "workers": whole(self.workers, "--workers", least=1),
            "memory": None if self.memory is None else positive(self.memory, "--memory", limit),
            "runs_root": place(self.runs_root, "--runs-root"),
            "overlays": tuple(map(_overlay, words(self.overlays, "--overlay"))),
        }
        for name in ("profile", "role", "engine"):
            exact[name] = word(getattr(self, name), _option(name))
        for name in ("run_id", "scheduler", "from_state"):
            given = getattr(self, name)
            exact[name] = None if given is None else word(given, _option(name))
        for name in ("policy_dir", "upstream_dir", "base"):
            given = getattr(self, name)
            exact[name] = None if given is None else place(given, _option(name))
        for name, value in exact.items():
            object.__setattr__(self, name, value)

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
    """A finished step of a run: `done` of `total` steps of `state`, `rows` it has written."""

    state: str
    step: str
    done: int
    total: int
    rows: int
    elapsed_s: float


Cell = str | int | float | bool | None


@dataclass(frozen=True)
class SummaryTable:
    """A small table for the terminal; every row has one cell per column."""

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


class RunOptions(TypedDict, total=False):
    """Keywords of `fraudworld.generate`: the fields of RunRequest; paths may be strings."""

    profile: str
    seed: int
    runs_root: Path | str
    policy_dir: Path | str | None
    overlays: Sequence[str]
    upstream_dir: Path | str | None
    scale: float
    shard_parties: int
    workers: int
    role: str
    run_id: str | None
    engine: str
    scheduler: str | None
    memory: float | None
    from_state: str | None
    base: Path | str | None


def _option(name: str) -> str:
    """The option of the command line that sets a field."""
    return "--from" if name == "from_state" else "--" + name.removesuffix("_dir").replace("_", "-")


def _overlay(item: str) -> str:
    """An overlay as the loader of a pack takes it: a name, or the absolute path of a file."""
    own_file = os.sep in item or item.endswith((".yaml", ".yml"))
    return str(place(item, "--overlay")) if own_file else item


def require_engine(engine: str, scheduler: str | None) -> None:
    """Raises InputError `6A.CLI.ARGUMENT_INVALID` for an engine or scheduler that cannot be."""
    _require(
        engine in ENGINES,
        "--engine",
        f"there is no engine {engine!r}",
        f"choose one of {', '.join(ENGINES)}",
    )
    _require(
        scheduler is None or engine == "dask",
        "--scheduler",
        f"the engine {engine} has no scheduler",
        "add --engine dask, or leave --scheduler out",
    )
    _require(
        scheduler is None or SCHEDULER.fullmatch(scheduler) is not None,
        "--scheduler",
        f"{scheduler!r} is not the address of a scheduler",
        "give tcp://HOST:PORT as the scheduler prints it, or leave it out",
    )


def _require(holds: bool, where: str, what: str, remedy: str) -> None:
    if not holds:
        raise invalid(where, what, remedy)
