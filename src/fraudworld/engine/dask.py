"""The engine of many machines: a Dask cluster, in this process or an existing one.

Several rows of a round become one future, because Dask spends about a millisecond on each. The
results stay with the worker that made them, and are made again from their inputs where that
worker is lost. Order, retries, copies between workers and release are Dask's. Ours is what Dask
cannot know: whether the workers run this very code, whether they see the folder that parts are
written to, and when to give up.

Workers and scheduler need the environment of this process: both unpickle our objects.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fraudworld.documents import JsonObject
from fraudworld.engine.results import bytes_in
from fraudworld.engine.rows import Pick, Row, RowResults, constant, keep, spent, split, summaries_of
from fraudworld.engine.tasks import Item
from fraudworld.engine.workers import answer, compare, differ, stamp
from fraudworld.errors import InputError, LostError
from fraudworld.extras import needs
from fraudworld.perf.meter import Account, Meter, unmetered

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
Work = Awaitable[Any]
Future = Any
"""A future of Dask, which has no types."""
Client = Any
"""A client of Dask, which has no types."""

LOOPBACK = str(IPv4Network("127.0.0.0/8")[1])
CONNECT_S = 15.0
"""Seconds a scheduler has to answer."""
PATIENCE_S = 60.0
"""Seconds without a scheduler or without a running worker after which a run gives up; a
supervisor usually restarts workers within a few."""
LARGE = 1 << 16
"""Bytes of a task's constants from which they are sent once to each worker, not with every
future."""
PULSE_S = 2.0
"""Seconds between two polls of the cluster while waiting."""
IN_PROCESS = {
    # One worker in this process shares its memory: spilling, stealing and copying have no use.
    **dict.fromkeys(
        (f"distributed.worker.memory.{limit}" for limit in ("target", "spill", "pause")), False
    ),
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}


ALONE = 1
"""Rows per thread that are futures of their own, at the start of a round: rows sorted by size
start with the largest."""
FUTURES = 4
"""Futures per thread for the other rows of a round …"""
MOST_ROWS = 16
"""… of at most this many rows: all rows of a future are in memory at once."""
LATER = -1
"""Priority of tasks whose results no other task needs."""


@dataclass(frozen=True)
class DaskItem(Item[R_co]):
    """The result of one row of a future."""

    future: Future
    row: int


class DaskEngine:
    """Runs tasks on a Dask cluster: the one at `scheduler`, or one of `workers` threads here.

    scratch: a folder that every worker sees under the same name; it is created, and files are
    written to test this. meter: the account that tasks submitted now are charged to. Raises
    InputError where the extra is missing
    (`6A.CLI.EXTRA_MISSING`), the scheduler does not answer (`6A.CLI.SCHEDULER_UNREACHABLE`), has
    no workers (`6A.CLI.NO_WORKERS`), or its workers run other code (`6A.CLI.WORKERS_DIFFER`) or
    do not see the folder (`6A.CLI.FOLDER_NOT_SHARED`). Every later call raises LostError
    `6A.ENGINE.SCHEDULER_LOST` or `6A.ENGINE.WORKERS_LOST` once they are gone for good.
    """

    def __init__(
        self,
        workers: int,
        scheduler: str | None,
        scratch: Path,
        *,
        patience: float = PATIENCE_S,
        meter: Meter = unmetered,
    ) -> None:
        self._where = scheduler or "this process"
        self._here = scheduler is None
        self._patience = patience
        self._id = uuid.uuid4().hex
        self._rounds = 0
        self._meter = meter
        self._accounts: list[Account] = []
        self._gone: LostError | None = None
        self._open = ExitStack()
        try:
            if scheduler is None:
                self._client = self._start(workers, scratch)
                self.workers = workers
            else:
                self._client = self._connect(scheduler)
                self._client.loop.asyncio_loop.set_exception_handler(_unheard)
                self.workers = self._check_workers(scratch)
        except BaseException:
            self._open.close()
            raise

    def submit(
        self, task: Callable[..., R], *columns: Iterable[object], later: bool = False
    ) -> list[Item[R]]:
        by_future = self._round(keep, task, columns, LATER if later else 0)
        return [DaskItem(*place) for places in by_future for place in places]

    def collect(self, task: Callable[..., R], *columns: Iterable[object]) -> list[R]:
        return self.fetch(self.submit(task, *columns))

    def run(
        self, task: Callable[..., tuple[R, S]], *columns: Iterable[object]
    ) -> tuple[list[Item[R]], list[S]]:
        by_future = self._round(split, task, columns)
        futures = [places[0][0] for places in by_future]
        if self._here:  # results of this process are returned as they are, without a copy
            summaries = [rows.summaries for rows in self._results(futures)]
        else:
            summaries = self._results(
                self._submit("summary", summaries_of, [(future,) for future in futures])
            )
        items: list[Item[R]] = [DaskItem(*place) for places in by_future for place in places]
        return items, [row for rows in summaries for row in rows]

    def fetch(self, items: Sequence[Item[R]]) -> list[R]:
        placed = [_dask(item) for item in items]
        futures = {item.future.key: item.future for item in placed}
        results = dict(zip(futures, self._results(list(futures.values())), strict=True))
        return [results[item.future.key].kept[item.row] for item in placed]

    def check(self, items: Sequence[Item[object]]) -> None:
        futures = {item.future.key: item.future for item in map(_dask, items)}
        done = [f for f in futures.values() if f.status in ("error", "cancelled", "lost")]
        if done:
            self._results(done[:1])

    def settle(self) -> None:
        """Charges what the workers have spent; a worker that left takes its figures with it."""
        for figures in self._everywhere(spent, self._id).values():
            if isinstance(figures, Exception):
                raise figures
            for number, (cpu, wall, error) in figures.items():
                self._accounts[number].add(cpu, wall, error)

    def _charge(self) -> tuple[str, int] | None:
        """Names the account that is open now to workers; None where nothing is measured."""
        account = self._meter()
        if account is None:
            return None
        if not self._accounts or self._accounts[-1] is not account:
            self._accounts.append(account)
        return self._id, len(self._accounts) - 1

    def __enter__(self) -> DaskEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _round(
        self,
        run: Callable[..., RowResults],
        task: Callable[..., object],
        columns: Sequence[Iterable[object]],
        priority: int = 0,
    ) -> list[list[tuple[Future, int]]]:
        """Starts `task` for every row; `run` executes the rows of one future.

        Returns, by future, the future and the row number of each of its rows.
        """
        name, rows = _name(task), list(zip(*columns, strict=True))
        law: object = task
        if bytes_in(task) >= LARGE:
            (law,) = self._submit(f"law of {name}", constant, [(task,)])
        cuts = _cuts(len(rows), self.workers)
        plans = [_plan(rows[low:high]) for low, high in cuts]
        futures = self._submit(
            name,
            partial(run, stamp(), self._charge()),
            [(law, plan, sources) for plan, sources in plans],
            priority,
        )
        return [
            [(future, row) for row in range(high - low)]
            for future, (low, high) in zip(futures, cuts, strict=True)
        ]

    def _submit(
        self,
        name: str,
        task: Callable[..., object],
        rows: Sequence[Row],
        priority: int = 0,
    ) -> list[Future]:
        """One future a row."""
        if self._gone is not None:
            raise self._gone
        # Keys of a round differ in their last element only, so that Dask groups them.
        self._rounds += 1
        name = f"{name}-{self._id}-{self._rounds}"
        if not rows:
            return []
        keys = [(name, i) for i in range(len(rows))]
        distributed = needs("distributed")
        try:
            futures: list[Future] = self._client.map(
                task, *zip(*rows, strict=True), key=keys, pure=False, priority=priority
            )
            return futures
        except distributed.client.ClosedClientError as error:
            raise self._lost("SCHEDULER", "the connection broke") from error

    def _results(self, futures: Sequence[Future]) -> list[Any]:
        """The values of futures. Raises the exception of a task, or LostError."""
        if self._gone is not None:
            raise self._gone
        with self._connected():
            values: list[Any] = self._wait(
                self._client.gather(list(futures), asynchronous=True), self._patience
            )
        return values

    @contextmanager
    def _connected(self, *broken: type[Exception]) -> Iterator[None]:
        """Raises LostError where the body finds that the cluster has gone.

        broken: exceptions that mean a broken connection where no task can have raised them.
        """
        distributed = needs("distributed")
        try:
            yield
        except distributed.scheduler.KilledWorker as error:
            raise self._lost("WORKERS", "every worker that ran one task died") from error
        except (
            CancelledError,
            distributed.comm.CommClosedError,
            distributed.client.ClosedClientError,
            *broken,
        ) as error:
            connection = self._client.status != "running" or "connection" in str(error)
            if connection or isinstance(error, (distributed.comm.CommClosedError, *broken)):
                raise self._lost("SCHEDULER", "the connection broke") from error
            raise self._lost("WORKERS", "the cluster dropped their results") from error

    def _wait(self, work: Work, patience: float) -> Any:
        """The result of `work` on the client's loop; LostError where no worker can do it."""
        job = self._soon(work)
        alone_since = silent_since = None
        try:
            while not wait_for([job], PULSE_S).done:
                now = time.monotonic()
                running = self._running()
                silent_since = (silent_since or now) if running is None else None
                alone_since = (alone_since or now) if running == 0 else None
                if silent_since is not None and now - silent_since >= patience:
                    raise self._lost("SCHEDULER", f"it has not answered for {patience:.0f} s")
                if alone_since is not None and now - alone_since >= patience:
                    raise self._lost("WORKERS", f"none has been running for {patience:.0f} s")
            return job.result()
        finally:
            job.cancel()

    def _running(self) -> int | None:
        """Workers that run; None where the scheduler does not answer."""
        if self._client.scheduler is None:
            return None
        asked = self._soon(self._client.scheduler.ncores_running())
        try:
            return len(asked.result(CONNECT_S))
        except (OSError, TimeoutError, CancelledError):
            asked.cancel()
            return None

    def _soon(self, work: Work) -> Any:
        """Schedules `work` on the client's loop."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._client.loop.asyncio_loop)

    def _lost(self, who: str, why: str) -> LostError:
        """Marks the engine as lost, so that every later call raises the same error."""
        what = {"SCHEDULER": "the scheduler is lost", "WORKERS": "all workers are lost"}[who]
        self._gone = LostError(
            f"6A.ENGINE.{who}_LOST",
            f"{what}: {why}",
            where=self._where,
            remedy="nothing was published; start the cluster again, then the same command: it "
            "starts over and ends with the same digests",
        )
        return self._gone

    def _start(self, workers: int, scratch: Path) -> Client:
        """A client of a cluster that is one worker in this process."""
        distributed = needs("distributed")
        self._settle(IN_PROCESS)
        private = f"{LOOPBACK}:0"  # Dask opens ports for its web pages: keep them local
        cluster = self._open.enter_context(
            distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=workers,
                processes=False,
                memory_limit=0,
                dashboard_address=private,
                worker_dashboard_address=private,
                scheduler_kwargs={"dashboard": False},
                local_directory=str(scratch),
                silence_logs=logging.CRITICAL,
            )
        )
        return self._open.enter_context(distributed.Client(cluster, set_as_default=False))

    def _connect(self, scheduler: str) -> Client:
        """A client of an existing cluster."""
        distributed = needs("distributed")
        self._settle({})
        try:
            with warnings.catch_warnings():
                # Dask warns of versions of its own dependencies; ours are compared below.
                warnings.simplefilter("ignore")
                client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                "6A.CLI.SCHEDULER_UNREACHABLE",
                f"no Dask scheduler answers within {CONNECT_S:.0f} s",
                where=scheduler,
                remedy="start `dask scheduler`, or give the address that it prints",
            ) from error
        except ImportError as error:
            raise differ(scheduler, str(error)) from error
        self._open.callback(_close, client)
        return client

    def _settle(self, values: Mapping[str, object]) -> None:
        """Configures Dask while this engine is open: no logging, no warnings of large graphs."""
        config, utils = needs("dask.config"), needs("distributed.utils")
        large = {"distributed.admin.large-graph-warning-threshold": "1 PiB"}
        self._open.enter_context(config.set({**large, **values}))
        self._open.enter_context(utils.silence_logging_cmgr(logging.CRITICAL))

    def _check_workers(self, scratch: Path) -> int:
        """Checks that all workers run our code and see `scratch`; returns their threads."""
        try:
            self._results(self._submit("summary", summaries_of, [(RowResults([]),)]))
        except LostError as error:
            raise InputError(
                "6A.CLI.NO_WORKERS",
                "the scheduler has no worker that runs",
                where=self._where,
                remedy=f"start one: dask worker {self._where}",
            ) from error
        except Exception as error:
            raise differ(self._where, f"it cannot run our tasks: {error}") from error
        versions = self._everywhere(stamp)
        for worker, theirs in versions.items():
            if isinstance(theirs, Exception):
                raise differ(worker, f"it cannot load fraudworld: {theirs}")
            compare(worker, stamp(), theirs)
        nonce = secrets.token_hex(8)
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / nonce).write_text(nonce, "ascii")
        for worker, name in self._everywhere(answer, str(scratch.absolute()), nonce).items():
            if not isinstance(name, str) or not (scratch / name).is_file():
                raise InputError(
                    "6A.CLI.FOLDER_NOT_SHARED",
                    f"the worker {worker} does not see the folder of runs",
                    where=str(scratch.absolute()),
                    remedy="choose a --runs-root that this machine and all workers share under "
                    "one name",
                )
        with self._connected(OSError, TimeoutError):
            threads: dict[str, int] = self._wait(self._client.scheduler.ncores(), CONNECT_S)
        # Workers that are starting again are not counted; the number only sizes futures.
        return max(sum(threads.values()), 1)

    def _everywhere(
        self, function: Callable[..., R], *arguments: object
    ) -> dict[str, R | Exception]:
        """What every worker returns or raises, without workers that left meanwhile."""
        with self._connected(OSError, TimeoutError):
            work = self._client.run(function, *arguments, asynchronous=True, on_error="return")
            answers = self._wait(work, CONNECT_S)
        return {w: answers[w] for w in sorted(answers) if not isinstance(answers[w], OSError)}


def _cuts(rows: int, threads: int) -> list[tuple[int, int]]:
    """Rows of every future of a round: (first, after the last)."""
    alone = min(rows, ALONE * threads)
    size = min(max(-(-(rows - alone) // (FUTURES * threads)), 1), MOST_ROWS)
    return [
        *((row, row + 1) for row in range(alone)),
        *((low, min(low + size, rows)) for low in range(alone, rows, size)),
    ]


def _plan(rows: Sequence[Row]) -> tuple[list[object], list[Future]]:
    """Rows with picks instead of items, and the futures they pick from."""
    sources: dict[object, int] = {}
    futures: list[Future] = []

    def bound(argument: object) -> object:
        if isinstance(argument, DaskItem):
            key = argument.future.key
            if key not in sources:
                sources[key] = len(futures)
                futures.append(argument.future)
            return Pick(sources[key], argument.row)
        if type(argument) is list:
            return [bound(element) for element in argument]
        if type(argument) is tuple:
            return tuple(bound(element) for element in argument)
        return argument

    return [bound(row) for row in rows], futures


def _dask(item: Item[R]) -> DaskItem[R]:
    if not isinstance(item, DaskItem):
        raise TypeError(f"an item of another engine: {type(item).__name__}")
    return item


def _name(task: Callable[..., object]) -> str:
    """Name of the function inside partials, for Dask's own pages."""
    while isinstance(task, partial):
        task = task.func
    return task.__name__.strip("_")


async def _awaited(work: Work) -> Any:
    return await work


def _unheard(loop: asyncio.AbstractEventLoop, context: JsonObject) -> None:
    """Ignores the exception that ends Dask's own tasks when we stop waiting for them."""
    if type(context.get("exception")).__name__ != "AllExit":
        loop.default_exception_handler(context)


def _close(client: Client) -> None:
    """Disconnects from a cluster, which may be gone."""
    with suppress(Exception):
        client.close(timeout=CONNECT_S)
