"""6P.P5: what happened to parties, accounts, cards and devices before the horizon.

Events stand in order of party, then of time. A day's events of one party keep the order joined,
opened, issued or enrolled, all others: each has a quarter of the bank's day at the party's home.
Changes of contact data are a Poisson process over the last years, while the party is a customer.

Twin: tests/reference/profiles/events.py:events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.jit import kernel
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.layers.profiles.ages import DAYS_PER_YEAR
from fraudworld.layers.profiles.choose import uniform, unit
from fraudworld.layers.profiles.parties import DAY_0
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_TIME

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
QUARTERS = 4
LATEST = 23.0
"""Latest beginning of a bank's day, in hours of UTC."""

MOST_CHANGES = 3
"""Changes of a kind and party inside the window; more are as rare as the policy's rates squared."""


class Found(NamedTuple):
    """Events of one kind, in order of party, then of entity; positions, (n,)."""

    party: NDArray[np.integer]
    moment: I64
    entity: NDArray[np.integer]
    kind: int  # entity type
    event: int


@dataclass(frozen=True)
class EventsLaw:
    """The events of one world; days of entities as made by earlier states."""

    inputs: Inputs
    policy: ProfilePack
    world: ProfileWorld
    since: I64  # (parties,)
    lon: F64  # of the homes' places, (parties,)
    opened: I64  # (accounts,)
    closed: I64  # (accounts,)
    issued: I64  # (instruments,)
    first_seen: I64  # (devices,)
    retired: I64  # (devices,)

    @cached_property
    def _events(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(tables.EVENTS)}

    @cached_property
    def _entities(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(tables.ENTITY_TYPES)}

    @property
    def _seed(self) -> int:
        return self.inputs.identity.seed

    @cached_property
    def device_first(self) -> I64:
        """First device of every party among the party devices, (parties + 1,)."""
        owner = self.world.base.device_owner
        owned = owner[: int((owner >= 0).sum())]
        return np.searchsorted(owned, np.arange(self.world.base.parties + 1)).astype(np.int64)

    def rows(self, low: int, high: int) -> dict[str, NDArray[np.generic]]:
        """Rows of p5_entity_event_6P of parties low … high − 1, but for `event_id`."""
        # In order of event, so that the stable order of `_by_time` breaks ties by it.
        found = sorted(
            (
                self._joined(low, high),
                *self._accounts(low, high),
                self._cards(low, high),
                *self._devices(low, high),
                *(self._changes(low, high, name) for name in tables.CHANGES),
            ),
            key=lambda of: of.event,
        )
        party, moment, entity = (np.concatenate([of[k] for of in found]) for k in range(3))
        sizes = [of.party.size for of in found]
        kind = np.repeat(np.array([of.kind for of in found], dtype=np.uint8), sizes)
        event = np.repeat(np.array([of.event for of in found], dtype=np.uint8), sizes)
        order = np.empty(party.size, dtype=np.int64)
        _by_time(party - low, moment, np.zeros(high - low + 1, dtype=np.int64), order)
        return {
            "ts_utc": moment[order],
            "party_id": party[order] + 1,
            "entity_type": kind[order],
            "entity_id": entity[order] + 1,
            "event": event[order],
        }

    def _found(
        self, kind: str, event: str, party: NDArray[np.integer], entity: I64, day: I64, draw: U64,
        quarter: int,
    ) -> Found:  # fmt: skip
        """Events of days before the horizon, at a time in a quarter of the bank's day."""
        there = (day != NO_TIME) & (day < DAY_0)
        party, entity, day = party[there].astype(np.int64), entity[there], day[there]
        law = self.policy.events
        # Local mean time, as far as it lies in the day of UTC.
        start = law.day_from - self.lon[party] / 15.0
        end = np.minimum(start + law.day_hours, 24.0)
        start = np.clip(start, 0.0, LATEST)
        length = np.floor((end - start) * HOUR_MS).astype(np.int64) // QUARTERS
        within = quarter * length + uniform(draw[there], length)
        moment = day * DAY_MS + np.floor(start * HOUR_MS).astype(np.int64) + within
        return Found(party, moment, entity, self._entities[kind], self._events[event])

    def _joined(self, low: int, high: int) -> Found:
        party = np.arange(low, high)
        draw = streams.PARTY_EVENT.of(self._seed).flat(low, high - low)
        return self._found("PARTY", "CUSTOMER_JOINED", party, party, self.since[low:high], draw, 0)

    def _accounts(self, low: int, high: int) -> tuple[Found, Found]:
        base = self.world.base
        a, b = base.account_start[[low, high]].tolist()
        owner, account = base.account_owner[a:b], np.arange(a, b)
        draw = streams.ACCOUNT_EVENT.of(self._seed).draws(a, b - a)
        return (
            self._found(
                "ACCOUNT", "ACCOUNT_OPENED", owner, account, self.opened[a:b], draw[:, 0], 1
            ),
            self._found(
                "ACCOUNT", "ACCOUNT_CLOSED", owner, account, self.closed[a:b], draw[:, 1], 3
            ),
        )

    def _cards(self, low: int, high: int) -> Found:
        base = self.world.base
        a, b = base.instrument_start[base.account_start[[low, high]]].tolist()
        kinds = self.inputs.pack.instrument_taxonomy.instrument_types
        card = np.array([kinds[t].family == "CARD" for t in self.inputs.codes("instrument_type")])
        owner = base.account_owner[self.world.instrument_account[a:b]]
        day = np.where(card[base.instrument_type[a:b]], self.issued[a:b], NO_TIME)
        draw = streams.INSTRUMENT_EVENT.of(self._seed).flat(a, b - a)
        return self._found("INSTRUMENT", "CARD_ISSUED", owner, np.arange(a, b), day, draw, 2)

    def _devices(self, low: int, high: int) -> tuple[Found, Found]:
        a, b = self.device_first[[low, high]].tolist()
        owner, device = self.world.base.device_owner[a:b], np.arange(a, b)
        draw = streams.DEVICE_EVENT.of(self._seed).draws(a, b - a)
        first, last = self.first_seen[a:b], self.retired[a:b]
        return (
            self._found("DEVICE", "DEVICE_ENROLLED", owner, device, first, draw[:, 0], 2),
            self._found("DEVICE", "DEVICE_RETIRED", owner, device, last, draw[:, 1], 3),
        )

    def _changes(self, low: int, high: int, name: str) -> Found:
        """Changes of one kind: a Poisson number over the window, at uniform moments in it."""
        law = self.policy.events
        window = int(law.window_years * DAYS_PER_YEAR) * DAY_MS
        table = thresholds([change_shares(law.rates_per_year[name] * law.window_years)])
        draws = streams.CHANGE.of(self._seed, code=name).draws(low, high - low)
        first = np.ascontiguousarray(draws[:, 0])
        number = choices(first, np.zeros(high - low, dtype=np.int64), table)
        party = np.repeat(np.arange(low, high), MOST_CHANGES)
        later = np.floor(unit(draws[:, 1:].reshape(-1)) * window).astype(np.int64)
        moment = DAY_0 * DAY_MS - window + later
        happened = np.tile(np.arange(MOST_CHANGES), high - low) < np.repeat(number, MOST_CHANGES)
        kept = happened & (moment >= (self.since[party] + 1) * DAY_MS)
        party = party[kept]
        return Found(party, moment[kept], party, self._entities["PARTY"], self._events[name])


def change_shares(mean: float) -> list[float]:
    """P(0 … MOST_CHANGES) of a Poisson count, the last with all that is beyond."""
    shares = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(MOST_CHANGES)]
    # Rounded, as exponentials differ in the last bit between machines.
    shares = [round(s, 12) for s in shares]
    return [*shares, 1.0 - sum(shares)]


@kernel
def _by_time(party, moment, start, order):  # type: ignore[no-untyped-def]
    """Order of events by party, then moment, then place in the input.

    Parameters
    ----------
    party, moment : int64 (n,)
        Parties count from 0.
    start : int64 (parties + 1,)
        0 before; overwritten.
    order : int64 (n,)
        Filled.
    """
    for i in range(party.size):
        start[party[i] + 1] += 1
    for p in range(1, start.size):
        start[p] += start[p - 1]
    end = start.copy()
    for i in range(party.size):
        # Insertion: a party has a few events.
        p = party[i]
        at = end[p]
        end[p] += 1
        while at > start[p] and moment[order[at - 1]] > moment[i]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = i
