"""Identifiers of digits alone: phone numbers, card numbers, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudworld.layers.profiles.identifiers.columns import U8, Mask, delimiters, groups, texts
from fraudworld.policy.identity import IdentityPolicy

CARD_LENGTH = 16
"""Digits of a card number or token, where the policy's `short` states no other length."""


class PhoneRanges(NamedTuple):
    """Reserved ranges by how their numbers begin."""

    digits: int  # that tell a range, after the `+`
    of: NDArray[np.int16]  # (10^digits,): position in `lengths`; −1: no range begins so
    lengths: NDArray[np.int64]  # characters of a number, `+` included


def phone_ranges(policy: IdentityPolicy, countries: Sequence[str]) -> PhoneRanges:
    """The ranges of `countries`; raises ValueError where one range begins like another."""
    templates = sorted({policy.phones.templates[iso] for iso in countries})
    begins = [template.strip("+#") for template in templates]
    digits = max(map(len, begins))
    of = np.full(10**digits, -1, dtype=np.int16)
    for number, start in enumerate(begins):
        width = 10 ** (digits - len(start))
        part = of[int(start) * width : (int(start) + 1) * width]
        if (part >= 0).any():
            raise ValueError(f"phones: two ranges begin with +{start}")
        part[:] = number
    return PhoneRanges(digits, of, np.array([len(template) for template in templates]))


def wrong_phones(ranges: PhoneRanges, column: pa.Array | pa.ChunkedArray) -> Mask:
    """Rows that hold no number of a reserved range.

    No country is asked for: a party may share the phone of a party of another country.
    """
    read = texts(column)
    right: Mask = read.present & (read.sizes() > ranges.digits)
    rows = np.flatnonzero(right)
    begin = np.zeros(rows.size, dtype=np.int64)
    for k in range(1, ranges.digits + 1):
        begin = begin * 10 + np.minimum(read.data[read.low[rows] + k] - np.uint8(48), 9)
    number = ranges.of[begin]
    right[rows] = (number >= 0) & (read.sizes()[rows] == ranges.lengths[number])
    right[rows] &= read.data[read.low[rows]] == ord("+")
    # The `+` alone is no digit.
    right &= delimiters(read, (read.data - np.uint8(48)) > 9).number == 1
    return ~right


class CardNumber(NamedTuple):
    """Numbers of one scheme."""

    begin: U8  # prefix of the policy and digit of the scheme, as characters
    length: int


def card_numbers(
    policy: IdentityPolicy, digits: Mapping[str, int], schemes: Sequence[str]
) -> tuple[CardNumber | None, ...]:
    """Numbers of every scheme of `schemes`; None for one that is not in `digits`.

    digits: `cards.schemes` of the policy for card numbers, `cards.wallets` for tokens.
    """
    cards = policy.numbers.cards
    return tuple(
        CardNumber(
            np.frombuffer(f"{cards.prefix}{digits[s]}".encode("ascii"), dtype=np.uint8),
            cards.short.get(s, CARD_LENGTH),
        )
        if s in digits
        else None
        for s in schemes
    )


def wrong_cards(
    numbers: Sequence[CardNumber | None],
    scheme: NDArray[np.integer],
    column: pa.Array | pa.ChunkedArray,
) -> Mask:
    """Rows whose number is not of their scheme, or has a wrong check digit (Luhn).

    scheme: (n,), positions in `numbers`, −1 for one without numbers. A row is null exactly where
    its scheme has none.
    """
    read = texts(column)
    has = np.array([*(number is not None for number in numbers), False])
    right: Mask = np.where(has[scheme], read.present, ~read.present)
    sizes = read.sizes()
    for number, rows in groups(scheme, np.flatnonzero(right & has[scheme])):
        of = numbers[number]
        assert of is not None
        right[rows] = sizes[rows] == of.length
        chosen = rows[right[rows]]
        text = read.matrix(chosen, of.length)
        begins = (text[: of.begin.size] == of.begin[:, None]).all(axis=0)
        right[chosen] = begins & _luhn(text)
    return ~right


def _luhn(text: U8) -> Mask:
    """Whether texts are digits with a right check digit (ISO/IEC 7812-1, Annex B), (n,)."""
    digit = text - np.uint8(48)
    single = np.arange(10)
    doubled = np.array([2 * k - 9 if k > 4 else 2 * k for k in range(10)])
    term = np.stack([single, doubled]).astype(np.int64)
    total = np.zeros(text.shape[1], dtype=np.int64)
    for k, row in enumerate(digit[::-1]):
        total += term[k % 2][np.minimum(row, 9)]
    right: Mask = (digit <= 9).all(axis=0) & (total % 10 == 0)
    return right
