"""6B.S1: the published world as arrays for kernels.

Entities are positions (published id − 1). Links are offset arrays (CSR): those of entity x are
entries start[x] … start[x + 1] − 1.

Twin: tests/reference/transactions/world.py.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.rng import Stream, philox, registry
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import read_columns

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Codes = NDArray[np.integer]

SCALE = 1024
"""Weights of activity and reach are integers: multiples of 1/1024."""


class World(NamedTuple):
    """Columns of a world that segment 6B reads, about 90 bytes a party. Codes are positions."""

    party_country: U8  # (parties,)
    party_segment: U8  # (parties,)
    home: I32  # household or firm, dense; −1: none, (parties,)
    home_start: I64  # offsets into `home_member`, (homes + 1,)
    home_member: I32  # parties by home
    exposed: U8  # 1: the party has a risky account or uses a risky device, (parties,)
    country_party: I64  # first party of every country, and their number, (countries + 1,)
    activity: I64  # weights summed over the parties before; 0 for unattachable ones, (parties + 1,)
    reach: I64  # activity times the segment's propensity to buy abroad, summed likewise
    account_start: I64  # offsets of a party's accounts, (parties + 1,)
    account_owner: I32  # (accounts,)
    account_type: U8  # (accounts,)
    account_role: U8  # canonical family, (accounts,)
    instrument_start: I64  # offsets of an account's instruments, (accounts + 1,)
    instrument_type: U8  # (instruments,)
    device_start: I64  # offsets into `party_device`, (parties + 1,)
    party_device: I32  # devices that a party owns or shares, in order of device
    device_owner: I32  # −1: a merchant's terminal, (devices,)
    device_type: U8  # (devices,)
    device_role: U8  # raw role, (devices,)
    device_shared: U8  # 1: more than one user, (devices,)
    device_country: U8  # (devices,)
    country_device: I64  # first owned device of every country, and their number, (countries + 1,)
    endpoint_start: I64  # offsets into `device_endpoint`, (devices + 1,)
    device_endpoint: I32  # endpoints of a device, the typical one first
    ip_type: U8  # (endpoints,)
    ip_role: U8  # canonical family, (endpoints,)
    merchant_role: U8  # canonical family, (merchants,)
    merchant_class: U8  # (merchants,)

    @property
    def parties(self) -> int:
        return int(self.party_country.size)

    @property
    def attachable(self) -> NDArray[np.bool_]:
        """Whether a party can transact: a payable account and a device in use, (parties,)."""
        return np.diff(self.activity) > 0


def load_world(inputs: Inputs, *, rewired: bool = False) -> World:
    """Reads the published tables of a run.

    rewired: shuffles the endpoints of all links inside the device's country. Raises InputError
    for a table that is missing, damaged or holds unknown codes.
    """
    read = WorldReader(inputs)
    # Links come first: reading them takes the most memory.
    endpoint_start, device_endpoint, ip_type, ip_role = _endpoints(read)
    people = read("s1_party_base_6A", "party_type", "segment_id", "country_iso", "household_id",
                  "business_group_id")  # fmt: skip
    parties = people["segment_id"].size
    devices = read("s4_device_base_6A", "device_type", "primary_party_id", "home_country_iso")
    if rewired:
        device_endpoint = _rewired(
            inputs.identity.seed, device_endpoint, endpoint_start, devices["home_country_iso"]
        )
    device_start, party_device, shared = _held_devices(read, parties, devices["device_type"].size)
    owner = (devices["primary_party_id"] - 1).astype(np.int32)
    accounts = read("s2_account_base_6A", "owner_party_id", "account_type")
    account_owner = (accounts["owner_party_id"] - 1).astype(np.int32)
    instruments = read("s3_instrument_base_6A", "account_id", "instrument_type")
    account_start = _starts(account_owner, parties)
    instrument_start = _starts(instruments["account_id"] - 1, account_owner.size)
    account_role = read.family("account")
    device_role = read("s5_device_fraud_roles_6A", "raw_role")["raw_role"]
    countries = len(inputs.geo.countries)
    risky_account = account_role != inputs.clean_code("account")
    risky_device = device_role != inputs.raw_code("device", "NORMAL_DEVICE")
    home, home_start, home_member = _homes(people["household_id"], people["business_group_id"])
    attachable = _attachable(
        inputs, account_start, accounts["account_type"], instrument_start, device_start,
        party_device, devices["device_type"],
    )  # fmt: skip
    activity = _activity(inputs, people["segment_id"], attachable)
    party_devices = int((owner >= 0).sum())
    return World(
        party_country=people["country_iso"].astype(np.uint8),
        party_segment=people["segment_id"].astype(np.uint8),
        home=home,
        home_start=home_start,
        home_member=home_member,
        exposed=_exposed(account_start, risky_account, device_start, party_device, risky_device),
        country_party=_first(people["country_iso"], countries),
        activity=_cumulative(activity),
        reach=_cumulative(_reach(inputs, people["segment_id"], activity)),
        account_start=account_start,
        account_owner=account_owner,
        account_type=accounts["account_type"].astype(np.uint8),
        account_role=account_role,
        instrument_start=instrument_start,
        instrument_type=instruments["instrument_type"].astype(np.uint8),
        device_start=device_start,
        party_device=party_device,
        device_owner=owner,
        device_type=devices["device_type"].astype(np.uint8),
        device_role=device_role.astype(np.uint8),
        device_shared=shared,
        device_country=devices["home_country_iso"].astype(np.uint8),
        country_device=_first(devices["home_country_iso"][:party_devices], countries),
        endpoint_start=endpoint_start,
        device_endpoint=device_endpoint,
        ip_type=ip_type,
        ip_role=ip_role,
        merchant_role=read.family("merchant"),
        merchant_class=inputs.merchant_class,
    )


class WorldReader:
    """Reads columns of published tables."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def __call__(self, name: str, *columns: str) -> dict[str, NDArray[np.int64]]:
        table = BY_NAME[name]
        codes = {c.name: self._inputs.codes(c.codes) for c in table.columns if c.codes}
        folder = RunPlace(self._inputs.root).dataset(name, self._inputs.identity)
        # The tables of 6A have no reals: ids are int64, codes uint8.
        return cast("dict[str, I64]", read_columns(folder, table, columns, codes))

    def family(self, entity: str) -> U8:
        """Canonical family of every entity, from its raw role."""
        raw = self(f"s5_{entity}_fraud_roles_6A", "raw_role")["raw_role"]
        return self._inputs.families(entity)[raw]

    def code(self, codes: str, word: str) -> int:
        """Position of a word in a code list."""
        return self._inputs.codes(codes).index(word)


def _endpoints(read: WorldReader) -> tuple[I64, I32, U8, U8]:
    """`endpoint_start`, `device_endpoint`, `ip_type` and `ip_role` of the world."""
    devices = read("s4_device_base_6A", "device_type")["device_type"].size
    links = read("s4_ip_links_6A", "ip_id", "device_id", "link_role")
    typical = read.code("ip_link_role", "TYPICAL_DEVICE_IP")
    start = np.zeros(devices + 1, dtype=np.int64)
    ip = np.empty(int((links["device_id"] > 0).sum()), dtype=np.int32)
    _by_device(links["ip_id"], links["device_id"], links["link_role"], typical, start, ip)
    del links
    base = read("s4_ip_base_6A", "ip_type")["ip_type"].astype(np.uint8)
    return start, ip, base, read.family("ip")


def _rewired(seed: int, endpoint: I32, start: I64, country: I64) -> I32:
    """Endpoints of all links, shuffled inside the device's country: all degrees are kept."""
    place = np.repeat(country, np.diff(start)).astype(np.uint8)
    draws = rewiring_stream(seed).flat(0, endpoint.size)
    out = np.empty_like(endpoint)
    out[np.argsort(place, kind="stable")] = endpoint[np.lexsort((draws, place))]
    return out


def _held_devices(read: WorldReader, parties: int, devices: int) -> tuple[I64, I32, U8]:
    """`device_start`, `party_device` and `device_shared` of the world."""
    links = read("s4_device_links_6A", "device_id", "party_id")
    held = links["party_id"] > 0
    party, device = links["party_id"][held] - 1, links["device_id"][held] - 1
    del links
    order = np.argsort(party, kind="stable")
    shared = np.bincount(device, minlength=devices) > 1
    return _starts(party, parties), device[order].astype(np.int32), shared.astype(np.uint8)


def _homes(household: I64, firm: I64) -> tuple[I32, I64, I32]:
    """`home`, `home_start` and `home_member` of the world; firms are numbered after households."""
    first = int(household.max(initial=0))
    home = np.where(household > 0, household - 1, np.where(firm > 0, firm - 1 + first, -1))
    homes = int(home.max(initial=-1)) + 1
    member = np.flatnonzero(home >= 0)
    order = np.argsort(home[member], kind="stable")
    return home.astype(np.int32), _starts(home[member], homes), member[order].astype(np.int32)


def _attachable(
    inputs: Inputs, account_start: I64, account_type: Codes, instrument_start: I64,
    device_start: I64, party_device: I32, device_type: Codes,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether a party has a payable account (in use, with an instrument) and a device in use."""
    use = inputs.table("account_type", inputs.pack.attachment.account_use)
    payable = (np.diff(instrument_start) > 0) & (use[account_type] > 0)
    in_use = inputs.table("device_type", inputs.pack.attachment.device_use)[device_type] > 0
    accounts = _cumulative(payable)
    devices = _cumulative(in_use[party_device])
    return (np.diff(accounts[account_start]) > 0) & (np.diff(devices[device_start]) > 0)


def _activity(inputs: Inputs, segment: Codes, attachable: NDArray[np.bool_]) -> I64:
    """Weight of every party as the customer of an arrival, (parties,).

    Log-normal around its segment's activity, at least 1/1024; 0 where it cannot transact.
    """
    policy = inputs.pack.attachment
    level = np.array([policy.segment_activity[s] for s in inputs.codes("segment")])
    out = np.empty(segment.size, dtype=np.int64)
    _draw_activity(*activity_stream(inputs.identity.seed).key, policy.activity_sigma,
                   level * SCALE, segment, attachable, out)  # fmt: skip
    return out


def _reach(inputs: Inputs, segment: Codes, activity: I64) -> I64:
    """Weight of every party as a traveller: its activity times its segment's propensity.

    A world in which no segment buys abroad has arrivals abroad nevertheless: then all parties
    travel alike, by activity.
    """
    propensity = np.array([p.cross_border for _, p in sorted(inputs.profiles.items())])
    reach = activity * np.rint(propensity * SCALE).astype(np.int64)[segment]
    return reach if reach.any() else activity


def rewiring_stream(seed: int) -> Stream:
    """Draws that shuffle endpoints: one a link, in order of device."""
    return registry.REWIRED.of(seed)


def activity_stream(seed: int) -> Stream:
    """Draws of activity: one a party."""
    return registry.ACTIVITY.of(seed)


def _exposed(
    account_start: I64, risky_account: NDArray[np.bool_], device_start: I64,
    party_device: I32, risky_device: NDArray[np.bool_],
) -> U8:  # fmt: skip
    """Whether a party has a risky account or uses a risky device."""
    accounts = _cumulative(risky_account)
    devices = _cumulative(risky_device[party_device])
    risky = (np.diff(accounts[account_start]) > 0) | (np.diff(devices[device_start]) > 0)
    return risky.astype(np.uint8)


def _starts(group: NDArray[np.integer], n: int) -> I64:
    """Offsets of the items of n groups; group: of every item, in any order."""
    return _cumulative(np.bincount(group, minlength=n))


def _first(country: NDArray[np.integer], countries: int) -> I64:
    """First row of every country, and the number of rows; country: ascending."""
    return np.searchsorted(country, np.arange(countries + 1)).astype(np.int64)


def _cumulative(weights: NDArray[np.generic]) -> I64:
    """Sums of the weights before each item, and their total: (items + 1,)."""
    out = np.zeros(weights.size + 1, dtype=np.int64)
    np.cumsum(weights, out=out[1:])
    return out


@kernel
def _by_device(ip, device, role, typical, start, out):  # type: ignore[no-untyped-def]
    """Sorts links by device, the typical endpoint first.

    Parameters
    ----------
    ip, device : int64 (links,)
        Published ids, in order of IP; device 0 is a link to a merchant and is left out.
    role : u8 (links,)
    typical : int
        Role of the typical endpoint.
    start : int64 (devices + 1,)
        0 before; filled with offsets into `out`.
    out : int32 (links of devices,)
        Filled with positions of endpoints.
    """
    for i in range(device.size):
        if device[i] > 0:
            start[device[i]] += 1
    for d in range(1, start.size):
        start[d] += start[d - 1]
    filled = start[:-1].copy()
    for first in (True, False):
        for i in range(device.size):
            if device[i] > 0 and (role[i] == typical) == first:
                d = device[i] - 1
                out[filled[d]] = ip[i] - 1
                filled[d] += 1


@kernel
def _draw_activity(k0, k1, sigma, level, segment, attachable, out):  # type: ignore[no-untyped-def]
    """Draws the activity weight of every party.

    Parameters
    ----------
    k0, k1 : u64
        Philox key of the stream: one draw a party.
    sigma : float
        Standard deviation of the log weight.
    level : float64 (segments,)
        Median weight.
    segment, attachable : integer (parties,), bool (parties,)
    out : int64 (parties,)
        Filled; 0 where not attachable.
    """
    lanes = philox.block(k0, k1, np.uint64(0))
    for p in range(segment.size):
        position = np.uint64(p)
        if position & np.uint64(3) == 0:
            lanes = philox.block(k0, k1, position >> np.uint64(2))
        z = normal.deviate(philox.lane_of(lanes, position))
        weight = np.int64(level[segment[p]] * normal.exp(sigma * z))
        out[p] = max(weight, 1) if attachable[p] else 0
