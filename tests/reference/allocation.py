"""An integer plan shared among the entities of a cell: hurdle, apportionment, caps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fraudworld.kernels import normal
from reference.draws import Draws, deviate, first, nearest

Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Law:
    """A share of `zero_share` holds none; the others hold by log-normal weights, within a cap.

    draws: hurdle draw and weight draw of every entity; slots: a draw for each possible holding.
    """

    zero_share: float
    sigma: float
    draws: Draws
    slots: Draws


@dataclass(frozen=True)
class Common:
    """Factors an entity brings to all its products, for the hurdle and for the weight."""

    hurdle: Callable[[int], float]
    weight: Callable[[int], float]
    correlation: float


def allocate(
    cells: Mapping[Cell, Sequence[int]],
    plan: Mapping[Cell, int],
    law: Law,
    room: Mapping[int, int],
    common: Common | None = None,
    *,
    capped: bool = True,
) -> dict[int, int]:
    """Holdings of every entity.

    Eligible are the round((1 − zero_share) · n) entities of a cell with the smallest hurdle
    keys, more where the plan needs more. They share the plan by weight, in integers by largest
    remainder. What exceeds an entity's room goes to the free slots of the cell with the
    smallest draws; what finds no slot is dropped.
    """
    widest = max([1, *room.values()])
    out: dict[int, int] = {}
    for cell, entities in cells.items():
        wanted = max(nearest((1.0 - law.zero_share) * len(entities)), -(-plan[cell] // widest))
        eligible = first(wanted, entities, lambda e: _hurdle_key(e, law, common))
        counts = _shared(plan[cell], {e: _weight(e, law, common) for e in eligible})
        if capped:
            excess = sum(max(n - room[e], 0) for e, n in counts.items())
            counts = {e: min(n, room[e]) for e, n in counts.items()}
            free = [(law.slots(e, s), e) for e in eligible for s in range(room[e] - counts[e])]
            for _, e in sorted(free)[:excess]:
                counts[e] += 1
        out |= dict.fromkeys(entities, 0) | counts
    return out


def _hurdle_key(entity: int, law: Law, common: Common | None) -> int:
    """Small for a large deviate; 28 bits below the point decide a rank."""
    own = deviate(law.draws(entity, 0))
    if common:
        rho = common.correlation
        own = math.sqrt(rho) * common.hurdle(entity) + math.sqrt(1.0 - rho) * own
    return int((16.0 - own) * 2**28)


def _weight(entity: int, law: Law, common: Common | None) -> int:
    """A log-normal weight of mean one, in units of 2**-20; at least one unit."""
    z = deviate(law.draws(entity, 1))
    if common:
        rho = common.correlation
        z = math.sqrt(1.0 - rho) * z + math.sqrt(rho) * common.weight(entity)
    return max(int(normal.exp(law.sigma * z - 0.5 * law.sigma * law.sigma) * 2**20 + 0.5), 1)


def _shared(plan: int, weights: Mapping[int, int]) -> dict[int, int]:
    """The plan in proportion to the weights: floors, then one more for the largest remainders."""
    total = sum(weights.values())
    counts = {e: plan * w // total for e, w in weights.items()}
    rest = plan - sum(counts.values()) if weights else 0
    for e in first(rest, weights, lambda e: -(plan * weights[e] % total)):
        counts[e] += 1
    return counts
