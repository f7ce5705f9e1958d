"""6B.S3: all campaigns of the horizon, and which of them are awake in a window.

Twin: tests/reference/transactions/campaigns.py:Campaigns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import CAMPAIGN_TYPES
from fraudworld.inputs.arrivals import Arrivals
from fraudworld.layers.transactions.campaigns import (
    Active,
    Attacks,
    Campaigns,
    Tactics,
    tactics_of,
)
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.lives import Lives, draw_lives
from fraudworld.layers.transactions.targets import draw_targets
from fraudworld.layers.transactions.world import World
from fraudworld.rng import StreamUse, registry

I64 = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Plan:
    """The campaigns of a stream, and RNG evidence of how they were drawn."""

    attacks: Attacks
    evidence: tuple[StreamUse, ...]
    unplanned: tuple[str, ...]  # types that no merchant of the world can host


def plan_campaigns(inputs: Inputs, world: World, arrivals: Arrivals, first: int, last: int) -> Plan:
    """All campaigns of the horizon; victims and kits of those awake in hours first … last − 1."""
    policy, tactics = inputs.pack.campaigns, tactics_of(inputs)
    countries = len(inputs.geo.countries)
    kinds: list[int] = []
    lives: list[Lives] = []
    evidence: list[StreamUse] = []
    for kind, name in enumerate(CAMPAIGN_TYPES):
        appetite = _appetite(world, arrivals, tactics, kind)
        expected = arrivals.expected_week(appetite, countries)
        if expected.any():
            stream = registry.CAMPAIGN_PLAN.of(inputs.identity.seed, code=name)
            of_type = draw_lives(policy.types[name], policy, stream, arrivals, expected)
            kinds.append(kind)
            lives.append(of_type)
            evidence.append(stream.use(name, 0, of_type.n))
    awake = _awake(lives)
    inside = awake[(awake[:, 1] >= first) & (awake[:, 1] < last)]
    campaigns = _without_targets(kinds, lives, policy.kit.devices, policy.kit.endpoints)
    evidence += draw_targets(inputs, world, tactics, campaigns, np.unique(inside[:, 0]))
    active = _schedule(countries, campaigns, inside, first, last)
    unplanned = tuple(t for k, t in enumerate(CAMPAIGN_TYPES) if k not in kinds)
    return Plan(Attacks(campaigns, tactics, active), tuple(evidence), unplanned)


def _appetite(world: World, arrivals: Arrivals, tactics: Tactics, kind: int) -> NDArray[np.float64]:
    """Share of every cell's arrivals that a type can use, (cells,)."""
    cells = arrivals.cells
    role = tactics.roles[kind] >> world.merchant_role[cells.merchant].astype(np.int64) & 1
    appetite = tactics.appetite[kind, cells.channel, world.merchant_class[cells.merchant]]
    return np.asarray(appetite * role)


def _awake(lives: list[Lives]) -> I64:
    """Rows (campaign, hour, visits) of all types, campaigns numbered through all of them."""
    rows, base = [np.empty((0, 3), np.int64)], 0
    for of_type in lives:
        rows.append(of_type.awake + np.array([base, 0, 0]))
        base += of_type.n
    return np.concatenate(rows)


def _without_targets(
    kinds: list[int], lives: list[Lives], devices: int, endpoints: int
) -> Campaigns:
    """Campaigns of all types in order; victims and kits, of these sizes, are −1."""
    counts = np.array([of_type.n for of_type in lives], dtype=np.int64)
    n = int(counts.sum())

    def joined(name: str, dtype: type[Value]) -> NDArray[Value]:
        columns = [np.empty(0), *(getattr(of_type, name) for of_type in lives)]
        return np.concatenate(columns).astype(dtype)

    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(joined("victims", np.int64), out=start[1:])
    return Campaigns(
        kind=np.repeat(np.array(kinds, dtype=np.uint8), counts),
        country=joined("country", np.uint8),
        first_hour=joined("first_hour", np.int32),
        last_hour=joined("last_hour", np.int32),
        planned=np.rint(joined("planned", np.float64)).astype(np.int64),
        share=joined("share", np.float64),
        victim_start=start,
        victim=np.full(int(start[-1]), -1, np.int32),
        kit_device=np.full((n, devices), -1, np.int32),
        kit_endpoint=np.full((n, endpoints), -1, np.int32),
    )


def _schedule(countries: int, campaigns: Campaigns, awake: I64, first: int, last: int) -> Active:
    """Rows (campaign, hour, visits) of hours first … last − 1, sorted by hour and country."""
    campaign, hour, visits = awake.T
    cell = (hour - first) * countries + campaigns.country[campaign].astype(np.int64)
    order = np.lexsort((campaign, cell))
    start = np.zeros((last - first) * countries + 1, dtype=np.int64)
    np.cumsum(np.bincount(cell, minlength=start.size - 1), out=start[1:])
    sorted_visits = visits[order]
    slot = np.cumsum(sorted_visits) - sorted_visits
    # Slots start at 0 in every hour, as a visit never spans two.
    hour_start = start[::countries]
    before = np.concatenate([slot, [sorted_visits.sum()]])[hour_start[:-1]]
    slot -= np.repeat(before, np.diff(hour_start))
    return Active(
        first, start, campaign[order].astype(np.int32), sorted_visits.astype(np.int32), slot
    )
