"""What verification returns: checks, and the verdict over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import JsonObject


@dataclass(frozen=True)
class Check:
    """One check; `what` is the observation, for a failure with its place."""

    group: str
    name: str
    holds: bool
    what: str = ""


@dataclass(frozen=True)
class Verdict:
    """All checks that ran.

    skipped: groups that were not reached. claimed: what the run states and no check proves.
    """

    run: Path
    checks: tuple[Check, ...]
    skipped: tuple[str, ...]
    claimed: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether all groups ran and every check holds."""
        return not self.skipped and all(c.holds for c in self.checks)

    @property
    def first_failure(self) -> Check | None:
        """The first check that does not hold."""
        return next((c for c in self.checks if not c.holds), None)

    def as_dict(self) -> JsonObject:
        """Plain data, for `--json`."""
        return {
            "run": str(self.run),
            "holds": self.holds,
            "checks": [vars(c) for c in self.checks],
            "skipped": list(self.skipped),
            "claimed": list(self.claimed),
        }
