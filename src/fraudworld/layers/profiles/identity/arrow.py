"""Texts as Arrow arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudworld.layers.profiles.identity.text import Text


def strings(text: Text, rows: NDArray[np.bool_] | None = None) -> pa.StringArray:
    """A column of texts; bytes are shared, not copied.

    rows: (n,), which of n rows the texts are of, in their order; others are null. None: all.
    """
    offsets, valid = text.offsets, text.valid
    if rows is not None:
        lengths = np.zeros(rows.size + 1, dtype=np.int32)
        lengths[1:][rows] = np.diff(offsets)
        there = rows.copy()
        if valid is not None:
            there[rows] = valid
        offsets, valid = np.cumsum(lengths, dtype=np.int32), there
    known = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(
        offsets.size - 1, pa.py_buffer(offsets), pa.py_buffer(text.data), known
    )


def spread(texts: pa.StringArray, rows: NDArray[np.bool_]) -> pa.StringArray:
    """Texts in these of n rows, in their order; others are null."""
    at = np.cumsum(rows) - 1
    return texts.take(pa.array(at, mask=~rows))
