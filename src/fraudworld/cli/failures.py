"""Every exception as an error of the contract: its code, its exit status and a remedy."""

from __future__ import annotations

import errno
import sys

from fraudworld.errors import FraudworldError, InputError, InternalError
from fraudworld.machine import memory_ran_out

DEBUG = "FRAUDWORLD_DEBUG"

REMEDIES = {
    errno.ENOSPC: "free space or choose another folder, and run the command again",
    errno.EDQUOT: "free space or choose another folder, and run the command again",
    errno.EFBIG: "raise the limit on the size of files, and run the command again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), and run the command again",
    errno.ENFILE: "close other programs, and run the command again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOMEM: "close other programs, or use a smaller --scale",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "choose a folder you may write to, or change its permissions",
    ),
}
"""Remedies for what a system refuses."""


def typed(error: Exception) -> FraudworldError:
    """The error of the contract for any exception that left a command."""
    if isinstance(error, FraudworldError):
        return error
    if memory_ran_out(error):
        return InputError(
            "6A.CLI.OUT_OF_MEMORY",
            "memory ran out; nothing was published",
            where=_command(),
            remedy="use a smaller --profile or --scale, or fewer --workers",
        )
    if isinstance(error, OSError):
        return InputError(
            "6A.CLI.IO_FAILED",
            f"the system refused: {error.strerror or error}",
            where=str(error.filename or _command()),
            remedy=REMEDIES.get(error.errno or 0, "look at the place named, and try again"),
        )
    if type(error).__name__ == "IOException":  # DuckDB's
        return InputError(
            "6A.CLI.IO_FAILED",
            f"DuckDB could not read or write: {str(error)[:300]}",
            where=_command(),
            remedy=REMEDIES[errno.ENOSPC],
        )
    return InternalError(
        "6A.CLI.INTERNAL",
        f"{type(error).__name__}: {error}",
        where=_command(),
        remedy="; ".join(
            [f"report this; {DEBUG}=1 shows the traceback", *getattr(error, "__notes__", ())]
        ),
    )


def _command() -> str:
    return "fraudworld " + " ".join(sys.argv[1:])
