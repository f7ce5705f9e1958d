"""What every law of 6B draws with: probabilities, weighted choices, delays."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from fraudworld.kernels import normal
from fraudworld.policy.transactions import LogNormal
from reference.draws import deviate

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def unit(draw: int) -> float:
    """A probability strictly inside (0, 1): the middle of the cell of the draw's upper 52 bits."""
    return ((draw >> 12) + 0.5) * 2.0**-52


def below(draw: int, n: int) -> int:
    """A whole number 0 … n − 1: the upper 64 bits of draw · n."""
    return draw * n >> 64


def happens(draw: int, share: float) -> bool:
    """Whether an event of probability `share` occurs: the upper 63 bits against share · 2^63."""
    return draw >> 1 < int(share * 2.0**63)


class Urn:
    """Items drawn in proportion to whole weights, in the order they were given."""

    def __init__(self, weights: Mapping[int, int]) -> None:
        self._items = list(weights)
        self._upto = list(accumulate(weights.values()))

    def __bool__(self) -> bool:
        """Whether any item has a weight."""
        return bool(self._upto) and self._upto[-1] > 0

    def pick(self, draw: int) -> int | None:
        """One item; None where no item has a weight."""
        if not self:
            return None
        return self._items[bisect_right(self._upto, below(draw, self._upto[-1]))]


def log_normal(law: LogNormal, scale: float, draw: int) -> float:
    """scale · median · exp(σ · z), summed in the logarithm."""
    drawn: float = normal.exp(normal.log(scale * law.median) + law.sigma * deviate(draw))
    return drawn


def delay(law: LogNormal, scale: float, draw: int) -> int:
    """A log-normal delay rounded up to whole milliseconds, so that no event coincides with its
    cause; `scale` is the law's unit in milliseconds."""
    return int(log_normal(law, scale, draw)) + 1
