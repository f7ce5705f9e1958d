"""The problem: which products there are, and which cells an entity of a code has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError, InternalError
from fraudworld.kernels import hurdles
from fraudworld.kernels.capped import CellLaws, ProductLaw
from fraudworld.kernels.offsets import from_counts
from fraudworld.rng.philox import Key

I64 = NDArray[np.int64]

WIDEST_SIGMA = 4.5
"""Largest sigma of log weights that keeps a sum of weights inside 64 bits."""


@dataclass(frozen=True)
class AllocationProblem:
    """Products and cells; cells are numbered code by code, then product."""

    state: str  # of the stage, for error codes
    names: tuple[str, ...]  # of the products
    laws: tuple[ProductLaw, ...]
    product: I64  # of every cell, (cells,)
    cell_laws: CellLaws

    @property
    def cells(self) -> int:
        return self.product.size

    def per_product(self, cells: NDArray[np.integer]) -> list[int]:
        """Sums of a (regions, cells) array by product."""
        out = np.zeros(len(self.laws), dtype=np.int64)
        np.add.at(out, self.product, cells.sum(axis=0))
        return out.tolist()


def allocation_problem(
    state: str,
    products: Sequence[tuple[str, ProductLaw]],
    offers: Iterable[Sequence[int]],
    *,
    slots: Sequence[int] | None = None,
    factor: Key | None = None,
    correlation: float = 0.0,
) -> AllocationProblem:
    """The laws of named products, cell by cell.

    offers: per code of an entity, the products it may hold. slots: number of each product in
    `Entities.floor`. factor, correlation: key and weight of the factors an entity brings to all
    its products. Raises InputError `6A.<state>.WEIGHTS_TOO_WIDE` where weights could leave 64
    bits.
    """
    names, laws = tuple(name for name, _ in products), tuple(law for _, law in products)
    for name, law in products:
        if law.sigma > WIDEST_SIGMA:
            raise too_wide(state, name, f"a sigma of {law.sigma:g}")
    offered = [list(o) for o in offers]
    product = np.array([p for o in offered for p in o], dtype=np.int64)
    keys = np.array([(*law.draws, *law.slots) for law in laws], dtype=np.uint64).reshape(-1, 4)
    shared = factor is not None and correlation > 0.0
    cell_laws = CellLaws(
        start=from_counts(np.array([len(o) for o in offered])),
        keys=keys[product],
        sigma=np.array([law.sigma for law in laws], dtype=np.float64)[product],
        cap=np.array([law.cap for law in laws], dtype=np.int64)[product],
        slot=np.array(slots or [255] * len(laws), dtype=np.uint8)[product],
        factor=np.array(factor or (0, 0), dtype=np.uint64),
        correlation=float(correlation) if shared else 0.0,
        table=hurdles.table() if shared else np.empty(0, dtype=np.float32),
    )
    return AllocationProblem(state, names, laws, product, cell_laws)


def too_wide(state: str, name: str, what: str) -> InputError:
    """The error of a product whose weights or counts exceed their integer type."""
    return InputError(
        f"6A.{state}.WEIGHTS_TOO_WIDE",
        f"{what} makes holdings of {name} too unequal to be counted",
        where=f"counts of {name}: sigma",
        remedy="lower sigma, or generate a smaller world",
    )


def inconsistent(state: str, what: str, where: str) -> InternalError:
    """The error of a cell in which an exhaustive pass found fewer candidates than were counted."""
    return InternalError(
        f"6A.{state}.ALLOCATION_INCONSISTENT",
        f"a cell has {what}",
        where=f"the allocation law, {where}",
        remedy="report this with the seed and the policy pack; nothing was published",
    )
