"""Engines: where tasks run, on threads of this process or on a Dask cluster."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from fraudworld.engine.local import LocalEngine
from fraudworld.engine.tasks import Engine
from fraudworld.perf.meter import Meter, unmetered

MEMORY_SHARE = 1 / 12
"""Share of the machine's memory for results; spilling the rest costs a few per cent of time."""
GIB = 1 << 30
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def opened(
    kind: str,
    *,
    workers: int,
    memory: float | None = None,
    scheduler: str | None = None,
    scratch: Path,
    meter: Meter = unmetered,
) -> AbstractContextManager[Engine]:
    """The engine called `kind`, for as long as the context lasts.

    memory: GiB of results that the local engine keeps in memory, by default `MEMORY_SHARE` of
    the machine's; scheduler: address of a Dask cluster, None for one in this process; scratch:
    a folder of this run alone, which the workers of a cluster must see under the same name; meter:
    the account that tasks submitted now are charged to. Raises as `DaskEngine` does.
    """
    if kind == "dask":
        from fraudworld.engine.dask import DaskEngine

        return DaskEngine(workers, scheduler, scratch, meter=meter)
    limit = machine_memory() * MEMORY_SHARE if memory is None else memory * GIB
    return LocalEngine(workers, int(limit), scratch, meter)


def machine_memory() -> int:
    """Bytes this process may use: the machine's memory, or the limit of its container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in map(Path, CGROUP_LIMITS):
        if file.is_file() and (limit := file.read_text("ascii").strip()).isdigit():
            limits.append(int(limit))
    return min(limits)
