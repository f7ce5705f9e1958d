"""Tables with given odds factors, row sums and column sums: iterative proportional fitting.

In a stratum, an entity of row r gets role k with probability

    P[r, k] = b[k] · factors[r, k] / Σ_j b[j] · factors[r, j],

and the intercepts b are solved so that the expected number of every role, Σ_r sizes[r] · P[r, k],
is exactly its share of the stratum: the factors move roles between rows and add none. The solution
is unique up to a scale of b (Sinkhorn 1967, American Mathematical Monthly 74; the algorithm is of
Deming and Stephan 1940, Annals of Mathematical Statistics 11).

Only + − × ÷ in a fixed order: every machine finds the same bits.

Twin of the kernel: tests/reference/propagation.py:fitted.
"""

from __future__ import annotations

import numpy as np

from fraudworld.jit import kernel

TOLERANCE = 1e-12
"""Largest error of a column sum, relative to it, at which fitting stops."""

MOST_STEPS = 100_000
"""Steps after which fitting stops anyway.

A step shrinks the error by tanh²(d / 4) at least, d being the logarithm of the largest cross-ratio
of factors (Franklin and Lorenz 1989, Linear Algebra and its Applications 114). Products of factors
within 1/100 … 100 have cross-ratios up to 10⁸, so that 80 000 steps always reach TOLERANCE; the
shipped tables need a few dozen."""


@kernel
def fit(shares, sizes, factors, table):  # type: ignore[no-untyped-def]
    """Fills the table of one stratum.

    Parameters
    ----------
    shares : float64 (roles,)
        Of the stratum's entities, sums to 1. A share of 0 stays 0 in every row.
    sizes : int64 (rows,)
        Entities of every row. A stratum without entities gets the shares in every row.
    factors : float64 (rows, roles)
        Above 0.
    table : float64 (rows, roles)
        Filled with P; rows sum to 1.

    Returns
    -------
    (int, float)
        Steps taken, and the largest relative error of a column sum.
    """
    rows, roles = factors.shape
    total = 0.0
    for r in range(rows):
        total += sizes[r]
    intercepts = np.empty(roles)
    for k in range(roles):
        # What figures leave to a remainder may be a rounding error below 0.
        intercepts[k] = max(shares[k], 0.0)
        for r in range(rows):
            table[r, k] = intercepts[k]
    if total == 0.0:
        return 0, 0.0
    step, worst = 0, np.inf
    while worst > TOLERANCE and step < MOST_STEPS:
        step += 1
        for r in range(rows):
            whole = 0.0
            for k in range(roles):
                table[r, k] = intercepts[k] * factors[r, k]
                whole += table[r, k]
            for k in range(roles):
                table[r, k] /= whole
        worst = 0.0
        for k in range(roles):
            if intercepts[k] > 0.0:
                expected = 0.0
                for r in range(rows):
                    expected += sizes[r] * table[r, k]
                ratio = shares[k] * total / expected
                intercepts[k] *= ratio
                worst = max(worst, abs(ratio - 1.0))
    return step, worst
