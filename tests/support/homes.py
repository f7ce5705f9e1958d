"""Packs with other laws of homes, and homes drawn of parties in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.models import Households
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import registry
from fraudworld.stages.parties.homes import form_homes, home_kinds

Array = NDArray[Any]


def with_households(pack: PolicyPack, **changes: object) -> PolicyPack:
    """The pack with other figures of `households`."""
    rule = pack.population_priors.households
    plain = {**rule.model_dump(), **changes}
    priors = pack.population_priors.model_copy(
        update={"households": Households.model_validate(plain)}
    )
    return pack.model_copy(update={"population_priors": priors})


def independent(pack: PolicyPack) -> PolicyPack:
    """The pack with homes cut at random."""
    return with_households(pack, composition="independent")


def drawn(
    pack: PolicyPack, segments: Array, region: int = 0, seed: int = 42, first: int = 0
) -> Array:
    """Home of every party of a country, −1 where it is not retail; segments: of the parties."""
    types = pack.codes("party_type")
    of = [types.index(pack.party_taxonomy.segments[s]) for s in pack.codes("segment")]
    kinds = home_kinds(
        pack.population_priors.households, pack.codes("region"), pack.codes("segment")
    )
    streams = registry.HOUSEHOLD.of(seed), registry.HOUSEHOLD_PLACE.of(seed)
    people = np.array(of, dtype=np.uint8)[segments], segments.astype(np.uint8)
    out = np.empty(segments.size, dtype=np.int32)
    keys = tuple(stream.key for stream in streams)
    form_homes(people, types.index("RETAIL"), keys, first, kinds, region, out)
    return out
