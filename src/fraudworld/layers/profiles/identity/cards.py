"""Card numbers and wallet tokens: Luhn-correct, in a range that no scheme issues.

A number is the prefix of the policy, a digit of the scheme, three digits of the bank, the digits
of the account and the check digit of Luhn (ISO/IEC 7812-1). The account's digits are the place
of the counter under a keyed permutation, so that numbers of a scheme and length are unique.

Twin of the kernels here: tests/reference/identity.py:card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import permute
from fraudworld.layers.profiles.identity.formats import check_space
from fraudworld.layers.profiles.identity.text import I64, U64, Text, offsets_of, put_number
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.rng import identities as streams

LENGTH = 16
BANK_DIGITS = 3


class CardLaw(NamedTuple):
    """Numbers of every scheme, by its code; a scheme without numbers has length 0."""

    start: I64  # prefix and digit of the scheme, as a number
    digits: int  # of `start`
    length: I64
    space: U64  # accounts of one bank
    keys: U64  # (schemes, rounds)


def card_law(policy: IdentityPolicy, seed: int, schemes: Sequence[str]) -> CardLaw:
    """The law of `schemes`, whose positions are the rows' scheme numbers.

    Schemes of bank transfers have no numbers.
    """
    cards = policy.numbers.cards
    digit = {**cards.schemes, **cards.wallets}
    head = len(cards.prefix) + 1
    length = np.array([cards.short.get(s, LENGTH) if s in digit else 0 for s in schemes])
    free = np.maximum(length - head - BANK_DIGITS - 1, 0)
    return CardLaw(
        np.array([int(f"{cards.prefix}{digit.get(s, 0)}") for s in schemes]),
        head,
        length.astype(np.int64),
        np.where(length > 0, 10 ** free.astype(np.int64), 0).astype(np.uint64),
        np.array([streams.CARD_PLACE.of(seed, code=s).draws(0, 1)[0] for s in schemes]),
    )


@kernel
def write(law, scheme, bank, place, offsets, data):  # type: ignore[no-untyped-def]
    """Writes the number of every row.

    Parameters
    ----------
    law : CardLaw
    scheme, bank : integer (n,)
        Bank: 0 … 999, over all countries.
    place : int64 (n,)
        Digits of the account, as a number.
    offsets : int32 (n + 1,)
    data : uint8
        Filled.
    """
    for i in range(scheme.size):
        s, low, high = scheme[i], offsets[i], offsets[i + 1]
        if high == low:
            continue
        at = put_number(data, low, law.start[s], law.digits)
        at = put_number(data, at, np.int64(bank[i]), BANK_DIGITS)
        put_number(data, at, place[i], high - 1 - at)
        total = np.int64(0)
        for k in range(low, high - 1):
            digit = np.int64(data[k]) - 48
            if (high - k) % 2 == 0:
                digit = digit * 2 - 9 * (digit > 4)
            total += digit
        data[high - 1] = 48 + (10 - total % 10) % 10


def card_numbers(
    law: CardLaw, scheme: NDArray[np.integer], bank: NDArray[np.integer], counter: I64
) -> Text:
    """Card numbers or tokens, unique by (scheme, counter); null where a scheme has none.

    scheme: (n,) positions in the law's schemes; bank: (n,), 0 … 999; counter: int64 (n,). Raises
    ValueError for another bank, InputError `6P.S1.ID_SPACE_EXHAUSTED` for a counter beyond the
    space.
    """
    if bank.size and not 0 <= bank.min() <= bank.max() < 10**BANK_DIGITS:
        raise ValueError(f"banks {bank.min()} to {bank.max()}: a number has room for 0 to 999")
    lengths = law.length[scheme]
    has = lengths > 0
    group = np.where(has, scheme.astype(np.int32), -1)
    check_space(group, counter, law.space, "card number")
    offsets = offsets_of(lengths)
    data = np.empty(offsets[-1], dtype=np.uint8)
    place = permute.grouped_places(law.space, law.keys, group, counter)
    write(law, scheme, bank, place, offsets, data)
    return Text(offsets, data, None if has.all() else has)
