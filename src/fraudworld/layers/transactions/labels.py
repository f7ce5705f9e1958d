"""6B.S4: what every flow really was and why; what the bank came to know; the cases.

A flow a campaign made is CAMPAIGN, or COLLATERAL where it struck a neighbour of the victim.
Any other flow is fraud with a chance that adds up over the roles of its own account, device,
endpoint and merchant (POSTURE), or with a chance that follows nothing (BACKGROUND). The role
of the party is not among them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import ABUSE_TYPES, CAMPAIGN_TYPES, CODES
from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import Campaigns
from fraudworld.layers.transactions.flows import DAY, HOUR, Flows, delay, law
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.visits import Attached
from fraudworld.layers.transactions.world import World
from fraudworld.rng import Stream, philox, registry

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

LABEL_WIDTH = registry.LABEL.width
VIEW_WIDTH = registry.BANK_VIEW.width

_LABEL = {word: CODES["truth_label"].index(word) for word in CODES["truth_label"]}
_SUBTYPE = {word: CODES["truth_subtype"].index(word) for word in CODES["truth_subtype"]}
_CAUSE = {word: CODES["cause"].index(word) for word in CODES["cause"]}
LEGIT, FRAUD, ABUSE = _LABEL["LEGIT"], _LABEL["FRAUD"], _LABEL["ABUSE"]
S_LEGIT, S_CARD, S_ABUSE = (_SUBTYPE[word] for word in ("LEGIT", "CARD_FRAUD", "FIRST_PARTY_ABUSE"))
NONE, CAMPAIGN, COLLATERAL = _CAUSE["NONE"], _CAUSE["CAMPAIGN"], _CAUSE["COLLATERAL"]
POSTURE, BACKGROUND = _CAUSE["POSTURE"], _CAUSE["BACKGROUND"]
TYPE_LABEL = np.array([ABUSE if t in ABUSE_TYPES else FRAUD for t in CAMPAIGN_TYPES], np.uint8)
TYPE_SUBTYPE = np.array([_SUBTYPE[t] for t in CAMPAIGN_TYPES], np.uint8)
TACTICS = np.array(
    [
        CODES["tactic"].index(word)
        for word in ("NONE", "DEVICE_SWAP", "IP_SWAP", "DEVICE_AND_IP_SWAP")
    ],
    np.uint8,
)
"""Code of the swap bits 0 … 3."""

NO_SIGNAL, ALERTED, DISPUTED, CHARGEBACK = (
    CODES["bank_status"].index(s) for s in ("NO_SIGNAL", "ALERTED", "DISPUTED", "CHARGEBACK")
)
R_NONE, CONFIRMED, DISMISSED, OPEN = (
    CODES["resolution"].index(s) for s in ("NONE", "CONFIRMED", "DISMISSED", "OPEN")
)
OPENED, ALERT_RAISED, DISPUTE_FILED, CHARGEBACK_FILED, CLOSED_BAD, CLOSED_FINE = (
    CODES["case_event"].index(e)
    for e in (
        "CASE_OPENED", "ALERT_RAISED", "DISPUTE_FILED", "CHARGEBACK_FILED", "CLOSED_CONFIRMED",
        "CLOSED_DISMISSED",
    )
)  # fmt: skip


class Chances(NamedTuple):
    """Label policy by position."""

    account: F64
    device: F64
    ip: F64
    merchant: F64
    cap: float
    background: float
    abuse: float


class DetectionPolicy(NamedTuple):
    """Bank policy by position; laws are (log of the median in ms, sigma)."""

    alert: F64  # by truth subtype
    dispute: F64
    alert_delay: F64
    dispute_delay: F64
    chargeback: float
    chargeback_delay: F64
    closing_delay: F64
    confirmed_if_bad: float
    confirmed_if_legit: float
    horizon_end: int  # what closes later is still open


class Labels(NamedTuple):
    """Truth of some flows, as codes."""

    label: U8
    subtype: U8
    cause: U8
    tactic: U8


class View(NamedTuple):
    """What the bank knows of some flows; moments in ms, 0 where there is none."""

    status: U8
    resolution: U8
    alert: I64
    dispute: I64
    chargeback: I64
    closed: I64


def chances(inputs: Inputs) -> Chances:
    """The label policy as arrays."""
    policy = inputs.pack.campaigns
    posture = policy.posture
    return Chances(
        inputs.table("account_family", posture.account),
        inputs.table("device_raw_role", posture.device),
        inputs.table("ip_family", posture.ip),
        inputs.table("merchant_family", posture.merchant),
        posture.cap,
        policy.background_share,
        policy.abuse_share_outside,
    )


def detection_policy(inputs: Inputs, horizon_end: int) -> DetectionPolicy:
    """The bank's policy as arrays."""
    policy = inputs.pack.bank_view
    sensing = [policy.sensing[word] for word in CODES["truth_subtype"]]
    return DetectionPolicy(
        np.array([s.alert for s in sensing]),
        np.array([s.dispute for s in sensing]),
        law(policy.alert_hours, HOUR),
        law(policy.dispute_days, DAY),
        policy.chargeback_share,
        law(policy.chargeback_days, DAY),
        law(policy.closing_days, DAY),
        policy.confirmed_if_bad,
        policy.confirmed_if_legit,
        horizon_end,
    )


def streams(seed: int) -> tuple[Stream, Stream]:
    """Streams of causes and of the bank's view, one entity per flow."""
    return (
        registry.LABEL.of(seed),
        registry.BANK_VIEW.of(seed),
    )


def make_labels(
    seed: int,
    base: int,
    merchant: NDArray[np.int32],
    attached: Attached,
    world: World,
    campaigns: Campaigns,
    policy: Chances,
) -> Labels:
    """Truth of flows base, base + 1, …."""
    n = merchant.size
    out = Labels(np.empty(n, np.uint8), np.empty(n, np.uint8), np.empty(n, np.uint8),
                 TACTICS[attached.swapped])  # fmt: skip
    _labels(*streams(seed)[0].key, base, merchant, attached, world, campaigns, TYPE_LABEL,
            TYPE_SUBTYPE, policy, out)  # fmt: skip
    return out


def bank_view(
    seed: int, base: int, moment: I64, flows: Flows, labels: Labels, policy: DetectionPolicy
) -> View:
    """What the bank came to know of flows base, base + 1, …."""
    n = moment.size
    out = View(np.empty(n, np.uint8), np.empty(n, np.uint8),
               *(np.zeros(n, np.int64) for _ in range(4)))  # fmt: skip
    _view(*streams(seed)[1].key, base, moment, flows.clearing, labels.subtype, policy, out)
    return out


def cases(base: int, view: View) -> dict[str, NDArray[np.integer]]:
    """Rows of `s4_case_timeline_6B`: the steps of every flow the bank heard of, in time order.

    A case opens with its first signal, at the same moment.
    """
    known = np.flatnonzero(view.status != NO_SIGNAL)
    closed = np.where(view.resolution[known] == CONFIRMED, CLOSED_BAD, CLOSED_FINE)
    first = np.where(view.alert[known] > 0, view.alert[known], view.dispute[known])
    disputed = view.dispute[known]
    first = np.where((disputed > 0) & (disputed < first), disputed, first)
    when = np.stack([first, view.alert[known], disputed, view.chargeback[known],
                     view.closed[known]], axis=1)  # fmt: skip
    what = np.stack(
        [np.full(known.size, e) for e in (OPENED, ALERT_RAISED, DISPUTE_FILED, CHARGEBACK_FILED)]
        + [closed],
        axis=1,
    )
    # Steps that never happened sort behind all others and are cut off.
    order = np.argsort(np.where(when > 0, when, np.iinfo(np.int64).max), axis=1, kind="stable")
    when, what = np.take_along_axis(when, order, 1), np.take_along_axis(what, order, 1)
    happened = when > 0
    seq = np.broadcast_to(np.arange(1, 6), when.shape)
    flow = np.broadcast_to((base + known + 1)[:, None], when.shape)
    return {
        "case_id": flow[happened],
        "case_seq": seq[happened],
        "case_event": what[happened].astype(np.uint8),
        "ts_utc": when[happened],
    }


@kernel
def _labels(  # type: ignore[no-untyped-def]
    k0, k1, base, merchant, attached, world, campaigns, type_label, type_subtype, policy, out
):
    for i in range(merchant.size):
        c = attached.campaign[i]
        if c >= 0:
            kind = campaigns.kind[c]
            out.label[i] = type_label[kind]
            out.subtype[i] = type_subtype[kind]
            out.cause[i] = COLLATERAL if attached.collateral[i] else CAMPAIGN
            continue
        chance = policy.account[world.account_role[attached.account[i]]]
        chance += policy.device[world.device_role[attached.device[i]]]
        chance += policy.merchant[world.merchant_role[merchant[i]]]
        if attached.endpoint[i] >= 0:
            chance += policy.ip[world.ip_role[attached.endpoint[i]]]
        chance = min(chance, policy.cap)
        first, second = philox.pair(k0, k1, np.uint64(base + i))
        u = normal.unit(first)
        if u >= chance + policy.background:
            out.label[i], out.subtype[i], out.cause[i] = LEGIT, S_LEGIT, NONE
            continue
        out.cause[i] = POSTURE if u < chance else BACKGROUND
        own = normal.unit(second) < policy.abuse
        out.label[i] = ABUSE if own else FRAUD
        out.subtype[i] = S_ABUSE if own else S_CARD


@kernel
def _view(k0, k1, base, moment, clearing, subtype, policy, out):  # type: ignore[no-untyped-def]
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
        sure = policy.confirmed_if_legit if kind == S_LEGIT else policy.confirmed_if_bad
        if closed >= policy.horizon_end:
            out.resolution[i] = OPEN
            continue
        out.closed[i] = closed
        out.resolution[i] = CONFIRMED if normal.unit(a[3]) < sure else DISMISSED
