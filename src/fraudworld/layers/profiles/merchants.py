"""6P.P0: merchants, outlets, terminals of outlets and cash machines of banks.

Twin: tests/reference/profiles/towns.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.errors import InputError
from fraudworld.inputs import tables as upstream
from fraudworld.jit import kernel
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.kernels.offsets import from_counts
from fraudworld.kernels.permute import permuted
from fraudworld.layers.profiles.choose import U64
from fraudworld.layers.profiles.places import PlaceTable
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.profiles.models import NameWords, Places
from fraudworld.rng import profiles as streams

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Outlets:
    """Merchants and outlets of the upstream; outlets in order of site_id."""

    mcc: NDArray[np.str_]  # (merchants,)
    home: NDArray[np.uint8]  # home country, (merchants,)
    virtual: NDArray[np.bool_]  # (merchants,)
    site: I64  # site_id, (outlets,)
    merchant: I64  # position, (outlets,)
    country: I64  # position, (outlets,)
    lat: F64
    lon: F64
    tzid: NDArray[np.str_]

    @property
    def n(self) -> int:
        return int(self.site.size)


def load_outlets(root: Path, countries: tuple[str, ...]) -> Outlets:
    """Reads segments 1A, 1B, 2A and 3B of a verified upstream.

    Raises RefusedError `6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID` for a table without its columns,
    and InputError `6P.S0.OUTLET_INCOMPLETE` for an outlet without location or time zone, or a
    site_id or merchant listed twice.
    """
    for segment, table in (("1B", "site_locations"), ("2A", "site_timezones"),
                           ("3B", "virtual_classification")):  # fmt: skip
        upstream.check_columns(root, segment, table)
    sites = upstream.read(root, "1A", "outlet_catalogue")
    order = np.argsort(sites["site_id"], kind="stable")
    sites = {name: values[order] for name, values in sites.items()}
    if (np.diff(sites["site_id"]) == 0).any() or sites["site_id"][0] < 1:
        raise _incomplete("outlet_catalogue lists a site_id twice, or one below 1")
    legal = np.searchsorted(countries, sites["legal_country_iso"])
    merchants = int(sites["merchant_id"].max())
    key = _keys(sites, countries)
    found: dict[str, NDArray[Any]] = {}
    for segment, table, names in (("1B", "site_locations", ("lat", "lon")),
                                  ("2A", "site_timezones", ("tzid",))):  # fmt: skip
        rows = upstream.read(root, segment, table)
        theirs = _keys(rows, countries)
        by_key = np.argsort(theirs, kind="stable")
        at = np.minimum(np.searchsorted(theirs[by_key], key), theirs.size - 1)
        if (theirs[by_key][at] != key).any():
            raise _incomplete(f"{table} lacks an outlet of outlet_catalogue")
        found |= {name: rows[name][by_key][at] for name in names}
    first = np.unique(sites["merchant_id"], return_index=True)[1]
    rows = upstream.read(root, "3B", "virtual_classification")
    virtual = np.zeros(merchants, dtype=bool)
    if sorted(rows["merchant_id"].tolist()) != list(range(1, merchants + 1)):
        raise _incomplete("virtual_classification lists other merchants than outlet_catalogue")
    virtual[rows["merchant_id"] - 1] = rows["is_virtual"].astype(bool)
    return Outlets(
        mcc=sites["mcc"][first],
        home=np.searchsorted(countries, sites["home_country_iso"][first]).astype(np.uint8),
        virtual=virtual,
        site=sites["site_id"],
        merchant=sites["merchant_id"] - 1,
        country=legal,
        lat=found["lat"],
        lon=found["lon"],
        tzid=found["tzid"],
    )


def _keys(rows: dict[str, NDArray[np.generic]], countries: tuple[str, ...]) -> I64:
    """Merchant, country and site_order of an outlet as one number."""
    country = np.minimum(np.searchsorted(countries, rows["legal_country_iso"]), len(countries) - 1)
    merchant, order = rows["merchant_id"].astype(np.int64), rows["site_order"].astype(np.int64)
    return (merchant * len(countries) + country) * (1 << 32) + order


def _incomplete(what: str) -> InputError:
    return InputError("6P.S0.OUTLET_INCOMPLETE", what, where="upstream",
                      remedy="seal the upstream with one row for every outlet")  # fmt: skip


def nearest_places(outlets: Outlets, places: PlaceTable) -> I32:
    """The place of every outlet: the nearest of its country, the first of equals, (outlets,)."""
    out = np.empty(outlets.n, dtype=np.int32)
    _nearest(outlets.country, outlets.lat, outlets.lon, places.first, places.lat, places.lon,
             places.stretch, out)  # fmt: skip
    return out


@kernel
def _nearest(country, lat, lon, first, place_lat, place_lon, stretch, out):  # type: ignore[no-untyped-def]
    """Finds the nearest place of the country of every point.

    Parameters
    ----------
    country, lat, lon : int64, float64, float64 (n,)
        Degrees.
    first : int64 (countries + 1,)
    place_lat, place_lon, stretch : float64 (places,)
        stretch: degrees of longitude as long as one of latitude.
    out : int32 (n,)
        Filled.
    """
    for i in range(out.size):
        best = 1e18
        for p in range(first[country[i]], first[country[i] + 1]):
            east = abs(lon[i] - place_lon[p])
            if east > 180.0:
                east = 360.0 - east
            east /= stretch[p]
            north = lat[i] - place_lat[p]
            far = north * north + east * east
            if far < best:
                best = far
                out[i] = p


def trading_names(mcc: NDArray[np.str_], words: NameWords, seed: int) -> list[str]:
    """A name for every merchant, all different: two words, dealt, and one of its trade."""
    pairs = len(words.first) * len(words.second)
    merchants = mcc.size
    size = pairs * (-(-merchants // pairs))
    keys = streams.MERCHANT_NAME.of(seed).draws(0, 1)[0]
    names = []
    for place, code in zip(permuted(0, merchants, size, keys).tolist(), mcc.tolist(), strict=True):
        again, pair = divmod(place, pairs)
        first, second = divmod(pair, len(words.second))
        trades = words.trades.get(code, words.trades["other"])
        name = f"{words.first[first]} {words.second[second]} {trades[place % len(trades)]}"
        names.append(f"{name} {again + 1}" if again else name)
    return names


@dataclass(frozen=True)
class Banks:
    """Banks of the world, numbered country by country."""

    first: I64  # first bank of every country, (countries + 1,)
    shares: U64  # thresholds of the banks of a country, (countries, most banks)


def load_banks(places: PlaceTable, policy: Places) -> Banks:
    """Banks from the population of the towns of every country."""
    people = np.add.reduceat(places.population, places.first[:-1]).astype(np.float64)
    # Rounded, as logarithms differ in the last bit between machines.
    size = np.log(np.maximum(people, 1e5) / 1e5) / np.log(policy.people_of_most_banks / 1e5)
    extra = (policy.most_banks - policy.least_banks) * np.clip(size, 0.0, 1.0).round(9)
    number = policy.least_banks + np.rint(extra).astype(np.int64)
    rank = np.arange(1, policy.most_banks + 1)
    weight = (1.0 / rank**policy.bank_exponent).round(12) * (rank <= number[:, None])
    return Banks(from_counts(number), thresholds(weight / weight.sum(axis=1, keepdims=True)))


@dataclass(frozen=True)
class Terminals:
    """Terminals of outlets in order of outlet, then cash machines in order of place."""

    first: I64  # first terminal of every outlet, then of every place, (outlets + places + 1,)
    device: I64  # −1: none, (terminals,)
    kind: NDArray[np.uint8]  # (terminals,)
    outlet: I64  # −1: a cash machine, (terminals,)
    bank: I64  # −1: of an outlet, (terminals,)
    place: I64  # (terminals,)

    @property
    def n(self) -> int:
        return int(self.kind.size)


def terminal_shares(mean: float, most: int) -> list[float]:
    """P(1 … most) of 1 + a geometric count of this mean, truncated above."""
    stay = 1.0 - 1.0 / mean
    shares = [stay**k for k in range(most)]
    return [s / sum(shares) for s in shares]


def make_terminals(
    inputs: Inputs, world: ProfileWorld, places: PlaceTable, outlets: Outlets, near: I32,
    banks: Banks, policy: Places,
) -> Terminals:  # fmt: skip
    """All terminals. Those that S4 made are dealt to the outlets of their merchant and country.

    An outlet has as many terminals as its class says, or as S4's that it got, if they are more;
    S4's come first, in order of device. A terminal of S4 whose merchant has no outlet in its
    country stands at the merchant's first outlet.
    """
    classes, kinds = inputs.codes("merchant_class"), tables.TERMINAL_KINDS
    of_class = inputs.merchant_class[outlets.merchant]
    laws = [policy.terminals[name] for name in classes]
    table = thresholds([terminal_shares(law.mean, policy.most_terminals) for law in laws])
    draws = streams.TERMINALS.of(inputs.identity.seed).flat(0, outlets.n)
    wanted = 1 + choices(draws, of_class, table).astype(np.int64)
    base = world.base
    device = np.flatnonzero(world.device_merchant >= 0)
    outlet = _outlet_of(
        outlets, world.device_merchant[device].astype(np.int64), base.device_country[device]
    )
    order = np.argsort(outlet, kind="stable")
    device, outlet = device[order], outlet[order]
    has = np.bincount(outlet, minlength=outlets.n)
    at_outlets = np.maximum(wanted, has)
    machines = np.clip(places.population // policy.people_per_cash_machine, 1,
                       policy.most_cash_machines)  # fmt: skip
    first = from_counts(np.concatenate([at_outlets, machines]))
    n_sites, n = int(first[outlets.n]), int(first[-1])
    outlet_of = np.full(n, -1, dtype=np.int64)
    outlet_of[:n_sites] = np.repeat(np.arange(outlets.n), at_outlets)
    device_of = np.full(n, -1, dtype=np.int64)
    slot = np.arange(device.size) - from_counts(has)[outlet]
    place_of_device = first[outlet] + slot
    device_of[place_of_device] = device
    kind = np.full(n, kinds.index("ATM"), dtype=np.uint8)
    kiosk = np.array([min(int(law.kiosk_share * 2.0**63), 1 << 63) for law in laws], np.uint64)
    drawn = streams.TERMINAL_KIND.of(inputs.identity.seed).flat(0, n_sites)
    is_kiosk = (drawn >> np.uint64(1)) < kiosk[of_class[outlet_of[:n_sites]]]
    kind[:n_sites] = np.where(is_kiosk, kinds.index("KIOSK"), kinds.index("POS_TERMINAL"))
    types = inputs.codes("device_type")
    other = kinds.index("POS_TERMINAL")
    by_type = np.array([kinds.index(t) if t in kinds else other for t in types], np.uint8)
    kind[place_of_device] = by_type[base.device_type[device]]
    place = np.empty(n, dtype=np.int64)
    place[:n_sites] = near[outlet_of[:n_sites]]
    place[n_sites:] = np.repeat(np.arange(places.n), machines)
    bank = np.full(n, -1, dtype=np.int64)
    country = places.country[place[n_sites:]]
    banked = streams.CASH_MACHINE.of(inputs.identity.seed).flat(0, n - n_sites)
    bank[n_sites:] = banks.first[country] + choices(banked, country, banks.shares)
    return Terminals(first, device_of, kind, outlet_of, bank, place)


def _outlet_of(outlets: Outlets, merchant: I64, country: NDArray[np.uint8]) -> I64:
    """Outlets of S4's terminals, dealt in turn inside merchant and country; (terminals,)."""
    cells = outlets.country.max(initial=0) + 256
    key = outlets.merchant * cells + outlets.country
    by_key = np.argsort(key, kind="stable")
    wanted = merchant * cells + country
    low = np.searchsorted(key[by_key], wanted)
    high = np.searchsorted(key[by_key], wanted, side="right")
    order = np.argsort(wanted, kind="stable")
    _, start, count = np.unique(wanted[order], return_index=True, return_counts=True)
    turn = np.empty(wanted.size, dtype=np.int64)
    turn[order] = np.arange(wanted.size) - np.repeat(start, count)
    dealt = by_key[np.minimum(low + turn % np.maximum(high - low, 1), key.size - 1)]
    first = np.searchsorted(outlets.merchant[by_key], merchant)
    return np.asarray(np.where(high > low, dealt, by_key[np.minimum(first, key.size - 1)]))


def place_columns(places: PlaceTable, low: int, high: int) -> Columns:
    """Rows of p0_place_6P."""
    cut = slice(low, high)
    return {
        "place_id": np.arange(low + 1, high + 1),
        "country_iso": places.country[cut],
        "name": places.name[cut],
        "lat": np.rint(places.lat[cut] * 1e5) / 1e5,
        "lon": np.rint(places.lon[cut] * 1e5) / 1e5,
        "population": places.population[cut],
        "tzid": places.zone[cut],
    }


def terminal_columns(terminals: Terminals, outlets: Outlets, low: int, high: int) -> Columns:
    """Rows of p0_terminal_6P."""
    cut = slice(low, high)
    outlet = terminals.outlet[cut]
    at = np.maximum(outlet, 0)
    return {
        "terminal_id": np.arange(low + 1, high + 1),
        "device_id": terminals.device[cut] + 1,
        "kind": terminals.kind[cut],
        "merchant_id": np.where(outlet < 0, 0, outlets.merchant[at] + 1),
        "site_id": np.where(outlet < 0, 0, outlets.site[at]),
        "bank_id": terminals.bank[cut] + 1,
        "place_id": terminals.place[cut] + 1,
    }
