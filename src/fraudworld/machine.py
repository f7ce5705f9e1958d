"""Failures of the machine, which must never be taken for faults of what is being read."""

from __future__ import annotations

import errno
import re

OUT_OF_MEMORY = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
"""Words of exceptions of threads, libraries and files that mean a lack of memory."""
SHORT_OF = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)

ASKED = re.compile(r"alloc of size ([0-9]+) failed")
MOST_AT_ONCE = 4 << 30
"""Bytes that no honest column needs at once; a crafted file makes Arrow ask for more."""


def memory_ran_out(error: BaseException) -> bool:
    """Whether an exception of Python, Arrow, DuckDB or the system means a lack of memory."""
    asked = ASKED.search(str(error))
    if asked and int(asked[1]) > MOST_AT_ONCE:
        return False
    return (
        isinstance(error, MemoryError)  # Arrow's is one
        or type(error).__name__ == "OutOfMemoryException"  # DuckDB's
        or any(words in str(error) for words in OUT_OF_MEMORY)
    )


def let_through(error: Exception) -> None:
    """Raises `error` again if the machine is short of memory or of open files.

    Called first where an exception of a reader becomes a fault of its file.
    """
    if memory_ran_out(error) or getattr(error, "errno", None) in SHORT_OF:
        raise error
