"""Calls of the program: their result in the test process, and calls in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import NamedTuple


class CallResult(NamedTuple):
    """Exit status, stdout and stderr of one call of the program."""

    status: int
    out: str
    err: str


def program(*calls: tuple[object, ...], seconds: int = 120) -> tuple[list[int], int, str]:
    """Statuses, peak memory in bytes and all output of some commands, in one process of their own.

    A process, as a command that waits for a pipe can only be killed.
    """
    code = """
        import json, re, sys
        from pathlib import Path
        from fraudworld.cli import app
        statuses = []
        for words in json.loads(sys.argv[1]):
            sys.argv = ["fraudworld", *words]
            try:
                app.main()
            except SystemExit as stop:
                statuses.append(0 if stop.code is None else stop.code)
        # Not ru_maxrss, which starts at the peak of the parent process.
        status = Path("/proc/self/status").read_text()
        peak = int(re.search("VmHWM:[^0-9]*([0-9]+)", status).group(1))
        print("\\n" + json.dumps([statuses, peak]))
    """
    words = json.dumps([[str(w) for w in call] for call in calls])
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), words],
        capture_output=True, text=True, errors="surrogateescape", timeout=seconds, check=True,
    )  # fmt: skip
    statuses, peak = json.loads(result.stdout.splitlines()[-1])
    return statuses, peak * 1024, result.stdout + result.stderr
