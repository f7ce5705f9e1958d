"""A stretch of hours of the stream as rows of its tables: a pure function of the window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import transactions as tables
from fraudworld.inputs.arrivals import HOUR_MS, ORIGIN, Arrivals
from fraudworld.layers.transactions import flows, labels, visits
from fraudworld.layers.transactions.campaigns import Plan
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World

Rows = dict[str, dict[str, NDArray[np.integer]]]


@dataclass(frozen=True)
class Window:
    """Hours first … last − 1 of the horizon, and how many arrivals each has.

    `before[h]`: arrivals of the horizon before the window's hour h; `end` is the first flow
    number (from 0) that is not in the window, inside its last hour.
    """

    first: int
    counts: NDArray[np.int32]  # (hours, cells)
    before: NDArray[np.int64]  # (hours + 1,)
    end: int

    @property
    def hours(self) -> int:
        return int(self.counts.shape[0])

    @property
    def flows(self) -> int:
        """Flows of the window."""
        return self.end - int(self.before[0])

    def blocks(self, flows_per_block: int) -> Iterator[tuple[int, int]]:
        """(low, high) ranges of the window's hours of about as many flows."""
        low = 0
        while low < self.hours:
            wanted = self.before[low] + flows_per_block
            high = max(int(np.searchsorted(self.before, wanted, side="right")) - 1, low + 1)
            high = min(high, self.hours)
            yield low, high
            low = high


@dataclass(frozen=True)
class BlockBuilder:
    """Everything a stretch of hours depends on."""

    inputs: Inputs
    world: World
    arrivals: Arrivals
    plan: Plan
    window: Window

    @cached_property
    def _habits(self) -> visits.Habits:
        return visits.habits(self.inputs)

    @cached_property
    def _keys(self) -> visits.Keys:
        flow, visit, strike = visits.streams(self.inputs.identity.seed)
        return visits.Keys(*flow.key, *visit.key, *strike.key)

    @cached_property
    def _amount_policy(self) -> flows.AmountPolicy:
        return flows.amount_policy(self.inputs)

    @cached_property
    def _chances(self) -> labels.Chances:
        return labels.chances(self.inputs)

    @cached_property
    def _detection_policy(self) -> labels.DetectionPolicy:
        return labels.detection_policy(self.inputs, 1000 * (ORIGIN + 86_400 * self.arrivals.days))

    def block(self, low: int, high: int) -> Rows:
        """Rows of hours low … high − 1 of the window, by table; all but the catalogue."""
        cells = self.arrivals.cells
        base = int(self.window.before[low])
        parts, moments, places = [], [], []
        for h in range(low, high):
            before = int(self.window.before[h])
            moment, cell = self.arrivals.hour(before, self.window.counts[h])
            parts.append(
                visits.attach_hour(
                    before,
                    self.window.first + h,
                    self.window.first,
                    cells.merchant[cell],
                    cells.country[cell],
                    cells.channel[cell],
                    self.plan,
                    self.world,
                    self._habits,
                    self._keys,
                )
            )
            start = 1000 * ORIGIN + (self.window.first + h) * HOUR_MS
            moments.append(start + moment.astype(np.int64))
            places.append(cell)
        n = min(self.window.end, int(self.window.before[high])) - base
        attached = visits.Attached(
            *(np.concatenate(columns)[:n] for columns in zip(*parts, strict=True))
        )
        return self._rows(base, np.concatenate(moments)[:n], np.concatenate(places)[:n], attached)

    def _rows(
        self,
        base: int,
        moment: NDArray[np.int64],
        cell: NDArray[np.int32],
        attached: visits.Attached,
    ) -> Rows:
        cells, seed, plan = self.arrivals.cells, self.inputs.identity.seed, self.plan
        merchant, country, channel = cells.merchant[cell], cells.country[cell], cells.channel[cell]
        paid = flows.make_flows(
            seed, base, moment, merchant, country, channel, attached,
            self.world, plan.campaigns, plan.tactics, self._amount_policy,
        )  # fmt: skip
        truth = labels.make_labels(seed, base, merchant, attached, self.world, plan.campaigns,
                                   self._chances)  # fmt: skip
        view = labels.bank_view(seed, base, moment, paid, truth, self._detection_policy)
        flow_id = np.arange(base + 1, base + 1 + moment.size, dtype=np.int64)
        return {
            tables.ARRIVAL_ENTITIES.name: {
                "flow_id": flow_id,
                "ts_utc": moment,
                "merchant_id": merchant + 1,
                "merchant_country_iso": country,
                "channel_group": channel,
                "session_id": attached.session + 1,
                "party_id": attached.party + 1,
                "account_id": attached.account + 1,
                "instrument_id": attached.instrument + 1,
                "device_id": attached.device + 1,
                "ip_id": attached.endpoint + 1,
            },
            tables.FLOW_ANCHOR.name: {
                "flow_id": flow_id,
                "amount_minor": paid.minor,
                "currency": self.inputs.geo.currency[country],
                "amount_usd_minor": paid.cents,
                "auth_latency_ms": paid.latency,
                "auth_status": paid.status,
            },
            tables.EVENT_STREAM.name: flows.events(base, moment, paid),
            tables.TRUTH_LABELS.name: {
                "flow_id": flow_id,
                "truth_label": truth.label,
                "truth_subtype": truth.subtype,
                "cause": truth.cause,
                "campaign_id": attached.campaign + 1,
                "tactic": truth.tactic,
            },
            tables.BANK_VIEW.name: {
                "flow_id": flow_id,
                "bank_status": view.status,
                "resolution": view.resolution,
                "alert_ts_utc": view.alert,
                "dispute_ts_utc": view.dispute,
                "chargeback_ts_utc": view.chargeback,
            },
            tables.CASE_TIMELINE.name: labels.cases(base, view),
        }

    def catalogue(self, struck: NDArray[np.int64]) -> dict[str, NDArray[np.integer]]:
        """Rows of the catalogue: campaigns whose life touches the window.

        struck: flows of every campaign of the horizon in the window.
        """
        campaigns = self.plan.campaigns
        last = self.window.first + self.window.hours
        touching = np.flatnonzero(
            (campaigns.first_hour < last) & (campaigns.last_hour > self.window.first)
        )
        start = 1000 * ORIGIN
        return {
            "campaign_id": touching + 1,
            "campaign_type": campaigns.kind[touching],
            "country_iso": campaigns.country[touching],
            "start_ts_utc": start + campaigns.first_hour[touching].astype(np.int64) * HOUR_MS,
            "end_ts_utc": start + campaigns.last_hour[touching].astype(np.int64) * HOUR_MS,
            "victim_count": np.diff(campaigns.victim_start)[touching],
            "planned_flows": campaigns.planned[touching],
            "flow_count": struck[touching],
        }
