"""6P: what the laws of profiles read of a published world, and how its homes are numbered.

Entities are positions (published id − 1). A *home* here is a household, a firm or the home of a
party that has neither; its *leader* is its first party.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels.offsets import from_counts
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import World, WorldReader, load_world

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

PERSON = "RETAIL"
"""The party type whose parties are persons."""


@dataclass(frozen=True)
class ProfileWorld:
    """A published world as arrays; codes are positions in the lists of `Inputs.codes`."""

    base: World
    region: U8  # region of every country, (countries,)
    person: NDArray[np.bool_]  # (parties,)
    household: NDArray[np.bool_]  # whether the home is a household, (parties,)
    party_role: U8  # raw role, (parties,)
    leader: I32  # first party of the home, (parties,)
    home_number: I32  # homes by leader, dense in order of leader, (parties,)
    home_first: I64  # first home of every country, and their number, (countries + 1,)
    dormant_risky: NDArray[np.bool_]  # (accounts,)
    instrument_account: I32  # (instruments,)
    instrument_scheme: U8  # (instruments,)
    device_merchant: I32  # −1: none, (devices,)
    device_os: U8  # (devices,)
    endpoint_country: U8  # (endpoints,)
    endpoint_operator: U8  # (endpoints,)
    endpoint_v4: NDArray[np.bool_]  # (endpoints,)


def read_world(inputs: Inputs) -> ProfileWorld:
    """Reads the published tables of a run. Raises InputError as `load_world` does."""
    base, read = load_world(inputs), WorldReader(inputs)
    people = read("s1_party_base_6A", "party_type", "household_id")
    instruments = read("s3_instrument_base_6A", "account_id", "scheme")
    devices = read("s4_device_base_6A", "primary_merchant_id", "os_family")
    endpoints = read("s4_ip_base_6A", "country_iso", "asn_class", "ip_version")
    leader = np.arange(base.parties, dtype=np.int32)
    settled = base.home >= 0
    leader[settled] = base.home_member[base.home_start[base.home[settled]]]
    leads = leader == np.arange(base.parties)
    before = from_counts(leads)
    dormant = inputs.codes("account_raw_role").index("DORMANT_RISKY")
    return ProfileWorld(
        base=base,
        region=inputs.geo.region,
        person=people["party_type"] == inputs.codes("party_type").index(PERSON),
        household=people["household_id"] > 0,
        party_role=_narrow(read("s5_party_fraud_roles_6A", "raw_role")["raw_role"]),
        leader=leader,
        home_number=before[leader].astype(np.int32),
        home_first=before[base.country_party],
        dormant_risky=read("s5_account_fraud_roles_6A", "raw_role")["raw_role"] == dormant,
        instrument_account=(instruments["account_id"] - 1).astype(np.int32),
        instrument_scheme=_narrow(instruments["scheme"]),
        device_merchant=(devices["primary_merchant_id"] - 1).astype(np.int32),
        device_os=_narrow(devices["os_family"]),
        endpoint_country=_narrow(endpoints["country_iso"]),
        endpoint_operator=_narrow(endpoints["asn_class"]),
        endpoint_v4=endpoints["ip_version"] == inputs.codes("ip_version").index("IPV4"),
    )


def _narrow(codes: NDArray[np.integer]) -> U8:
    return codes.astype(np.uint8)
