"""6P.P4: life and make of devices, network and town of endpoints.

Twin: tests/reference/profiles/networks.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels.discrete import choices
from fraudworld.layers.profiles.ages import DAYS_PER_YEAR
from fraudworld.layers.profiles.choose import happens, uniform, unit, weight_table, words
from fraudworld.layers.profiles.merchants import Terminals
from fraudworld.layers.profiles.parties import DAY_0, thresholds_of
from fraudworld.layers.profiles.places import DIGITS, PlaceTable
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.choices import weighted_index
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_TIME

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class NetworksLaw:
    """The laws of devices and endpoints over one world."""

    inputs: Inputs
    policy: ProfilePack
    world: ProfileWorld
    places: PlaceTable
    since: I64  # customer since, (parties,)
    home_place: I32  # (parties,)
    language: I32  # of parties
    languages: tuple[str, ...]
    country_language: I64  # commonest language of every country
    terminal_place: I64  # of devices that are terminals, −1 for others, (devices,)
    device_of_endpoint: I32  # lowest device of an endpoint, −1: none, (endpoints,)

    @property
    def _seed(self) -> int:
        return self.inputs.identity.seed

    def device_life(self, low: int, high: int) -> tuple[I64, I64]:
        """First day seen and day of retirement (NO_TIME: in use) of devices low … high − 1.

        A device in use at the start of the horizon is a length-biased draw of lives, of which a
        uniform part is over.
        """
        law, base = self.policy.devices, self.world.base
        draws = streams.DEVICE.of(self._seed).draws(low, high - low)
        mean = np.array([law.life_years[t] for t in self.inputs.codes("device_type")])
        shortest, longest = 1.0 - law.life_width, 1.0 + law.life_width
        u = unit(draws[:, 0])
        biased = np.sqrt(shortest**2 + u * (longest**2 - shortest**2))
        life = DAYS_PER_YEAR * mean[base.device_type[low:high]] * biased
        back = 1 + np.floor(unit(draws[:, 1]) * life).astype(np.int64)
        owner = base.device_owner[low:high]
        since = np.where(owner < 0, NO_TIME, self.since[np.maximum(owner, 0)])
        first = np.maximum(DAY_0 - back, since)
        idle = base.endpoint_start[low + 1 : high + 1] == base.endpoint_start[low:high]
        gone = idle & happens(draws[:, 2], law.retired_share) & (first < DAY_0 - 1)
        day = first + 1 + uniform(draws[:, 3], np.maximum(DAY_0 - 1 - first, 1))
        return first, np.where(gone, day, NO_TIME)

    @cached_property
    def model_classes(self) -> tuple[str, ...]:
        """All price classes, sorted."""
        return tuple(sorted({c for of in self.policy.devices.model_classes.values() for c in of}))

    @cached_property
    def os_versions(self) -> tuple[str, ...]:
        """All versions of operating systems, sorted."""
        return tuple(sorted({v for of in self.policy.devices.os_versions.values() for v in of}))

    def device_make(self, low: int, high: int) -> tuple[U8, I32]:
        """Price class and version of the operating system."""
        law, base = self.policy.devices, self.world.base
        draws = streams.DEVICE.of(self._seed).draws(low, high - low)
        rows = [law.model_classes[t] for t in self.inputs.codes("device_type")]
        classes = weight_table(
            [{k: float(v) for k, v in r.items()} for r in rows], self.model_classes
        )
        model = choices(np.ascontiguousarray(draws[:, 4]), base.device_type[low:high], classes)
        rows = [law.os_versions[t] for t in self.inputs.codes("os_family")]
        versions = weight_table(
            [{k: float(v) for k, v in r.items()} for r in rows], self.os_versions
        )
        version = words(draws[:, 5], self.world.device_os[low:high], versions)
        return model, version

    def device_place(self, low: int, high: int) -> I64:
        """Town of devices: the owner's, the terminal's, else the largest of the country."""
        base = self.world.base
        owner, terminal = base.device_owner[low:high], self.terminal_place[low:high]
        largest = self.places.first[base.device_country[low:high]]
        elsewhere = np.where(terminal >= 0, terminal, largest)
        return np.where(owner >= 0, self.home_place[np.maximum(owner, 0)], elsewhere)

    def device_language(self, low: int, high: int) -> I32:
        """Language: the owner's or, for a share of devices, the other one of the policy."""
        law, base = self.policy.devices, self.world.base
        draw = streams.DEVICE.of(self._seed).draws(low, high - low)[:, 6]
        owner = base.device_owner[low:high]
        native = self.country_language[base.device_country[low:high]]
        spoken = np.where(owner >= 0, self.language[np.maximum(owner, 0)], native)
        other = self.languages.index(law.other_language)
        return np.where(happens(draw, law.other_language_share), other, spoken).astype(np.int32)

    def shared_by_carrier(self, low: int, high: int) -> NDArray[np.bool_]:
        """Whether endpoints are carrier-grade NAT."""
        law = self.policy.endpoints
        share = thresholds_of([law.cgnat_share[t] for t in self.inputs.codes("ip_type")])
        draw = streams.ENDPOINT.of(self._seed).draws(low, high - low)[:, 1]
        behind = (draw >> np.uint64(1)) < share[self.world.base.ip_type[low:high]]
        return self.world.endpoint_v4[low:high] & behind

    def endpoint_place(self, low: int, high: int) -> I64:
        """Town of endpoints: for a home line that of its first device's owner, if in its country.

        Others have a town of their country, by population.
        """
        base, country = self.world.base, self.world.endpoint_country[low:high]
        draw = streams.ENDPOINT.of(self._seed).draws(low, high - low)[:, 0]
        out = np.empty(high - low, dtype=np.int64)
        _places(draw, country, self.places.first, self.places.cumulative, out)
        device = self.device_of_endpoint[low:high]
        owner = np.where(device >= 0, base.device_owner[np.maximum(device, 0)], -1)
        at = np.maximum(owner, 0)
        home_line = base.ip_type[low:high] == self.inputs.codes("ip_type").index("RESIDENTIAL")
        known = home_line & (owner >= 0) & (base.party_country[at] == country)
        return np.where(known, self.home_place[at], out)


def terminal_places(terminals: Terminals, devices: int) -> I64:
    """Places of devices that are terminals, −1 for others, (devices,)."""
    out = np.full(devices, -1, dtype=np.int64)
    known = terminals.device >= 0
    out[terminals.device[known]] = terminals.place[known]
    return out


def first_devices(start: I64, endpoint: I32, endpoints: int) -> I32:
    """The lowest device of every endpoint; start, endpoint: links by device."""
    out = np.full(endpoints, -1, dtype=np.int32)
    _first_devices(start, endpoint, out)
    return out


def town(places: PlaceTable, place: I64) -> tuple[F64, F64]:
    """Published coordinates of places."""
    lat, lon = np.rint(places.lat * DIGITS) / DIGITS, np.rint(places.lon * DIGITS) / DIGITS
    return lat[place], lon[place]


@kernel
def _first_devices(start, endpoint, out):  # type: ignore[no-untyped-def]
    """out[e] = lowest device linked to endpoint e.

    start : int64 (devices + 1,); endpoint : int32 (links,); out : int32 (endpoints,), −1 before.
    """
    for d in range(start.size - 1, 0, -1):
        for j in range(start[d - 1], start[d]):
            out[endpoint[j]] = d - 1


@kernel
def _places(draw, country, first, cumulative, out):  # type: ignore[no-untyped-def]
    """out[i] = a place of country[i], by population.

    draw : uint64 (n,); country : uint8 (n,); first : int64 (countries + 1,); cumulative : int64
    (places + 1,); out : int64 (n,).
    """
    for i in range(out.size):
        out[i] = weighted_index(cumulative, first[country[i]], first[country[i] + 1], draw[i])
