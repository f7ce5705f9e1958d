"""6B.S4: label of every flow and its cause; what the bank learns of it, and when; the cases.

The cause of a campaign's flow is CAMPAIGN, or COLLATERAL where a neighbour of the victim is
attacked. Any other flow is fraud with probability p + b: p is the sum over the roles of its
account, device, endpoint and merchant (POSTURE), b depends on nothing (BACKGROUND). The role of
the party is not in the sum: fraud must follow risky owners because of the world, not of this law.

Laws: policy/campaigns_6B.v1.yaml and policy/bank_view_6B.v1.yaml. Twin of all kernels here:
tests/reference/transactions/labels.py:Labels and Bank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import ABUSE_TYPES, CAMPAIGN_TYPES, CODES
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import Campaigns
from fraudworld.layers.transactions.flows import DAY, HOUR, Flows, delay, delay_law
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.visits import ArrivalBlock, Attached
from fraudworld.layers.transactions.world import World
from fraudworld.rng import Stream, philox, registry

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


def _codes(column: str, *words: str) -> tuple[int, ...]:
    return tuple(CODES[column].index(word) for word in words)


LEGIT, FRAUD, ABUSE = _codes("truth_label", "LEGIT", "FRAUD", "ABUSE")
S_LEGIT, S_CARD, S_ABUSE = _codes("truth_subtype", "LEGIT", "CARD_FRAUD", "FIRST_PARTY_ABUSE")
NONE, CAMPAIGN, COLLATERAL, POSTURE, BACKGROUND = _codes(
    "cause", "NONE", "CAMPAIGN", "COLLATERAL", "POSTURE", "BACKGROUND"
)
NO_SIGNAL, ALERTED, DISPUTED, CHARGEBACK = _codes(
    "bank_status", "NO_SIGNAL", "ALERTED", "DISPUTED", "CHARGEBACK"
)
R_NONE, CONFIRMED, DISMISSED, OPEN = _codes("resolution", "NONE", "CONFIRMED", "DISMISSED", "OPEN")
OPENED, ALERT_RAISED, DISPUTE_FILED, CHARGEBACK_FILED, CLOSED_CONFIRMED, CLOSED_DISMISSED = _codes(
    "case_event", "CASE_OPENED", "ALERT_RAISED", "DISPUTE_FILED", "CHARGEBACK_FILED",
    "CLOSED_CONFIRMED", "CLOSED_DISMISSED",
)  # fmt: skip

TYPE_LABEL = np.array([ABUSE if t in ABUSE_TYPES else FRAUD for t in CAMPAIGN_TYPES], np.uint8)
TYPE_SUBTYPE = np.array(_codes("truth_subtype", *CAMPAIGN_TYPES), np.uint8)
TACTICS = np.array(
    _codes("tactic", "NONE", "DEVICE_SWAP", "IP_SWAP", "DEVICE_AND_IP_SWAP"), np.uint8
)
"""Code of the bits `Attached.swapped`."""


class LabelPolicy(NamedTuple):
    """Label policy by position: probabilities that a flow outside campaigns is fraud."""

    account: F64  # by account family
    device: F64  # by raw device role
    ip: F64  # by endpoint family
    merchant: F64  # by merchant family
    cap: float  # on the sum of the four
    background: float
    abuse: float  # share of this fraud that is first-party abuse


class DetectionPolicy(NamedTuple):
    """Bank policy by position. A delay law is (log of the median in ms, sigma)."""

    alert: F64  # probability, by truth subtype
    dispute: F64  # probability, by truth subtype
    alert_delay: F64  # law, (2,)
    dispute_delay: F64  # law, (2,)
    chargeback: float  # share of disputes
    chargeback_delay: F64  # law, (2,)
    closing_delay: F64  # law, (2,)
    confirmed_if_bad: float  # share of cases
    confirmed_if_legit: float  # share of cases
    horizon_end: int  # ms since 1970 UTC; a case that would close here or later is open


class Labels(NamedTuple):
    """Truth of flows, as codes; arrays (arrivals,)."""

    label: U8
    subtype: U8
    cause: U8
    tactic: U8


class BankView(NamedTuple):
    """What the bank knows of flows; arrays (arrivals,), moments in ms since 1970 UTC, 0: none."""

    status: U8
    resolution: U8
    alert: I64
    dispute: I64
    chargeback: I64
    closed: I64


def label_policy(inputs: Inputs) -> LabelPolicy:
    """The label policy as arrays."""
    policy = inputs.pack.campaigns
    posture = policy.posture
    return LabelPolicy(
        account=inputs.table("account_family", posture.account),
        device=inputs.table("device_raw_role", posture.device),
        ip=inputs.table("ip_family", posture.ip),
        merchant=inputs.table("merchant_family", posture.merchant),
        cap=posture.cap,
        background=policy.background_share,
        abuse=policy.abuse_share_outside,
    )


def detection_policy(inputs: Inputs, horizon_end: int) -> DetectionPolicy:
    """The bank's policy as arrays."""
    policy = inputs.pack.bank_view
    sensing = [policy.sensing[word] for word in CODES["truth_subtype"]]
    return DetectionPolicy(
        alert=np.array([s.alert for s in sensing]),
        dispute=np.array([s.dispute for s in sensing]),
        alert_delay=delay_law(policy.alert_hours, HOUR),
        dispute_delay=delay_law(policy.dispute_days, DAY),
        chargeback=policy.chargeback_share,
        chargeback_delay=delay_law(policy.chargeback_days, DAY),
        closing_delay=delay_law(policy.closing_days, DAY),
        confirmed_if_bad=policy.confirmed_if_bad,
        confirmed_if_legit=policy.confirmed_if_legit,
        horizon_end=horizon_end,
    )


def streams(seed: int) -> tuple[Stream, Stream]:
    """Streams of labels and of the bank's view, one entity per flow."""
    return (
        registry.LABEL.of(seed),
        registry.BANK_VIEW.of(seed),
    )


def draw_labels(
    seed: int,
    arrivals: ArrivalBlock,
    attached: Attached,
    campaigns: Campaigns,
    world: World,
    policy: LabelPolicy,
) -> Labels:
    """Labels and causes of the flows of arrivals."""
    n = arrivals.n
    out = Labels(
        label=np.empty(n, np.uint8),
        subtype=np.empty(n, np.uint8),
        cause=np.empty(n, np.uint8),
        tactic=TACTICS[attached.swapped],
    )
    key = streams(seed)[0].key
    _labels(*key, arrivals, attached, campaigns, world, policy, out)
    return out


def draw_bank_view(
    seed: int, arrivals: ArrivalBlock, flows: Flows, labels: Labels, policy: DetectionPolicy
) -> BankView:
    """Alert, dispute, chargeback and case of the flows of arrivals."""
    n = arrivals.n
    out = BankView(
        status=np.empty(n, np.uint8),
        resolution=np.empty(n, np.uint8),
        alert=np.zeros(n, np.int64),
        dispute=np.zeros(n, np.int64),
        chargeback=np.zeros(n, np.int64),
        closed=np.zeros(n, np.int64),
    )
    key = streams(seed)[1].key
    _bank_view(*key, arrivals, flows.clearing, labels.subtype, policy, out)
    return out


def cases(base: int, view: BankView) -> dict[str, NDArray[np.integer]]:
    """Rows of `s4_case_timeline_6B`: the steps of every case in order of time.

    A case opens at the moment of its first signal. base: number of the first flow, from 0.
    """
    known = np.flatnonzero(view.status != NO_SIGNAL)
    alert, dispute = view.alert[known], view.dispute[known]
    closing = np.where(view.resolution[known] == CONFIRMED, CLOSED_CONFIRMED, CLOSED_DISMISSED)
    opened = np.where(alert > 0, alert, dispute)
    opened = np.where((dispute > 0) & (dispute < opened), dispute, opened)
    moment = np.stack([opened, alert, dispute, view.chargeback[known], view.closed[known]], axis=1)
    event = np.empty_like(moment)
    event[:, :4] = OPENED, ALERT_RAISED, DISPUTE_FILED, CHARGEBACK_FILED
    event[:, 4] = closing
    # Steps that did not happen sort behind all others and are dropped.
    order = np.argsort(np.where(moment > 0, moment, np.iinfo(np.int64).max), axis=1, kind="stable")
    moment = np.take_along_axis(moment, order, 1)
    event = np.take_along_axis(event, order, 1)
    happened = moment > 0
    seq = np.broadcast_to(np.arange(1, 6), moment.shape)
    flow = np.broadcast_to((base + known + 1)[:, None], moment.shape)
    return {
        "case_id": flow[happened],
        "case_seq": seq[happened],
        "case_event": event[happened].astype(np.uint8),
        "ts_utc": moment[happened],
    }


@inlined
def _posture(account_role, device_role, merchant_role, ip_role, policy):  # type: ignore[no-untyped-def]
    """Probability of fraud by the roles of a flow's assets; a role of −1 is that of no asset."""
    p = policy.account[account_role]
    if device_role >= 0:
        p += policy.device[device_role]
    p += policy.merchant[merchant_role]
    if ip_role >= 0:
        p += policy.ip[ip_role]
    return min(p, policy.cap)


@inlined
def _role(roles, entity):  # type: ignore[no-untyped-def]
    """Role of an entity (int64); −1 where the entity is −1."""
    return np.int64(roles[entity]) if entity >= 0 else np.int64(-1)


@kernel
def _labels(k0, k1, arrivals, attached, campaigns, world, policy, out):  # type: ignore[no-untyped-def]
    """Draws label, subtype and cause of flows.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream. Draws of a flow outside campaigns: 0 whether and why it is
        fraud, 1 whether the fraud is abuse.
    arrivals, attached, campaigns : ArrivalBlock, Attached, Campaigns
    world, policy : World, LabelPolicy
    out : Labels
        Filled, but for `tactic`.
    """
    base, merchant = arrivals.base, arrivals.merchant
    account, device, endpoint = attached.account, attached.device, attached.endpoint
    for i in range(merchant.size):
        c = attached.campaign[i]
        if c >= 0:
            kind = campaigns.kind[c]
            out.label[i] = TYPE_LABEL[kind]
            out.subtype[i] = TYPE_SUBTYPE[kind]
            out.cause[i] = COLLATERAL if attached.collateral[i] else CAMPAIGN
            continue
        posture = _posture(
            world.account_role[account[i]],
            _role(world.device_role, device[i]),
            world.merchant_role[merchant[i]],
            _role(world.ip_role, endpoint[i]),
            policy,
        )
        first, second = philox.pair(k0, k1, np.uint64(base + i))
        u = normal.unit(first)
        if u >= posture + policy.background:
            out.label[i], out.subtype[i], out.cause[i] = LEGIT, S_LEGIT, NONE
            continue
        out.cause[i] = POSTURE if u < posture else BACKGROUND
        abuse = normal.unit(second) < policy.abuse
        out.label[i] = ABUSE if abuse else FRAUD
        out.subtype[i] = S_ABUSE if abuse else S_CARD


@kernel
def _bank_view(k0, k1, arrivals, clearing, subtype, policy, out):  # type: ignore[no-untyped-def]
    """Draws alerts, disputes, chargebacks and cases of flows.

    Alerts follow the arrival, disputes the clearing, chargebacks the dispute; a case closes after
    its last signal.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream. Draws of a flow: 0 alert, 1 dispute, 2 chargeback, 3 resolution,
        4 to 7 the delays of alert, dispute, chargeback and closing.
    arrivals : ArrivalBlock
    clearing : int64 (arrivals,)
        Moment in ms; 0 where declined.
    subtype : u8 (arrivals,)
    policy : DetectionPolicy
    out : BankView
        Filled; the moments are 0 before.
    """
    base, moment = arrivals.base, arrivals.moment
    for i in range(moment.size):
        entity = np.uint64(2 * (base + i))
        a = philox.block(k0, k1, entity)
        kind = subtype[i]
        alerted = normal.unit(a[0]) < policy.alert[kind]
        disputed = clearing[i] > 0 and normal.unit(a[1]) < policy.dispute[kind]
        out.status[i], out.resolution[i] = NO_SIGNAL, R_NONE
        if not (alerted or disputed):
            continue
        b = philox.block(k0, k1, entity + np.uint64(1))
        last = moment[i]
        if alerted:
            out.status[i] = ALERTED
            out.alert[i] = moment[i] + delay(policy.alert_delay, b[0])
            last = out.alert[i]
        if disputed:
            out.status[i] = DISPUTED
            out.dispute[i] = clearing[i] + delay(policy.dispute_delay, b[1])
            last = max(last, out.dispute[i])
            if normal.unit(a[2]) < policy.chargeback:
                out.status[i] = CHARGEBACK
                out.chargeback[i] = out.dispute[i] + delay(policy.chargeback_delay, b[2])
                last = max(last, out.chargeback[i])
        closed = last + delay(policy.closing_delay, b[3])
        confirmed = policy.confirmed_if_legit if kind == S_LEGIT else policy.confirmed_if_bad
        if closed >= policy.horizon_end:
            out.resolution[i] = OPEN
            continue
        out.closed[i] = closed
        out.resolution[i] = CONFIRMED if normal.unit(a[3]) < confirmed else DISMISSED
