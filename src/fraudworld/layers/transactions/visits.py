"""6B.S1: arrivals of one hour → visits → party, account, instrument, device, endpoint.

The campaigns awake in the country of an arrival take it with their shares; those of one campaign
are spread over its visits of the hour. All other arrivals of one country and channel are spread
over visits of ordinary customers. All arrivals of a visit have one party, device and endpoint.
Visits of campaigns also have one account; in visits of customers the account is chosen per
arrival. The instrument always is.

Every visit has a number in its stream of draws, which depends on the arrivals of its hour and
before only: a window has the same visits as the whole horizon.

Twin of all kernels here: tests/reference/transactions/visits.py:Attachment.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrivals import CHANNELS
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.campaigns import MOST_VISITS, Attacks
from fraudworld.layers.transactions.choices import (
    account_of,
    below,
    device_of,
    endpoint_of,
    happens,
    instrument_of,
    weighted_index,
)
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World
from fraudworld.rng import Stream, philox, registry
from fraudworld.rng.philox import Key

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

CHANNEL_COUNT = len(CHANNELS)
HOURS = 1 << 17
"""Hours in the numbers of campaign visits: more than the longest horizon has."""

SWAPPED_DEVICE, SWAPPED_ENDPOINT = np.uint8(1), np.uint8(2)
"""Bits of `Attached.swapped`."""


class ArrivalBlock(NamedTuple):
    """Arrivals base, base + 1, … of the horizon, in order of time; arrays (arrivals,)."""

    base: int  # number of the first arrival, from 0 at the start of the horizon
    moment: I64  # ms since 1970 UTC
    merchant: I32
    country: U8
    channel: U8  # position in CHANNELS

    @property
    def n(self) -> int:
        return int(self.moment.size)


class AttachmentPolicy(NamedTuple):
    """Attachment policy by position; probabilities are of 2**63."""

    home: NDArray[np.uint64]  # customers of the outlet's country, by channel
    flows_per_visit: float
    account_use: I64  # weights by account type
    instrument_use: I64  # weights, (channels, instrument types)
    device_use: I64  # weights by device type
    borrowed: np.uint64  # visits on a device of a member of the same home or firm
    typical: np.uint64  # visits from the device's typical endpoint
    collateral: np.uint64  # campaign visits that attack a neighbour of the victim


class Keys(NamedTuple):
    """Philox keys of the three streams of S1."""

    flow: Key  # draws of a flow: 0 campaign, 1 visit, 2 account, 3 instrument
    customer: Key  # draws of a customer's visit
    campaign: Key  # draws of a campaign's visit


class Attached(NamedTuple):
    """Entities of arrivals as positions, −1 for none; arrays (arrivals,)."""

    session: I64  # number of the visit's first arrival, from 0 at the start of the horizon
    party: I32
    account: I32
    instrument: I32
    device: I32
    endpoint: I32
    campaign: I32
    collateral: U8  # 1: a neighbour of the victim is attacked
    swapped: U8  # SWAPPED_DEVICE, SWAPPED_ENDPOINT


def threshold(share: float) -> np.uint64:
    """A probability as a fraction of 2**63, as `choices.happens` takes it."""
    return np.uint64(share * 2.0**63)


def attachment_policy(inputs: Inputs) -> AttachmentPolicy:
    """The attachment policy as arrays."""
    policy = inputs.pack.attachment
    return AttachmentPolicy(
        home=np.array([threshold(policy.home_share[c]) for c in CHANNELS], dtype=np.uint64),
        flows_per_visit=policy.flows_per_visit,
        account_use=inputs.table("account_type", policy.account_use).astype(np.int64),
        instrument_use=np.stack(
            [inputs.table("instrument_type", policy.instrument_use[c]) for c in CHANNELS]
        ).astype(np.int64),
        device_use=inputs.table("device_type", policy.device_use).astype(np.int64),
        borrowed=threshold(policy.household_device_share),
        typical=threshold(policy.typical_endpoint_share),
        collateral=threshold(inputs.pack.campaigns.collateral_share),
    )


def streams(seed: int) -> tuple[Stream, Stream, Stream]:
    """Streams of flows, of customers' visits and of campaigns' visits."""
    return (
        registry.FLOW_VISIT.of(seed),
        registry.VISIT.of(seed),
        registry.STRIKE_VISIT.of(seed),
    )


def stream_keys(seed: int) -> Keys:
    """Keys of `streams`."""
    flow, customer, campaign = streams(seed)
    return Keys(flow.key, customer.key, campaign.key)


def campaign_entities(campaigns: int) -> int:
    """Entities in the stream of campaign visits: campaign × hour × visit."""
    return campaigns * HOURS * MOST_VISITS


def attach_hour(
    hour: int,
    arrivals: ArrivalBlock,
    attacks: Attacks,
    world: World,
    policy: AttachmentPolicy,
    keys: Keys,
) -> Attached:
    """Entities of all arrivals of one UTC hour.

    hour: counted from the start of the horizon; the window of `attacks` holds it. arrivals: all
    arrivals of the hour, as the number of a country's visits depends on how many there are.
    """
    n = arrivals.n
    attached = Attached(
        session=np.empty(n, np.int64),
        party=np.empty(n, np.int32),
        account=np.empty(n, np.int32),
        instrument=np.empty(n, np.int32),
        device=np.empty(n, np.int32),
        endpoint=np.empty(n, np.int32),
        campaign=np.empty(n, np.int32),
        collateral=np.zeros(n, np.uint8),
        swapped=np.zeros(n, np.uint8),
    )
    entity = np.empty(n, np.int64)
    _assign_visits(hour, arrivals, attacks, world, policy, keys, entity, attached)
    _draw_visits(arrivals, attacks, world, policy, keys, entity, attached)
    return attached


@inlined
def _group_offsets(arrivals, countries):  # type: ignore[no-untyped-def]
    """Offsets of the arrivals of every (country, channel): int64 (countries · channels + 1,)."""
    country, channel = arrivals.country, arrivals.channel
    start = np.zeros(countries * CHANNEL_COUNT + 1, np.int64)
    for i in range(country.size):
        start[np.int64(country[i]) * CHANNEL_COUNT + channel[i] + 1] += 1
    for g in range(countries * CHANNEL_COUNT):
        start[g + 1] += start[g]
    return start


@inlined
def _campaign_visits(active, hour, countries):  # type: ignore[no-untyped-def]
    """Visits that all campaigns make in an hour."""
    row = hour - active.first_hour
    low, high = active.start[row * countries], active.start[(row + 1) * countries]
    return active.slot[high - 1] + active.visits[high - 1] if high > low else 0


@inlined
def _taking_entry(u, low, high, role, risk_class, channel, attacks):  # type: ignore[no-untyped-def]
    """The entry of `attacks.active` that takes an arrival; −1 where none does.

    Campaigns take their shares of one uniform, one after the other.

    Parameters
    ----------
    u : float in (0, 1)
    low, high : int
        Entries low … high − 1 of the hour and country.
    role, risk_class, channel : int
        Family and class of the merchant, and the channel, as positions.
    attacks : Attacks
    """
    for e in range(low, high):
        c = attacks.active.campaign[e]
        kind = attacks.campaigns.kind[c]
        if (attacks.tactics.roles[kind] >> role) & 1:
            appetite = attacks.tactics.appetite[kind, channel, risk_class]
            u -= attacks.campaigns.share[c] * appetite
            if u < 0.0:
                return e
    return -1


@kernel
def _assign_visits(hour, arrivals, attacks, world, policy, keys, entity, attached):  # type: ignore[no-untyped-def]
    """Assigns every arrival of an hour to a visit.

    Parameters
    ----------
    hour : int
        Of the horizon.
    arrivals, attacks, world, policy, keys : ArrivalBlock, Attacks, World, AttachmentPolicy, Keys
    entity : int64 (arrivals,)
        Filled with the visit's number in its stream of draws.
    attached : Attached
        `session` and `campaign` are filled.
    """
    base, merchant = arrivals.base, arrivals.merchant
    country, channel = arrivals.country, arrivals.channel
    active = attacks.active
    countries = world.country_party.size - 1
    group_start = _group_offsets(arrivals, countries)
    # A policy gives a visit at least half an arrival, so there are at most two visits an arrival.
    first_of_customer = np.full(2 * country.size, -1, np.int64)
    first_of_campaign = np.full(_campaign_visits(active, hour, countries), -1, np.int64)
    for i in range(country.size):
        lanes = philox.block(keys.flow[0], keys.flow[1], np.uint64(base + i))
        cell = (hour - active.first_hour) * countries + country[i]
        e = _taking_entry(
            normal.unit(lanes[0]), active.start[cell], active.start[cell + 1],
            np.int64(world.merchant_role[merchant[i]]), world.merchant_class[merchant[i]],
            channel[i], attacks,
        )  # fmt: skip
        if e >= 0:
            c = active.campaign[e]
            j = below(lanes[1], active.visits[e])
            slot = active.slot[e] + j
            if first_of_campaign[slot] < 0:
                first_of_campaign[slot] = i
            attached.session[i] = base + first_of_campaign[slot]
            attached.campaign[i] = c
            entity[i] = (np.int64(c) * HOURS + hour) * MOST_VISITS + j
        else:
            # Arrivals that campaigns take count as well: visits of customers must not depend on
            # the campaigns of the hour.
            g = np.int64(country[i]) * CHANNEL_COUNT + channel[i]
            size = group_start[g + 1] - group_start[g]
            visits = np.int64(np.ceil(size / policy.flows_per_visit))
            slot = 2 * group_start[g] + below(lanes[1], visits)
            if first_of_customer[slot] < 0:
                first_of_customer[slot] = i
            attached.session[i] = base + first_of_customer[slot]
            attached.campaign[i] = -1
            entity[i] = 2 * base + slot


@kernel
def _draw_visits(arrivals, attacks, world, policy, keys, entity, attached):  # type: ignore[no-untyped-def]
    """Draws party, device and endpoint of every visit, account and instrument of every arrival.

    Parameters
    ----------
    arrivals, attacks, world, policy, keys : ArrivalBlock, Attacks, World, AttachmentPolicy, Keys
    entity : int64 (arrivals,)
        The visit's number in its stream of draws.
    attached : Attached
        `session` and `campaign` are given, the others are filled.
    """
    base, country, channel = arrivals.base, arrivals.country, arrivals.channel
    for i in range(entity.size):
        first = attached.session[i] - base
        if first < i:
            attached.party[i] = attached.party[first]
            attached.device[i] = attached.device[first]
            attached.endpoint[i] = attached.endpoint[first]
            attached.account[i] = attached.account[first]
            attached.collateral[i] = attached.collateral[first]
            attached.swapped[i] = attached.swapped[first]
        elif attached.campaign[i] >= 0:
            _draw_campaign_visit(i, entity[i], attacks, world, policy, keys, attached)
        else:
            _draw_customer_visit(
                i, entity[i], country[i], channel[i], world, policy, keys, attached
            )
        lanes = philox.block(keys.flow[0], keys.flow[1], np.uint64(base + i))
        if attached.campaign[i] < 0:
            attached.account[i] = account_of(world, attached.party[i], policy.account_use, lanes[2])
        attached.instrument[i] = instrument_of(
            world, attached.account[i], policy.instrument_use[channel[i]], lanes[3]
        )


@kernel
def _draw_customer_visit(i, entity, country, channel, world, policy, keys, attached):  # type: ignore[no-untyped-def]
    """Party, device and endpoint of an ordinary visit.

    The party is from the outlet's country or a traveller, drawn by activity; the device is its
    own, or one of a member of its home or firm.

    Parameters
    ----------
    i : int
        First arrival of the visit, counted from 0 in the hour.
    entity : int64
        Number of the visit in its stream. Draws: 0 home or abroad, 1 party, 2 own device or
        borrowed, 3 from whom, 4 device, 5 typical endpoint or any, 6 endpoint.
    country, channel : int
    world, policy, keys : World, AttachmentPolicy, Keys
    attached : Attached
        Row i is filled.
    """
    a = philox.block(keys.customer[0], keys.customer[1], np.uint64(entity * 2))
    b = philox.block(keys.customer[0], keys.customer[1], np.uint64(entity * 2 + 1))
    party = -1
    if happens(a[0], policy.home[channel]):
        party = weighted_index(
            world.activity, world.country_party[country], world.country_party[country + 1], a[1]
        )
    if party < 0:
        # Where no party of the country can transact, everyone is a traveller.
        party = weighted_index(world.reach, 0, world.party_country.size, a[1])
    holder = party
    if happens(a[2], policy.borrowed) and world.home[party] >= 0:
        low = world.home_start[world.home[party]]
        high = world.home_start[world.home[party] + 1]
        holder = world.home_member[low + below(a[3], high - low)]
    device = device_of(world, holder, policy.device_use, b[0])
    if device < 0:
        device = device_of(world, party, policy.device_use, b[0])
    attached.party[i] = party
    attached.device[i] = device
    attached.endpoint[i] = endpoint_of(world, device, policy.typical, b[1], b[2])


@kernel
def _draw_campaign_visit(i, entity, attacks, world, policy, keys, attached):  # type: ignore[no-untyped-def]
    """Party, account, device and endpoint of a campaign's visit.

    Parameters
    ----------
    i : int
        First arrival of the visit, counted from 0 in the hour.
    entity : int64
        Number of the visit in its stream. Draws: 0 victim, 1 whether a neighbour is attacked,
        2 and 3 which one, 4 device, 5 and 6 whether it is swapped and for which of the kit, 7 and
        10 the same for the endpoint, 8 typical endpoint or any, 9 endpoint.
    attacks, world, policy, keys : Attacks, World, AttachmentPolicy, Keys
    attached : Attached
        Row i is filled.
    """
    campaigns, tactics = attacks.campaigns, attacks.tactics
    at = np.uint64(entity * 3)
    a = philox.block(keys.campaign[0], keys.campaign[1], at)
    b = philox.block(keys.campaign[0], keys.campaign[1], at + np.uint64(1))
    d = philox.block(keys.campaign[0], keys.campaign[1], at + np.uint64(2))
    c = attached.campaign[i]
    kind = campaigns.kind[c]
    low, high = campaigns.victim_start[c], campaigns.victim_start[c + 1]
    account = campaigns.victim[low + below(a[0], high - low)]
    if happens(a[1], policy.collateral):
        neighbour = _neighbour(account, world, policy, a[2], a[3])
        if neighbour >= 0:
            account = neighbour
            attached.collateral[i] = 1
    party = world.account_owner[account]
    # A neighbour may have no device in use: then device and endpoint are −1.
    device = device_of(world, party, policy.device_use, b[0])
    if normal.unit(b[1]) < tactics.device_swap[kind]:
        kit = campaigns.kit_device[c, below(b[2], campaigns.kit_device.shape[1])]
        if kit >= 0:
            device = kit
            attached.swapped[i] |= SWAPPED_DEVICE
    endpoint = endpoint_of(world, device, policy.typical, d[0], d[1])
    if normal.unit(b[3]) < tactics.ip_swap[kind]:
        kit = campaigns.kit_endpoint[c, below(d[2], campaigns.kit_endpoint.shape[1])]
        if kit >= 0:
            endpoint = kit
            attached.swapped[i] |= SWAPPED_ENDPOINT
    attached.party[i] = party
    attached.account[i] = account
    attached.device[i] = device
    attached.endpoint[i] = endpoint


@kernel
def _neighbour(account, world, policy, draw, owner_draw):  # type: ignore[no-untyped-def]
    """An account beside the victim's, −1 for none.

    Another account of the victim, if `draw` names another. Else an account, by `owner_draw`, of
    the owner of the first device that the victim uses but does not own; owners of further such
    devices are never attacked.
    """
    party = world.account_owner[account]
    other = account_of(world, party, policy.account_use, draw)
    if other != account:
        return other
    for e in range(world.device_start[party], world.device_start[party + 1]):
        owner = world.device_owner[world.party_device[e]]
        if owner >= 0 and owner != party:
            return account_of(world, owner, policy.account_use, owner_draw)
    return -1
