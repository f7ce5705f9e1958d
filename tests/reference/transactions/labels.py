"""S4: what every flow really was and why; what the bank came to know; the cases."""

from __future__ import annotations

from dataclasses import dataclass

from fraudworld.contracts.transactions import ABUSE_TYPES
from fraudworld.policy.pack import PolicyPack
from reference.draws import Draws
from reference.parties import Row
from reference.transactions.choices import DAY_MS, HOUR_MS, delay, unit
from reference.transactions.flows import Flow
from reference.transactions.visits import Attached
from reference.transactions.world import World

TACTIC = {
    (): "NONE",
    ("DEVICE",): "DEVICE_SWAP",
    ("IP",): "IP_SWAP",
    ("DEVICE", "IP"): "DEVICE_AND_IP_SWAP",
}


@dataclass(frozen=True)
class Truth:
    """What a flow was, and why."""

    label: str
    subtype: str
    cause: str


class Labels:
    """The law of truth. Draws of a flow outside campaigns: 0 whether and why, 1 abuse or fraud."""

    def __init__(self, pack: PolicyPack, seed: int, world: World) -> None:
        self._pack, self._world = pack, world
        self._draws = Draws(seed, "6B.S4/label", "label_sampling", 2)

    def truth(self, attached: Attached) -> Truth:
        """A campaign's flow has its type; any other is bad by its assets' roles, or by chance.

        Probabilities of the roles of account, device, merchant and endpoint add up to a cap;
        background fraud comes on top. The party's role is not among them: that fraud follows
        risky owners must come from the world, not from this law.
        """
        policy, visit = self._pack.campaigns, attached.visit
        if visit.campaign:
            kind = visit.campaign.type
            cause = "COLLATERAL" if visit.collateral else "CAMPAIGN"
            return Truth("ABUSE" if kind in ABUSE_TYPES else "FRAUD", kind, cause)
        number = attached.arrival.number
        posture = min(self._posture(attached), policy.posture.cap)
        u = unit(self._draws(number, 0))
        if u >= posture + policy.background_share:
            return Truth("LEGIT", "LEGIT", "NONE")
        cause = "POSTURE" if u < posture else "BACKGROUND"
        if unit(self._draws(number, 1)) < policy.abuse_share_outside:
            return Truth("ABUSE", "FIRST_PARTY_ABUSE", cause)
        return Truth("FRAUD", "CARD_FRAUD", cause)

    def _posture(self, attached: Attached) -> float:
        share, world, visit = self._pack.campaigns.posture, self._world, attached.visit
        total = share.account[world.accounts[attached.account].role]
        if visit.device is not None:
            total += share.device[world.devices[visit.device].role]
        total += share.merchant[world.merchants[attached.arrival.cell.merchant].role]
        if visit.endpoint is not None:
            total += share.ip[world.ips[visit.endpoint].role]
        return total


@dataclass(frozen=True)
class View:
    """What the bank knows of a flow: moments in ms since 1970, None where there is none.

    `resolution` is NONE without a case and OPEN where it closes after the horizon.
    """

    alert: int | None
    dispute: int | None
    chargeback: int | None
    closed: int | None
    resolution: str

    @property
    def status(self) -> str:
        """The strongest signal."""
        for status, moment in (
            ("CHARGEBACK", self.chargeback), ("DISPUTED", self.dispute), ("ALERTED", self.alert)
        ):  # fmt: skip
            if moment is not None:
                return status
        return "NO_SIGNAL"


class Bank:
    """The law of the bank's view; cases that would close at `horizon_end` or later stay open.

    Draws of a flow: 0 alert, 1 dispute, 2 chargeback, 3 resolution; 4 to 7 their delays, the
    last one that of the closing.
    """

    def __init__(self, pack: PolicyPack, seed: int, horizon_end: int) -> None:
        self._policy, self._horizon_end = pack.bank_view, horizon_end
        self._draws = Draws(seed, "6B.S4/bank_view", "bank_view_sampling", 8)

    def view(self, flow: Flow, truth: Truth) -> View:
        """Alerts follow the arrival, disputes the clearing, chargebacks the dispute.

        A case closes after its last signal.
        """
        policy, sensing = self._policy, self._policy.sensing[truth.subtype]
        d = self._draws.all_of(flow.attached.arrival.number)
        alert = dispute = chargeback = None
        if unit(d[0]) < sensing.alert:
            alert = flow.attached.arrival.moment + delay(policy.alert_hours, HOUR_MS, d[4])
        if flow.clearing is not None and unit(d[1]) < sensing.dispute:
            dispute = flow.clearing + delay(policy.dispute_days, DAY_MS, d[5])
            if unit(d[2]) < policy.chargeback_share:
                chargeback = dispute + delay(policy.chargeback_days, DAY_MS, d[6])
        signals = [moment for moment in (alert, dispute, chargeback) if moment is not None]
        if not signals:
            return View(None, None, None, None, "NONE")
        closed = max(signals) + delay(policy.closing_days, DAY_MS, d[7])
        if closed >= self._horizon_end:
            return View(alert, dispute, chargeback, None, "OPEN")
        legitimate = truth.subtype == "LEGIT"
        sure = policy.confirmed_if_legit if legitimate else policy.confirmed_if_bad
        resolution = "CONFIRMED" if unit(d[3]) < sure else "DISMISSED"
        return View(alert, dispute, chargeback, closed, resolution)


def truth_labels(flows: list[Flow], truths: list[Truth]) -> list[Row]:
    """`s4_flow_truth_labels_6B`: one row a flow."""
    return [
        {
            "flow_id": flow.attached.arrival.number + 1,
            "truth_label": truth.label,
            "truth_subtype": truth.subtype,
            "cause": truth.cause,
            "campaign_id": None if campaign is None else campaign.number + 1,
            "tactic": TACTIC[tuple(sorted(flow.attached.visit.swapped))],
        }
        for flow, truth in zip(flows, truths, strict=True)
        for campaign in [flow.attached.visit.campaign]
    ]


def bank_view(flows: list[Flow], views: list[View]) -> list[Row]:
    """`s4_flow_bank_view_6B`: one row a flow."""
    return [
        {
            "flow_id": flow.attached.arrival.number + 1,
            "bank_status": view.status,
            "resolution": view.resolution,
            "alert_ts_utc": view.alert,
            "dispute_ts_utc": view.dispute,
            "chargeback_ts_utc": view.chargeback,
        }
        for flow, view in zip(flows, views, strict=True)
    ]


def case_timeline(flows: list[Flow], views: list[View]) -> list[Row]:
    """`s4_case_timeline_6B`: the steps of every case in order of time.

    A case opens at the moment of its first signal; steps of one moment keep the order below.
    """
    rows = []
    for flow, view in zip(flows, views, strict=True):
        signals = [m for m in (view.alert, view.dispute, view.chargeback) if m is not None]
        steps = [
            ("CASE_OPENED", min(signals, default=None)),
            ("ALERT_RAISED", view.alert),
            ("DISPUTE_FILED", view.dispute),
            ("CHARGEBACK_FILED", view.chargeback),
            (f"CLOSED_{view.resolution}", view.closed),
        ]
        happened = [(event, moment) for event, moment in steps if moment is not None]
        for seq, (event, moment) in enumerate(sorted(happened, key=lambda s: s[1]), 1):
            rows.append(
                {
                    "case_id": flow.attached.arrival.number + 1,
                    "case_seq": seq,
                    "case_event": event,
                    "ts_utc": moment,
                }
            )
    return rows
