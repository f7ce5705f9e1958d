"""Blocks of hours of a stream as rows of its tables: a pure function of the window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import transactions as tables
from fraudworld.inputs.arrivals import HOUR_MS, ORIGIN, Arrivals
from fraudworld.layers.transactions import flows, labels, visits
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.plan import Plan
from fraudworld.layers.transactions.visits import ArrivalBlock
from fraudworld.layers.transactions.world import World

Rows = dict[str, dict[str, NDArray[np.integer]]]
"""Table → column → values: codes as positions, 0 for null."""


@dataclass(frozen=True)
class Window:
    """Consecutive hours of the horizon and their arrivals; the last hour may be cut."""

    first: int  # first hour, counted from the start of the horizon
    counts: NDArray[np.int32]  # arrivals, (hours, cells)
    before: NDArray[np.int64]  # arrivals of the horizon before hour h of the window, (hours + 1,)
    end: int  # number of the first arrival after the window, from 0

    @property
    def hours(self) -> int:
        return int(self.counts.shape[0])

    @property
    def flows(self) -> int:
        """Flows of the window."""
        return self.end - int(self.before[0])

    def blocks(self, flows_per_block: int) -> Iterator[tuple[int, int]]:
        """(low, high) ranges of the window's hours, of at most so many flows or one hour."""
        low = 0
        while low < self.hours:
            limit = self.before[low] + flows_per_block
            high = max(int(np.searchsorted(self.before, limit, side="right")) - 1, low + 1)
            high = min(high, self.hours)
            yield low, high
            low = high


@dataclass(frozen=True)
class BlockBuilder:
    """Makes the rows of any hours of a window."""

    inputs: Inputs
    world: World
    arrivals: Arrivals
    plan: Plan
    window: Window

    @cached_property
    def _attachment_policy(self) -> visits.AttachmentPolicy:
        return visits.attachment_policy(self.inputs)

    @cached_property
    def _keys(self) -> visits.Keys:
        return visits.stream_keys(self.inputs.identity.seed)

    @cached_property
    def _amount_policy(self) -> flows.AmountPolicy:
        return flows.amount_policy(self.inputs)

    @cached_property
    def _label_policy(self) -> labels.LabelPolicy:
        return labels.label_policy(self.inputs)

    @cached_property
    def _detection_policy(self) -> labels.DetectionPolicy:
        return labels.detection_policy(self.inputs, 1000 * (ORIGIN + 86_400 * self.arrivals.days))

    def block(self, low: int, high: int) -> Rows:
        """Rows of hours low … high − 1 of the window, by table; all tables but the catalogue."""
        hours = [self._hour(h) for h in range(low, high)]
        n = min(self.window.end, int(self.window.before[high])) - int(self.window.before[low])
        attached = visits.Attached(
            *(
                np.concatenate(column)[:n]
                for column in zip(*(of_hour for _, of_hour in hours), strict=True)
            )
        )
        moment, merchant, country, channel = (
            np.concatenate(column)[:n]
            for column in zip(*(arrivals[1:] for arrivals, _ in hours), strict=True)
        )
        base = int(self.window.before[low])
        return self._rows(ArrivalBlock(base, moment, merchant, country, channel), attached)

    def _hour(self, h: int) -> tuple[ArrivalBlock, visits.Attached]:
        """All arrivals of hour h of the window, and their entities."""
        cells, hour, base = self.arrivals.cells, self.window.first + h, int(self.window.before[h])
        ms, cell = self.arrivals.hour(base, self.window.counts[h])
        arrivals = ArrivalBlock(
            base,
            1000 * ORIGIN + hour * HOUR_MS + ms.astype(np.int64),
            cells.merchant[cell],
            cells.country[cell],
            cells.channel[cell],
        )
        return arrivals, visits.attach_hour(
            hour, arrivals, self.plan.attacks, self.world, self._attachment_policy, self._keys
        )

    def _rows(self, arrivals: ArrivalBlock, attached: visits.Attached) -> Rows:
        seed, attacks = self.inputs.identity.seed, self.plan.attacks
        paid = flows.draw_flows(seed, arrivals, attached, attacks, self.world, self._amount_policy)
        truth = labels.draw_labels(
            seed, arrivals, attached, attacks.campaigns, self.world, self._label_policy
        )
        view = labels.draw_bank_view(seed, arrivals, paid, truth, self._detection_policy)
        first = arrivals.base + 1
        flow_id = np.arange(first, first + arrivals.n, dtype=np.int64)
        return {
            tables.ARRIVAL_ENTITIES.name: {
                "flow_id": flow_id,
                "ts_utc": arrivals.moment,
                "merchant_id": arrivals.merchant + 1,
                "merchant_country_iso": arrivals.country,
                "channel_group": arrivals.channel,
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
                "currency": self.inputs.geo.currency[arrivals.country],
                "amount_usd_minor": paid.cents,
                "auth_latency_ms": paid.latency,
                "auth_status": paid.status,
            },
            tables.EVENT_STREAM.name: flows.events(arrivals, paid),
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
            tables.CASE_TIMELINE.name: labels.cases(arrivals.base, view),
        }

    def catalogue(self, flow_count: NDArray[np.int64]) -> dict[str, NDArray[np.integer]]:
        """Rows of the catalogue: campaigns that overlap the window.

        flow_count: flows in the window of every campaign of the horizon, (campaigns,).
        """
        campaigns = self.plan.attacks.campaigns
        last = self.window.first + self.window.hours
        rows = np.flatnonzero(
            (campaigns.first_hour < last) & (campaigns.last_hour > self.window.first)
        )
        start = 1000 * ORIGIN
        return {
            "campaign_id": rows + 1,
            "campaign_type": campaigns.kind[rows],
            "country_iso": campaigns.country[rows],
            "start_ts_utc": start + campaigns.first_hour[rows].astype(np.int64) * HOUR_MS,
            "end_ts_utc": start + campaigns.last_hour[rows].astype(np.int64) * HOUR_MS,
            "victim_count": np.diff(campaigns.victim_start)[rows],
            "planned_flows": campaigns.planned[rows],
            "flow_count": flow_count[rows],
        }
