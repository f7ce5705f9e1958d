"""All of 6B over one window of hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fraudworld.policy.pack import PolicyPack
from reference.parties import Row
from reference.transactions import campaigns, flows, labels, visits
from reference.transactions import world as worlds
from reference.transactions.arrivals import ORIGIN_MS, Arrivals, Upstream
from reference.transactions.choices import DAY_MS


def generate(
    pack: PolicyPack,
    seed: int,
    upstream: Upstream,
    tables: worlds.Published,
    *,
    first_day: int = 1,
    days: int | None = None,
    most_flows: int | None = None,
    rewired: bool = False,
) -> dict[str, list[Row]]:
    """Every published table of 6B: `days` whole days from `first_day`, or `most_flows` flows.

    Exactly one of the two is given. Whole hours are made; a window of flows ends inside its last.
    """
    arrivals = Arrivals(upstream, seed)
    world = worlds.read(pack, seed, tables, upstream.sites, rewired=rewired)
    attacks = campaigns.Campaigns(pack, seed, world, arrivals)
    attachment = visits.Attachment(pack, seed, world, attacks)
    currency = {row["country_iso"]: row["currency"] for row in upstream.places}
    payments = flows.Payments(pack, seed, world, currency)
    truth_law = labels.Labels(pack, seed, world)
    bank = labels.Bank(pack, seed, ORIGIN_MS + arrivals.days * DAY_MS)

    first_hour = 24 * (first_day - 1)
    last_hour = first_hour
    attached: list[visits.Attached] = []
    for hour, before in _hours(arrivals, first_hour):
        done = hour == first_hour + 24 * days if days else len(attached) >= (most_flows or 0)
        if done:
            break
        attached += attachment.hour(hour, before, arrivals.hour(hour, before))
        last_hour = hour + 1
    attached = attached[:most_flows]

    made = [payments.flow(a) for a in attached]
    truths = [truth_law.truth(a) for a in attached]
    views = [bank.view(flow, truth) for flow, truth in zip(made, truths, strict=True)]
    struck = Counter(a.visit.campaign.number for a in attached if a.visit.campaign)
    return {
        "s1_arrival_entities_6B": visits.arrival_entities(attached),
        "s2_flow_anchor_6B": flows.flow_anchor(made),
        "s2_event_stream_6B": flows.event_stream(made),
        "s3_campaign_catalogue_6B": campaigns.catalogue(attacks, first_hour, last_hour, struck),
        "s4_flow_truth_labels_6B": labels.truth_labels(made, truths),
        "s4_flow_bank_view_6B": labels.bank_view(made, views),
        "s4_case_timeline_6B": labels.case_timeline(made, views),
    }


def _hours(arrivals: Arrivals, first: int) -> Iterator[tuple[int, int]]:
    """Hours first, first + 1, … of the horizon, and the arrivals before each."""
    before = 0
    for hour in range(24 * arrivals.days + 1):
        if hour >= first:
            yield hour, before
        before += sum(arrivals.counts(hour))
