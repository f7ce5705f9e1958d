"""The country of a device, from its number in the world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.stages.pieces import Devices, Parties

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

NOWHERE = -1
"""Country of a device that does not exist."""


class DeviceCountries(NamedTuple):
    """Where the devices of a world live: party devices in order of country, then terminals."""

    first: I64  # first party device of every country, (countries + 1,)
    terminal: U8  # country of every terminal, (terminals,)

    @classmethod
    def of(cls, parties: Parties, devices: Devices, countries: int) -> DeviceCountries:
        """The devices of a world."""
        shard_country = [s.country for s in parties.shards]
        first = devices.first[np.searchsorted(shard_country, np.arange(countries + 1))]
        return cls(first, devices.terminals.country)

    def __call__(self, device: NDArray[np.integer]) -> I64:
        """Country of devices, or NOWHERE; (devices,)."""
        parties = self.first[-1]
        out: I64 = self.first.searchsorted(device, side="right") - 1
        beyond = device >= parties
        at = device[beyond].astype(np.int64) - parties
        exists = at < self.terminal.size
        country = np.full(at.size, NOWHERE, dtype=np.int64)
        country[exists] = self.terminal[at[exists]]
        out[beyond] = country
        return out

    @property
    def n(self) -> int:
        """Devices of the world."""
        return int(self.first[-1]) + self.terminal.size

    def party_devices(self, country: int) -> tuple[int, int]:
        """First party device of a country, and how many it has."""
        first, last = self.first[country : country + 2].tolist()
        return first, last - first

    def terminals(self, country: int) -> I64:
        """Numbers in the world of a country's terminals, ascending."""
        out: I64 = np.flatnonzero(self.terminal == country) + self.first[-1]
        return out
