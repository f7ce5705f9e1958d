"""Keys, streams and the record of what was drawn from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fraudworld.rng import philox

FAMILIES = (
    "party_count_realisation",
    "party_attribute_sampling",
    *(
        f"{entity}_{purpose}"
        for entity in ("account", "instrument", "device", "ip")
        for purpose in ("count_realisation", "allocation_sampling", "attribute_sampling")
    ),
    *(f"fraud_role_sampling_{e}" for e in ("party", "account", "merchant", "device", "ip")),
    # Segment 6B: the hourly law of 5B on demand, then S1 to S4.
    "arrival_realisation",
    *(f"{what}_sampling" for what in ("attachment", "flow", "campaign", "label", "bank_view")),
    # Layer 6P: profiles; names, numbers and addresses.
    "profile_sampling",
    "identity_sampling",
)


RNG_LAW_VERSION = "philox4x64-10/flat-stream/1"

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class StreamUse:
    """Evidence of what was drawn in one plan cell of one stream.

    Entities are 0-based and inclusive; `draws` is entities × width for a dense use.
    """

    label: str
    family: str
    width: int
    cell: str
    first_entity: int
    last_entity: int
    entities: int
    draws: int


@cache
def _key(seed: int, label: str) -> tuple[np.uint64, np.uint64]:
    """The Philox key of a stream; cached, as every task asks for it."""
    text = f"{RNG_LAW_VERSION}\0{seed}\0{label}".encode()
    k0, k1 = np.frombuffer(hashlib.sha256(text).digest()[:16], dtype="<u8")
    return k0, k1


@dataclass(frozen=True)
class Stream:
    """One named stream of one seed."""

    seed: int
    label: str
    family: str
    width: int = 1

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown substream family {self.family!r} of {self.label!r}")

    @property
    def key(self) -> tuple[np.uint64, np.uint64]:
        """The Philox key: two u64, a function of (law version, seed, label)."""
        return _key(self.seed, self.label)

    def draws(self, first: int, count: int) -> U64:
        """All draws of entities first … first + count − 1: u64, shape (count, width)."""
        out = np.empty(count * self.width, dtype=np.uint64)
        philox.fill(*self.key, np.uint64(first * self.width), out)
        return out.reshape(count, self.width)

    def flat(self, first: int, count: int) -> U64:
        """`draws` of a stream of width 1, as a vector."""
        if self.width != 1:
            raise ValueError(f"stream {self.label!r} has width {self.width}, not 1")
        return self.draws(first, count).reshape(count)

    def at(self, entities: NDArray[np.integer], index: int = 0) -> U64:
        """Draw `index` of each of `entities`: u64, one per entity."""
        positions = entities.astype(np.uint64) * np.uint64(self.width) + np.uint64(index)
        out = np.empty(positions.size, dtype=np.uint64)
        philox.gather(*self.key, positions, out)
        return out

    def use(self, cell: str, first: int, count: int, *, entities: int | None = None) -> StreamUse:
        """Evidence that entities first … first + count − 1 drew in `cell`.

        `entities` is given where only some entities of that range drew.
        """
        drawn = count if entities is None else entities
        return StreamUse(
            label=self.label,
            family=self.family,
            width=self.width,
            cell=cell,
            first_entity=first,
            last_entity=first + max(count, 1) - 1,
            entities=drawn,
            draws=drawn * self.width,
        )
