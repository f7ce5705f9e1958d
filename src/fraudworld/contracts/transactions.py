"""Tables of segment 6B: transactions over a published world, and their labels.

Observable tables and truth are separate datasets: a bank sees arrivals with their entities,
amounts, events, its own alerts and its cases; labels, causes and campaigns are truth. Every
arrival is one flow: `flow_id` counts arrivals from the start of the horizon, so a longer stream
begins with the rows of a shorter one.

Moments are milliseconds since 1970-01-01 UTC. Amounts are hundredths of a currency unit.
"""

from __future__ import annotations

from fraudworld.contracts.table import Table, Visibility, code, integer
from fraudworld.contracts.world import COUNTRY

DOWNSTREAM_VERSION = "6B.1"

CAMPAIGN_TYPES = (
    "ACCOUNT_TAKEOVER",
    "CARD_TESTING",
    "MERCHANT_COLLUSION",
    "MULE_NETWORK",
    "PROMO_ABUSE",
    "REFUND_ABUSE",
)
LABELS = ("LEGIT", "FRAUD", "ABUSE")
ABUSE_TYPES = ("PROMO_ABUSE", "REFUND_ABUSE")
"""Campaign types whose flows are labelled ABUSE; flows of all others are FRAUD."""

CAUSES = ("NONE", "BACKGROUND", "CAMPAIGN", "COLLATERAL", "POSTURE")

CODES: dict[str, tuple[str, ...]] = {
    "channel": ("BILL", "ONLINE", "POS"),
    "auth_status": ("APPROVED", "DECLINED"),
    "event_type": ("AUTH", "CLEARING", "REFUND"),
    "campaign_type": CAMPAIGN_TYPES,
    "truth_label": tuple(sorted(LABELS)),
    "truth_subtype": tuple(sorted(("LEGIT", "CARD_FRAUD", "FIRST_PARTY_ABUSE", *CAMPAIGN_TYPES))),
    "cause": tuple(sorted(CAUSES)),
    "tactic": ("DEVICE_AND_IP_SWAP", "DEVICE_SWAP", "IP_SWAP", "NONE"),
    "bank_status": ("ALERTED", "CHARGEBACK", "DISPUTED", "NO_SIGNAL"),
    "resolution": ("CONFIRMED", "DISMISSED", "NONE", "OPEN"),
    "case_event": (
        "ALERT_RAISED",
        "CASE_OPENED",
        "CHARGEBACK_FILED",
        "CLOSED_CONFIRMED",
        "CLOSED_DISMISSED",
        "DISPUTE_FILED",
    ),
}
"""Closed lists of 6B, sorted: a position is the code in memory and in digests."""

_FLOW = integer("flow_id", "number of the arrival, from 1 at the start of the horizon")

ARRIVAL_ENTITIES = Table(
    name="s1_arrival_entities_6B",
    state="S1",
    meaning="Every arrival with its merchant and the customer's entities, in order of time.",
    columns=(
        _FLOW,
        integer("ts_utc", "moment of the arrival, ms since 1970 UTC; never falls with flow_id"),
        integer("merchant_id", "merchant of the arrival"),
        code("merchant_country_iso", "country of the outlet", "country"),
        code("channel_group", "POS, ONLINE or BILL", "channel"),
        integer("session_id", "first flow of the visit, which has one party, device, endpoint"),
        integer("party_id", "customer whose account is used"),
        integer("account_id", "account charged, owned by the party"),
        integer("instrument_id", "instrument of the account"),
        integer("device_id", "device of the visit; null: none is in use", nullable=True),
        integer("ip_id", "endpoint of the visit; null: the device has none", nullable=True),
    ),
    key=("flow_id",),
    sort=("flow_id",),
)
FLOW_ANCHOR = Table(
    name="s2_flow_anchor_6B",
    state="S2",
    meaning="Amount and authorisation of every flow.",
    columns=(
        _FLOW,
        integer("amount_minor", "amount in hundredths of the outlet's currency"),
        code("currency", "ISO 4217 currency of the outlet's country", "currency"),
        integer("amount_usd_minor", "the same amount in hundredths of a US dollar"),
        integer("auth_latency_ms", "milliseconds from the request to the answer"),
        code("auth_status", "APPROVED or DECLINED", "auth_status"),
    ),
    key=("flow_id",),
    sort=("flow_id",),
)
EVENT_STREAM = Table(
    name="s2_event_stream_6B",
    state="S2",
    meaning="Events of every flow: authorisation, clearing where approved, refund where given.",
    columns=(
        _FLOW,
        integer("event_seq", "1, 2, … within the flow, in order of time"),
        code("event_type", "AUTH, CLEARING or REFUND", "event_type"),
        integer("ts_utc", "moment of the event, ms since 1970 UTC"),
        integer("amount_minor", "amount of the event in the flow's currency"),
    ),
    key=("flow_id", "event_seq"),
    sort=("flow_id", "event_seq"),
)
CAMPAIGN_CATALOGUE = Table(
    name="s3_campaign_catalogue_6B",
    state="S3",
    meaning="Campaigns of the horizon that touch the window of the stream.",
    columns=(
        integer("campaign_id", "dense from 1 over the whole horizon"),
        code("campaign_type", "type of the attack", "campaign_type"),
        COUNTRY,
        integer("start_ts_utc", "first moment, ms since 1970 UTC"),
        integer("end_ts_utc", "first moment after it"),
        integer("victim_count", "accounts it may attack, repeats included"),
        integer("planned_flows", "flows expected from its start to its end"),
        integer("flow_count", "its flows in this window, collateral included"),
    ),
    key=("campaign_id",),
    sort=("campaign_id",),
    visibility=Visibility.TRUTH,
)
TRUTH_LABELS = Table(
    name="s4_flow_truth_labels_6B",
    state="S4",
    meaning="Label of every flow, and its cause.",
    columns=(
        _FLOW,
        code("truth_label", "LEGIT, FRAUD or ABUSE", "truth_label"),
        code(
            "truth_subtype",
            "LEGIT, the campaign's type, or one outside campaigns",
            "truth_subtype",
        ),
        code("cause", "NONE for LEGIT; else CAMPAIGN, COLLATERAL, POSTURE or BACKGROUND", "cause"),
        integer("campaign_id", "set for CAMPAIGN and COLLATERAL", nullable=True),
        code("tactic", "which of device and endpoint is the attacker's", "tactic"),
    ),
    key=("flow_id",),
    sort=("flow_id",),
    visibility=Visibility.TRUTH,
)
BANK_VIEW = Table(
    name="s4_flow_bank_view_6B",
    state="S4",
    meaning="Alert, dispute, chargeback and resolution of every flow, legitimate ones included.",
    columns=(
        _FLOW,
        code("bank_status", "the strongest signal", "bank_status"),
        code("resolution", "result of the case; NONE without a case", "resolution"),
        integer("alert_ts_utc", "the bank's own alert, if any", nullable=True),
        integer("dispute_ts_utc", "the customer's dispute, if any", nullable=True),
        integer("chargeback_ts_utc", "the chargeback, if any", nullable=True),
    ),
    key=("flow_id",),
    sort=("flow_id",),
)
CASE_TIMELINE = Table(
    name="s4_case_timeline_6B",
    state="S4",
    meaning="Steps of every case; a case is about one flow and has its number.",
    columns=(
        integer("case_id", "flow_id of the case's flow"),
        integer("case_seq", "1, 2, … within the case, in order of time"),
        code("case_event", "the step", "case_event"),
        integer("ts_utc", "moment of the step, ms since 1970 UTC"),
    ),
    key=("case_id", "case_seq"),
    sort=("case_id", "case_seq"),
)

DOWNSTREAM_TABLES: tuple[Table, ...] = (
    ARRIVAL_ENTITIES,
    FLOW_ANCHOR,
    EVENT_STREAM,
    CAMPAIGN_CATALOGUE,
    TRUTH_LABELS,
    BANK_VIEW,
    CASE_TIMELINE,
)
DOWNSTREAM_BY_NAME = {table.name: table for table in DOWNSTREAM_TABLES}
