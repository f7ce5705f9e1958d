"""The engine of many machines: a Dask cluster, one in this process or one that is there.

A few rows of a round become one future, as Dask's share of a future is about a millisecond; what
they made stays with the worker that made it, and is made again from its inputs where that worker
is lost. Order, retries, copies between workers and release
are Dask's. Ours is only what it cannot know: that the workers run this very code, that they see
the folder parts are written to, and when to give up.

Workers need the environment of this process, the scheduler too: it unpickles what it passes on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any

from fraudworld.engine.results import bytes_in
from fraudworld.engine.workers import Versions, answer, compare, differ, stamp
from fraudworld.errors import InputError, LostError
from fraudworld.extras import needs

LOOPBACK = str(IPv4Network("127.0.0.0/8")[1])
CONNECT_S = 15.0
"""Seconds within which a scheduler has to answer."""
PATIENCE_S = 60.0
"""Seconds without a scheduler, or without one worker that runs, after which a run gives up;
what restarts workers usually takes a few."""
LARGE = 1 << 16
"""Bytes of a task's constants from which they are a result of their own."""
PULSE_S = 2.0
"""Seconds between two looks at the cluster while waiting."""
IN_PROCESS = {
    # One worker that shares our memory: nothing to spill, to steal or to copy.
    **dict.fromkeys(
        (f"distributed.worker.memory.{limit}" for limit in ("target", "spill", "pause")), False
    ),
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}


ALONE = 1
"""Rows per thread that are futures of their own, at the begin of a round: where rows come by
size, the largest stand there."""
FUTURES = 4
"""Futures per thread that the other rows of a round become …"""
MOST_ROWS = 16
"""… of so many rows at most: a future's rows are in memory together."""
LATER = -1
"""Priority of tasks that nothing but the end waits for."""


class Held:
    """Results of the rows of a future that stay on the worker, and for `run` their summaries.

    Tells Dask its size: by it results are placed, moved and spilled.
    """

    __slots__ = ("kept", "size", "summaries")

    def __init__(self, kept: Sequence[Any], summaries: Sequence[Any] = ()) -> None:
        self.kept = kept
        self.summaries = summaries
        self.size = bytes_in(list(kept))

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.size


@dataclass(frozen=True)
class DaskItem:
    """One row's share of a future."""

    future: Any
    row: int


@dataclass(frozen=True)
class Pick:
    """Stands for an item among a row's arguments: row `row` of input `source` of the future."""

    source: int
    row: int


class DaskEngine:
    """Runs tasks on a Dask cluster: the one at `scheduler`, or one of `workers` threads here.

    scratch: a folder that every worker sees under the same name; it is made, and the check
    of that writes to it. Raises InputError where the extra is missing
    (`6A.CLI.EXTRA_MISSING`), the scheduler does not answer (`SCHEDULER_UNREACHABLE`), has no
    workers (`NO_WORKERS`) or such that run other code (`WORKERS_DIFFER`) or do not see the
    folder (`FOLDER_NOT_SHARED`). Whatever is asked of it later raises LostError
    `6A.ENGINE.SCHEDULER_LOST` or `6A.ENGINE.WORKERS_LOST` where they are gone for good.
    """

    def __init__(
        self, workers: int, scheduler: str | None, scratch: Path, *, patience: float = PATIENCE_S
    ) -> None:
        self._where = scheduler or "this process"
        self._here = scheduler is None
        self._patience = patience
        self._id = uuid.uuid4().hex
        self._rounds = 0
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
        self, task: Callable[..., Any], *columns: Iterable[Any], later: bool = False
    ) -> list[Any]:
        made = self._round(_keep, task, columns, LATER if later else 0)
        return [item for items in made for item in items]

    def collect(self, task: Callable[..., Any], *columns: Iterable[Any]) -> list[Any]:
        return self.fetch(self.submit(task, *columns))

    def run(
        self, task: Callable[..., tuple[Any, Any]], *columns: Iterable[Any]
    ) -> tuple[list[Any], list[Any]]:
        made = self._round(_both, task, columns)
        futures = [items[0].future for items in made]
        if self._here:  # a result of this process comes as it is: nothing is moved
            summaries = [held.summaries for held in self._results(futures)]
        else:
            summaries = self._results(
                self._submit("told", _summary, [(future,) for future in futures])
            )
        return [item for items in made for item in items], [
            row for rows in summaries for row in rows
        ]

    def fetch(self, items: Sequence[Any]) -> list[Any]:
        futures = {item.future.key: item.future for item in items}
        held = dict(zip(futures, self._results(list(futures.values())), strict=True))
        return [held[item.future.key].kept[item.row] for item in items]

    def check(self, items: Sequence[Any]) -> None:
        futures = {item.future.key: item.future for item in items}
        done = [f for f in futures.values() if f.status in ("error", "cancelled", "lost")]
        if done:
            self._results(done[:1])

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
        run: Callable[..., Any],
        task: Callable[..., Any],
        columns: Sequence[Iterable[Any]],
        priority: int = 0,
    ) -> list[list[DaskItem]]:
        """Start `task` for every row, by way of `run`, which says what becomes of its result.

        Returns the items of every future.
        """
        name, rows = _name(task), list(zip(*columns, strict=True))
        law: Any = task
        if bytes_in(task) >= LARGE:
            # Once to every worker that needs it, not once with every future.
            (law,) = self._submit(f"law of {name}", _given, [(task,)])
        cuts = _cuts(len(rows), self.workers)
        plans = [_plan(rows[low:high]) for low, high in cuts]
        futures = self._submit(
            name, partial(run, stamp()), [(law, plan, sources) for plan, sources in plans], priority
        )
        return [
            [DaskItem(future, row) for row in range(high - low)]
            for future, (low, high) in zip(futures, cuts, strict=True)
        ]

    def _submit(
        self,
        name: str,
        task: Callable[..., Any],
        rows: Sequence[tuple[Any, ...]],
        priority: int = 0,
    ) -> list[Any]:
        if self._gone is not None:
            raise self._gone
        # Keys of one round differ by their last place only, so that Dask knows them for one.
        self._rounds += 1
        name = f"{name}-{self._id}-{self._rounds}"
        if not rows:
            return []
        keys = [(name, i) for i in range(len(rows))]
        distributed = needs("distributed")
        try:
            found: list[Any] = self._client.map(
                task, *zip(*rows, strict=True), key=keys, pure=False, priority=priority
            )
            return found
        except distributed.client.ClosedClientError as error:
            raise self._lost("SCHEDULER", "the connection broke") from error

    def _results(self, futures: Sequence[Any]) -> list[Any]:
        """The values of futures. Raises what a task died of, and LostError."""
        if self._gone is not None:
            raise self._gone
        distributed = needs("distributed")
        try:
            found: list[Any] = self._wait(
                self._client.gather(list(futures), asynchronous=True), self._patience
            )
            return found
        except distributed.scheduler.KilledWorker as error:
            raise self._lost("WORKERS", "every worker that tried one task died of it") from error
        except (
            CancelledError,
            distributed.comm.CommClosedError,
            distributed.client.ClosedClientError,
        ) as error:
            connection = self._client.status != "running" or "connection" in str(error)
            if connection or isinstance(error, distributed.comm.CommClosedError):
                raise self._lost("SCHEDULER", "the connection broke") from error
            raise self._lost("WORKERS", "the cluster let go of their results") from error

    def _wait(self, work: Coroutine[Any, Any, Any], patience: float) -> Any:
        """What `work` returns on the client's loop; LostError where there is nobody to do it."""
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

    def _soon(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._client.loop.asyncio_loop)

    def _lost(self, who: str, why: str) -> LostError:
        """Remember that it is over: whatever is asked afterwards gets the same answer."""
        what = {"SCHEDULER": "the scheduler is lost", "WORKERS": "all workers are lost"}[who]
        self._gone = LostError(
            f"6A.ENGINE.{who}_LOST",
            f"{what}: {why}",
            where=self._where,
            remedy="nothing was published; start the cluster again, then the same command: it "
            "begins anew and ends with the same digests",
        )
        return self._gone

    def _start(self, workers: int, scratch: Path) -> Any:
        """A client of a cluster that is one worker in this process."""
        distributed = needs("distributed")
        self._settle(IN_PROCESS)
        nobody = f"{LOOPBACK}:0"  # Dask opens ports for web pages; said, they are not public
        cluster = self._open.enter_context(
            distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=workers,
                processes=False,
                memory_limit=0,
                dashboard_address=nobody,
                worker_dashboard_address=nobody,
                scheduler_kwargs={"dashboard": False},
                local_directory=str(scratch),
                silence_logs=logging.CRITICAL,
            )
        )
        return self._open.enter_context(distributed.Client(cluster, set_as_default=False))

    def _connect(self, scheduler: str) -> Any:
        distributed = needs("distributed")
        self._settle({})
        try:
            with warnings.catch_warnings():
                # Of Dask's own dependencies; what matters to us is compared below.
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

    def _settle(self, values: Mapping[str, Any]) -> None:
        """Dask as we want it while this engine is open: quiet, and not warning of size."""
        config, utils = needs("dask.config"), needs("distributed.utils")
        large = {"distributed.admin.large-graph-warning-threshold": "1 PiB"}
        self._open.enter_context(config.set({**large, **values}))
        self._open.enter_context(utils.silence_logging_cmgr(logging.CRITICAL))

    def _check_workers(self, scratch: Path) -> int:
        """All workers run our code and see `scratch`; returns their threads."""
        try:
            self._results(self._submit("told", _summary, [(Held([]),)]))
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
        return sum(self._wait(self._client.scheduler.ncores(), CONNECT_S).values())

    def _everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What every worker returns or raises; those that went away meanwhile are left out."""
        asked = self._client.run(function, *arguments, asynchronous=True, on_error="return")
        found = self._wait(asked, CONNECT_S)
        return {w: found[w] for w in sorted(found) if not isinstance(found[w], OSError)}


def _cuts(rows: int, threads: int) -> list[tuple[int, int]]:
    """Which rows of a round go together: (first, after the last) of every future."""
    alone = min(rows, ALONE * threads)
    size = min(max(-(-(rows - alone) // (FUTURES * threads)), 1), MOST_ROWS)
    return [
        *((row, row + 1) for row in range(alone)),
        *((low, min(low + size, rows)) for low in range(alone, rows, size)),
    ]


def _plan(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], list[Any]]:
    """Rows with picks instead of items, and the futures these pick from."""
    sources: dict[Any, int] = {}
    futures: list[Any] = []

    def bound(argument: Any) -> Any:
        if isinstance(argument, DaskItem):
            key = argument.future.key
            if key not in sources:
                sources[key] = len(futures)
                futures.append(argument.future)
            return Pick(sources[key], argument.row)
        if type(argument) in (list, tuple):
            return type(argument)(map(bound, argument))
        return argument

    return [bound(row) for row in rows], futures


def _keep(expected: Versions, law: Any, plan: list[Any], sources: list[Held]) -> Held:
    return Held(_run(expected, law, plan, sources))


def _both(expected: Versions, law: Any, plan: list[Any], sources: list[Held]) -> Held:
    kept, summaries = zip(*_run(expected, law, plan, sources), strict=True)
    return Held(kept, summaries)


def _run(expected: Versions, law: Any, plan: list[Any], sources: list[Held]) -> list[Any]:
    # Workers may join at any time, so each future asks where it is.
    compare("a worker", expected, stamp())
    task = law.kept[0] if isinstance(law, Held) else law

    def value(argument: Any) -> Any:
        if isinstance(argument, Pick):
            return sources[argument.source].kept[argument.row]
        if type(argument) in (list, tuple):
            return type(argument)(map(value, argument))
        return argument

    return [task(*map(value, row)) for row in plan]


def _given(task: Any) -> Held:
    return Held([task])


def _summary(held: Held) -> Sequence[Any]:
    return held.summaries


def _name(task: Callable[..., Any]) -> str:
    """The function inside partials: what Dask's own pages show."""
    while isinstance(task, partial):
        task = task.func
    return task.__name__.strip("_")


async def _awaited(work: Any) -> Any:
    return await work


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What Dask's own tasks end with when we stop waiting for them is no news."""
    if type(context.get("exception")).__name__ != "AllExit":
        loop.default_exception_handler(context)


def _close(client: Any) -> None:
    """Let go of a cluster, which may be gone."""
    with suppress(Exception):
        client.close(timeout=CONNECT_S)
