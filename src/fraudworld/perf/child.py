"""Measures a child process: wall time, CPU-seconds, peak memory, output."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Child:
    """A finished process. `cpu_s`: user and system time of all its threads."""

    status: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    peak_rss_mib: float


def measure(command: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
    """Runs `command` to its end; `env` is added to this process's environment.

    A child's peak memory starts at that of its parent (fork), so a measuring parent must be
    small. Raises OSError where the program cannot be started.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(command), stdout=out, stderr=err, env={**os.environ, **(env or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        # Popen must not wait again for a process that was reaped.
        process.returncode = os.waitstatus_to_exitcode(status)
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode(errors="replace"))
    unit = 1024 if sys.platform != "darwin" else 1024**2
    return Child(
        process.returncode, said[0], said[1], wall, usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / unit,
    )  # fmt: skip
