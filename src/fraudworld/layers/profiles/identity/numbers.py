"""Phone numbers, IBANs and tax ids: whose template a row has, and the check digits of an IBAN.

Nothing real: phone numbers are possible and not valid, banks have codes that no registry lists,
tax ids fail their checksum or lie outside the issued range. Every identifier is unique, except
where rows share one by law: then they have the same counter.

Twins: tests/reference/identity.py:phone, iban, tax_id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import permute
from fraudworld.layers.profiles.identity.formats import Formats, identifiers, pack
from fraudworld.layers.profiles.identity.text import I32, I64, U64, Text
from fraudworld.policy.identity import IdentityPolicy, Template
from fraudworld.rng import identities as streams
from fraudworld.rng.law import StreamLaw

PERSON, FIRM = 0, 1
"""Kinds of holders of a tax id."""


class IdLaw(NamedTuple):
    """Templates of one kind of identifier, by country and, inside it, by bank or kind of holder."""

    what: str
    formats: Formats
    keys: U64  # (templates, rounds)
    template: I32  # (countries, kinds): −1 where a country has none

    def space(self, country: int, kind: int = 0) -> int:
        """How many identifiers a country and kind have; 0 for none."""
        template = int(self.template[country, kind])
        return 0 if template < 0 else int(self.formats.space[template])


def _law(
    what: str,
    stream: StreamLaw,
    seed: int,
    countries: Sequence[str],
    rows: Iterable[Sequence[Template | None]],
) -> IdLaw:
    """A law from the templates of every country; all countries have equally many kinds."""
    templates: list[Template] = []
    keys: list[U64] = []
    table: list[list[int]] = []
    for iso, row in zip(countries, rows, strict=True):
        of_country = stream.of(seed, code=iso)
        known: dict[str, int] = {}
        table.append([-1] * len(row))
        for kind, template in enumerate(row):
            if template is None:
                continue
            if template.template not in known:
                known[template.template] = len(templates)
                templates.append(template)
                keys.append(of_country.draws(kind, 1)[0])
            # Kinds of one form share its numbers.
            table[-1][kind] = known[template.template]
    # No country of a world may have a template.
    of_all = np.array(keys, dtype=np.uint64).reshape(-1, permute.ROUNDS)
    return IdLaw(what, pack(templates), of_all, np.array(table, dtype=np.int32))


def phone_law(policy: IdentityPolicy, seed: int, countries: Sequence[str]) -> IdLaw:
    """Phone numbers of `countries` (ISO codes, whose positions are the rows' country numbers)."""
    policy.require(countries)
    rows = ([Template(template=policy.phones.templates[iso])] for iso in countries)
    return _law("phone number", streams.PHONE_PLACE, seed, countries, rows)


def phones(law: IdLaw, country: NDArray[np.integer], counter: I64) -> Text:
    """Phone numbers in E.164, unique by (country, counter).

    country: (n,) positions in the law's countries. counter: int64 (n,), numbers a country's rows
    from 0; rows that share a phone have one counter. Raises InputError
    `6P.S1.ID_SPACE_EXHAUSTED` where a country has fewer numbers.
    """
    return identifiers(law.formats, law.keys, law.template[country, 0], counter, law.what)


def tax_law(policy: IdentityPolicy, seed: int, countries: Sequence[str]) -> IdLaw:
    """Tax ids of persons and firms."""
    policy.require(countries)
    of = policy.tax_ids
    rows = ([of.person[iso], of.firm[iso]] for iso in countries)
    return _law("tax id", streams.TAX_PLACE, seed, countries, rows)


def tax_ids(
    law: IdLaw, country: NDArray[np.integer], kind: NDArray[np.integer], counter: I64
) -> Text:
    """Tax ids, null where the country has no form for the kind.

    country: (n,); kind: (n,), PERSON or FIRM; counter: int64 (n,), unique inside a country over
    both kinds, as some countries have one form for both.
    """
    return identifiers(law.formats, law.keys, law.template[country, kind], counter, law.what)


def iban_law(policy: IdentityPolicy, seed: int, countries: Sequence[str]) -> IdLaw:
    """IBANs of the banks of `countries`; a country without IBAN has none."""
    policy.require(countries)
    most = max(len(banks) for banks in policy.ibans.banks.values())
    rows: list[list[Template | None]] = []
    for iso in countries:
        banks = [
            Template(template=f"{iso}00{b.template}", automaton=b.automaton, sum=b.sum)
            for b in policy.ibans.banks.get(iso, ())
        ]
        rows.append([*banks, *[None] * (most - len(banks))])
    return _law("IBAN", streams.IBAN_PLACE, seed, countries, rows)


def ibans(
    law: IdLaw, country: NDArray[np.integer], bank: NDArray[np.integer], counter: I64
) -> Text:
    """IBANs with right check digits, unique by (country, bank, counter); null without IBAN.

    country: (n,); bank: (n,), number of the bank inside its country, from 0; counter: int64 (n,).
    """
    out = identifiers(law.formats, law.keys, law.template[country, bank], counter, law.what)
    check_ibans(out.offsets, out.data)
    return out


@kernel
def check_ibans(offsets, data):  # type: ignore[no-untyped-def]
    """Writes the check digits of IBANs at their third and fourth character (ISO 7064 MOD 97-10).

    offsets : int32 (n + 1,); data : uint8, changed. Letters count 10 to 35.
    """
    for i in range(offsets.size - 1):
        low, high = offsets[i], offsets[i + 1]
        if high == low:
            continue
        rest = np.int64(0)
        for k in range(low + 4, high + 2):
            c = np.int64(data[k if k < high else low + k - high])
            rest = (rest * 10 + c - 48) % 97 if c < 65 else (rest * 100 + c - 55) % 97
        check = 98 - rest * 100 % 97
        data[low + 2] = 48 + check // 10
        data[low + 3] = 48 + check % 10
