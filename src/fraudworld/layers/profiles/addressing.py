"""6P.P4: addresses and autonomous systems of endpoints, those of the unlinked pool included.

An endpoint's counter is its rank among those of its country, operator and IP version, the world's
before the pool's; `identity/networks.py` turns it into an address.

Twin: tests/reference/profiles/networks.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.layers.profiles.identity import networks
from fraudworld.layers.profiles.identity.arrow import strings
from fraudworld.layers.profiles.pool import PoolLaw
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.policy.profiles.models import Endpoints

B = NDArray[np.bool_]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Addressing(NamedTuple):
    """Addresses of n endpoints: those of the world, then those of the pool."""

    seed: int
    v4: networks.NetworkLaw
    v6: networks.NetworkLaw
    cell: I32  # country · operators + operator, (n,)
    is_v4: B  # (n,)
    counter: I32  # inside cell and version, (n,)

    def columns(self, at: I64) -> tuple[pa.StringArray, I64]:
        """Addresses and autonomous systems of these endpoints, (rows,)."""
        cell, is_v4, counter = self.cell[at], self.is_v4[at], self.counter[at].astype(np.int64)
        system = np.empty(at.size, dtype=np.int64)
        written = []
        for law, rows in ((self.v4, is_v4), (self.v6, ~is_v4)):
            of = networks.endpoints(law, self.seed, cell[rows], counter[rows], at[rows])
            system[rows] = of.system
            written.append(strings(of.address, rows))
        return pc.coalesce(*written), system


def make_addressing(
    inputs: Inputs, identity: IdentityPolicy, policy: Endpoints, world: ProfileWorld, pool: PoolLaw
) -> Addressing:
    """Ranges of both versions, and counters of all endpoints.

    Raises InputError `6P.S1.ID_SPACE_EXHAUSTED` where a version has too few addresses.
    """
    seed, operators = inputs.identity.seed, inputs.codes("asn_class")
    made = pool.endpoints()
    country = np.concatenate([world.endpoint_country, made.country]).astype(np.int32)
    operator = np.concatenate([world.endpoint_operator, made.operator])
    cell = (country * len(operators) + operator).astype(np.int32)
    is_v4 = np.concatenate([world.endpoint_v4, made.is_v4])
    cells = len(inputs.geo.countries) * len(operators)
    used, counter = np.zeros((2, cells), dtype=np.int64), np.empty(cell.size, dtype=np.int32)
    _count(cell, is_v4, used, counter)
    systems = np.tile([policy.systems[o] for o in operators], len(inputs.geo.countries))
    v6, v4 = (
        networks.network_law(identity, seed, version, used[k], systems)
        for k, version in enumerate((networks.IPV6, networks.IPV4))
    )
    return Addressing(seed, v4, v6, cell, is_v4, counter)


@kernel
def _count(cell, is_v4, used, counter):  # type: ignore[no-untyped-def]
    """Ranks endpoints inside their cell and version.

    cell : int32 (n,); is_v4 : bool (n,); used : int64 (2, cells), 0 before, filled with endpoints
    of IPv6, then of IPv4; counter : int32 (n,), filled.
    """
    for i in range(cell.size):
        version = np.int64(is_v4[i])
        counter[i] = used[version, cell[i]]
        used[version, cell[i]] += 1
