"""Draws as choices, for whole columns: u64 in, integers and reals out.

Twins: tests/reference/draws.py and tests/reference/transactions/choices.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import normal
from fraudworld.kernels.discrete import choose, thresholds
from fraudworld.layers.transactions.choices import below

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

CERTAIN = 1 << 63
"""A probability of one, as a threshold."""


def unit(draws: U64) -> F64:
    """Probabilities strictly inside (0, 1) from the leading 52 bits of draws, as `normal.unit`."""
    out: F64 = ((draws >> np.uint64(12)).astype(np.float64) + 0.5) * 2.220446049250313e-16
    return out


def deviates(draws: U64) -> F64:
    """Standard normal deviates, one a draw."""
    out = np.empty(draws.size)
    normal.deviates(np.ascontiguousarray(draws), out)
    return out


def exp(values: F64) -> F64:
    """e**x, the same bits on every machine."""
    out = np.empty(values.size)
    normal.exps(np.ascontiguousarray(values), out)
    return out


def threshold(share: float) -> np.uint64:
    """A probability as an integer threshold: a draw happens where draw >> 1 is below it."""
    return np.uint64(min(int(share * 2.0**63), CERTAIN))


def happens(draws: U64, share: float) -> NDArray[np.bool_]:
    """Whether an event of this probability occurs, one a draw."""
    out: NDArray[np.bool_] = (draws >> np.uint64(1)) < threshold(share)
    return out


def uniform(draws: U64, n: NDArray[np.integer]) -> I64:
    """Uniform integers 0 … n − 1, one a draw; n ≥ 1, (draws,)."""
    out = np.empty(draws.size, dtype=np.int64)
    _uniform(np.ascontiguousarray(draws), np.ascontiguousarray(n, dtype=np.int64), out)
    return out


def weight_table(rows: list[dict[str, float]], codes: tuple[str, ...]) -> U64:
    """Thresholds of weights by code, one row a mapping, (rows, codes) u64."""
    weights = np.array([[float(row.get(code, 0.0)) for code in codes] for row in rows])
    return thresholds(weights / weights.sum(axis=1, keepdims=True))


def words(draws: U64, rows: NDArray[np.integer], table: U64) -> NDArray[np.int32]:
    """Categories of draws out of lists that may be long, as `discrete.choices` of short ones."""
    out = np.empty(draws.size, dtype=np.int32)
    choose(np.ascontiguousarray(draws), rows, table, out)
    return out


def nearest_int(values: F64) -> I64:
    """Values rounded half to even, as int64."""
    out: I64 = np.rint(values).astype(np.int64)
    return out


@kernel
def _uniform(draws, n, out):  # type: ignore[no-untyped-def]
    """out[i] = below(draws[i], n[i]).

    draws : uint64 (m,); n, out : int64 (m,).
    """
    for i in range(draws.size):
        out[i] = below(draws[i], n[i])
