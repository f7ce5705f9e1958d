"""6B.S3, what kernels read of campaigns: their tactics, and which of them are awake when.

Twin: tests/reference/transactions/campaigns.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.transactions import CAMPAIGN_TYPES
from fraudworld.inputs.arrivals import CHANNELS
from fraudworld.layers.transactions.inputs import Inputs

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MOST_VISITS = 64
"""Visits of a campaign in an hour; further arrivals make these visits longer."""


class Tactics(NamedTuple):
    """Policy of the campaign types, rows by CAMPAIGN_TYPES."""

    appetite: F64  # share of arrivals it can use, (types, channels, merchant classes)
    roles: I64  # bit mask of the merchant families it can use, (types,)
    exposed_weight: I64  # weight of a victim with a risky account or device, (types,)
    account_factor: F64  # on a victim's weight, (types, account families)
    device_swap: F64  # probability that a visit uses a device of the kit, (types,)
    ip_swap: F64  # the same for endpoints, (types,)
    amount_factor: F64  # on the amount, (types,)
    declined: F64  # share of declined flows, (types,)
    refund: F64  # share of cleared flows with a refund, (types,)


class Campaigns(NamedTuple):
    """One row per campaign of the horizon, by type, then in the order drawn."""

    kind: U8  # position in CAMPAIGN_TYPES, (campaigns,)
    country: U8  # (campaigns,)
    first_hour: I32  # of the horizon; may be negative, (campaigns,)
    last_hour: I32  # first hour after it, (campaigns,)
    planned: I64  # flows expected over its whole life, (campaigns,)
    share: F64  # of the arrivals it can use in an hour awake, (campaigns,)
    victim_start: I64  # offsets into `victim`, (campaigns + 1,)
    victim: I32  # account; −1 where the campaign is not awake in the window
    kit_device: I32  # (campaigns, devices of a kit); −1 as above, or the country has none
    kit_endpoint: I32  # (campaigns, endpoints of a kit); −1 likewise


class Active(NamedTuple):
    """Entries (hour, country, campaign) of the window: which campaign is awake when and where."""

    first_hour: int  # of the window
    start: I64  # offsets of the entries of (hour − first_hour) · countries + country
    campaign: I32  # (entries,)
    visits: I32  # visits the campaign makes in the hour, (entries,)
    slot: I64  # number of its first visit among those of all campaigns of the hour, (entries,)


class Attacks(NamedTuple):
    """All campaigns of the horizon, and when they are awake in the window."""

    campaigns: Campaigns
    tactics: Tactics
    active: Active


def tactics_of(inputs: Inputs) -> Tactics:
    """The policy of the campaign types as arrays."""
    types = [inputs.pack.campaigns.types[name] for name in CAMPAIGN_TYPES]
    families = inputs.codes("merchant_family")
    all_families = (1 << len(families)) - 1
    return Tactics(
        appetite=np.array(
            [
                np.outer(
                    [t.channels[c] for c in CHANNELS],
                    inputs.table("merchant_class", t.merchant_classes),
                )
                for t in types
            ]
        ),
        roles=np.array(
            [sum(1 << families.index(r) for r in t.merchant_roles) or all_families for t in types]
        ),
        exposed_weight=np.array([t.exposed_party_weight for t in types]),
        account_factor=np.stack([inputs.table("account_family", t.account_roles) for t in types]),
        device_swap=np.array([t.device_swap for t in types]),
        ip_swap=np.array([t.ip_swap for t in types]),
        amount_factor=np.array([t.amount_factor for t in types]),
        declined=np.array([t.declined_share for t in types]),
        refund=np.array([t.refund_share for t in types]),
    )
