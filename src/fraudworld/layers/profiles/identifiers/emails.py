"""E-mail addresses under the reserved domains of RFC 2606."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fraudworld.layers.profiles.identifiers.columns import I64, Mask, Texts, delimiters, texts

DOMAINS = (b".example", b".test")
LOCAL_BYTES, ADDRESS_BYTES = 64, 254
"""Longest local part and address (RFC 5321)."""

MARKS = b"._-+@"


def _among(characters: bytes) -> Mask:
    out = np.zeros(256, dtype=np.bool_)
    out[np.frombuffer(characters, dtype=np.uint8)] = True
    return out


_IS_DIGIT = _among(b"0123456789")
_IS_MARK = _among(MARKS)
_IS_KNOWN = _among(b"abcdefghijklmnopqrstuvwxyz0123456789" + MARKS)
_IS_LOCAL = _among(b"_+")


def wrong_emails(column: pa.Array | pa.ChunkedArray) -> Mask:
    """Rows that hold no e-mail address under `.example` or `.test`.

    An address is lower-case letters, digits and single marks: `.`, `_`, `-`, one `@`, and a `+`
    before digits at the end of the local part. No mark begins or ends it; domains have neither
    `_` nor `+`.
    """
    read = texts(column)
    at = delimiters(read, read.data == ord("@"))
    right: Mask = read.present & (at.number == 1) & (read.sizes() <= ADDRESS_BYTES)
    rows = np.flatnonzero(right)
    end = np.full(right.size, -1, dtype=np.int64)  # of the local part
    end[rows] = at.of(rows, 1)[:, 0]
    mark = _IS_MARK[read.data]
    right[rows] = (
        (end[rows] - read.low[rows] <= LOCAL_BYTES)
        & ~mark[read.low[rows]]
        & (_ends_in(read, rows, DOMAINS[0]) | _ends_in(read, rows, DOMAINS[1]))
    )
    right[read.rows_of(np.flatnonzero(~_IS_KNOWN[read.data]))] = False
    # A row that ends in a mark has no domain, so a pair across two rows harms no right one.
    right[read.rows_of(np.flatnonzero(mark[:-1] & mark[1:]))] = False
    local = np.flatnonzero(_IS_LOCAL[read.data])
    row = read.rows_of(local)
    right[row[local > end[row]]] = False
    plus = delimiters(read, read.data == ord("+"))
    right &= plus.number <= 1
    tagged = np.flatnonzero(right & (plus.number == 1))
    others = np.flatnonzero(~_IS_DIGIT[read.data])
    # Between a `+` and the `@` lie digits alone, so the two are neighbours among all else.
    after = np.searchsorted(others, plus.of(tagged, 1)[:, 0], side="right")
    right[tagged] = others[after] == end[tagged]
    return ~right


def _ends_in(read: Texts, rows: I64, ending: bytes) -> Mask:
    """Whether rows with an `@` end in `ending`, which has none: they are longer than it."""
    out = np.ones(rows.size, dtype=np.bool_)
    for k, character in enumerate(ending):
        out &= read.data[np.maximum(read.high[rows] - len(ending) + k, 0)] == character
    return out
