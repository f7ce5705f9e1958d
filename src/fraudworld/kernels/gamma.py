"""Gamma variates from uniform draws, and shares that scatter around a plan.

A gamma variate is drawn by rejection from a cubed normal deviate (Marsaglia and Tsang, "A simple
method for generating gamma variables", ACM Transactions on Mathematical Software 26, 2000). Only
`kernels.normal` and + − × ÷ √ are used: every machine finds the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudworld.kernels import normal

TRIES = 12
"""Pairs of draws: each is accepted with a probability above .95 (shape 1 or more)."""

WIDTH = 2 * TRIES + 1
"""Draws of a variate; the last is for shapes below 1."""


def variate(draws: Sequence[int], shape: float) -> float:
    """A gamma variate of scale 1 from WIDTH draws (u64); shape > 0.

    If every try is refused, which happens less than once in 10**15, the mode of the proposal.
    """
    factor = 1.0
    if shape < 1.0:
        factor = float(normal.exp(max(normal.log(_uniform(draws[-1])) / shape, -600.0)))
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    for k in range(TRIES):
        x = float(normal.quantile(_uniform(draws[2 * k])))
        v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x)
        if v <= 0.0:
            continue
        bound = 0.5 * x * x + d - d * v + d * float(normal.log(v))
        if float(normal.log(_uniform(draws[2 * k + 1]))) < bound:
            return d * v * factor
    return d * factor


def scattered(
    total: int, weights: ArrayLike, overdispersion: float, draws: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Weights whose shares of `total` scatter like an overdispersed multinomial.

    Dirichlet with concentration total / overdispersion, so that a share p of n has the variance
    overdispersion · p (1 − p) / n, which is that of a Dirichlet-multinomial with concentration
    n / (overdispersion − 1). The mean of every share is kept.

    weights: non-negative, (k,). overdispersion: 0 returns the weights. draws: u64, (k, WIDTH).
    """
    w = np.asarray(weights, dtype=np.float64)
    if overdispersion == 0.0 or total == 0 or np.count_nonzero(w) < 2:
        return w
    shapes = w / w.sum() * (total / overdispersion)
    out = np.zeros(w.size)
    for i, shape in enumerate(shapes.tolist()):
        if shape > 0.0:
            out[i] = variate(draws[i].tolist(), shape)
    return out if out.sum() > 0.0 else w


def _uniform(draw: int) -> float:
    """Inside (0, 1), from the draw's upper 52 bits."""
    return float((draw >> 12) + 0.5) * 2.0**-52
