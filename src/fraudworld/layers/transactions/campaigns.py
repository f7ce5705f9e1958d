"""6B.S3: which attacks there are, when, on whom, with what.

Every campaign is drawn over the whole horizon whatever window is asked for. It belongs to one
type and one country, lives for some days, is awake for a daily burst of hours, and takes a
fixed share of the arrivals it can use while it is awake. Its victims are drawn as ordinary
customers are, by activity, and then accepted in proportion to their risk: a party with a
risky account or device, the role of the account. Its kit is drawn from the graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import CAMPAIGN_TYPES
from fraudworld.inputs.arrivals import CHANNELS, WEEK, Arrivals, week_hour
from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.choices import account_of, below, weighted_index
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World
from fraudworld.policy.transactions import Campaigns as CampaignPolicy
from fraudworld.policy.transactions import CampaignType
from fraudworld.rng import Stream, StreamUse, philox, registry

Value = TypeVar("Value", bound=np.generic)

PLAN_WIDTH = registry.CAMPAIGN_PLAN.width
TRIES = registry.VICTIMS.width // 3
"""Candidates looked at before the last one is taken: a miss of all is rarer than 1e-3."""

MOST_TIMES = 32
"""How many times more campaigns a small world may have to reach the flows wanted."""

MOST_VISITS = 64
"""Visits of one campaign in one hour; more arrivals make longer visits."""


class Active(NamedTuple):
    """Which campaigns are awake when: entries by hour, then country.

    `start[(hour − first) × countries + country]` is the first entry; `campaign` is a
    position, `visits` how many visits it makes in that hour, `slot` the place of its first.
    """

    start: NDArray[np.int64]
    campaign: NDArray[np.int32]
    visits: NDArray[np.int32]
    slot: NDArray[np.int64]


class Campaigns(NamedTuple):
    """One row per campaign of the horizon, in order of type, then number."""

    kind: NDArray[np.uint8]  # position in CAMPAIGN_TYPES
    country: NDArray[np.uint8]
    first_hour: NDArray[np.int32]  # of the horizon
    last_hour: NDArray[np.int32]  # first hour after it
    planned: NDArray[np.int64]  # flows expected
    share: NDArray[np.float64]  # of the arrivals it can use in an hour awake
    victim_start: NDArray[np.int64]
    victim: NDArray[np.int32]  # account; −1 where not drawn or nobody could be struck
    kit_device: NDArray[np.int32]  # shape (campaigns, devices)
    kit_endpoint: NDArray[np.int32]


class Lives(NamedTuple):
    """Campaigns of one type as drawn, and the hours of the horizon each is awake."""

    country: NDArray[np.int64]
    first_hour: NDArray[np.int64]  # may lie before the horizon
    last_hour: NDArray[np.int64]  # first hour after it
    share: NDArray[np.float64]
    planned: NDArray[np.float64]  # flows of the whole life
    inside: NDArray[np.float64]  # of them in the horizon
    victims: NDArray[np.int64]
    awake: NDArray[np.int64]  # rows (campaign, hour, visits)

    @property
    def n(self) -> int:
        return int(self.country.size)

    def head(self, n: int) -> Lives:
        """The first n campaigns."""
        return Lives(
            self.country[:n], self.first_hour[:n], self.last_hour[:n], self.share[:n],
            self.planned[:n], self.inside[:n], self.victims[:n],
            self.awake[self.awake[:, 0] < n],
        )  # fmt: skip


class Tactics(NamedTuple):
    """Policy of the types as arrays, rows by CAMPAIGN_TYPES."""

    appetite: NDArray[np.float64]  # (types, channels, merchant classes)
    roles: NDArray[np.int64]  # bit per merchant family
    exposed_weight: NDArray[np.int64]
    account_factor: NDArray[np.float64]  # (types, account families)
    device_swap: NDArray[np.float64]
    ip_swap: NDArray[np.float64]
    amount_factor: NDArray[np.float64]
    declined: NDArray[np.float64]
    refund: NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Campaigns, when they are awake in the window, and what was drawn."""

    campaigns: Campaigns
    tactics: Tactics
    active: Active
    evidence: tuple[StreamUse, ...]
    unplanned: tuple[str, ...]  # types no merchant of the world can host


def tactics(inputs: Inputs) -> Tactics:
    """The types' policy by position."""
    types = [inputs.pack.campaigns.types[name] for name in CAMPAIGN_TYPES]
    families = inputs.codes("merchant_family")
    every = (1 << len(families)) - 1
    return Tactics(
        np.array(
            [
                np.outer(
                    [t.channels[c] for c in CHANNELS],
                    inputs.table("merchant_class", t.merchant_classes),
                )
                for t in types
            ]
        ),
        np.array([sum(1 << families.index(r) for r in t.merchant_roles) or every for t in types]),
        np.array([t.exposed_party_weight for t in types]),
        np.stack([inputs.table("account_family", t.account_roles) for t in types]),
        np.array([t.device_swap for t in types]),
        np.array([t.ip_swap for t in types]),
        np.array([t.amount_factor for t in types]),
        np.array([t.declined_share for t in types]),
        np.array([t.refund_share for t in types]),
    )


def plan(inputs: Inputs, world: World, arrivals: Arrivals, first: int, last: int) -> Plan:
    """All campaigns of the horizon; victims and kits of those awake in hours first … last − 1."""
    policy, how = inputs.pack.campaigns, tactics(inputs)
    kinds: list[int] = []
    lives: list[Lives] = []
    evidence: list[StreamUse] = []
    for kind, name in enumerate(CAMPAIGN_TYPES):
        expected = arrivals.expected_week(
            _usable(world, arrivals, how, kind), len(inputs.geo.countries)
        )
        if expected.any():
            stream = registry.CAMPAIGN_PLAN.of(inputs.identity.seed, code=name)
            mine = _enough(policy.types[name], policy, stream, arrivals, expected)
            kinds.append(kind)
            lives.append(mine)
            evidence.append(stream.use(name, 0, mine.n))
    entries, base = [np.empty((0, 3), np.int64)], 0
    for mine in lives:
        entries.append(mine.awake + np.array([base, 0, 0]))
        base += mine.n
    awake = np.concatenate(entries)
    inside = awake[(awake[:, 1] >= first) & (awake[:, 1] < last)]
    campaigns = _untargeted(kinds, lives, policy.kit.devices, policy.kit.endpoints)
    evidence += _target(inputs, world, how, campaigns, np.unique(inside[:, 0]))
    active = _schedule(len(inputs.geo.countries), campaigns.country, inside, first, last)
    unplanned = tuple(t for k, t in enumerate(CAMPAIGN_TYPES) if k not in kinds)
    return Plan(campaigns, how, active, tuple(evidence), unplanned)


def _usable(world: World, arrivals: Arrivals, how: Tactics, kind: int) -> NDArray[np.float64]:
    """How much a type likes every cell, 0 to 1."""
    cells = arrivals.cells
    role = how.roles[kind] >> world.merchant_role[cells.merchant].astype(np.int64) & 1
    taste = how.appetite[kind, cells.channel, world.merchant_class[cells.merchant]]
    return np.asarray(taste * role)


def _enough(
    policy: CampaignType,
    whole: CampaignPolicy,
    stream: Stream,
    arrivals: Arrivals,
    expected: NDArray[np.float64],
) -> Lives:
    """As many campaigns of one type as its share of all flows asks for, one after the other.

    A small world holds smaller attacks and so has more of them; MOST_TIMES the number a large
    one needs is the end.
    """
    mean = policy.flows.median * math.exp(0.5 * policy.flows.sigma**2)
    wanted = policy.flow_share * float(arrivals.cells.weekly.sum()) * arrivals.days / 7
    n = least = math.ceil(wanted / mean)
    while True:
        lives = _lives(n, policy, whole, stream, arrivals, expected)
        reached = np.cumsum(lives.inside)
        if reached[-1] >= wanted or n >= MOST_TIMES * least:
            return lives.head(min(int(np.searchsorted(reached, wanted)) + 1, n))
        n *= 2


def _lives(
    n: int,
    policy: CampaignType,
    whole: CampaignPolicy,
    stream: Stream,
    arrivals: Arrivals,
    expected: NDArray[np.float64],
) -> Lives:
    """The first n campaigns of one type.

    expected: usable arrivals per country and UTC hour of the week. Each is drawn a size, a
    country by usable arrivals, a start, a length and the hour its burst begins.
    """
    draws = stream.draws(0, n)
    unit = (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
    flows = np.array(
        [
            policy.flows.median * normal.exp(policy.flows.sigma * normal.deviate(d))
            for d in draws[:, 0]
        ]
    )
    market = np.cumsum(expected.sum(axis=1))
    country = np.searchsorted(market, unit[:, 1] * market[-1], side="right")
    days = 1 + (unit[:, 2] * min(policy.max_days, arrivals.days)).astype(np.int64)
    # Some are under way when the horizon begins, some when it ends: no quiet first days.
    start = np.floor(unit[:, 3] * (arrivals.days + days - 1)).astype(np.int64) - (days - 1)
    burst = (unit[:, 4] * 24).astype(np.int64)
    campaign = np.repeat(np.arange(n), days)
    day = np.arange(campaign.size) - np.repeat(np.cumsum(days) - days, days)
    # A burst begins up to three hours after its hour: two bits of a draw decide, day by day.
    bits = draws[campaign, 5] >> (2 * (day % 32)).astype(np.uint64)
    late = (bits & np.uint64(3)).astype(np.int64)
    hour = (start[campaign] + day) * 24 + (burst[campaign] + late) % 24
    hour = (hour[:, None] + np.arange(policy.hours_per_day)).ravel()
    campaign = np.repeat(campaign, policy.hours_per_day)
    end = (start + days) * 24
    keep = hour < end[campaign]
    campaign, hour = campaign[keep], hour[keep]
    arriving = expected[country[campaign], (week_hour(0) + hour) % WEEK]
    usable = np.bincount(campaign, arriving, n).astype(np.float64)
    share = np.minimum(flows / np.maximum(usable, 1e-9), whole.max_hourly_share)
    planned = share * usable
    victims = np.maximum(np.rint(planned / policy.flows_per_victim), 1)
    visits = np.clip(np.rint(share[campaign] * arriving / whole.flows_per_visit), 1, MOST_VISITS)
    inside = (hour >= 0) & (hour < 24 * arrivals.days)
    here = np.bincount(campaign[inside], (share[campaign] * arriving)[inside], n).astype(np.float64)
    awake = np.stack([campaign, hour, visits.astype(np.int64)], axis=1)
    return Lives(country, start * 24, end, share, planned, here, victims.astype(np.int64),
                 awake[inside])  # fmt: skip


def _schedule(
    countries: int, country: NDArray[np.uint8], inside: NDArray[np.int64], first: int, last: int
) -> Active:
    """Entries of the window by hour and country."""
    campaign, hour, visits = inside.T
    cell = (hour - first) * countries + country[campaign].astype(np.int64)
    order = np.lexsort((campaign, cell))
    start = np.zeros((last - first) * countries + 1, dtype=np.int64)
    np.cumsum(np.bincount(cell, minlength=start.size - 1), out=start[1:])
    sorted_visits = visits[order]
    slot = np.cumsum(sorted_visits) - sorted_visits
    # Slots are counted inside an hour: that is how far arrivals of one visit lie apart.
    hour_start = start[::countries]
    before = np.concatenate([slot, [sorted_visits.sum()]])[hour_start[:-1]]
    slot -= np.repeat(before, np.diff(hour_start))
    return Active(start, campaign[order].astype(np.int32), sorted_visits.astype(np.int32), slot)


def _untargeted(kinds: list[int], lives: list[Lives], devices: int, endpoints: int) -> Campaigns:
    """Campaigns of all types in order, without victims or kit yet."""
    many = [mine.n for mine in lives]
    n = sum(many)

    def joined(name: str, dtype: type[Value]) -> NDArray[Value]:
        pieces = [np.empty(0), *(getattr(mine, name) for mine in lives)]
        return np.concatenate(pieces).astype(dtype)

    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(joined("victims", np.int64), out=start[1:])
    return Campaigns(
        np.repeat(kinds, many).astype(np.uint8), joined("country", np.uint8),
        joined("first_hour", np.int32), joined("last_hour", np.int32),
        np.rint(joined("planned", np.float64)).astype(np.int64), joined("share", np.float64),
        start, np.full(int(start[-1]), -1, np.int32),
        np.full((n, devices), -1, np.int32), np.full((n, endpoints), -1, np.int32),
    )  # fmt: skip


def _target(
    inputs: Inputs,
    world: World,
    how: Tactics,
    campaigns: Campaigns,
    awake: NDArray[np.int64],
) -> list[StreamUse]:
    """Draw victims and kits of the campaigns `awake` into `campaigns`; returns the draws."""
    policy, seed = inputs.pack.campaigns, inputs.identity.seed
    kit, n, start = policy.kit, campaigns.kind.size, campaigns.victim_start
    victims = registry.VICTIMS.of(seed)
    devices = registry.KIT_DEVICES.of(seed)
    endpoints = registry.KIT_ENDPOINTS.of(seed)
    use = inputs.table("account_type", inputs.pack.attachment.account_use).astype(np.int64)
    _victims(*victims.key, awake, campaigns, how, use, policy.victims_abroad_share, world)
    device_weight = inputs.table("device_raw_role", kit.device_roles).astype(np.int64)
    _kit_devices(*devices.key, awake, device_weight, kit.shared_device_weight, campaigns, world)
    type_weight = np.where(
        np.isin(inputs.codes("ip_type"), kit.anonymiser_types), kit.anonymiser_weight, 1
    )
    role_weight = np.ones(len(inputs.codes("ip_family")), dtype=np.int64)
    role_weight[inputs.codes("ip_family").index("HIGH_RISK_IP")] = kit.risky_endpoint_weight
    normal_device = inputs.raw_code("device", "NORMAL_DEVICE")
    _kit_endpoints(
        *endpoints.key, awake, type_weight, role_weight, kit.on_risky_device_weight,
        normal_device, campaigns, world,
    )  # fmt: skip
    drawn = int(np.diff(start)[awake].sum())
    return [
        victims.use("awake", 0, int(start[-1]), entities=drawn),
        devices.use("awake", 0, n * kit.devices, entities=awake.size * kit.devices),
        endpoints.use("awake", 0, n * kit.endpoints, entities=awake.size * kit.endpoints),
    ]


@kernel
def _victims(k0, k1, awake, campaigns, how, use, abroad, world):  # type: ignore[no-untyped-def]
    parties = world.party_country.size
    for i in range(awake.size):
        c = awake[i]
        kind = campaigns.kind[c]
        most = how.exposed_weight[kind] * how.account_factor[kind].max()
        for v in range(campaigns.victim_start[c], campaigns.victim_start[c + 1]):
            for t in range(TRIES):
                at = np.uint64((v * TRIES + t) * 3)
                d0 = philox.lane_of(philox.block(k0, k1, at >> np.uint64(2)), at)
                at += np.uint64(1)
                d1 = philox.lane_of(philox.block(k0, k1, at >> np.uint64(2)), at)
                at += np.uint64(1)
                d2 = philox.lane_of(philox.block(k0, k1, at >> np.uint64(2)), at)
                # The first try decides whether the victim lives abroad.
                if t == 0:
                    far = normal.unit(d2) < abroad
                country = campaigns.country[c]
                low = 0 if far else world.country_party[country]
                high = parties if far else world.country_party[country + 1]
                if world.activity[high] == world.activity[low]:
                    low, high = 0, parties
                p = weighted_index(world.activity, low, high, d0)
                if p < 0:
                    break
                a = account_of(world, p, use, d1)
                campaigns.victim[v] = a
                weight = how.account_factor[kind, world.account_role[a]]
                if world.exposed[p]:
                    weight *= how.exposed_weight[kind]
                # The low bits of a draw whose top bits chose among few accounts.
                if np.float64(d1 & np.uint64(0xFFFFFF)) < weight / most * 16777216.0:
                    break


@kernel
def _kit_devices(k0, k1, awake, role_weight, shared_weight, campaigns, world):  # type: ignore[no-untyped-def]
    size = campaigns.kit_device.shape[1]
    most = role_weight.max() * shared_weight
    for i in range(awake.size):
        c = awake[i]
        country = campaigns.country[c]
        low, high = world.country_device[country], world.country_device[country + 1]
        for s in range(size if high > low else 0):
            for t in range(TRIES):
                at = np.uint64(((c * size + s) * TRIES + t) * 2)
                lanes = philox.block(k0, k1, at >> np.uint64(2))
                d = low + below(philox.lane_of(lanes, at), high - low)
                campaigns.kit_device[c, s] = d
                weight = role_weight[world.device_role[d]]
                if world.device_shared[d]:
                    weight *= shared_weight
                if below(philox.lane_of(lanes, at + np.uint64(1)), most) < weight:
                    break


@kernel
def _kit_endpoints(  # type: ignore[no-untyped-def]
    k0, k1, awake, type_weight, role_weight, risky_weight, normal_device, campaigns, world
):
    size = campaigns.kit_endpoint.shape[1]
    most = type_weight.max() * role_weight.max() * risky_weight
    for i in range(awake.size):
        c = awake[i]
        country = campaigns.country[c]
        low = world.endpoint_start[world.country_device[country]]
        high = world.endpoint_start[world.country_device[country + 1]]
        for s in range(size if high > low else 0):
            for t in range(TRIES):
                at = np.uint64(((c * size + s) * TRIES + t) * 2)
                lanes = philox.block(k0, k1, at >> np.uint64(2))
                edge = low + below(philox.lane_of(lanes, at), high - low)
                ip = world.device_endpoint[edge]
                campaigns.kit_endpoint[c, s] = ip
                weight = type_weight[world.ip_type[ip]] * role_weight[world.ip_role[ip]]
                device = np.searchsorted(world.endpoint_start, edge, side="right") - 1
                if world.device_role[device] != normal_device:
                    weight *= risky_weight
                if below(philox.lane_of(lanes, at + np.uint64(1)), most) < weight:
                    break
