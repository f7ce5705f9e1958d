"""Findings of a lint rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fraudworld.policy.loader import file_of
from fraudworld.policy.pack import PolicyPack


class Severity(StrEnum):
    """ERROR stops a run; KNOWN_DEFECT is replayed on purpose; NOTE stops nothing."""

    ERROR = "ERROR"
    KNOWN_DEFECT = "KNOWN_DEFECT"
    NOTE = "NOTE"


@dataclass(frozen=True)
class Finding:
    """A broken rule: where, the figure, the bound it breaks, and what to change."""

    file: str
    key: str
    figure: float | str | None
    bound: float | str | None
    message: str
    remedy: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return (
            f"{self.severity} {self.file}: {self.key}: {self.message} "
            f"(found {_shown(self.figure)}, would do {_shown(self.bound)}); {self.remedy}"
        )

    def as_dict(self) -> dict[str, float | str | None]:
        """The finding as plain data, for `--json`."""
        return {
            "file": self.file,
            "key": self.key,
            "figure": self.figure,
            "bound": self.bound,
            "message": self.message,
            "remedy": self.remedy,
            "severity": str(self.severity),
        }


Findings = Iterator[Finding]
Rule = Callable[[PolicyPack], Findings]


def fault(
    stem: str,
    key: str,
    message: str,
    *,
    figure: float | str | None,
    bound: float | str | None,
    remedy: str,
    severity: Severity = Severity.ERROR,
) -> Finding:
    """A finding in the file of `stem`."""
    return Finding(file_of(stem), key, figure, bound, message, remedy, severity)


def _shown(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
