"""S3: which campaigns there are, when they are awake, whom they strike, with what."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from fraudworld.contracts.transactions import CAMPAIGN_TYPES
from fraudworld.kernels import normal
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.transactions import CampaignType
from reference.draws import Draws, deviate
from reference.parties import Row
from reference.transactions.arrivals import ORIGIN_MS, Arrivals, Cell, week_hour
from reference.transactions.choices import HOUR_MS, below, unit
from reference.transactions.world import NORMAL_DEVICE, World

FAMILY = "campaign_sampling"
MOST_TIMES = 32
"""How many times the campaigns of a large world a small one may have."""

MOST_VISITS = 64
TRIES = 64
"""Candidates of a rejection sampling; the last one is taken."""

LOW_BITS = 2**24


@dataclass(frozen=True)
class Life:
    """A campaign as drawn, hours counted from the horizon's start.

    `share`: of the arrivals it likes, taken while it is awake. `planned`: flows expected of the
    whole life. `hours`: (hour, flows expected) of every hour of every daily burst, also before and
    after the horizon. Bursts of two days may overlap; an hour in both occurs twice, counts twice.
    """

    country: str
    first_hour: int
    last_hour: int
    share: float
    planned: float
    hours: list[tuple[int, float]]


@dataclass(frozen=True)
class Campaign:
    """A campaign with its numbers; its victims are entities first_victim, first_victim + 1, …"""

    number: int
    type: str
    life: Life
    victims: int
    first_victim: int


@dataclass(frozen=True)
class Burst:
    """A campaign in one hour of one of its bursts; arrivals it takes fall to `visits` visits."""

    campaign: Campaign
    visits: int


class Campaigns:
    """All campaigns of the horizon, numbered by type, then as drawn."""

    def __init__(self, pack: PolicyPack, seed: int, world: World, arrivals: Arrivals) -> None:
        self._pack, self._seed, self._world = pack, seed, world
        self._days, self._cells = arrivals.days, arrivals.cells
        self.all: list[Campaign] = []
        self._bursts: dict[tuple[int, str], list[Burst]] = defaultdict(list)
        self._victims: dict[int, int] = {}
        self._victim_draws = Draws(seed, "6B.S3/victims", FAMILY, 3 * TRIES)
        self._device_draws = Draws(seed, "6B.S3/kit_devices", FAMILY, 2 * TRIES)
        self._endpoint_draws = Draws(seed, "6B.S3/kit_endpoints", FAMILY, 2 * TRIES)
        for name in CAMPAIGN_TYPES:
            week = arrivals.expected_week(partial(self._liking, name))
            if any(hour > 0 for hours in week.values() for hour in hours):
                for life in self._lives(name, week):
                    self._add(name, life)

    def liking(self, kind: str, merchant: int, channel: str) -> float:
        """How much a type likes an arrival, 0 to 1; 0 where the merchant's role excludes it."""
        policy, shop = self._pack.campaigns.types[kind], self._world.merchants[merchant]
        if policy.merchant_roles and shop.role not in policy.merchant_roles:
            return 0.0
        return policy.channels[channel] * policy.merchant_classes[shop.risk_class]

    def _liking(self, kind: str, cell: Cell) -> float:
        return self.liking(kind, cell.merchant, cell.channel)

    def _lives(self, name: str, week: Mapping[str, list[float]]) -> Iterator[Life]:
        """Campaigns of a type until those so far are expected to reach its share of all flows.

        A campaign that its country cannot hold is smaller than drawn, so a small world has more
        of them: up to MOST_TIMES as many as would do if none were.
        """
        policy = self._pack.campaigns.types[name]
        mean = policy.flows.median * math.exp(0.5 * policy.flows.sigma**2)
        wanted = policy.flow_share * sum(c.weekly for c in self._cells) * self._days / 7
        draws = Draws(self._seed, f"6B.S3/plan/{name}", FAMILY, 8)
        reached = 0.0
        for number in range(MOST_TIMES * math.ceil(wanted / mean)):
            life = self._life(policy, draws.all_of(number), week)
            yield life
            reached += sum(flows for hour, flows in life.hours if 0 <= hour < 24 * self._days)
            if reached >= wanted:
                return

    def _life(self, policy: CampaignType, d: list[int], week: Mapping[str, list[float]]) -> Life:
        """One campaign from its draws: size, country, length, start, hour of the burst, lateness.

        Countries are drawn by the arrivals the type likes. Starts are uniform over all that touch
        the horizon, so that its first and last days are as busy as others. A day's burst begins
        zero to three hours after the campaign's hour of the day: two bits of draw 5 for each day,
        used again after 32 days.
        """
        flows = policy.flows.median * normal.exp(policy.flows.sigma * deviate(d[0]))
        country = _by_weight(_uniform(d[1]), {c: sum(hours) for c, hours in week.items()})
        days = 1 + int(_uniform(d[2]) * min(policy.max_days, self._days))
        first_day = math.floor(_uniform(d[3]) * (self._days + days - 1)) - (days - 1)
        hour_of_day = int(_uniform(d[4]) * 24)
        end = 24 * (first_day + days)
        hours = []
        for day in range(days):
            late = d[5] >> 2 * (day % 32) & 3
            begin = 24 * (first_day + day) + (hour_of_day + late) % 24
            hours += [hour for hour in range(begin, begin + policy.hours_per_day) if hour < end]
        arriving = [(hour, week[country][week_hour(hour)]) for hour in hours]
        usable = sum(expected for _, expected in arriving)
        share = min(flows / max(usable, 1e-9), self._pack.campaigns.max_hourly_share)
        return Life(
            country,
            24 * first_day,
            end,
            share,
            share * usable,
            [(h, share * e) for h, e in arriving],
        )

    def _add(self, name: str, life: Life) -> None:
        """Number a campaign, its victims, and its bursts inside the horizon."""
        policy = self._pack.campaigns
        before = self.all[-1].first_victim + self.all[-1].victims if self.all else 0
        victims = max(round(life.planned / policy.types[name].flows_per_victim), 1)
        campaign = Campaign(len(self.all), name, life, victims, before)
        self.all.append(campaign)
        for hour, flows in life.hours:
            visits = min(max(round(flows / policy.flows_per_visit), 1), MOST_VISITS)
            if 0 <= hour < 24 * self._days:
                self._bursts[hour, life.country].append(Burst(campaign, visits))

    def awake(self, hour: int, country: str) -> list[Burst]:
        """Bursts of an hour in a country, in order of campaign."""
        return self._bursts.get((hour, country), [])

    def victim(self, campaign: Campaign, number: int) -> int:
        """Account of one of a campaign's victims.

        Parties are drawn by activity, in the campaign's country or, for a few victims, anywhere;
        then one of the party's accounts. It is accepted in proportion to its weight, by the low
        bits of the draw that chose the account: few accounts use the high bits only.
        """
        entity = campaign.first_victim + number
        if entity in self._victims:
            return self._victims[entity]
        policy, world, draws = self._pack.campaigns, self._world, self._victim_draws
        kind = policy.types[campaign.type]
        abroad = unit(draws(entity, 2)) < policy.victims_abroad_share
        home = world.active.get(campaign.life.country)
        urn = home if home and not abroad else world.active_anywhere
        most = kind.exposed_party_weight * max(kind.account_roles.values())
        account = -1
        for t in range(TRIES):
            party = urn.pick(draws(entity, 3 * t))
            assert party is not None, "a stream needs a party that can pay"
            draw = draws(entity, 3 * t + 1)
            found = world.account_of(party, draw)
            assert found is not None, "an active party has an account that is used"
            account = found
            weight = kind.account_roles[world.accounts[account].role]
            weight *= kind.exposed_party_weight if world.parties[party].exposed else 1
            if draw % LOW_BITS < weight / most * LOW_BITS:
                break
        self._victims[entity] = account
        return account

    def kit_device(self, campaign: Campaign, draw: int) -> int | None:
        """One of the devices a campaign brings along; None where its country has none.

        Owned devices of the country, accepted by their role and whether several parties use them.
        """
        kit, devices = self._pack.campaigns.kit, self._world.devices
        here = self._devices_of(campaign.life.country)
        entity = campaign.number * kit.devices + below(draw, kit.devices)
        most = max(kit.device_roles.values()) * kit.shared_device_weight
        for t in range(TRIES if here else 0):
            device = here[below(self._device_draws(entity, 2 * t), len(here))]
            weight = kit.device_roles[devices[device].role]
            weight *= kit.shared_device_weight if devices[device].users > 1 else 1
            if below(self._device_draws(entity, 2 * t + 1), most) < weight:
                break
        return device if here else None

    def kit_endpoint(self, campaign: Campaign, draw: int) -> int | None:
        """One of the endpoints a campaign brings along; None where its country has none.

        Links of owned devices of the country, accepted by type and role of the endpoint and the
        role of the device: an endpoint with many links is found more often.
        """
        kit, world = self._pack.campaigns.kit, self._world
        here = self._links_of(campaign.life.country)
        entity = campaign.number * kit.endpoints + below(draw, kit.endpoints)
        types = {t: kit.anonymiser_weight if t in kit.anonymiser_types else 1
                 for t in self._pack.codes("ip_type")}  # fmt: skip
        most = max(types.values()) * kit.risky_endpoint_weight * kit.on_risky_device_weight
        for t in range(TRIES if here else 0):
            device, ip = here[below(self._endpoint_draws(entity, 2 * t), len(here))]
            weight = types[world.ips[ip].type]
            weight *= kit.risky_endpoint_weight if world.ips[ip].role == "HIGH_RISK_IP" else 1
            if world.devices[device].role != NORMAL_DEVICE:
                weight *= kit.on_risky_device_weight
            if below(self._endpoint_draws(entity, 2 * t + 1), most) < weight:
                break
        return ip if here else None

    def _devices_of(self, country: str) -> list[int]:
        return self._owned.get(country, [])

    def _links_of(self, country: str) -> list[tuple[int, int]]:
        return self._links.get(country, [])

    @cached_property
    def _owned(self) -> dict[str, list[int]]:
        """Owned devices by country."""
        out: dict[str, list[int]] = defaultdict(list)
        for d, device in enumerate(self._world.devices):
            if device.owner is not None:
                out[device.country].append(d)
        return out

    @cached_property
    def _links(self) -> dict[str, list[tuple[int, int]]]:
        """(device, endpoint) of every link of an owned device, by country."""
        return {
            country: [(d, ip) for d in mine for ip in self._world.devices[d].endpoints]
            for country, mine in self._owned.items()
        }


def _uniform(draw: int) -> float:
    """A real in [0, 1) from the draw's upper 53 bits."""
    return (draw >> 11) * 2.0**-53


def _by_weight(u: float, weights: Mapping[str, float]) -> str:
    """The first name, in alphabetical order, whose cumulative weight exceeds u of the total."""
    names, total, cumulative = sorted(weights), 0.0, {}
    for name in names:
        total += weights[name]
        cumulative[name] = total
    return next(name for name in names if cumulative[name] > u * total)


def catalogue(
    campaigns: Campaigns, first_hour: int, last_hour: int, flows: Mapping[int, int]
) -> list[Row]:
    """`s3_campaign_catalogue_6B`: campaigns whose life touches hours first_hour … last_hour − 1.

    flows: flows of the window per campaign.
    """
    return [
        {
            "campaign_id": campaign.number + 1,
            "campaign_type": campaign.type,
            "country_iso": campaign.life.country,
            "start_ts_utc": ORIGIN_MS + campaign.life.first_hour * HOUR_MS,
            "end_ts_utc": ORIGIN_MS + campaign.life.last_hour * HOUR_MS,
            "victim_count": campaign.victims,
            "planned_flows": round(campaign.life.planned),
            "flow_count": flows.get(campaign.number, 0),
        }
        for campaign in campaigns.all
        if campaign.life.first_hour < last_hour and campaign.life.last_hour > first_hour
    ]
