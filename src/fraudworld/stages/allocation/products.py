"""Which products there are, and who is offered them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError, InternalError
from fraudworld.kernels import gating
from fraudworld.kernels.capped import Key, Law, Terms
from fraudworld.kernels.expand import starts

I64 = NDArray[np.int64]

WIDEST_SIGMA = 4.5
"""Beyond it a log-normal weight can leave 64 bits."""


@dataclass(frozen=True)
class Book:
    """Products, and who stands in which cell: cells are counted code by code, then product."""

    state: str  # named by errors
    names: tuple[str, ...]  # of the products
    laws: tuple[Law, ...]
    product: I64  # of every cell
    terms: Terms

    @property
    def cells(self) -> int:
        return self.product.size

    def per_product(self, cells: NDArray[np.integer]) -> list[int]:
        """Sums of a (regions, cells) array."""
        out = np.zeros(len(self.laws), dtype=np.int64)
        np.add.at(out, self.product, cells.sum(axis=0))
        return out.tolist()


def book(
    state: str,
    products: Sequence[tuple[str, Law]],
    offers: Iterable[Sequence[int]],
    *,
    slots: Sequence[int] | None = None,
    factor: Key | None = None,
    correlation: float = 0.0,
) -> Book:
    """The laws of named products, and the products that entities of every code are offered.

    slots: what `Entities.floor` calls each product. factor, correlation: of the factors an
    entity brings to all its products. Raises InputError where weights could leave 64 bits.
    """
    names, laws = tuple(name for name, _ in products), tuple(law for _, law in products)
    for name, law in products:
        if law.sigma > WIDEST_SIGMA:
            raise too_wide(state, name, f"a sigma of {law.sigma:g}")
    offered = [list(o) for o in offers]
    product = np.array([p for o in offered for p in o], dtype=np.int64)
    keys = np.array([(*law.draws, *law.slots) for law in laws], dtype=np.uint64).reshape(-1, 4)
    shared = factor is not None and correlation > 0.0
    terms = Terms(
        start=starts(np.array([len(o) for o in offered])),
        keys=keys[product],
        sigma=np.array([law.sigma for law in laws], dtype=np.float64)[product],
        cap=np.array([law.cap for law in laws], dtype=np.int64)[product],
        slot=np.array(slots or [255] * len(laws), dtype=np.uint8)[product],
        factor=np.array(factor or (0, 0), dtype=np.uint64),
        correlation=float(correlation) if shared else 0.0,
        table=gating.table() if shared else np.empty(0, dtype=np.float32),
    )
    return Book(state, names, laws, product, terms)


def too_wide(state: str, name: str, found: str) -> InputError:
    """The error of a product whose weights, or counts, are beyond what integers hold."""
    return InputError(
        f"6A.{state}.WEIGHTS_TOO_WIDE",
        f"{found} makes holdings of {name} too unequal to be counted",
        where=f"counts of {name}: sigma",
        remedy="lower sigma, or generate a smaller world",
    )


def lost(state: str, found: str, where: str) -> InternalError:
    """The error of a cell that was looked at whole and still lacks what it was found to have."""
    return InternalError(
        f"6A.{state}.ALLOCATION_INCONSISTENT",
        f"a cell has {found}",
        where=f"the allocation law, {where}",
        remedy="report this with the seed and the policy pack; nothing was published",
    )
