"""Counts of codes: over combinations of codes, and per entity in narrow integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.prefetch import prefetch

I64 = NDArray[np.int64]
Array = NDArray[Any]
Axis = tuple[Array, int]
"""Codes of rows, all ≥ 0, and the number of codes."""

CHUNK = 1 << 20
"""Entities of one slice."""


def ravel_codes(*axes: Axis) -> Array:
    """Row-major index of every row over the combinations of axes, in a narrow integer type."""
    (place, cells), *rest = axes
    place = place.astype(narrow(cells))
    for codes, size in rest:
        cells *= size
        kind = narrow(cells)
        place = place.astype(kind) * kind.type(size)
        np.add(place, codes, out=place, casting="unsafe")
    return place


def narrow(cells: int) -> np.dtype[Any]:
    """The narrowest integer type for that many cells that `np.bincount` takes."""
    return np.min_scalar_type(cells) if cells < 1 << 32 else np.dtype(np.int64)


def crosstab(*axes: Axis) -> I64:
    """Rows by every combination of axes."""
    sizes = tuple(size for _, size in axes)
    return histogram(ravel_codes(*axes), int(np.prod(sizes))).reshape(sizes)


def histogram(cells: Array, size: int) -> I64:
    """Occurrences of every cell 0 … size − 1."""
    return np.bincount(cells, minlength=size).astype(np.int64, copy=False)


def sum_histograms(arrays: Iterable[I64]) -> I64:
    """Sum of histograms of equal rank and different lengths."""
    rest = iter(arrays)
    total = next(rest).copy()
    for one in rest:
        if any(a > b for a, b in zip(one.shape, total.shape, strict=True)):
            shape = np.maximum(one.shape, total.shape)
            wider = np.zeros(shape, dtype=np.int64)
            wider[tuple(slice(n) for n in total.shape)] = total
            total = wider
        total[tuple(slice(n) for n in one.shape)] += one
    return total


def chunks(n: int, step: int = CHUNK) -> Iterator[slice]:
    """Slices that cover n entities; one empty slice where n is 0."""
    for low in range(0, max(n, 1), step):
        yield slice(low, min(low + step, n))


def sum_over_slices(fn: Callable[[slice], I64], n: int) -> I64:
    """Sum of a histogram over slices of n entities."""
    return sum_histograms(prefetch(fn, chunks(n)))


Occurrences = tuple[slice | I64, I64]
"""Some entities by row, and the occurrences of each."""


def occurrences(rows: Array) -> Occurrences:
    """Occurrences of each entity in `rows`; the entities of a published block are contiguous."""
    low, high = (int(rows.min()), int(rows.max()) + 1) if rows.size else (0, 0)
    if high - low > 8 * rows.size:
        return np.unique(rows, return_counts=True)
    return slice(low, high), histogram(rows - low, high - low)


class ColumnBuffer:
    """A value of each of n entities, appended block by block in their order."""

    def __init__(self, n: int, kind: Any) -> None:
        self.values: Array = np.empty(n, dtype=kind)
        self._filled = 0

    def append(self, values: Array) -> None:
        """Appends the values of the next entities."""
        self.values[self._filled : self._filled + values.size] = values
        self._filled += values.size


class CountPerEntity:
    """Occurrences of each of n entities; `counts` has the narrowest type that holds the largest."""

    def __init__(self, n: int) -> None:
        self.counts: Array = np.zeros(n, dtype=np.uint8)

    def add(self, occurrences_: Occurrences) -> None:
        """Adds the result of `occurrences`."""
        where, times = occurrences_
        total = self.counts[where] + times
        most = int(total.max(initial=0))
        if most > np.iinfo(self.counts.dtype).max:
            self.counts = self.counts.astype(np.min_scalar_type(most))
        self.counts[where] = total
