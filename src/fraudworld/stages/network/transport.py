"""A plan between device groups and endpoint types that keeps both margins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from fraudworld.kernels.apportion import fit, largest_remainder


def transport(
    rows: NDArray[np.int64], wanted: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Integers x[row, column] with exactly these row sums, and column sums as wanted.

    Zero where not allowed. Where the wanted columns cannot be had (their total differs, or
    the allowed cells do not carry them), columns give way and rows hold: back-off by
    largest remainder of what was wanted, then along whatever is allowed.
    """
    columns = largest_remainder(int(rows.sum()), wanted if wanted.sum() else allowed.any(axis=0))
    expected = fit(np.where(allowed, 1.0, 0.0) * (columns > 0)[None, :], rows, columns)
    counts = np.where(allowed, np.floor(expected + 1e-9), 0).astype(np.int64)
    for r in np.flatnonzero(counts.sum(axis=1) > rows):
        over = int(counts[r].sum() - rows[r])
        for c in np.argsort(-counts[r], kind="stable")[:over]:
            counts[r, c] -= 1
    counts += _flow(rows - counts.sum(axis=1), np.maximum(columns - counts.sum(axis=0), 0), allowed)
    for r in np.flatnonzero(counts.sum(axis=1) < rows):
        short = int(rows[r] - counts[r].sum())
        counts[r] += largest_remainder(short, allowed[r].astype(float))
    return counts


def _flow(
    rows: NDArray[np.int64], columns: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A largest integer flow from row needs to column needs over the allowed cells."""
    n, m = allowed.shape
    capacity = np.zeros((n + m + 2, n + m + 2), dtype=np.int32)
    capacity[0, 1 : n + 1] = rows
    capacity[1 : n + 1, n + 1 : n + m + 1] = np.where(allowed, np.minimum(rows.sum(), 2**30), 0)
    capacity[n + 1 : n + m + 1, n + m + 1] = columns
    flow = maximum_flow(csr_array(capacity), 0, n + m + 1).flow.toarray()
    return np.asarray(flow[1 : n + 1, n + 1 : n + m + 1], dtype=np.int64)
