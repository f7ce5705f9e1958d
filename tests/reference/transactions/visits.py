"""S1: arrivals of one hour → visits → party, account, instrument, device, endpoint."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from fraudworld.contracts.transactions import CODES
from fraudworld.policy.pack import PolicyPack
from reference.draws import Draws
from reference.parties import Row
from reference.transactions.arrivals import Arrival
from reference.transactions.campaigns import MOST_VISITS, Burst, Campaign, Campaigns
from reference.transactions.choices import below, happens, unit
from reference.transactions.world import World

HOURS = 2**17
"""Hours in the entity numbers of campaign visits: more than any horizon has."""

Group = tuple[str, str]
"""Country and channel."""


@dataclass
class Visit:
    """What all arrivals of a visit share; `account` is set where a campaign strikes it."""

    party: int
    device: int | None
    endpoint: int | None
    account: int | None = None
    campaign: Campaign | None = None
    collateral: bool = False
    swapped: set[str] = field(default_factory=set)  # of "DEVICE" and "IP"


@dataclass(frozen=True)
class Attached:
    """An arrival with its entities; `session` is the number of the visit's first arrival."""

    arrival: Arrival
    session: int
    visit: Visit
    account: int
    instrument: int


class Attachment:
    """The law of S1. Draws of a flow: 0 campaign, 1 visit, 2 account, 3 instrument."""

    def __init__(self, pack: PolicyPack, seed: int, world: World, campaigns: Campaigns) -> None:
        self._pack, self._world, self._campaigns = pack, world, campaigns
        self._flow = Draws(seed, "6B.S1/flow", "attachment_sampling", 4)
        self._visit = Draws(seed, "6B.S1/visit", "attachment_sampling", 8)
        self._strike = Draws(seed, "6B.S3/visit", "campaign_sampling", 12)

    def hour(self, hour: int, before: int, arrivals: list[Arrival]) -> list[Attached]:
        """Entities of all arrivals of a UTC hour, in order of time.

        before: arrivals of the horizon before the hour. A visit is drawn when its first arrival
        comes. Customers choose an account per arrival, campaigns one per visit.
        """
        size = Counter((a.cell.country, a.cell.channel) for a in arrivals)
        groups = sorted(size, key=_in_code_order)
        first = {g: sum(size[other] for other in groups[:i]) for i, g in enumerate(groups)}
        visits: dict[Hashable, tuple[int, Visit]] = {}
        out = []
        for arrival in arrivals:
            group, draws = (arrival.cell.country, arrival.cell.channel), arrival.number
            taken = self._taken_by(hour, arrival)
            if taken is not None:
                place, burst = taken
                j = below(self._flow(draws, 1), burst.visits)
                key: Hashable = ("campaign", group[0], place, j)
                if key not in visits:
                    entity = (burst.campaign.number * HOURS + hour) * MOST_VISITS + j
                    visits[key] = arrival.number, self._strike_visit(burst.campaign, entity)
            else:
                # Arrivals that campaigns take are counted too: a customer's visit must not
                # depend on the campaigns of the hour.
                most = math.ceil(size[group] / self._pack.attachment.flows_per_visit)
                slot = 2 * first[group] + below(self._flow(draws, 1), most)
                key = "customer", slot
                if key not in visits:
                    visit = self._customer_visit(group, 2 * before + slot)
                    visits[key] = arrival.number, visit
            session, visit = visits[key]
            account = visit.account
            if account is None:
                account = self._world.account_of(visit.party, self._flow(draws, 2))
            assert account is not None, "an active party has an account that is used"
            instrument = self._world.instrument_of(account, group[1], self._flow(draws, 3))
            assert instrument is not None, "an account that is used has an instrument"
            out.append(Attached(arrival, session, visit, account, instrument))
        return out

    def _taken_by(self, hour: int, arrival: Arrival) -> tuple[int, Burst] | None:
        """The burst that takes an arrival, with its place among those of country and hour.

        Bursts take their shares of one uniform, one after the other.
        """
        left = unit(self._flow(arrival.number, 0))
        cell = arrival.cell
        for place, burst in enumerate(self._campaigns.awake(hour, cell.country)):
            campaign = burst.campaign
            liking = self._campaigns.liking(campaign.type, cell.merchant, cell.channel)
            left -= campaign.life.share * liking
            if left < 0.0:
                return place, burst
        return None

    def _customer_visit(self, group: Group, entity: int) -> Visit:
        """An ordinary visit: a party of the country or a traveller, by activity.

        Where nobody of the country can pay, everyone is a traveller. A few act through a device
        of somebody at the same home or firm, if that one has a device they can act through.
        """
        policy, world, d = self._pack.attachment, self._world, self._visit.all_of(entity)
        country, channel = group
        party = None
        if happens(d[0], policy.home_share[channel]) and country in world.active:
            party = world.active[country].pick(d[1])
        if party is None:
            party = world.travelling.pick(d[1])
        assert party is not None, "a stream needs a party that can pay"
        home, device = world.parties[party].home, None
        if happens(d[2], policy.household_device_share) and home:
            members = world.homes[home]
            device = world.device_of(members[below(d[3], len(members))], d[4])
        if device is None:
            device = world.device_of(party, d[4])
        return Visit(party, device, self._endpoint(device, d[5], d[6]))

    def _strike_visit(self, campaign: Campaign, entity: int) -> Visit:
        """A visit of a campaign: a victim or its neighbour, then what the tactics swap."""
        policy, world, d = self._pack.campaigns, self._world, self._strike.all_of(entity)
        kind = policy.types[campaign.type]
        account = self._campaigns.victim(campaign, below(d[0], campaign.victims))
        neighbour = None
        if happens(d[1], policy.collateral_share):
            neighbour = self._neighbour(account, d[2], d[3])
        account = account if neighbour is None else neighbour
        party = world.accounts[account].owner
        device, swapped = world.device_of(party, d[4]), set()
        if unit(d[5]) < kind.device_swap:
            kit = self._campaigns.kit_device(campaign, d[6])
            if kit is not None:
                device = kit
                swapped.add("DEVICE")
        endpoint = self._endpoint(device, d[8], d[9])
        if unit(d[7]) < kind.ip_swap:
            kit = self._campaigns.kit_endpoint(campaign, d[10])
            if kit is not None:
                endpoint = kit
                swapped.add("IP")
        return Visit(party, device, endpoint, account, campaign, neighbour is not None, swapped)

    def _neighbour(self, account: int, draw: int, second: int) -> int | None:
        """Another account of the victim's party, if the draw names another.

        Else an account of the owner of the first device that the party uses and does not own.
        """
        world, party = self._world, self._world.accounts[account].owner
        other = world.account_of(party, draw)
        if other != account:
            return other
        for device in world.parties[party].devices:
            owner = world.devices[device].owner
            if owner is not None and owner != party:
                return world.account_of(owner, second)
        return None

    def _endpoint(self, device: int | None, whether: int, which: int) -> int | None:
        """A device's typical endpoint with its share, else any of its endpoints."""
        endpoints = self._world.devices[device].endpoints if device is not None else []
        if not endpoints:
            return None
        if happens(whether, self._pack.attachment.typical_endpoint_share):
            return endpoints[0]
        return endpoints[below(which, len(endpoints))]


def _in_code_order(group: Group) -> tuple[str, int]:
    return group[0], CODES["channel"].index(group[1])


def arrival_entities(flows: list[Attached]) -> list[Row]:
    """`s1_arrival_entities_6B`: one row an arrival."""
    return [
        {
            "flow_id": flow.arrival.number + 1,
            "ts_utc": flow.arrival.moment,
            "merchant_id": flow.arrival.cell.merchant + 1,
            "merchant_country_iso": flow.arrival.cell.country,
            "channel_group": flow.arrival.cell.channel,
            "session_id": flow.session + 1,
            "party_id": flow.visit.party + 1,
            "account_id": flow.account + 1,
            "instrument_id": flow.instrument + 1,
            "device_id": None if flow.visit.device is None else flow.visit.device + 1,
            "ip_id": None if flow.visit.endpoint is None else flow.visit.endpoint + 1,
        }
        for flow in flows
    ]
