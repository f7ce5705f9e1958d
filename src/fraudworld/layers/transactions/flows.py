"""6B.S2: amount of every flow, its authorisation, and the events that follow.

Amounts are drawn in US cents: log-normal by merchant class, raised by the income of the payer's
segment; a share of them is the nearest shelf price. They are then converted to the outlet's
currency.

Law: policy/flow_amounts_6B.v1.yaml. Twin of all kernels here:
tests/reference/transactions/flows.py:Payments and event_stream.
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
from fraudworld.layers.transactions.campaigns import Attacks
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.visits import ArrivalBlock, Attached
from fraudworld.layers.transactions.world import World
from fraudworld.policy.transactions import LogNormal
from fraudworld.rng import Stream, philox, registry

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MOST_CENTS = 10_000_000
"""Largest amount, in US cents."""

HOUR, DAY = 3_600_000.0, 86_400_000.0
"""Milliseconds."""

AUTH, CLEARING, REFUND = (CODES["event_type"].index(e) for e in ("AUTH", "CLEARING", "REFUND"))
EVENT_TYPES = np.array([AUTH, CLEARING, REFUND], np.uint8)
"""Codes of a flow's events, in their order."""

APPROVED, DECLINED = (CODES["auth_status"].index(s) for s in ("APPROVED", "DECLINED"))


class AmountPolicy(NamedTuple):
    """Amount policy by position. A log-normal law is (log of the median, sigma)."""

    log_median: F64  # of US cents, by merchant class
    sigma: F64  # by merchant class
    price_point: F64  # share of amounts that are a shelf price, by merchant class
    refund: F64  # share of cleared flows, by merchant class
    tilt: F64  # added to the log of the amount, by segment
    prices: F64  # shelf prices in US cents, ascending
    units: F64  # hundredths of the currency per US cent, by country
    latency: F64  # law of milliseconds, (channels, 2)
    declined: F64  # share of flows, by channel
    clearing: F64  # law of milliseconds, (channels, 2)
    refund_delay: F64  # law of milliseconds, (2,)


class Flows(NamedTuple):
    """Amounts and moments of flows; arrays (arrivals,), moments in ms since 1970 UTC."""

    cents: I64  # of a US dollar
    minor: I64  # hundredths of the outlet's currency
    latency: I64  # ms
    status: U8  # APPROVED or DECLINED
    clearing: I64  # moment; 0 where declined
    refund: I64  # moment; 0 where there is none


class EventColumns(NamedTuple):
    """Columns of `s2_event_stream_6B`; arrays (events,)."""

    flow_id: I64
    event_seq: I64
    event_type: U8
    ts_utc: I64
    amount_minor: I64


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
            f"the upstream has currency {', '.join(missing)}, the policy has no rate for it",
            where="flow_amounts_6B.v1.yaml: units_per_dollar",
            remedy="add the units of one US dollar in these currencies",
        )
    classes = [policy.classes[c] for c in inputs.codes("merchant_class")]
    income = np.array([inputs.profiles[s].income for s in inputs.codes("segment")])
    rate = np.array([policy.units_per_dollar[c] for c in geo.currencies])
    return AmountPolicy(
        log_median=np.array([normal.log(100.0 * c.median) for c in classes]),
        sigma=np.array([c.sigma for c in classes]),
        price_point=np.array([c.price_point_share for c in classes]),
        refund=np.array([c.refund_share for c in classes]),
        tilt=policy.income_elasticity * (income - 0.5),
        prices=np.rint(100.0 * np.array(policy.price_points)),
        units=rate[geo.currency],
        latency=np.stack([delay_law(policy.latency_ms[c], 1.0) for c in CHANNELS]),
        declined=np.array([policy.declined_share[c] for c in CHANNELS]),
        clearing=np.stack([delay_law(policy.clearing_hours[c], HOUR) for c in CHANNELS]),
        refund_delay=delay_law(policy.refund_days, DAY),
    )


def delay_law(spread: LogNormal, unit: float) -> F64:
    """A log-normal law as (log of the median in ms, sigma); unit: of its median, in ms."""
    return np.array([normal.log(unit * spread.median), spread.sigma])


def stream(seed: int) -> Stream:
    """Draws of amounts and events, one entity per flow."""
    return registry.FLOW.of(seed)


def draw_flows(
    seed: int,
    arrivals: ArrivalBlock,
    attached: Attached,
    attacks: Attacks,
    world: World,
    policy: AmountPolicy,
) -> Flows:
    """Amounts, authorisations and moments of the events of arrivals."""
    n = arrivals.n
    out = Flows(
        cents=np.zeros(n, np.int64),
        minor=np.zeros(n, np.int64),
        latency=np.zeros(n, np.int64),
        status=np.zeros(n, np.uint8),
        clearing=np.zeros(n, np.int64),
        refund=np.zeros(n, np.int64),
    )
    _flows(*stream(seed).key, arrivals, attached, attacks, world, policy, out)
    return out


def events(arrivals: ArrivalBlock, flows: Flows) -> dict[str, NDArray[np.integer]]:
    """Rows of `s2_event_stream_6B`: one to three per flow."""
    rows = int((1 + (flows.clearing > 0) + (flows.refund > 0)).sum())
    columns = EventColumns(
        flow_id=np.empty(rows, np.int64),
        event_seq=np.empty(rows, np.int64),
        event_type=np.empty(rows, np.uint8),
        ts_utc=np.empty(rows, np.int64),
        amount_minor=np.empty(rows, np.int64),
    )
    _events(arrivals, flows, columns)
    return columns._asdict()


@inlined
def delay(law, draw):  # type: ignore[no-untyped-def]
    """A log-normal delay rounded up to whole ms, so no event coincides with its cause (int64).

    law: float64 (2,), see `delay_law`.
    """
    return np.int64(normal.exp(law[0] + law[1] * normal.deviate(draw))) + 1


@inlined
def _nearest(prices, cents):  # type: ignore[no-untyped-def]
    """The nearest price, the higher of two as near; above the last price the amount itself."""
    at = np.searchsorted(prices, cents)
    if at == prices.size:
        return cents
    if at > 0 and cents - prices[at - 1] < prices[at] - cents:
        return prices[at - 1]
    return prices[at]


@inlined
def _cents(draw, price_draw, level, sigma, factor, price_share, prices):  # type: ignore[no-untyped-def]
    """Amount in US cents (int64).

    Parameters
    ----------
    draw, price_draw : u64
        Of the amount, and of whether it is a shelf price.
    level, sigma : float
        Mean and standard deviation of the logarithm.
    factor : float
        Of the campaign's type; 1 outside campaigns.
    price_share : float
        Share of amounts that are a shelf price.
    prices : float64 (prices,)
    """
    cents = normal.exp(level + sigma * normal.deviate(draw)) * factor
    if normal.unit(price_draw) < price_share:
        cents = _nearest(prices, cents)
    return min(max(np.int64(cents + 0.5), 1), MOST_CENTS)


@kernel
def _flows(k0, k1, arrivals, attached, attacks, world, policy, out):  # type: ignore[no-untyped-def]
    """Draws the flows of arrivals.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream. Draws of a flow: 0 amount, 1 shelf price, 2 latency, 3 decline,
        4 clearing, 5 refund, 6 delay of the refund.
    arrivals, attached, attacks : ArrivalBlock, Attached, Attacks
    world, policy : World, AmountPolicy
    out : Flows
        Filled; `clearing` and `refund` are 0 before.
    """
    # Unpacked here: in the loop, passing a named tuple would change the reference counts of its
    # arrays.
    base, moment, merchant = arrivals.base, arrivals.moment, arrivals.merchant
    country, channel = arrivals.country, arrivals.channel
    party, campaign = attached.party, attached.campaign
    kinds, tactics = attacks.campaigns.kind, attacks.tactics
    merchant_class, party_segment = world.merchant_class, world.party_segment
    log_median, tilt, sigma = policy.log_median, policy.tilt, policy.sigma
    price_share, prices, units = policy.price_point, policy.prices, policy.units
    share_declined, share_refunded = policy.declined, policy.refund
    cents, minor, latency, status = out.cents, out.minor, out.latency, out.status
    clearing, refund = out.clearing, out.refund
    for i in range(moment.size):
        entity = np.uint64(2 * (base + i))
        a = philox.block(k0, k1, entity)
        b = philox.block(k0, k1, entity + np.uint64(1))
        risk_class, way = merchant_class[merchant[i]], channel[i]
        factor, declined, refunded = 1.0, share_declined[way], share_refunded[risk_class]
        if campaign[i] >= 0:
            kind = kinds[campaign[i]]
            factor = tactics.amount_factor[kind]
            declined, refunded = tactics.declined[kind], tactics.refund[kind]
        level = log_median[risk_class] + tilt[party_segment[party[i]]]
        cents[i] = _cents(
            a[0], a[1], level, sigma[risk_class], factor, price_share[risk_class], prices
        )
        minor[i] = max(np.int64(cents[i] * units[country[i]] + 0.5), 1)
        latency[i] = delay(policy.latency[way], a[2])
        if normal.unit(a[3]) < declined:
            status[i] = DECLINED
            continue
        status[i] = APPROVED
        clearing[i] = moment[i] + latency[i] + delay(policy.clearing[way], b[0])
        if normal.unit(b[1]) < refunded:
            refund[i] = clearing[i] + delay(policy.refund_delay, b[2])


@kernel
def _events(arrivals, flows, columns):  # type: ignore[no-untyped-def]
    """Writes authorisation, clearing and refund of every flow, in order, into EventColumns.

    arrivals: ArrivalBlock; flows: Flows.
    """
    base, moment = arrivals.base, arrivals.moment
    clearing, refund, minor = flows.clearing, flows.refund, flows.minor
    flow_id, event_seq, event_type = columns.flow_id, columns.event_seq, columns.event_type
    ts_utc, amount_minor = columns.ts_utc, columns.amount_minor
    row = 0
    for i in range(moment.size):
        for step in range(3):
            at = moment[i]
            if step == 1:
                at = clearing[i]
            elif step == 2:
                at = refund[i]
            if at == 0:
                break
            flow_id[row] = base + i + 1
            event_seq[row] = step + 1
            event_type[row] = EVENT_TYPES[step]
            ts_utc[row] = at
            amount_minor[row] = minor[i]
            row += 1
