"""The published world as arrays that kernels can walk: who holds what, who is seen where.

Positions are 0-based (published id − 1). Links are lists in compressed form: `start[x]` is
the first entry of x and `start[x + 1]` the first of the next one.
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
"""Activity weights are whole multiples of 1/1024."""


class World(NamedTuple):
    """Columns of a world as segment 6B reads them. About 90 bytes a party."""

    party_country: U8
    party_segment: U8
    home: I32  # dense over households and firms; −1: none
    home_start: I64
    home_member: I32
    exposed: U8  # 1: the party has a risky account or uses a risky device
    country_party: I64  # first party of every country, and the end
    activity: I64  # cumulative weights, shape (parties + 1,); unattachable parties weigh 0
    reach: I64  # the same, times the segment's propensity to buy abroad
    account_start: I64
    account_owner: I32
    account_type: U8
    account_role: U8  # canonical family
    instrument_start: I64  # by account
    instrument_type: U8
    device_start: I64  # by party: devices it owns, then those it shares
    party_device: I32
    device_owner: I32  # −1: terminal
    device_type: U8
    device_role: U8  # raw role
    device_shared: U8  # 1: more than one user
    device_country: U8
    country_device: I64  # first party device of every country, and the end
    endpoint_start: I64  # by device: its typical endpoint first
    device_endpoint: I32
    ip_type: U8
    ip_role: U8  # canonical family
    merchant_role: U8  # canonical family
    merchant_class: U8

    @property
    def parties(self) -> int:
        return int(self.party_country.size)

    @property
    def attachable(self) -> NDArray[np.bool_]:
        """Parties that can transact: an account with an instrument, and a device."""
        return np.diff(self.activity) > 0


def load_world(inputs: Inputs, *, rewired: bool = False) -> World:
    """Read what 6B needs of the run's published tables; `rewired` as `StreamRequest` says.

    Raises InputError where a table is missing, damaged or outside its taxonomy.
    """
    read = _Reader(inputs)
    # Links first: they need the most memory while they are read.
    endpoint_start, device_endpoint, ip_type, ip_role = _endpoints(read)
    people = read("s1_party_base_6A", "party_type", "segment_id", "country_iso", "household_id",
                  "business_group_id")  # fmt: skip
    parties = people["segment_id"].size
    devices = read("s4_device_base_6A", "device_type", "primary_party_id", "home_country_iso")
    if rewired:
        device_endpoint = _dealt_anew(
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
    can = _attachable(
        inputs, account_start, accounts["account_type"], instrument_start, device_start,
        party_device, devices["device_type"],
    )  # fmt: skip
    weight = _activity(inputs, people["segment_id"], can)
    reach = np.array([p.cross_border for _, p in sorted(inputs.profiles.items())])
    abroad = weight * np.rint(reach * SCALE).astype(np.int64)[people["segment_id"]]
    party_devices = int((owner >= 0).sum())
    return World(
        party_country=people["country_iso"].astype(np.uint8),
        party_segment=people["segment_id"].astype(np.uint8),
        home=home,
        home_start=home_start,
        home_member=home_member,
        exposed=_exposed(account_start, risky_account, device_start, party_device, risky_device),
        country_party=_first(people["country_iso"], countries),
        activity=_cumulative(weight),
        reach=_cumulative(abroad),
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


class _Reader:
    """Columns of a published table, by name."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def __call__(self, name: str, *columns: str) -> dict[str, NDArray[np.int64]]:
        table = BY_NAME[name]
        codes = {c.name: self._inputs.codes(c.codes) for c in table.columns if c.codes}
        folder = RunPlace(self._inputs.root).dataset(name, self._inputs.identity)
        # Ids come as int64, codes as uint8: whole numbers all of them.
        return cast("dict[str, I64]", read_columns(folder, table, columns, codes))

    def family(self, entity: str) -> U8:
        """Canonical family of every entity, from its raw role."""
        raw = self(f"s5_{entity}_fraud_roles_6A", "raw_role")["raw_role"]
        return self._inputs.families(entity)[raw]

    def code(self, codes: str, word: str) -> int:
        return self._inputs.codes(codes).index(word)


def _endpoints(read: _Reader) -> tuple[I64, I32, U8, U8]:
    devices = read("s4_device_base_6A", "device_type")["device_type"].size
    links = read("s4_ip_links_6A", "ip_id", "device_id", "link_role")
    typical = read.code("ip_link_role", "TYPICAL_DEVICE_IP")
    start = np.zeros(devices + 1, dtype=np.int64)
    ip = np.empty(int((links["device_id"] > 0).sum()), dtype=np.int32)
    _by_device(links["ip_id"], links["device_id"], links["link_role"], typical, start, ip)
    del links
    base = read("s4_ip_base_6A", "ip_type")["ip_type"].astype(np.uint8)
    return start, ip, base, read.family("ip")


def _dealt_anew(seed: int, endpoint: I32, start: I64, country: I64) -> I32:
    """Endpoints of all links shuffled inside the device's country: every degree is kept."""
    place = np.repeat(country, np.diff(start)).astype(np.uint8)
    draws = rewiring_stream(seed).flat(0, endpoint.size)
    out = np.empty_like(endpoint)
    out[np.argsort(place, kind="stable")] = endpoint[np.lexsort((draws, place))]
    return out


def _held_devices(read: _Reader, parties: int, devices: int) -> tuple[I64, I32, U8]:
    """Devices of every party, and whether a device has several users."""
    links = read("s4_device_links_6A", "device_id", "party_id")
    held = links["party_id"] > 0
    party, device = links["party_id"][held] - 1, links["device_id"][held] - 1
    del links
    order = np.argsort(party, kind="stable")
    shared = np.bincount(device, minlength=devices) > 1
    return (
        _starts(party, parties),
        device[order].astype(np.int32),
        shared.astype(np.uint8),
    )


def _homes(household: I64, firm: I64) -> tuple[I32, I64, I32]:
    """Home of every party, and the parties of every home; firms are numbered after homes."""
    first = int(household.max(initial=0))
    home = np.where(household > 0, household - 1, np.where(firm > 0, firm - 1 + first, -1))
    homes = int(home.max(initial=-1)) + 1
    living = np.flatnonzero(home >= 0)
    order = np.argsort(home[living], kind="stable")
    return home.astype(np.int32), _starts(home[living], homes), living[order].astype(np.int32)


def _attachable(
    inputs: Inputs, account_start: I64, account_type: Codes, instrument_start: I64,
    device_start: I64, party_device: I32, device_type: Codes,
) -> NDArray[np.bool_]:  # fmt: skip
    """Parties with a payable account and a device they can act through."""
    use = inputs.table("account_type", inputs.pack.attachment.account_use)
    payable = (np.diff(instrument_start) > 0) & (use[account_type] > 0)
    handy = inputs.table("device_type", inputs.pack.attachment.device_use)[device_type] > 0
    accounts = _cumulative(payable)
    devices = _cumulative(handy[party_device])
    return (np.diff(accounts[account_start]) > 0) & (np.diff(devices[device_start]) > 0)


def _activity(inputs: Inputs, segment: Codes, can: NDArray[np.bool_]) -> I64:
    """Weight of every party as an origin of arrivals: log-normal, times its segment's."""
    policy = inputs.pack.attachment
    level = np.array([policy.segment_activity[s] for s in inputs.codes("segment")])
    out = np.empty(segment.size, dtype=np.int64)
    _draw_activity(*activity_stream(inputs.identity.seed).key, policy.activity_sigma,
                   level * SCALE, segment, can, out)  # fmt: skip
    return out


def rewiring_stream(seed: int) -> Stream:
    """A draw a link, in the order of devices, where endpoints are dealt anew."""
    return registry.REWIRED.of(seed)


def activity_stream(seed: int) -> Stream:
    """One draw per party: how active it is."""
    return registry.ACTIVITY.of(seed)


def _exposed(
    account_start: I64, risky_account: NDArray[np.bool_], device_start: I64,
    party_device: I32, risky_device: NDArray[np.bool_],
) -> U8:  # fmt: skip
    accounts = _cumulative(risky_account)
    devices = _cumulative(risky_device[party_device])
    risky = (np.diff(accounts[account_start]) > 0) | (np.diff(devices[device_start]) > 0)
    return risky.astype(np.uint8)


def _starts(sorted_or_not: NDArray[np.integer], n: int) -> I64:
    return _cumulative(np.bincount(sorted_or_not, minlength=n))


def _first(country: NDArray[np.integer], countries: int) -> I64:
    """First row of every country of rows in order of country, and the end."""
    return np.searchsorted(country, np.arange(countries + 1)).astype(np.int64)


def _cumulative(weights: NDArray[np.generic]) -> I64:
    out = np.zeros(weights.size + 1, dtype=np.int64)
    np.cumsum(weights, out=out[1:])
    return out


@kernel
def _by_device(ip, device, role, typical, start, out):  # type: ignore[no-untyped-def]
    """Turn links in order of IP into lists per device, the typical endpoint first."""
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
def _draw_activity(k0, k1, sigma, level, segment, can, out):  # type: ignore[no-untyped-def]
    lanes = philox.block(k0, k1, np.uint64(0))
    for p in range(segment.size):
        position = np.uint64(p)
        if position & np.uint64(3) == 0:
            lanes = philox.block(k0, k1, position >> np.uint64(2))
        z = normal.deviate(philox.lane_of(lanes, position))
        weight = np.int64(level[segment[p]] * normal.exp(sigma * z))
        out[p] = max(weight, 1) if can[p] else 0
