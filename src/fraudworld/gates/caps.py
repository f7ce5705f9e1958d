"""T1, T2: no party holds more of a product than its K_max."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.counts import Sample
from fraudworld.gates.gate import Row, at_most
from fraudworld.gates.network import quantile

NO_INTERVAL = "an exact count over the whole world has no sampling interval"


def _caps(sample: Sample) -> NDArray[np.int64]:
    """K_max of every product; 0 for a product without a rule, so that any holding breaks it."""
    rules = sample.pack.account_per_party_priors.counts
    return np.array(
        [rules[t].cap if t in rules else 0 for t in sample.pack.codes("account_type")],
        dtype=np.int64,
    )


def t1_kmax_hard_invariant(sample: Sample) -> Iterator[Row]:
    """T1: largest excess over K_max; a product without a rule counts as one."""
    held = sample.counts.held
    most = np.where(held > 0, np.arange(held.shape[1]), 0).max(axis=1)
    yield at_most(
        "T1_KMAX_HARD_INVARIANT", "max_overflow", float(np.maximum(most - _caps(sample), 0).max()),
        sample.pack.validation_policy.gates["T1_max_overflow"],
        seed=sample.seed, support=float((held * np.arange(held.shape[1])).sum()),
        minimum_support=sample.pack.validation_policy.support.min_for_percentile,
        no_interval=NO_INTERVAL,
    )  # fmt: skip


def t2_kmax_tail_sanity(sample: Sample) -> Iterator[Row]:
    """T2: among holders of a product, p99 − K_max and max − K_max; the worst product.

    A product with too few holders for a 99th percentile is judged by its maximum alone, which is
    the stricter of the two.
    """
    stated = sample.counts.stated_holdings
    number = np.arange(stated.shape[1])
    policy = sample.pack.validation_policy
    least = policy.support.min_for_percentile
    holders = stated.sum(axis=1)
    caps, names = _caps(sample), sample.pack.codes("account_type")
    held, enough = np.flatnonzero(holders), np.flatnonzero(holders >= least)
    p99 = quantile(number, stated[enough].astype(np.float64), 0.99) - caps[enough]
    top = np.where(stated[held] > 0, number, 0).max(axis=1) - caps[held]
    few = [names[product] for product in held if holders[product] < least]
    thinnest = holders[enough].min(initial=holders.max(initial=0))
    for metric, products, over, support, left_out in (
        ("worst_p99_over_kmax", enough, p99, thinnest, few),
        ("worst_max_over_kmax", held, top, holders.sum(), []),
    ):
        worst = int(np.argmax(over)) if over.size else None
        yield at_most(
            "T2_KMAX_TAIL_SANITY", metric, float("nan") if worst is None else float(over[worst]),
            policy.gates["T2_over_kmax"], seed=sample.seed, support=float(support),
            minimum_support=least, worst=None if worst is None else names[products[worst]],
            no_interval=NO_INTERVAL, products_with_too_few_holders=left_out,
        )  # fmt: skip
