"""An integer plan between rows of links and endpoint types with given row and column sums.

Twin: tests/reference/demand.py:transport.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from fraudworld.kernels.apportion import fit, largest_remainder


def transport(
    rows: NDArray[np.int64], wanted: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Integers of exactly these row sums, with column sums as wanted where possible.

    1. Wanted columns are scaled to the total of the rows, by largest remainder.
    2. A proportional fit of the weights to both margins is rounded down.
    3. A maximum flow through allowed cells adds what rows and columns lack.
    4. What is left of a row is split evenly over its allowed cells, those with a weight.

    Parameters
    ----------
    rows : int64 (rows,)
    wanted : int64 (types,)
    weights : float64 (rows, types)
        Every row with a positive sum has a weight above 0.

    Returns
    -------
    int64 (rows, types)
        Zero where the weight is.
    """
    allowed = weights > 0.0
    columns = largest_remainder(int(rows.sum()), wanted if wanted.sum() else allowed.any(axis=0))
    expected = fit(weights * (columns > 0)[None, :], rows, columns)
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
    """A maximum integer flow from rows to columns, of these capacities, through allowed cells."""
    n, m = allowed.shape
    capacity = np.zeros((n + m + 2, n + m + 2), dtype=np.int32)
    capacity[0, 1 : n + 1] = rows
    capacity[1 : n + 1, n + 1 : n + m + 1] = np.where(allowed, np.minimum(rows.sum(), 2**30), 0)
    capacity[n + 1 : n + m + 1, n + m + 1] = columns
    flow = maximum_flow(csr_array(capacity), 0, n + m + 1).flow.toarray()
    return np.asarray(flow[1 : n + 1, n + 1 : n + m + 1], dtype=np.int64)
