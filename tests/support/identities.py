"""Rows of identifiers over all countries of the default bank."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.embedded.geography import COUNTRIES
from fraudworld.policy.identity import IdentityPolicy, load_identity

COUNTRY_CODES = tuple(sorted(COUNTRIES))
SEED = 17


@cache
def policy() -> IdentityPolicy:
    """The shipped figures."""
    return load_identity().policy


def rows(each: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Country and counter of `each` rows a country, countries mixed."""
    country = np.tile(np.arange(len(COUNTRY_CODES), dtype=np.int32), each)
    counter = np.repeat(np.arange(each, dtype=np.int64), len(COUNTRY_CODES))
    return country, counter


def all_of(each: int) -> NDArray[np.int64]:
    """`each` for every country."""
    return np.full(len(COUNTRY_CODES), each, dtype=np.int64)


def iban(country: str, bban: str) -> str:
    """An IBAN with the check digits of ISO 7064 MOD 97-10, by Python's whole numbers."""
    number = "".join(str(int(c, 36)) for c in f"{bban}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{bban}"
