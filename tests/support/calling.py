"""The result of calling the program inside the test process."""

from __future__ import annotations

from typing import NamedTuple


class CallResult(NamedTuple):
    """Exit status, stdout and stderr of one call of the program."""

    status: int
    out: str
    err: str
