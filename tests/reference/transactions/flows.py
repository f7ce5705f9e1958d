"""S2: the money of every flow, its authorisation, and the events that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fraudworld.kernels import normal
from fraudworld.policy.pack import PolicyPack
from reference.draws import Draws, deviate, nearest
from reference.parties import Row
from reference.transactions.choices import DAY_MS, HOUR_MS, delay, unit
from reference.transactions.visits import Attached
from reference.transactions.world import World

MOST_CENTS = 10_000_000


@dataclass(frozen=True)
class Flow:
    """A flow's money and moments in ms since 1970; None where there is no such event."""

    attached: Attached
    cents: int  # of a US dollar
    minor: int  # hundredths of the outlet's currency
    currency: str
    latency: int
    clearing: int | None
    refund: int | None


class Payments:
    """The law of S2. `currency`: of every country.

    Draws of a flow: 0 amount, 1 shelf price, 2 latency, 3 decline, 4 clearing, 5 refund,
    6 delay of the refund.
    """

    def __init__(
        self, pack: PolicyPack, seed: int, world: World, currency: Mapping[str, str]
    ) -> None:
        self._pack, self._world, self._currency = pack, world, currency
        self._draws = Draws(seed, "6B.S2/flow", "flow_sampling", 8)

    def flow(self, attached: Attached) -> Flow:
        """The money of one arrival."""
        policy, cell = self._pack.flow_amounts, attached.arrival.cell
        d = self._draws.all_of(attached.arrival.number)
        spend = policy.classes[self._world.merchants[cell.merchant].risk_class]
        campaign = attached.visit.campaign
        attack = self._pack.campaigns.types[campaign.type] if campaign else None
        cents = self._amount(attached, d[0])
        if unit(d[1]) < spend.price_point_share:
            cents = _shelf_price([round(100.0 * p) for p in policy.price_points], cents)
        cents = min(max(nearest(cents), 1), MOST_CENTS)
        currency = self._currency[cell.country]
        minor = max(nearest(cents * policy.units_per_dollar[currency]), 1)
        latency = delay(policy.latency_ms[cell.channel], 1.0, d[2])
        declined = attack.declined_share if attack else policy.declined_share[cell.channel]
        if unit(d[3]) < declined:
            return Flow(attached, cents, minor, currency, latency, None, None)
        clearing = attached.arrival.moment + latency
        clearing += delay(policy.clearing_hours[cell.channel], HOUR_MS, d[4])
        refund = None
        if unit(d[5]) < (attack.refund_share if attack else spend.refund_share):
            refund = clearing + delay(policy.refund_days, DAY_MS, d[6])
        return Flow(attached, cents, minor, currency, latency, clearing, refund)

    def _amount(self, attached: Attached, draw: int) -> float:
        """US cents: log-normal by merchant class, tilted by the income of the payer's segment.

        A campaign multiplies it by its type's factor.
        """
        policy, visit = self._pack.flow_amounts, attached.visit
        spend = policy.classes[self._world.merchants[attached.arrival.cell.merchant].risk_class]
        segment = self._world.parties[visit.party].segment
        income = self._pack.segmentation_priors.profiles[segment].income
        level = normal.log(100.0 * spend.median) + policy.income_elasticity * (income - 0.5)
        cents: float = normal.exp(level + spend.sigma * deviate(draw))
        if visit.campaign:
            cents *= self._pack.campaigns.types[visit.campaign.type].amount_factor
        return cents


def _shelf_price(prices: list[int], cents: float) -> float:
    """The nearest price, the higher of two as near; above the last price the amount itself."""
    if cents > prices[-1]:
        return cents
    return min(prices, key=lambda price: (abs(price - cents), -price))


def flow_anchor(flows: list[Flow]) -> list[Row]:
    """`s2_flow_anchor_6B`: one row a flow."""
    return [
        {
            "flow_id": flow.attached.arrival.number + 1,
            "amount_minor": flow.minor,
            "currency": flow.currency,
            "amount_usd_minor": flow.cents,
            "auth_latency_ms": flow.latency,
            "auth_status": "DECLINED" if flow.clearing is None else "APPROVED",
        }
        for flow in flows
    ]


def event_stream(flows: list[Flow]) -> list[Row]:
    """`s2_event_stream_6B`: authorisation, clearing where approved, refund where given."""
    rows = []
    for flow in flows:
        arrival = flow.attached.arrival
        moments = {"AUTH": arrival.moment, "CLEARING": flow.clearing, "REFUND": flow.refund}
        events = [(event, at) for event, at in moments.items() if at is not None]
        for seq, (event, at) in enumerate(events, 1):
            rows.append(
                {
                    "flow_id": arrival.number + 1,
                    "event_seq": seq,
                    "event_type": event,
                    "ts_utc": at,
                    "amount_minor": flow.minor,
                }
            )
    return rows
