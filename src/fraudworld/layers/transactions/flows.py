"""6B.S2: the money of every flow, its authorisation, and the events that follow.

Amounts are made in US cents: log-normal by merchant class, raised by the segment's income, or
the shelf price nearest to that. They are then expressed in the outlet's currency.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import CODES
from fraudworld.errors import InputError
from fraudworld.inputs.arrivals import CHANNELS
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import Campaigns, Tactics
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.visits import Attached
from fraudworld.layers.transactions.world import World
from fraudworld.policy.transactions import LogNormal
from fraudworld.rng import Stream, philox, registry

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

WIDTH = registry.FLOW.width
MOST_CENTS = 10_000_000
"""A hundred thousand dollars: no single payment of these classes is larger."""

HOUR, DAY = 3_600_000.0, 86_400_000.0
AUTH, CLEARING, REFUND = (CODES["event_type"].index(e) for e in ("AUTH", "CLEARING", "REFUND"))
APPROVED, DECLINED = (CODES["auth_status"].index(s) for s in ("APPROVED", "DECLINED"))


class AmountPolicy(NamedTuple):
    """Amount policy by position; laws are rows (log of the median, sigma)."""

    log_median: F64  # merchant class
    sigma: F64
    price_point: F64
    refund: F64
    tilt: F64  # log factor by segment
    prices: F64  # cents, ascending
    units: F64  # by country: hundredths of the currency per US cent
    latency: F64  # (channels, 2), milliseconds
    declined: F64  # by channel
    clearing: F64  # (channels, 2), milliseconds
    refund_delay: F64  # (2,), milliseconds


class Flows(NamedTuple):
    """Money of some arrivals."""

    cents: I64
    minor: I64
    latency: I64
    status: U8
    clearing: I64  # moment; 0 where declined
    refund: I64  # moment; 0 where none


def amount_policy(inputs: Inputs) -> AmountPolicy:
    """The amount policy as arrays.

    Raises InputError `6B.S2.CURRENCY_UNKNOWN` for a currency of the upstream without a rate.
    """
    policy = inputs.pack.flow_amounts
    geo = inputs.geo
    missing = sorted(set(geo.currencies) - set(policy.units_per_dollar))
    if missing:
        raise InputError(
            "6B.S2.CURRENCY_UNKNOWN",
            f"the upstream pays in {', '.join(missing)}, which the policy cannot convert",
            where="flow_amounts_6B.v1.yaml: units_per_dollar",
            remedy="add the units of one US dollar in these currencies",
        )
    classes = [policy.classes[c] for c in inputs.codes("merchant_class")]
    income = np.array([inputs.profiles[s].income for s in inputs.codes("segment")])
    rate = np.array([policy.units_per_dollar[c] for c in geo.currencies])
    return AmountPolicy(
        np.array([normal.log(100.0 * c.median) for c in classes]),
        np.array([c.sigma for c in classes]),
        np.array([c.price_point_share for c in classes]),
        np.array([c.refund_share for c in classes]),
        policy.income_elasticity * (income - 0.5),
        np.rint(100.0 * np.array(policy.price_points)),
        rate[geo.currency],
        np.stack([law(policy.latency_ms[c], 1.0) for c in CHANNELS]),
        np.array([policy.declined_share[c] for c in CHANNELS]),
        np.stack([law(policy.clearing_hours[c], HOUR) for c in CHANNELS]),
        law(policy.refund_days, DAY),
    )


def law(spread: LogNormal, unit: float) -> F64:
    """A log-normal law as (log of the median in milliseconds, sigma)."""
    return np.array([normal.log(unit * spread.median), spread.sigma])


def stream(seed: int) -> Stream:
    """Draws of amounts and events, one entity per flow."""
    return registry.FLOW.of(seed)


def make_flows(
    seed: int,
    base: int,
    moment: I64,
    merchant: NDArray[np.int32],
    country: U8,
    channel: U8,
    attached: Attached,
    world: World,
    campaigns: Campaigns,
    tactics: Tactics,
    policy: AmountPolicy,
) -> Flows:
    """Money of arrivals base, base + 1, …; `moment` in ms since 1970."""
    n = moment.size
    out = Flows(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64),
                np.zeros(n, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64))  # fmt: skip
    _flows(*stream(seed).key, base, moment, merchant, country, channel, attached.party,
           attached.campaign, world, campaigns, tactics, policy, out)  # fmt: skip
    return out


def events(base: int, moment: I64, flows: Flows) -> dict[str, NDArray[np.integer]]:
    """Rows of `s2_event_stream_6B`: one to three per flow."""
    approved = flows.clearing > 0
    refunded = flows.refund > 0
    many = 1 + approved + refunded
    rows = int(many.sum())
    flow, seq = np.empty(rows, np.int64), np.empty(rows, np.int64)
    kind, when, amount = (
        np.empty(rows, np.uint8),
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
    )
    _events(base, moment, flows, flow, seq, kind, when, amount)
    return {"flow_id": flow, "event_seq": seq, "event_type": kind, "ts_utc": when,
            "amount_minor": amount}  # fmt: skip


@inlined
def delay(row, draw):  # type: ignore[no-untyped-def]
    """A log-normal delay in whole milliseconds, at least one."""
    return np.int64(normal.exp(row[0] + row[1] * normal.deviate(draw))) + 1


@kernel
def _flows(  # type: ignore[no-untyped-def]
    k0, k1, base, moment, merchant, country, channel, party, campaign, world, campaigns, tactics,
    policy, out,
):  # fmt: skip
    for i in range(moment.size):
        entity = np.uint64(2 * (base + i))
        a = philox.block(k0, k1, entity)
        b = philox.block(k0, k1, entity + np.uint64(1))
        sort, way = world.merchant_class[merchant[i]], channel[i]
        kind = np.int64(campaigns.kind[campaign[i]]) if campaign[i] >= 0 else np.int64(-1)
        level = policy.log_median[sort] + policy.tilt[world.party_segment[party[i]]]
        cents = normal.exp(level + policy.sigma[sort] * normal.deviate(a[0]))
        if kind >= 0:
            cents *= tactics.amount_factor[kind]
        if normal.unit(a[1]) < policy.price_point[sort]:
            cents = _nearest(policy.prices, cents)
        out.cents[i] = min(max(np.int64(cents + 0.5), 1), MOST_CENTS)
        out.minor[i] = max(np.int64(out.cents[i] * policy.units[country[i]] + 0.5), 1)
        out.latency[i] = delay(policy.latency[way], a[2])
        refused = policy.declined[way] if kind < 0 else tactics.declined[kind]
        if normal.unit(a[3]) < refused:
            out.status[i] = DECLINED
            continue
        out.status[i] = APPROVED
        out.clearing[i] = moment[i] + out.latency[i] + delay(policy.clearing[way], b[0])
        back = policy.refund[sort] if kind < 0 else tactics.refund[kind]
        if normal.unit(b[1]) < back:
            out.refund[i] = out.clearing[i] + delay(policy.refund_delay, b[2])


@inlined
def _nearest(prices, cents):  # type: ignore[no-untyped-def]
    """The price nearest to an amount; beyond the last one the amount itself."""
    at = np.searchsorted(prices, cents)
    if at == prices.size:
        return cents
    if at > 0 and cents - prices[at - 1] < prices[at] - cents:
        return prices[at - 1]
    return prices[at]


@kernel
def _events(base, moment, flows, flow, seq, kind, when, amount):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(moment.size):
        for step in range(3):
            time = moment[i]
            if step == 1:
                time = flows.clearing[i]
            elif step == 2:
                time = flows.refund[i]
            if time == 0:
                break
            flow[at] = base + i + 1
            seq[at] = step + 1
            kind[at] = AUTH if step == 0 else (CLEARING if step == 1 else REFUND)
            when[at] = time
            amount[at] = flows.minor[i]
            at += 1
