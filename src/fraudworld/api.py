"""Worlds as Python objects: generate one, open one, read its tables, judge it.

    >>> import fraudworld as fw
    >>> world = fw.generate(profile="demo", seed=42)
    >>> world.table("s1_party_base_6A", ["party_id", "party_type"]).num_rows
    92709
    >>> world.duckdb().sql("select count(*) from s2_account_base_6A").fetchall()
    [(247262,)]
    >>> board = world.gates()
    >>> board["grade"], [g["guard_id"] for g in board["guards"] if not g["holds"]]
    ('B+', [])
    >>> world.receipt["seed"], len(world.tables)
    (42, 18)

The command line is a thin layer over this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from fraudworld.arguments import LARGEST_SEED, place, whole, wholes, word, words
from fraudworld.contracts import BY_NAME, TABLES, Table
from fraudworld.contracts.profiles import PROFILE_TABLES, PROFILES_BY_NAME
from fraudworld.documents import JsonObject, load_json
from fraudworld.errors import InputError, RefusedError
from fraudworld.extras import needs
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.request import RUNS_ROOT, Progress, RunOptions, RunRequest
from fraudworld.store.layout import RunPlace

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa
    import pyarrow.dataset as ds

    from fraudworld.layers.profiles.request import ProfilesOptions, ProfilesOutcome
    from fraudworld.layers.transactions.request import StreamOptions, StreamOutcome
    from fraudworld.remediation import Ablation
    from fraudworld.store.decisions import Decision
    from fraudworld.t10.arms import Sections, Verdict

NOT_A_RUN = "6A.CLI.RUN_NOT_FOUND"
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class World:
    """A published run. Everything is read from its folder; nothing is kept in memory."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", place(self.root, "root"))

    @property
    def receipt(self) -> JsonObject:
        """`run_receipt.json`: identity, versions, grade and rows of this run."""
        return read_json(RunPlace(self.root).receipt)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the datasets of this run, in the order the states make them."""
        return tuple(t.name for t in TABLES if self._place(t.name).is_dir())

    @property
    def profile_tables(self) -> tuple[str, ...]:
        """Names of the datasets of layer 6P inside this run; empty where it has no such layer.

        `table`, `scan`, `polars`, `pandas` and `duckdb` read them as they read `tables`. Profiles
        that were published to another folder (`--to`) are not found here.
        """
        return tuple(t.name for t in PROFILE_TABLES if self._place(t.name).is_dir())

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A dataset as an Arrow table, whole or only `columns`.

        Raises InputError `6A.CLI.DATASET_NOT_FOUND` for a name the run does not have and
        `6A.CLI.COLUMN_NOT_FOUND` for a column the dataset does not have.
        """
        if columns is not None:
            self._folder(name)
            columns = words(columns, "columns")
            known = [c.name for c in _contract(name).all_columns]
            strange = sorted(set(columns) - set(known))
            if strange:
                raise InputError(
                    "6A.CLI.COLUMN_NOT_FOUND",
                    f"{name} has no column {', '.join(strange)}",
                    where=name,
                    remedy=f"it has {', '.join(known)}",
                )
        return self.scan(name).to_table(columns=None if columns is None else list(columns))

    def scan(self, name: str) -> ds.Dataset:
        """A dataset that is read as it is used: by DuckDB, Polars, Dask or PyArrow's own scanner.

        Raises InputError as `table` does.
        """
        from pyarrow.dataset import dataset
        from pyarrow.fs import LocalFileSystem

        from fraudworld.store.reader import bounded_parts

        files = [str(path) for path in bounded_parts(self._folder(name), _contract(name))]
        return dataset(files, format="parquet", filesystem=LocalFileSystem(), partitioning=None)

    def polars(self, name: str, columns: Sequence[str] | None = None) -> polars.DataFrame:
        """`table` as a Polars frame; needs `pip install 'fraudworld[frames]'`."""
        frame: polars.DataFrame = needs("polars").from_arrow(self.table(name, columns))
        return frame

    def pandas(self, name: str, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """`table` as a pandas frame, nullable ids as Int64; needs the extra `frames`."""
        import pyarrow as pa

        kinds = {pa.int64(): needs("pandas").Int64Dtype()}
        frame: pandas.DataFrame = self.table(name, columns).to_pandas(types_mapper=kinds.get)
        return frame

    def duckdb(self, *, profiles: bool = True) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB connection with one view per dataset of this run and its profiles.

        profiles: whether datasets of layer 6P inside the run are among them. Raises InputError
        `6A.S5.<TABLE>_SCHEMA_OR_KEY_INVALID` for a part that is not Parquet or unpacks to more than
        a part can hold; so does `table`.
        """
        from fraudworld.store.reader import bounded_parts
        from fraudworld.store.sql import identifier, in_memory, parquet

        connection = in_memory()
        for name in self.tables + (self.profile_tables if profiles else ()):
            rows = parquet(bounded_parts(self._folder(name), _contract(name)))
            connection.execute(f"CREATE VIEW {identifier(name)} AS SELECT * FROM {rows}")
        return connection

    def gates(self) -> JsonObject:
        """The gateboard T1–T8 and guards, computed now from the published tables alone."""
        from fraudworld import gates

        return gates.judge(self.root).as_dict()

    def perf(self) -> tuple[JsonObject, JsonObject]:
        """Timings of this run: the summary and the budget check."""
        folder = RunPlace(self.root).reports / "layer3/6A/perf"
        summary, budgets = (
            next(iter(sorted(folder.rglob(f"{name}.json"))), folder / f"{name}.json")
            for name in ("perf_summary_6A", "perf_budget_check_6A")
        )
        return read_json(summary), read_json(budgets)

    def _folder(self, name: str) -> Path:
        known = self.tables + self.profile_tables
        if name not in known:
            missing = name in PROFILES_BY_NAME and not self.profile_tables
            raise InputError(
                "6A.CLI.DATASET_NOT_FOUND",
                f"this run has no dataset {name!r}",
                where=str(self.root),
                remedy="make it with `fraudworld profiles`"
                if missing
                else f"it has {', '.join(known)}",
            )
        return self._place(name)

    def _place(self, name: str) -> Path:
        """Folder of a dataset of 6A or 6P, whether it exists or not."""
        layer = ProfilesPlace.below(self.root) if name in PROFILES_BY_NAME else RunPlace(self.root)
        return layer.layer / name


def _contract(name: str) -> Table:
    """The contract of a dataset of 6A or 6P."""
    return PROFILES_BY_NAME[name] if name in PROFILES_BY_NAME else BY_NAME[name]


def generate(
    *, progress: Callable[[Progress], None] | None = None, **request: Unpack[RunOptions]
) -> World:
    """Build, judge and publish a world; an equal request finds the same run again.

    Keywords are the fields of `fraudworld.RunRequest`; `progress` is called after every step. A
    world that fails its gates is returned too: its receipt and `gates()` say so. Raises
    InputError and RefusedError as `fraudworld run` does.
    """
    from fraudworld.run import pipeline

    fields = tuple(RunRequest.__dataclass_fields__)
    options = _known("generate", fields, request)
    return World(pipeline.run(RunRequest(**options), progress).place.root)


def _known(function: str, fields: Sequence[str], request: Mapping[str, object]) -> JsonObject:
    """The keywords of a call. Raises InputError for one that does not exist."""
    unknown = sorted(set(request) - set(fields))
    if unknown:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{function}() takes no {', '.join(unknown)}",
            where=f"fraudworld.{function}",
            remedy=f"it takes {', '.join(fields)}",
        )
    return dict(request)


def certify(
    request: RunRequest,
    seeds: Sequence[int],
    progress: Sections | None = None,
    *,
    witness: bool = True,
    keep_all: bool = False,
) -> JsonObject:
    """Run the full chain once per seed, judge T1–T10 and decide.

    The run of a seed that is found finished is verified completely before it is reused.

    `progress` gets the title of every world and stream before it is made, and returns the
    callback for its steps. Transactions are made for T10 where every seed passes T1–T9 and the
    checks of S5 at B; elsewhere, and without `witness`, T10 has no evidence and the decision is
    HOLD_REMEDIATE. Returns `realism_gate_summary_6A.json`, which is written below
    the runs root with its attestation; then runs of the certificate it replaces that hold no role
    are removed, unless `keep_all`. Raises RefusedError where required seeds are missing.
    """
    from fraudworld import certification

    return certification.certify(
        request,
        wholes(seeds, "seeds", least=0, most=LARGEST_SEED),
        progress,
        downstream=witness,
        keep_all=keep_all,
        believe=partial(require_verified, upstream=request.upstream_dir),
    )


def ladder(
    request: RunRequest,
    seeds: Sequence[int],
    phases: Sequence[str] = (),
    progress: Sections | None = None,
    *,
    keep_all: bool = False,
) -> tuple[Decision, ...]:
    """Climb the remediation ladder, up to the first phase that is not done.

    phases: names such as `P0`, all of them if empty; `progress` as in `certify`. Returns the
    decisions. They are recorded below the runs root, and reused while their evidence holds. The
    ladder's own runs that hold no role and that no later phase reads are removed, unless
    `keep_all`.
    Raises as `fraudworld.remediation.climb` does.
    """
    from fraudworld.remediation import NAMES, climb

    return climb(
        request,
        wholes(seeds, "seeds", least=0, most=LARGEST_SEED),
        words(phases, "phases") or NAMES,
        progress,
        keep_all=keep_all,
        believe=partial(require_verified, upstream=request.upstream_dir),
    )


def ablate(request: RunRequest, progress: Sections | None = None) -> tuple[Ablation, ...]:
    """Judge the failing baseline, then the baseline with each control of the ladder alone."""
    from fraudworld.remediation import ablate as ablate_controls

    return ablate_controls(request, progress)


def witness(
    baseline: World,
    candidate: World,
    *,
    flows: int | None = None,
    upstream_dir: Path | None = None,
    workers: int = 1,
    progress: Sections | None = None,
) -> Verdict:
    """Judge T10: transactions over a candidate, a baseline and the control arms.

    Candidate, baseline and worlds found in their place are verified completely first.

    flows: of every arm, by default the policy's; `progress` as in `certify`. The verdict is
    also written below the candidate's runs root. Raises InputError where the two are no pair
    and RefusedError for a candidate without flag or one changed after publishing.
    """
    from fraudworld.t10.arms import witness as judge_candidate

    flows = None if flows is None else whole(flows, "--flows")
    workers = whole(workers, "--workers", least=1)
    upstream_dir = None if upstream_dir is None else place(upstream_dir, "--upstream")
    believe = partial(require_verified, upstream=upstream_dir)
    for world in (candidate, baseline):
        believe(world.root)
    return judge_candidate(
        candidate.root,
        baseline.root,
        flows=flows,
        upstream_dir=upstream_dir,
        workers=workers,
        sections=progress,
        believe=believe,
    )


def transactions(
    world: World,
    *,
    progress: Callable[[Progress], None] | None = None,
    **request: Unpack[StreamOptions],
) -> StreamOutcome:
    """Make, check, seal and publish a stream of transactions over a world (segment 6B).

    Keywords are the fields of `fraudworld.layers.transactions.request.StreamRequest` except
    `run`; either `days` or `flows` is needed. An equal request finds the same stream again.
    Unless `profiles` is false, the profiles of the world are made first where there are none.
    Raises InputError and RefusedError as `fraudworld transactions` does.
    """
    from fraudworld.layers.transactions.request import StreamRequest
    from fraudworld.layers.transactions.stream import stream

    fields = tuple(name for name in StreamRequest.__dataclass_fields__ if name != "run")
    options = {"profiles": True, **_known("transactions", fields, request)}
    return stream(StreamRequest(run=world.root, **options), progress)


def profiles(
    world: World,
    *,
    progress: Callable[[Progress], None] | None = None,
    **request: Unpack[ProfilesOptions],
) -> ProfilesOutcome:
    """Make, check, judge, seal and publish the profiles of a world (layer 6P).

    Keywords are the fields of `fraudworld.layers.profiles.request.ProfilesRequest` except `run`. An
    equal request finds the same profiles again. Raises InputError and RefusedError as
    `fraudworld profiles` does.
    """
    from fraudworld.layers.profiles.layer import make_profiles
    from fraudworld.layers.profiles.request import ProfilesRequest

    fields = tuple(name for name in ProfilesRequest.__dataclass_fields__ if name != "run")
    options = _known("profiles", fields, request)
    return make_profiles(ProfilesRequest(run=world.root, **options), progress)


def require_verified(root: Path, upstream: Path | None = None) -> None:
    """Raises RefusedError `6A.S5.RUN_NOT_BELIEVED` unless every check of `verify` holds.

    upstream: the folder the run was made from; by default the embedded one.
    """
    from fraudworld.verification import verify

    failure = verify(root, upstream=upstream).first_failure
    if failure is not None:
        raise RefusedError(
            "6A.S5.RUN_NOT_BELIEVED",
            "a run found in its place is not what its request makes: "
            f"{failure.group}: {failure.name}: {failure.what}",
            where=str(root),
            remedy="move the folder away, and give the same command again",
        )


def open_run(path: str | Path) -> World:
    """The world published at `path`; InputError `6A.CLI.RUN_NOT_FOUND` where there is none."""
    root = place(path, "path")
    if not RunPlace(root).receipt.is_file():
        raise InputError(
            NOT_A_RUN,
            "no published run here: it has no run_receipt.json",
            where=str(root),
            remedy="name the folder of a run; `fraudworld runs list` shows those there are",
        )
    return World(root)


def scan(run: str | Path, name: str) -> ds.Dataset:
    """`World.scan` of a run by folder or id: `fraudworld.scan("3f2a", "s1_party_base_6A")`."""
    return find_run(run).scan(name)


def find_run(run: str | Path, runs_root: str | Path = RUNS_ROOT) -> World:
    """A run by folder, by id, or by the first digits of its id below `runs_root`."""
    run = word(str(run) if isinstance(run, Path) else run, "RUN")
    folder, root = place(run or ".", "RUN"), place(runs_root, "--runs-root")
    if run and RunPlace(folder).receipt.is_file():
        return World(folder)
    prefix = run if len(run) >= SHORTEST_PREFIX else None
    matches = [w for w in list_runs(root) if prefix and w.root.name.startswith(prefix)]
    if len(matches) == 1:
        return matches[0]
    what = (
        f"{len(matches)} runs begin with {run!r}"
        if len(matches) > 1
        else f"there is no run {run!r}"
    )
    raise InputError(
        NOT_A_RUN,
        what,
        where=str(root),
        remedy="name a run's folder, or at least four digits of the id of one in `runs list`",
    )


def list_runs(runs_root: str | Path = RUNS_ROOT) -> tuple[World, ...]:
    """Every published run below `runs_root`, by id; none where the folder does not exist."""
    root = place(runs_root, "--runs-root")
    return tuple(World(folder) for folder in sorted(_folders(root)))


def read_json(path: Path) -> JsonObject:
    """A JSON object of a run; InputError `6A.CLI.EVIDENCE_UNREADABLE` where it is none."""
    try:
        document = load_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(document, Mapping):
        raise _unreadable(path, "not a JSON object")
    return dict(document)


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        "6A.CLI.EVIDENCE_UNREADABLE",
        f"this file of the run cannot be read: {why}",
        where=str(path),
        remedy="the run was changed after publishing; make it again elsewhere",
    )


def _folders(runs_root: Path) -> Iterator[Path]:
    if runs_root.is_dir():
        for folder in runs_root.iterdir():
            # Hidden folders are staging of ours; an export in the making may hold a receipt.
            if not folder.name.startswith(".") and RunPlace(folder).receipt.is_file():
                yield folder
