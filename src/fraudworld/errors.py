"""The errors of `fraudworld`, each with a stable code and a remedy.

An error states what was found, where, and what to do. Its class decides the exit status of the
process; its code, `6A.<state>.<REASON>`, is part of the contract.
"""

from __future__ import annotations

from typing import Any


class FraudworldError(Exception):
    """Base of every error this package raises on purpose.

    `code` is stable (`6A.S0.PRIOR_PACK_SCHEMA_INVALID`), `what` states what was found, `where`
    names the file, table or key, `remedy` says what the user can do.
    """

    exit_code = 4

    def __init__(self, code: str, what: str, *, where: str, remedy: str) -> None:
        super().__init__(f"{code}: {what} [{where}] — {remedy}")
        self.code = code
        self.what = what
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle rebuilds an exception from positional arguments; `where` and `remedy` are
        # keyword-only.
        return _again, (type(self), self.code, self.what, self.where, self.remedy)

    def as_dict(self) -> dict[str, str]:
        """The error as plain data, for `--json` and failure records."""
        return {
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "remedy": self.remedy,
        }


class InputError(FraudworldError):
    """Bad input or usage: a policy, a table, an argument (exit 2)."""

    exit_code = 2


class RefusedError(FraudworldError):
    """Refused: sealed, conflicting or closed (exit 3)."""

    exit_code = 3


class InternalError(FraudworldError):
    """An internal error: an invariant of the code does not hold (exit 4)."""

    exit_code = 4


class LostError(FraudworldError):
    """The cluster that ran the tasks is gone; nothing was published (exit 4).

    Neither bad input nor an internal error: the same command can be run again.
    """

    exit_code = 4


def _again(
    kind: type[FraudworldError], code: str, what: str, where: str, remedy: str
) -> FraudworldError:
    return kind(code, what, where=where, remedy=remedy)
