"""What a call of the program leaves."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """What a call of the program left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str
