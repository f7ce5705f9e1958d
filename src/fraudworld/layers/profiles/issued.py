"""6P.P2 and P3: numbers that banks, schemes and wallets give: IBANs, card numbers, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudworld.layers.profiles.identity import cards, numbers
from fraudworld.layers.profiles.identity.arrow import strings
from fraudworld.layers.profiles.identity.text import Text
from fraudworld.layers.profiles.merchants import Banks
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.policy.identity import IdentityPolicy

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class IssuedLaw:
    """Account and card numbers over one world."""

    policy: IdentityPolicy
    seed: int
    countries: tuple[str, ...]
    schemes: tuple[str, ...]
    world: ProfileWorld
    banks: Banks

    @cached_property
    def _ibans(self) -> numbers.IdLaw:
        return numbers.iban_law(self.policy, self.seed, self.countries)

    @cached_property
    def _cards(self) -> cards.CardLaw:
        return cards.card_law(self.policy, self.seed, self.schemes)

    def ibans(self, low: int, high: int, bank: I64) -> pa.StringArray:
        """IBANs of accounts low … high − 1, null in countries without; bank: their banks."""
        base = self.world.base
        country = base.party_country[base.account_owner[low:high]]
        # Accounts are in order of country, so that a position inside it is a counter.
        first = base.account_start[base.country_party[country]]
        counter = np.arange(low, high) - first
        within = bank - self.banks.first[country]
        return strings(numbers.ibans(self._ibans, country, within, counter))

    def cards(self, low: int, high: int, bank: I64) -> tuple[pa.StringArray, pa.StringArray]:
        """Card numbers and wallet tokens of instruments low … high − 1.

        bank: of their accounts. Each is null for instruments of the other kind; bank handles have
        neither.
        """
        scheme = self.world.instrument_scheme[low:high]
        text = cards.card_numbers(self._cards, scheme, bank, np.arange(low, high))
        wallets = self.policy.numbers.cards.wallets
        token = np.array([s in wallets for s in self.schemes])[scheme]
        valid = np.ones(scheme.size, dtype=bool) if text.valid is None else text.valid
        pan, wallet = (strings(_only(text, rows & valid), rows & valid) for rows in (~token, token))
        return pan, wallet


def _only(text: Text, rows: NDArray[np.bool_]) -> Text:
    """These rows of a column."""
    lengths = np.diff(text.offsets)
    data = text.data[np.repeat(rows, lengths)]
    offsets = np.zeros(int(rows.sum()) + 1, dtype=np.int32)
    np.cumsum(lengths[rows], out=offsets[1:])
    return Text(offsets, data)
