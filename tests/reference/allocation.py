"""Plain twin of capped allocation: hurdle, apportionment, caps, free slots.

Twin of `stages/allocation`, `kernels/hurdles.py` and `kernels/capped`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from fraudworld.kernels import normal
from reference.draws import Draws, deviate, first, nearest

Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Law:
    """A share of `zero_share` holds none; the others hold by log-normal weights, within a cap.

    draws: hurdle draw and weight draw per entity; slots: one draw for each possible holding.
    """

    zero_share: float
    sigma: float
    draws: Draws
    slots: Draws


@dataclass(frozen=True)
class Common:
    """Factors that all products of an entity share, for the hurdle and for the weight."""

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
    openness: Mapping[Cell, float] | None = None,
    holders: AbstractSet[int] = frozenset(),
) -> dict[int, int]:
    """Holdings of every entity.

    Eligible are the round((1 − zero_share) · n) entities of a cell with the smallest hurdle keys,
    or more if the plan needs more. They share the plan by weight, by largest remainder. Holdings
    above an entity's room go to the free slots of the cell with the smallest draws; those without a
    slot are dropped. openness: factor on 1 − zero_share of a cell; 1 where it has none. holders:
    entities that hold one already; they keep the part of their weight that the mean holding, theirs
    included, is above one.
    """
    widest = max([1, *room.values()])
    out: dict[int, int] = {}
    for cell, entities in cells.items():
        share = min((1.0 - law.zero_share) * (openness or {}).get(cell, 1.0), 1.0)
        quota = max(nearest(share * len(entities)), -(-plan[cell] // widest))
        eligible = first(quota, entities, lambda e: hurdle_key(e, law, common))
        weights = {e: _weight(e, law, common) for e in eligible}
        total = plan[cell] + sum(e in holders for e in entities) if plan[cell] else 0
        for e in holders & weights.keys():
            weights[e] = max(
                weights[e] * (256 * max(total - len(eligible), 0) // max(total, 1)) // 256, 1
            )
        counts = _shared(plan[cell], weights)
        if capped:
            excess = sum(max(n - room[e], 0) for e, n in counts.items())
            counts = {e: min(n, room[e]) for e, n in counts.items()}
            free = [(law.slots(e, s), e) for e in eligible for s in range(room[e] - counts[e])]
            for _, e in sorted(free)[:excess]:
                counts[e] += 1
        out |= dict.fromkeys(entities, 0) | counts
    return out


def hurdle_key(entity: int, law: Law, common: Common | None) -> int:
    """Hurdle key: (16 − deviate) in fixed point with 28 fractional bits; the smallest pass."""
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
    """The plan in proportion to the weights, by largest remainder."""
    total = sum(weights.values())
    counts = {e: plan * w // total for e, w in weights.items()}
    remaining = plan - sum(counts.values()) if weights else 0
    for e in first(remaining, weights, lambda e: -(plan * weights[e] % total)):
        counts[e] += 1
    return counts
