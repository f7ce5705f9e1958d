"""How a stream is registered: its label, its family, its width, and what its draws decide."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fraudworld.rng.stream import FAMILIES, Stream

CODE = "{code}"
CODES = "[A-Z0-9_]+(/[A-Z0-9_]+)*"
"""What stands for it in a label: a code, or the codes of a pair."""

ANY = 0
"""Width of a law whose draws per entity follow from the policy or the upstream."""


@dataclass(frozen=True)
class StreamLaw:
    """One registered stream, or one a code where the label holds `{code}`."""

    label: str
    family: str
    width: int
    meaning: str

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown substream family {self.family!r} of {self.label!r}")

    def of(self, seed: int, *, code: str | None = None, width: int = ANY) -> Stream:
        """The stream of a seed.

        code: where the label asks for one. width: only where the law leaves it open, at least 1.
        Raises ValueError for a code or a width the law does not take, or lacks.
        """
        if (code is None) == (CODE in self.label):
            raise ValueError(f"stream {self.label!r} takes {'a' if code is None else 'no'} code")
        if (width == ANY) == (self.width == ANY):
            raise ValueError(f"stream {self.label!r}: width {width}, registered {self.width}")
        label = self.label if code is None else self.label.replace(CODE, code)
        return Stream(seed, label, self.family, self.width or width)

    def holds(self, label: str, family: str, width: int) -> bool:
        """Whether a logged stream is one of this law."""
        pattern = re.escape(self.label).replace(re.escape(CODE), CODES)
        return (
            re.fullmatch(pattern, label) is not None
            and family == self.family
            and width == (self.width or max(width, 1))
        )
