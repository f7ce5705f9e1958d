"""IP addresses in reserved ranges, and private autonomous systems."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudworld.layers.profiles.identifiers.columns import (
    I64,
    Delimiters,
    Mask,
    Texts,
    delimiters,
    texts,
)

LEAST_OCTET = 240
"""First octet of 240.0.0.0/4 (RFC 1112), at least."""

DOCUMENTATION = (0x2001, 0xDB8)
"""First groups of 2001:db8::/32 (RFC 3849)."""

GROUPS = 8
PRIVATE_SYSTEMS = ((64_512, 65_534), (4_200_000_000, 4_294_967_294))
"""Autonomous systems for private use, ends included (RFC 6996)."""

_OTHER = 16
_HEX = np.full(256, _OTHER, dtype=np.int64)
_HEX[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)
_DECIMAL = np.where(np.arange(256) < ord("a"), _HEX, _OTHER)


def wrong_addresses(column: pa.Array | pa.ChunkedArray) -> Mask:
    """Rows that hold no address of 240.0.0.0/4 or 2001:db8::/32 in its canonical text.

    IPv4 has no leading zeros and is not 255.255.255.255; IPv6 is as RFC 5952 writes it.
    """
    read = texts(column)
    dots = delimiters(read, read.data == ord("."))
    colons = delimiters(read, read.data == ord(":"))
    right = np.zeros(read.present.size, dtype=np.bool_)
    rows = np.flatnonzero(read.present & (dots.number == 3))
    right[rows] = _is_reserved_ipv4(read, dots, rows)
    for count in range(2, GROUPS):
        rows = np.flatnonzero(read.present & (colons.number == count))
        right[rows] = _is_reserved_ipv6(read, colons, rows, count)
    return ~right


def wrong_systems(column: pa.Array | pa.ChunkedArray) -> Mask:
    """Rows that hold no number of a private autonomous system; column: of integers."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    number = pc.fill_null(pc.cast(column, pa.int64()), -1).to_numpy(zero_copy_only=False)
    private = np.zeros(number.size, dtype=np.bool_)
    for low, high in PRIVATE_SYSTEMS:
        private |= (number >= low) & (number <= high)
    return ~private


def _fields(
    read: Texts, marks: Delimiters, rows: I64, count: int, digits: NDArray[np.int64], base: int,
    most: int,
) -> tuple[I64, I64, Mask]:  # fmt: skip
    """Numbers between delimiters, their digits, and which rows have no other text.

    marks: `count` of them in each of the rows; digits: value of every byte, `_OTHER` where it is
    no digit; most: digits of a field, at most. Returns value and digits, int64 (rows, count + 1),
    and a mask (rows,): True where no field has a leading zero or too many digits. An empty field
    has value 0.
    """
    cuts = marks.of(rows, count)
    low = np.hstack([read.low[rows][:, None], cuts + 1])
    size = np.hstack([cuts, read.high[rows][:, None]]) - low
    value = np.zeros_like(low)
    well = np.ones(low.shape, dtype=np.bool_)
    for k in range(most):
        inside = size > k
        digit = digits[read.data[np.minimum(low + k, read.data.size - 1)]]
        well &= ~inside | (digit < base)
        if k == 0:
            well &= (size <= 1) | (digit > 0)
        value = np.where(inside, value * base + digit, value)
    right: Mask = (well & (size <= most)).min(axis=1)
    return value, size, right


def _is_reserved_ipv4(read: Texts, dots: Delimiters, rows: I64) -> Mask:
    """Whether rows with three dots are addresses of 240.0.0.0/4 but the broadcast address."""
    octet, size, right = _fields(read, dots, rows, 3, _DECIMAL, 10, 3)
    right &= ((size > 0) & (octet <= 255)).all(axis=1)
    return right & (octet[:, 0] >= LEAST_OCTET) & (octet < 255).any(axis=1)


def _is_reserved_ipv6(read: Texts, colons: Delimiters, rows: I64, count: int) -> Mask:
    """Whether rows with `count` colons are addresses of 2001:db8::/32 as RFC 5952 writes them."""
    value, size, right = _fields(read, colons, rows, count, _HEX, 16, 4)
    empty = size == 0
    gaps = empty.sum(axis=1)
    # Fields before `::`; all of them where there is none.
    before = np.where(gaps > 0, empty.argmax(axis=1), count + 1)
    # An address that ends in `::` has two empty fields, any other with `::` has one.
    at_end = (gaps == 2) & (before == count - 1)
    inside = (gaps == 1) & (before < count)
    right &= at_end | inside | ((gaps == 0) & (count == GROUPS - 1))
    run = np.where(at_end, GROUPS - before, np.where(inside, GROUPS - count, 0))
    groups = np.zeros((rows.size, GROUPS), dtype=np.int64)
    for k in range(count + 1):
        groups[:, k] += np.where(k < before, value[:, k], 0)
        # Fields after `::` are the last groups.
        groups[:, GROUPS - 1 - count + k] += np.where(inside & (k > before), value[:, k], 0)
    first, longest = _longest_run(groups == 0)
    written = np.where(longest > 1, (run == longest) & (first == before), run == 0)
    prefix = (groups[:, : len(DOCUMENTATION)] == DOCUMENTATION).all(axis=1)
    out: Mask = right & written & prefix
    return out


def _longest_run(zero: Mask) -> tuple[I64, I64]:
    """First of the longest runs of True in every row, and its length; zero: (n, groups)."""
    first = np.zeros(zero.shape[0], dtype=np.int64)
    longest, length = np.zeros_like(first), np.zeros_like(first)
    for k in range(zero.shape[1]):
        length = np.where(zero[:, k], length + 1, 0)
        longer = length > longest
        first = np.where(longer, k + 1 - length, first)
        longest = np.where(longer, length, longest)
    return first, longest
