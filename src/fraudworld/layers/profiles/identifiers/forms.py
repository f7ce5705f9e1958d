"""Identifiers by template: tax ids, postal codes, IBANs.

A text has a form if every character is one of its position and the check characters are those that
the policy's automaton gives. Automata of tax ids give check characters that fail the checksum of
the country, or the template lies outside the issued range; those of IBANs give the national check
digits that are right (docs/decisions/0021-identifiers-are-templates.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudworld.layers.profiles.identifiers.columns import U8, Mask, groups, texts
from fraudworld.policy.identity import IdentityPolicy, Template

PERSON, FIRM = 0, 1
"""Kinds of holders of a tax id."""

ABSENT = 255
"""Pick of a byte that is no character of its position."""

BBAN = 4
"""First character of an IBAN after country and check digits."""


class Read(NamedTuple):
    """A position that the automaton reads."""

    position: int
    size: int  # characters of the position
    moves: NDArray[np.intp]  # next state by state × size + pick


class Form(NamedTuple):
    """A template as tables."""

    picks: U8  # (length, 256): number of a byte among the characters of its position, or ABSENT
    literals: tuple[int, ...]  # positions of one character
    free: tuple[int, ...]  # positions of several
    repairs: tuple[int, ...]
    checks: tuple[int, ...]
    reads: tuple[Read, ...]
    initial: int
    endings: U8  # (states, checks): check characters by last state; 0: none fits

    @property
    def length(self) -> int:
        """Characters of a text."""
        return len(self.picks)


def form(template: Template) -> Form:
    """The tables of a template."""
    positions = list(template.positions())
    picks = np.full((len(positions), 256), ABSENT, dtype=np.uint8)
    for p, position in enumerate(positions):
        codes = np.frombuffer(position.characters.encode("ascii"), dtype=np.uint8)
        picks[p, codes] = np.arange(codes.size)
    law = template.law()
    reads, endings = [], np.zeros((1, 0), dtype=np.uint8)
    checks = tuple(p for p, position in enumerate(positions) if position.check)
    if law is not None:
        free = [p for p, one in enumerate(positions) if len(one.characters) > 1 and one.read]
        for p, moves in zip(free, law.moves, strict=True):
            reads.append(Read(p, moves.shape[1], moves.ravel().astype(np.intp)))
        endings = np.zeros((len(law.endings), len(checks)), dtype=np.uint8)
        for state, ending in enumerate(law.endings):
            if ending:
                endings[state] = np.frombuffer(ending.encode("ascii"), dtype=np.uint8)
    return Form(
        picks,
        tuple(p for p, position in enumerate(positions) if len(position.characters) == 1),
        tuple(p for p, position in enumerate(positions) if len(position.characters) > 1),
        tuple(p for p, position in enumerate(positions) if position.repair),
        checks, tuple(reads), 0 if law is None else law.initial, endings,
    )  # fmt: skip


def has_form(of: Form, text: U8) -> Mask:
    """Which texts have a form, (n,); text: (length, n)."""
    right = np.ones(text.shape[1], dtype=np.bool_)
    for p in of.literals:
        right &= of.picks[p][text[p]] != ABSENT
    rows = np.flatnonzero(right)
    # Most account numbers of a country are of another bank than the one that is asked for.
    right[rows] = _fits(of, text if rows.size == right.size else text[:, rows])
    return right


def _fits(of: Form, text: U8) -> Mask:
    """Which texts fit a form whose literals they have, (n,)."""
    right = np.ones(text.shape[1], dtype=np.bool_)
    picks: dict[int, U8] = {}
    for p in of.free:
        picks[p] = of.picks[p][text[p]]
        right &= picks[p] != ABSENT
    if not of.checks:
        return right
    ending = of.endings[_last_state(of, picks, right.size)]
    right &= ((ending == text[list(of.checks)].T) & (ending > 0)).all(axis=1)
    if of.repairs:
        # A `!` is 1 only where 0 has no check character.
        zeros = picks | dict.fromkeys(of.repairs, np.zeros(right.size, dtype=np.uint8))
        unrepaired = of.endings[_last_state(of, zeros, right.size)][:, 0]
        first = picks[of.repairs[0]]
        right &= (first == 0) | (unrepaired == 0)
        for p in of.repairs[1:]:
            right &= picks[p] == first
    return right


def _last_state(of: Form, picks: dict[int, U8], n: int) -> NDArray[np.intp]:
    """Last state of the automaton, (n,); a byte that its position lacks counts as the last one."""
    state = np.full(n, of.initial, dtype=np.intp)
    for read in of.reads:
        pick = np.minimum(picks[read.position], read.size - 1)
        state = read.moves[state * read.size + pick]
    return state


class FormTable(NamedTuple):
    """Forms of an identifier by country and kind of holder."""

    forms: tuple[Form, ...]
    of: NDArray[np.int16]  # (countries, kinds): position in `forms`; −1 where there is none


def _table(rows: Iterable[Sequence[Template | None]]) -> FormTable:
    forms: list[Form] = []
    table: list[list[int]] = []
    for row in rows:
        table.append([])
        for template in row:
            table[-1].append(-1 if template is None else len(forms))
            if template is not None:
                forms.append(form(template))
    return FormTable(tuple(forms), np.array(table, dtype=np.int16))


def tax_id_forms(policy: IdentityPolicy, countries: Sequence[str]) -> FormTable:
    """Tax ids of `countries`, of persons and firms."""
    of = policy.tax_ids
    return _table([of.person[iso], of.firm[iso]] for iso in countries)


def postal_code_forms(policy: IdentityPolicy, countries: Sequence[str]) -> FormTable:
    """Postal codes of `countries`."""
    return _table([policy.postal_codes.templates[iso]] for iso in countries)


def wrong_texts(
    table: FormTable,
    country: NDArray[np.integer],
    kind: NDArray[np.integer] | int,
    column: pa.Array | pa.ChunkedArray,
) -> Mask:
    """Rows whose tax id or postal code is not of their country and kind.

    country: (n,), positions in the countries of the table, −1 for a country that has none; kind:
    (n,), PERSON or FIRM; 0 for postal codes. A row without form is null.
    """
    read = texts(column)
    of = np.where(country >= 0, table.of[country, kind], np.int16(-1))
    lengths = np.array([*(f.length for f in table.forms), -1])
    right: Mask = np.where(of < 0, ~read.present, read.present & (read.sizes() == lengths[of]))
    for number, rows in groups(of, np.flatnonzero(right & (of >= 0))):
        one = table.forms[number]
        right[rows] = has_form(one, read.matrix(rows, one.length))
    return ~right


class IbanForms(NamedTuple):
    """Account numbers of the banks of every country; a country without IBAN has no bank."""

    countries: tuple[str, ...]
    banks: tuple[tuple[Form, ...], ...]


def iban_forms(policy: IdentityPolicy, countries: Sequence[str]) -> IbanForms:
    """IBANs of `countries`: codes of banks that no registry lists."""
    known = policy.ibans.banks
    return IbanForms(
        tuple(countries), tuple(tuple(form(b) for b in known.get(iso, ())) for iso in countries)
    )


def wrong_ibans(
    of: IbanForms, country: NDArray[np.integer], column: pa.Array | pa.ChunkedArray
) -> Mask:
    """Rows whose IBAN is not one of a bank of the policy in their country.

    country: (n,), positions in `of.countries`, −1 for one without IBAN. A row is null exactly
    where its country has no IBAN. Country, check digits (ISO 7064 MOD 97-10), bank code and
    national check characters must be right.
    """
    read = texts(column)
    issues = np.array([*(bool(banks) for banks in of.banks), False])
    right: Mask = np.where(issues[country], read.present, ~read.present)
    sizes = read.sizes()
    for number, rows in groups(country, np.flatnonzero(right & issues[country])):
        right[rows] = False
        for length in {bank.length for bank in of.banks[number]}:
            chosen = rows[sizes[rows] == BBAN + length]
            text = read.matrix(chosen, BBAN + length)
            known = np.zeros(chosen.size, dtype=np.bool_)
            for bank in of.banks[number]:
                if bank.length == length:
                    known |= has_form(bank, text[BBAN:])
            name = np.frombuffer(of.countries[number].encode("ascii"), dtype=np.uint8)
            right[chosen] = known & (text[:2] == name[:, None]).all(axis=0) & _mod_97_10(text)
    return ~right


_FACTOR = np.ones(256, dtype=np.int64)
_FACTOR[ord("0") : ord("9") + 1] = 10
_FACTOR[ord("A") : ord("Z") + 1] = 100
_VALUE = np.zeros(256, dtype=np.int64)
_VALUE[ord("0") : ord("9") + 1] = np.arange(10)
_VALUE[ord("A") : ord("Z") + 1] = np.arange(10, 36)

_UNREDUCED = 7
"""Characters read between two reductions: 97 · 100⁷ is below 2⁶³."""


def _mod_97_10(text: U8) -> Mask:
    """Whether check digits are 98 − (number · 100 mod 97), number: BBAN then country; (n,)."""
    rest = np.zeros(text.shape[1], dtype=np.int64)
    for i, row in enumerate((*text[BBAN:], *text[:2]), start=1):
        rest = rest * _FACTOR[row] + _VALUE[row]
        if i % _UNREDUCED == 0:
            rest %= 97
    check = 98 - rest % 97 * 100 % 97
    right: Mask = (text[2] == 48 + check // 10) & (text[3] == 48 + check % 10)
    return right
