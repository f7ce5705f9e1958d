"""6P.P4: devices and endpoints that no party of the world has used yet.

By country, then devices before endpoints, then by type; as many as the policy has for every device
of the country's parties and every endpoint of the country. No row depends on who will use it.

Twin: tests/reference/profiles/pool.py:pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.kernels.discrete import choices
from fraudworld.kernels.offsets import from_counts
from fraudworld.layers.profiles.choose import weight_table
from fraudworld.layers.profiles.parties import thresholds_of
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_CODE

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class PoolEndpoints(NamedTuple):
    """Endpoints of the pool, in order; (endpoints,)."""

    row: I64  # in the pool
    country: U8
    operator: U8
    is_v4: NDArray[np.bool_]


@dataclass(frozen=True)
class PoolLaw:
    """The pool of one world."""

    inputs: Inputs
    policy: ProfilePack
    types: tuple[str, ...]  # of devices and endpoints, sorted
    models: tuple[str, ...]  # price classes, sorted
    kinds: tuple[tuple[bool, str], ...]  # (is an endpoint, type) in order of the rows of a country
    first: I64  # first row of every country and kind, (countries · kinds + 1,)

    @property
    def n(self) -> int:
        """Rows of the pool."""
        return int(self.first[-1])

    def _places(self, low: int, high: int) -> tuple[I64, I64, NDArray[np.bool_]]:
        """Country and kind of rows, and whether they are endpoints."""
        cell = np.searchsorted(self.first, np.arange(low, high), side="right") - 1
        country, kind = np.divmod(cell, len(self.kinds))
        return country, kind, np.array([endpoint for endpoint, _ in self.kinds])[kind]

    def endpoints(self) -> PoolEndpoints:
        """All endpoints of the pool, in its order."""
        country, kind, is_endpoint = self._places(0, self.n)
        at = np.flatnonzero(is_endpoint)
        country, kind = country[at], kind[at]
        draws = streams.POOL.of(self.inputs.identity.seed)
        pool, v6 = self.policy.pool, self.inputs.pack.ip_count_priors.ipv6_share
        operators = self.inputs.codes("asn_class")
        none = {operators[0]: 1.0}
        weights = [_floats(pool.operators[t]) if endpoint else none for endpoint, t in self.kinds]
        share = thresholds_of([v6[t] if endpoint else 0.0 for endpoint, t in self.kinds])
        return PoolEndpoints(
            at,
            country.astype(np.uint8),
            choices(draws.at(at), kind, weight_table(weights, operators)),
            (draws.at(at, 1) >> np.uint64(1)) >= share[kind],
        )

    def rows(self, low: int, high: int) -> dict[str, NDArray[np.generic]]:
        """Rows of p4_unlinked_pool_6P, without addresses."""
        country, kind, is_endpoint = self._places(low, high)
        first = streams.POOL.of(self.inputs.identity.seed).at(np.arange(low, high))
        plain = {self.models[0]: 1.0}
        made = [
            plain if endpoint else _floats(self.policy.devices.model_classes[name])
            for endpoint, name in self.kinds
        ]
        model = choices(first, kind, weight_table(made, self.models))
        names = np.array([self.types.index(name) for _, name in self.kinds], dtype=np.int32)
        entities = tables.CODES["pool_entity"]
        return {
            "pool_id": np.arange(low + 1, high + 1),
            "entity": np.where(is_endpoint, entities.index("IP"), entities.index("DEVICE")).astype(
                np.uint8
            ),
            "type": names[kind],
            "country_iso": country.astype(np.uint8),
            "model_class": np.where(is_endpoint, NO_CODE, model).astype(np.uint8),
        }


def make_pool(
    inputs: Inputs, policy: ProfilePack, world: ProfileWorld, models: tuple[str, ...]
) -> PoolLaw:
    """The sizes of the pool, from the devices and endpoints of every country."""
    countries, base = len(inputs.geo.countries), world.base
    owned = base.device_owner >= 0
    devices = np.bincount(base.device_country[owned], minlength=countries)
    endpoints = np.bincount(world.endpoint_country, minlength=countries)
    pool = policy.pool
    kinds = tuple((False, t) for t in sorted(pool.devices))
    kinds += tuple((True, t) for t in sorted(pool.endpoints))
    shares = np.array([pool.devices[t] for t in sorted(pool.devices)])
    more = np.array([pool.endpoints[t] for t in sorted(pool.endpoints)])
    wanted = np.concatenate([devices[:, None] * shares, endpoints[:, None] * more], axis=1)
    counts = np.maximum(np.floor(wanted + 0.5).astype(np.int64), pool.least)
    types = tuple(sorted({*inputs.codes("device_type"), *inputs.codes("ip_type")}))
    return PoolLaw(inputs, policy, types, models, kinds, from_counts(counts.ravel()))


def _floats(weights: Mapping[str, int]) -> dict[str, float]:
    return {name: float(weight) for name, weight in weights.items()}
