"""Columns of text as bytes: no string of Python is made for a row.

A column is (offsets, data), the layout of an Arrow string array: row i is the bytes
data[offsets[i]:offsets[i + 1]] in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import Law, inlined

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]


class Text(NamedTuple):
    """A column of n texts. A row that is not valid is null and has no bytes."""

    offsets: I32  # (n + 1,)
    data: U8  # UTF-8
    valid: NDArray[np.bool_] | None = None  # (n,); None: no row is null

    def rows(self) -> list[str | None]:
        """The texts as Python strings, for tests and small tables."""
        raw = self.data.tobytes()
        known = [True] * (self.offsets.size - 1) if self.valid is None else self.valid.tolist()
        cuts = self.offsets.tolist()
        return [
            raw[low:high].decode() if ok else None
            for low, high, ok in zip(cuts[:-1], cuts[1:], known, strict=True)
        ]


def words(texts: Iterable[str]) -> Text:
    """A list of words as a column."""
    raw = [text.encode() for text in texts]
    offsets = np.zeros(len(raw) + 1, dtype=np.int32)
    np.cumsum([len(r) for r in raw], out=offsets[1:])
    return Text(offsets, np.frombuffer(b"".join(raw), dtype=np.uint8))


def offsets_of(lengths: NDArray[np.integer]) -> I32:
    """Offsets of texts of these lengths; raises ValueError beyond 2 GiB, what a column holds."""
    out = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=out[1:])
    if out[-1] >= 2**31:
        raise ValueError(f"{out[-1]} bytes of text in one column; make the shard smaller")
    return out.astype(np.int32)


def filled(write: Law, arguments: Sequence[Any], n: int) -> Text:
    """A column of n texts of different lengths, by a kernel that is called twice.

    write(*arguments, offsets, data, fill): without `fill` it sets offsets[i + 1] to the length of
    text i, with it it writes the texts.
    """
    lengths = np.zeros(n + 1, dtype=np.int32)
    write(*arguments, lengths, np.empty(0, dtype=np.uint8), False)
    offsets = offsets_of(lengths[1:])
    data = np.empty(offsets[-1], dtype=np.uint8)
    write(*arguments, offsets, data, True)
    return Text(offsets, data)


@inlined
def put(data, at, words, offsets, word):  # type: ignore[no-untyped-def]
    """Copies a word to data[at:]; returns the end. words, offsets: bytes and offsets of a list."""
    for i in range(offsets[word], offsets[word + 1]):
        data[at] = words[i]
        at += 1
    return at


@inlined
def digits_in(number):  # type: ignore[no-untyped-def]
    """Decimal digits of a number; 1 for 0."""
    n = 1
    while number >= 10:
        number //= 10
        n += 1
    return n


@inlined
def put_number(data, at, number, width):  # type: ignore[no-untyped-def]
    """Writes `number` in `width` decimal digits, leading zeros included; returns the end."""
    for i in range(width - 1, -1, -1):
        data[at + i] = 48 + number % 10
        number //= 10
    return at + width
